//! One attempt to bring a message to a channel.

use crate::channel::{Channel, Kind};
use crate::email::Authorities;
use crate::message::Message;
use crate::{email, sign, slack, webhook};
use http::StatusCode;
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use tollbook_types::Timestamp;

/// How long an attempt may take in all.
pub(crate) const TIME_MAX: Duration = Duration::from_secs(10);

/// Brings messages to channels.
#[derive(Clone, Debug)]
pub struct Sender {
    tls: Arc<ClientConfig>,
    authorities: Authorities,
}

/// Why a message did not arrive, or may not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed {
    /// In words, without a secret, a URL or what the other side said.
    pub why: String,
    /// Whether another attempt makes sense.
    pub again: bool,
    /// How long the channel wants to be left alone.
    pub after: Option<Duration>,
}

impl Failed {
    pub(crate) fn again(why: &str) -> Failed {
        Failed { why: why.to_owned(), again: true, after: None }
    }

    pub(crate) fn for_good(why: &str) -> Failed {
        Failed { why: why.to_owned(), again: false, after: None }
    }
}

impl Sender {
    /// Trusts the authorities that this machine trusts, or well-known ones where it names none.
    ///
    /// # Errors
    /// TLS cannot be set up.
    pub fn new() -> Result<Sender, rustls::Error> {
        match Sender::trusting(rustls_native_certs::load_native_certs().certs)? {
            sender if sender.authorities.is_empty() => {
                let roots = webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect();
                Sender::over(roots, Authorities::WellKnown)
            }
            sender => Ok(sender),
        }
    }

    /// Trusts these authorities, as far as they can be read.
    ///
    /// # Errors
    /// TLS cannot be set up.
    pub fn trusting(certificates: Vec<CertificateDer<'static>>) -> Result<Sender, rustls::Error> {
        let mut roots = RootCertStore::empty();
        let mut read = certificates;
        read.retain(|certificate| roots.add(certificate.clone()).is_ok());
        Sender::over(roots, Authorities::These(read))
    }

    fn over(roots: RootCertStore, authorities: Authorities) -> Result<Sender, rustls::Error> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Sender { tls: Arc::new(tls), authorities })
    }

    /// Brings a message to a channel, at `now`. On `Ok` the other side has taken it.
    ///
    /// # Errors
    /// It has not, or it is not known.
    pub async fn send(&self, channel: &Channel, message: &Message, now: Timestamp) -> Result<(), Failed> {
        let attempt = self.attempt(channel, message, now);
        tokio::time::timeout(TIME_MAX, attempt)
            .await
            .unwrap_or_else(|_| Err(Failed::again("it took too long")))
    }

    async fn attempt(&self, channel: &Channel, message: &Message, now: Timestamp) -> Result<(), Failed> {
        let allow_private = channel.allow_private;
        match &channel.kind {
            Kind::Webhook { url, secret } => {
                let body = json!({ "type": message.kind, "timestamp": message.at, "data": message.data });
                let body = body.to_string().into_bytes();
                let seconds = now.as_second();
                let Some(signature) = sign::signature(secret, &message.id, seconds, &body) else {
                    return Err(Failed::for_good("the secret is none to sign with"));
                };
                let headers = vec![
                    ("webhook-id", message.id.clone()),
                    ("webhook-timestamp", seconds.to_string()),
                    ("webhook-signature", signature),
                ];
                let answer = webhook::post(&self.tls, url, allow_private, headers, body).await?;
                // Its owner may mend anything but a receiver that says it is gone.
                judged(answer, &[StatusCode::GONE])
            }
            Kind::Slack { url } => {
                let body = slack::body(message).to_string().into_bytes();
                let answer = webhook::post(&self.tls, url, allow_private, Vec::new(), body).await?;
                let dead =
                    [StatusCode::BAD_REQUEST, StatusCode::FORBIDDEN, StatusCode::NOT_FOUND, StatusCode::GONE];
                judged(answer, &dead)
            }
            Kind::Email(email) => email::send(email, &self.authorities, allow_private, message).await,
            Kind::Log => {
                tracing::warn!(id = message.id, kind = message.kind, "{}", message.title);
                Ok(())
            }
        }
    }
}

/// What an answer means; these statuses, and redirects, are final.
fn judged(answer: (StatusCode, Option<Duration>), dead: &[StatusCode]) -> Result<(), Failed> {
    let (status, after) = answer;
    if status.is_success() {
        return Ok(());
    }
    let code = status.as_u16();
    if status.is_redirection() {
        return Err(Failed::for_good(&format!("the host redirects ({code}), which is not followed")));
    }
    Err(Failed { why: format!("the host answered {code}"), again: !dead.contains(&status), after })
}
