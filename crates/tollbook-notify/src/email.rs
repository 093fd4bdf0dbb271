//! E-mail: a message handed to a mail server.

use crate::channel::{Email, SmtpTls};
use crate::connect::resolve;
use crate::message::Message;
use crate::send::{Failed, TIME_MAX};
use lettre::message::{Mailboxes, header};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport, Tokio1Executor};
use std::time::SystemTime;

/// Hands the message over. A server that took it once may get it again, with the same `Message-ID`.
pub async fn send(email: &Email, allow_private: bool, message: &Message) -> Result<(), Failed> {
    let addresses = resolve(&email.host, email.port, allow_private).await?;
    let Some(address) = addresses.first() else { return Err(Failed::again("the host has no address")) };
    let letter = letter(email, message)?;
    let parameters = || {
        TlsParameters::new(email.host.clone())
            .map_err(|_| Failed::for_good("the host's name is none for TLS"))
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
        None => Failed::again("the connection to the mail server failed"),
    }
}
