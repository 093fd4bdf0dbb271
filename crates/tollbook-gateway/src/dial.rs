//! New connections to upstreams.

use crate::target::Target;
use rustls::{ClientConfig, RootCertStore};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DialError {
    #[error("no connection within {} s", .0.as_secs())]
    Timeout(Duration),
    #[error("no connection: {0}")]
    Io(#[from] io::Error),
    #[error("no common HTTP: {0}")]
    Http(#[from] hyper::Error),
}

/// A connection to an upstream.
#[derive(Debug)]
pub(crate) enum Line {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Line {
    /// Whether HTTP/2 has been agreed on.
    pub fn is_h2(&self) -> bool {
        match self {
            Line::Plain(_) => false,
            Line::Tls(stream) => stream.get_ref().1.alpn_protocol() == Some(b"h2"),
        }
    }
}

/// Makes connections to upstreams.
#[derive(Clone)]
pub(crate) struct Dialer {
    tls: TlsConnector,
    timeout: Duration,
}

impl Dialer {
    pub fn new(tls: Arc<ClientConfig>, timeout: Duration) -> Dialer {
        Dialer { tls: TlsConnector::from(tls), timeout }
    }

    /// A connection, within the limit.
    pub async fn dial(&self, target: &Target) -> Result<Line, DialError> {
        let limit = self.timeout;
        tokio::time::timeout(limit, self.connect(target)).await.map_err(|_| DialError::Timeout(limit))?
    }

    async fn connect(&self, target: &Target) -> Result<Line, DialError> {
        let stream = match target.host.parse() {
            Ok(ip) => TcpStream::connect(SocketAddr::new(ip, target.port)).await?,
            Err(_) => TcpStream::connect((target.host.as_str(), target.port)).await?,
        };
        stream.set_nodelay(true)?;
        match &target.server {
            None => Ok(Line::Plain(stream)),
            Some(server) => {
                let stream = self.tls.connect(server.clone(), stream).await?;
                Ok(Line::Tls(Box::new(stream)))
            }
        }
    }
}

/// What upstreams' certificates are checked against: the machine's roots, which know a company's
/// own; where it has none, those that are built in.
pub(crate) fn client_config() -> Result<ClientConfig, rustls::Error> {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        tracing::warn!(%error, "a root certificate of this machine cannot be read");
    }
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

impl AsyncRead for Line {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Line::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Line::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Line {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Line::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Line::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Line::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Line::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Line::Plain(stream) => stream.is_write_vectored(),
            Line::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Line::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Line::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Line::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Line::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
