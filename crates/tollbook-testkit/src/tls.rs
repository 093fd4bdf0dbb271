//! TLS for those who speak none: relays that put it around a connection or take it off, and an
//! authority that vouches for them. It must never know what is said inside.

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use std::error::Error;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// Whom every certificate is for.
const NAME: &str = "localhost";

/// What goes wrong while a test is prepared.
pub type Fault = Box<dyn Error + Send + Sync>;

/// Vouches for `localhost`.
#[derive(Debug)]
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// Its own certificate, as PEM.
    pub certificate: String,
}

/// A certificate and its private key, as PEM.
#[derive(Clone, Debug)]
pub struct Identity {
    /// For `localhost`.
    pub certificate: String,
    /// Of the certificate.
    pub key: String,
}

impl Authority {
    /// A new one, which nobody trusts yet.
    ///
    /// # Errors
    /// No key can be made.
    pub fn new() -> Result<Authority, Fault> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate()?;
        let certificate = params.self_signed(&key)?.pem();
        Ok(Authority { issuer: Issuer::new(params, key), certificate })
    }

    /// A certificate for `localhost`.
    ///
    /// # Errors
    /// No key can be made.
    pub fn certify(&self) -> Result<Identity, Fault> {
        let key = KeyPair::generate()?;
        let certificate = CertificateParams::new(vec![NAME.to_owned()])?.signed_by(&key, &self.issuer)?;
        Ok(Identity { certificate: certificate.pem(), key: key.serialize_pem() })
    }
}

/// Passes connections on until it is dropped.
#[derive(Debug)]
pub struct Relay {
    /// Where it listens.
    pub address: SocketAddr,
    /// Its thread ends when this does.
    _end: oneshot::Sender<()>,
}

impl Relay {
    /// Takes TLS with this identity and passes on what is inside.
    ///
    /// # Errors
    /// The identity is none, or no port is free.
    pub fn out_of_tls(identity: &Identity, to: SocketAddr) -> Result<Relay, Fault> {
        let chain =
            CertificateDer::pem_slice_iter(identity.certificate.as_bytes()).collect::<Result<_, _>>()?;
        let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes())?;
        let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(chain, key)?;
        let acceptor = TlsAcceptor::from(Arc::new(config));
        Relay::start(move |near| {
            let acceptor = acceptor.clone();
            async move { pipe(acceptor.accept(near).await?, TcpStream::connect(to).await?).await }
        })
    }

    /// Passes on, with TLS around it, to whom the authority vouches for.
    ///
    /// # Errors
    /// The authority's certificate is none, or no port is free.
    pub fn into_tls(authority: &Authority, to: SocketAddr) -> Result<Relay, Fault> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(authority.certificate.as_bytes())?)?;
        let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let (connector, name) = (TlsConnector::from(Arc::new(config)), ServerName::try_from(NAME)?);
        Relay::start(move |near| {
            let (connector, name) = (connector.clone(), name.clone());
            async move { pipe(near, connector.connect(name, TcpStream::connect(to).await?).await?).await }
        })
    }

    fn start<F>(pass: impl Fn(TcpStream) -> F + Send + 'static) -> Result<Relay, Fault>
    where
        F: Future<Output = io::Result<()>> + Send + 'static,
    {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))?;
        let address = listener.local_addr()?;
        let (end, ended) = oneshot::channel();
        let relaying = async move {
            while let Ok((near, _)) = listener.accept().await {
                tokio::spawn(pass(near));
            }
        };
        std::thread::spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    () = relaying => {}
                    _ = ended => {}
                }
            });
        });
        Ok(Relay { address, _end: end })
    }
}

async fn pipe<A, B>(mut near: A, mut far: B) -> io::Result<()>
where
    A: AsyncRead + AsyncWrite + Unpin,
    B: AsyncRead + AsyncWrite + Unpin,
{
    copy_bidirectional(&mut near, &mut far).await.map(|_| ())
}
