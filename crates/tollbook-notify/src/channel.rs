//! A channel as people and programs write it, and what it means. Everything that is wrong with one is
//! told at once, without what was sent.

use crate::secret::Secret;
use crate::sign;
use http::Uri;
use lettre::message::Mailbox;
use serde::{Deserialize, Serialize};

/// The kinds of channels.
pub const KINDS: &[&str] = &["webhook", "slack", "email", "log"];
/// A channel's name, in bytes.
const NAME_BYTES_MAX: usize = 64;
/// A URL, in bytes.
const URL_BYTES_MAX: usize = 2_048;
/// Any other text, in bytes.
const TEXT_BYTES_MAX: usize = 320;
/// Receivers of one e-mail.
const RECEIVERS_MAX: usize = 20;
/// Where servers take mail from programs: with TLS from the first byte, and with TLS begun later.
const SUBMISSIONS_PORT: u16 = 465;
const SUBMISSION_PORT: u16 = 587;
/// Where servers take mail without TLS.
const PLAIN_PORT: u16 = 25;

/// The members of a channel, as they are written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ChannelForm {
    /// What it is called: letters, digits, `-`, `_` and `.`.
    pub name: String,
    /// `webhook`, `slack`, `email` or `log`.
    pub kind: String,
    /// Where a webhook or Slack takes messages. It is kept secret: Slack's is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<Secret>,
    /// What a webhook's messages are signed with: `whsec_…`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<Secret>,
    /// Whom e-mail goes to.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub to: Vec<String>,
    /// Whom e-mail comes from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// The server that takes e-mail.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub smtp_host: Option<String>,
    /// Its port; 465, 587 or 25 by its TLS unless said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub smtp_port: Option<u16>,
    /// `implicit`, `starttls` or `none`; `implicit` unless said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub smtp_tls: Option<String>,
    /// Who signs in there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub smtp_user: Option<String>,
    /// With what.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub smtp_password: Option<Secret>,
    /// Whether it may be on this machine or in a network of one's own, and without TLS.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub allow_private: bool,
}

/// What is wrong with a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The member.
    pub member: &'static str,
    /// What is wrong with it.
    pub detail: String,
}

/// A way to tell people something.
#[derive(Clone, Debug)]
pub struct Channel {
    /// What it is called.
    pub name: String,
    /// Whether it may be on this machine or in a network of one's own.
    pub allow_private: bool,
    pub(crate) kind: Kind,
}

/// The ways.
#[derive(Clone, Debug)]
pub(crate) enum Kind {
    Webhook { url: Uri, secret: Secret },
    Slack { url: Uri },
    Email(Email),
    Log,
}

/// A way by e-mail.
#[derive(Clone, Debug)]
pub(crate) struct Email {
    pub from: Mailbox,
    pub to: Vec<Mailbox>,
    pub host: String,
    pub port: u16,
    pub tls: SmtpTls,
    pub credentials: Option<(String, Secret)>,
}

/// How a connection to a mail server is made private.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SmtpTls {
    Implicit,
    StartTls,
    None,
}

impl Channel {
    /// Its kind, as it is written.
    pub fn kind(&self) -> &'static str {
        match self.kind {
            Kind::Webhook { .. } => "webhook",
            Kind::Slack { .. } => "slack",
            Kind::Email(_) => "email",
            Kind::Log => "log",
        }
    }

    /// Where its messages go, as far as that may be shown: a host, the receivers of e-mail.
    pub fn target(&self) -> Option<String> {
        match &self.kind {
            Kind::Webhook { url, .. } | Kind::Slack { url } => url.host().map(str::to_owned),
            Kind::Email(email) => {
                Some(email.to.iter().map(|to| to.email.to_string()).collect::<Vec<_>>().join(", "))
            }
            Kind::Log => None,
        }
    }
}

impl ChannelForm {
    /// The names of its members.
    pub const MEMBERS: &[&str] = &[
        "name",
        "kind",
        "url",
        "secret",
        "to",
        "from",
        "smtp_host",
        "smtp_port",
        "smtp_tls",
        "smtp_user",
        "smtp_password",
        "allow_private",
    ];

