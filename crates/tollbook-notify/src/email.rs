//! E-mail: a message handed to a mail server.

use crate::channel::{Email, SmtpTls};
use crate::connect::resolve;
use crate::message::Message;
use crate::send::{Failed, TIME_MAX};
use lettre::message::{Mailboxes, header};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, CertificateStore, Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport, Tokio1Executor};
use rustls::pki_types::CertificateDer;
use std::error::Error;
use std::time::SystemTime;
use std::{io, iter};

/// Whose word a mail server's certificate is taken on.
#[derive(Clone, Debug)]
pub enum Authorities {
    /// Those that come with the program.
    WellKnown,
    /// These.
    These(Vec<CertificateDer<'static>>),
}

impl Authorities {
    /// Whether nobody is trusted.
    pub fn is_empty(&self) -> bool {
        matches!(self, Authorities::These(none) if none.is_empty())
    }

    /// What a server of this name has to show.
    fn parameters(&self, host: &str) -> Result<TlsParameters, lettre::transport::smtp::Error> {
        let builder = TlsParameters::builder(host.to_owned());
        let these = match self {
            Authorities::WellKnown => {
                return builder.certificate_store(CertificateStore::WebpkiRoots).build();
            }
            Authorities::These(these) => these,
        };
        let builder = builder.certificate_store(CertificateStore::None);
        these
            .iter()
            .try_fold(builder, |builder, one| {
                Ok(builder.add_root_certificate(Certificate::from_der(one.to_vec())?))
            })?
            .build()
    }
}

/// Hands the message over. A server that took it once may get it again, with the same `Message-ID`.
pub async fn send(
    email: &Email,
    authorities: &Authorities,
    allow_private: bool,
    message: &Message,
) -> Result<(), Failed> {
    let addresses = resolve(&email.host, email.port, allow_private).await?;
    let Some(address) = addresses.first() else { return Err(Failed::again("the host has no address")) };
    let letter = letter(email, message)?;
    let parameters = || {
        authorities.parameters(&email.host).map_err(|_| Failed::for_good("the host's name is none for TLS"))
    };
    let tls = match email.tls {
        SmtpTls::Implicit => Tls::Wrapper(parameters()?),
        SmtpTls::StartTls => Tls::Required(parameters()?),
        SmtpTls::None => Tls::None,
    };
    // By the address that was checked: the name is not asked for again.
    let server = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(address.ip().to_string());
    let mut server = server.port(email.port).tls(tls).timeout(Some(TIME_MAX));
    if let Some((user, password)) = &email.credentials {
        server = server.credentials(Credentials::new(user.clone(), password.expose().to_owned()));
    }
    server.build().send(letter).await.map(drop).map_err(|error| failed(&error))
}

fn letter(email: &Email, message: &Message) -> Result<lettre::Message, Failed> {
    let to: Mailboxes = email.to.iter().cloned().collect();
    let title: String = message.title.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let text = match message.text.is_empty() {
        true => format!("{title}\n"),
        false => format!("{title}\n\n{}\n", message.text),
    };
    lettre::Message::builder()
        .from(email.from.clone())
        .mailbox(header::To::from(to))
        .subject(title)
        .date(SystemTime::from(message.at))
        .message_id(Some(format!("<{}@tollbook>", message.id)))
        .header(header::ContentType::TEXT_PLAIN)
        .body(text)
        .map_err(|_| Failed::for_good("the letter cannot be written"))
}

/// What the server said, as far as it is worth knowing: its code.
fn failed(error: &lettre::transport::smtp::Error) -> Failed {
    match error.status() {
        Some(code) if error.is_permanent() => Failed::for_good(&format!("the mail server said {code}")),
        Some(code) => Failed::again(&format!("the mail server said {code}")),
        None if error.is_timeout() => Failed::again("the mail server took too long"),
        None if is_about_tls(error) => Failed::again(
            "TLS failed: the mail server's certificate is not trusted, or it does not speak TLS there",
        ),
        // What it should do and cannot, such as STARTTLS: the words are the library's own.
        None if error.is_client() => Failed::again(&match error.source() {
            Some(what) => format!("the mail server cannot be used: {what}"),
            None => "the mail server cannot be used".to_owned(),
        }),
        None => Failed::again("the connection to the mail server failed"),
    }
}

/// Whether it is TLS that failed, which stands somewhere within.
fn is_about_tls(error: &lettre::transport::smtp::Error) -> bool {
    let within = |error: &io::Error| error.get_ref().is_some_and(|inner| inner.is::<rustls::Error>());
    let is_it = |error: &(dyn Error + 'static)| error.downcast_ref::<io::Error>().is_some_and(within);
    error.is_tls() || iter::successors(error.source(), |within| (*within).source()).any(is_it)
}