    /// What it means, or everything that is wrong with it.
    ///
    /// # Errors
    /// Each member that is missing, wrong, or of another kind of channel.
    pub fn read(&self) -> Result<Channel, Vec<Fault>> {
        let mut faults = Faults(Vec::new());
        let is_name = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if self.name.is_empty() || self.name.len() > NAME_BYTES_MAX || !self.name.chars().all(is_name) {
            faults.add("name", "has 1 to 64 letters, digits, -, _ and .");
        }
        let kind = match self.kind.as_str() {
            "webhook" => self.webhook(&mut faults),
            "slack" => self.url(&mut faults).map(|url| Kind::Slack { url }),
            "email" => self.email(&mut faults),
            "log" => Some(Kind::Log),
            _ => {
                faults.add("kind", "is webhook, slack, email or log");
                return Err(faults.0);
            }
        };
        self.strangers(&mut faults);
        match kind {
            Some(kind) if faults.0.is_empty() => {
                Ok(Channel { name: self.name.clone(), allow_private: self.allow_private, kind })
            }
            _ => Err(faults.0),
        }
    }

    /// Members of other kinds of channels.
    fn strangers(&self, faults: &mut Faults) {
        let (has_url, has_mail) = (["webhook", "slack"], ["email"]);
        let told: [(&'static str, bool, &[&str]); 9] = [
            ("url", self.url.is_some(), &has_url),
            ("secret", self.secret.is_some(), &["webhook"]),
            ("to", !self.to.is_empty(), &has_mail),
            ("from", self.from.is_some(), &has_mail),
            ("smtp_host", self.smtp_host.is_some(), &has_mail),
            ("smtp_port", self.smtp_port.is_some(), &has_mail),
            ("smtp_tls", self.smtp_tls.is_some(), &has_mail),
            ("smtp_user", self.smtp_user.is_some(), &has_mail),
            ("smtp_password", self.smtp_password.is_some(), &has_mail),
        ];
        for (member, is_told, kinds) in told {
            if is_told && !kinds.contains(&self.kind.as_str()) {
                faults.add(member, &format!("is for {} only", kinds.join(" and ")));
            }
        }
    }

    fn webhook(&self, faults: &mut Faults) -> Option<Kind> {
        let url = self.url(faults);
        let is_good = |secret: &&Secret| sign::key_of(secret).is_some();
        let secret = self.secret.as_ref().filter(is_good).cloned();
        if secret.is_none() {
            faults.add("secret", "is whsec_ and 24 to 64 bytes in Base64");
        }
        Some(Kind::Webhook { url: url?, secret: secret? })
    }

    fn url(&self, faults: &mut Faults) -> Option<Uri> {
        let text = self.url.as_ref().map_or("", Secret::expose);
        let url = Uri::try_from(text).ok().filter(|_| text.len() <= URL_BYTES_MAX && !text.contains('#'));
        // A user's name in front of the host would be a way to show one host and go to another.
        let is_plain = |url: &Uri| url.authority().is_some_and(|host| !host.as_str().contains('@'));
        let Some(url) = url.filter(|url| is_plain(url) && url.host().is_some_and(|host| !host.is_empty()))
        else {
            faults.add("url", "has to be there, such as https://example.com/hook");
            return None;
        };
        match url.scheme_str() {
            Some("https") => Some(url),
            Some("http") if self.allow_private => Some(url),
            _ => {
                faults.add("url", "begins with https://; http:// needs allow_private = true");
                None
            }
        }
    }

    fn email(&self, faults: &mut Faults) -> Option<Kind> {
        let mailbox = |text: &str| text.parse::<Mailbox>().ok().filter(|_| text.len() <= TEXT_BYTES_MAX);
        let from = self.from.as_deref().and_then(mailbox);
        if from.is_none() {
            faults.add("from", "has to be there: an address such as tollbook@example.com");
        }
        let to: Vec<Mailbox> = self.to.iter().filter_map(|text| mailbox(text)).collect();
        if to.is_empty() || to.len() != self.to.len() || to.len() > RECEIVERS_MAX {
            faults.add("to", "has 1 to 20 addresses");
        }
        let is_host = |host: &&String| {
            host.len() <= TEXT_BYTES_MAX
                && host.chars().all(|c| c.is_ascii_alphanumeric() || "-.:".contains(c))
        };
        let host = self.smtp_host.as_ref().filter(|host| !host.is_empty()).filter(is_host).cloned();
        if host.is_none() {
            faults.add("smtp_host", "has to be there: the name of a mail server");
        }
        let tls = self.smtp_tls(faults);
        let credentials = match (&self.smtp_user, &self.smtp_password) {
            (Some(user), Some(password)) => Some((user.clone(), password.clone())),
            (None, None) => None,
            _ => {
                faults.add("smtp_user", "and smtp_password belong together");
                None
            }
        };
        if credentials.is_some() && tls == SmtpTls::None && !self.allow_private {
            faults.add("smtp_tls", "must not be none where a password is sent");
        }
        let usual = match tls {
            SmtpTls::Implicit => SUBMISSIONS_PORT,
            SmtpTls::StartTls => SUBMISSION_PORT,
            SmtpTls::None => PLAIN_PORT,
        };
        let port = self.smtp_port.unwrap_or(usual);
        Some(Kind::Email(Email { from: from?, to, host: host?, port, tls, credentials }))
    }

    fn smtp_tls(&self, faults: &mut Faults) -> SmtpTls {
        match self.smtp_tls.as_deref() {
            None | Some("implicit") => SmtpTls::Implicit,
            Some("starttls") => SmtpTls::StartTls,
            Some("none") => SmtpTls::None,
            Some(_) => {
                faults.add("smtp_tls", "is implicit, starttls or none");
                SmtpTls::Implicit
            }
        }
    }
}

/// Collects what is wrong.
struct Faults(Vec<Fault>);

impl Faults {
    fn add(&mut self, member: &'static str, detail: &str) {
        self.0.push(Fault { member, detail: detail.to_owned() });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    /// `OK TARGET`, or the members that are wrong.
    fn check(members: &str, wanted: &str) {
        let form: ChannelForm = serde_json::from_str(&format!("{{{members}}}")).unwrap();
        let read = form.read();
        let told = match &read {
            Ok(channel) => format!("{} {}", channel.kind(), channel.target().unwrap_or_default()),
            Err(faults) => faults.iter().map(|fault| fault.member).collect::<Vec<_>>().join(" "),
        };
        assert_eq!(told, wanted, "{members}");
        let shown = format!("{form:?} {read:?}");
        assert!(!shown.contains("MfKQ") && !shown.contains("hunter2"), "{shown}");
    }

    #[test]
    fn a_channel_is_read_and_all_that_is_wrong_is_told() {
        let hook = |url: &str| format!(r#""name":"ops","kind":"webhook","secret":"{SECRET}","url":"{url}""#);
        check(&hook("https://example.com/hook"), "webhook example.com");
        check(&hook("https://example.com:8443/hook?a=b"), "webhook example.com");
        for url in [
            "",
            "http://example.com/",
            "ftp://example.com/",
            "/hook",
            "example.com",
            "https://",
            "https:///x",
            "https://good.com@evil.com/",
            "https://a:b@evil.com/",
            "https://x/#y",
            "https://ex ample.com/",
            "javascript:alert(1)",
            "file:///etc/passwd",
            "gopher://x/",
            "https://[::1",
            "https://:80/",
        ] {
            check(&hook(url), "url");
        }
        check(&(hook("http://127.0.0.1:1/") + r#","allow_private":true"#), "webhook 127.0.0.1");
        check(r#""name":"a b","kind":"webhook""#, "name url secret");
        check(r#""name":"ops","kind":"pager""#, "kind");
        check(r#""name":"ops","kind":"log""#, "log ");
        check(r#""name":"ops","kind":"log","url":"https://x/","to":["a@b.c"]"#, "url to");
        check(
            r#""name":"ops","kind":"slack","url":"https://hooks.slack.com/services/T/B/x""#,
            "slack hooks.slack.com",
        );
        check(&format!(r#""name":"ops","kind":"slack","url":"https://x/","secret":"{SECRET}""#), "secret");
    }

    #[test]
    fn mail_names_its_server_and_sends_no_password_in_the_open() {
        let mail = |more: &str| {
            format!(
                r#""name":"m","kind":"email","to":["a@b.example"],"from":"Toll <t@b.example>","smtp_host":"mail.b.example"{more}"#
            )
        };
        check(&mail(""), "email a@b.example");
        check(r#""name":"m","kind":"email""#, "from to smtp_host");
        check(&mail(r#","smtp_tls":"maybe""#), "smtp_tls");
        check(&mail(r#","smtp_user":"u""#), "smtp_user");
        check(&mail(r#","smtp_user":"u","smtp_password":"hunter2""#), "email a@b.example");
        check(&mail(r#","smtp_user":"u","smtp_password":"hunter2","smtp_tls":"none""#), "smtp_tls");
        check(r#""name":"m","kind":"email","to":["a@b.example\r\nBcc: x@y"],"from":"t@b.example","smtp_host":"h"}"#.trim_end_matches('}'), "to");
        check(r#""name":"m","kind":"email","to":["a@b.example"],"from":"t@b.example\r\nX: y","smtp_host":"h\r\nx"}"#.trim_end_matches('}'), "from smtp_host");
    }
}
