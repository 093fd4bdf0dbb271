//! Messages on their way to real listeners.
#![allow(clippy::unwrap_used)] // These are tests throughout.

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tollbook_notify::{Channel, ChannelForm, Failed, Message, Secret, Sender, signature};
use tollbook_testkit::MailServer;
use tollbook_testkit::tls::{Authority, Relay};
use tollbook_testkit::upstream::{Script, Upstream};
use tollbook_types::Timestamp;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

fn now() -> Timestamp {
    "2026-11-22T10:31:00Z".parse().unwrap()
}

fn message() -> Message {
    Message {
        id: "alr_1".to_owned(),
        kind: "alert.firing".to_owned(),
        at: now(),
        title: "Budget ops: 10 of 10 USD used".to_owned(),
        text: "It ends on 2026-12-01.\n.A line with a dot".to_owned(),
        data: json!({"id": "alr_1", "limit": "10"}),
    }
}

fn channel(members: Value) -> Channel {
    serde_json::from_value::<ChannelForm>(members).unwrap().read().unwrap()
}

fn hook(url: &str) -> Channel {
    channel(json!({"name": "h", "kind": "webhook", "url": url, "secret": SECRET, "allow_private": true}))
}

fn send_with(sender: &Sender, channel: &Channel) -> Result<(), Failed> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(sender.send(channel, &message(), now()))
}

fn send(channel: &Channel) -> Result<(), Failed> {
    send_with(&Sender::trusting(Vec::new()).unwrap(), channel)
}

fn ok() -> Script {
    Script::body("text/plain", "ok")
}

#[test]
fn a_webhook_is_signed_over_the_bytes_that_are_sent() {
    let upstream = Upstream::start().unwrap();
    upstream.at_path("/hook", ok());
    send(&hook(&format!("{}/hook?a=b", upstream.url()))).unwrap();
    let served = &upstream.served()[0];
    assert_eq!((served.method.as_str(), served.target.as_str()), ("POST", "/hook?a=b"));
    let body: Value = serde_json::from_slice(&served.body).unwrap();
    let wanted = json!({"type": "alert.firing", "timestamp": "2026-11-22T10:31:00Z", "data": message().data});
    assert_eq!(body, wanted);
    assert_eq!(served.header("webhook-id"), Some("alr_1"));
    let seconds: i64 = served.header("webhook-timestamp").unwrap().parse().unwrap();
    assert_eq!(seconds, now().as_second());
    let signed = signature(&Secret::from(SECRET.to_owned()), "alr_1", seconds, &served.body);
    assert_eq!(served.header("webhook-signature"), signed.as_deref());
    assert_eq!(served.header("content-type"), Some("application/json"));
}

#[test]
fn what_a_host_answers_decides_whether_it_is_tried_again() {
    let upstream = Upstream::start().unwrap();
    let slack = channel(json!({"name": "s", "kind": "slack", "url": upstream.url(), "allow_private": true}));
    let hook = hook(&upstream.url());
    // Status, whether a webhook is tried again, whether Slack is.
    for (status, hook_again, slack_again) in [
        (200, None, None),
        (204, None, None),
        (301, Some(false), Some(false)),
        (307, Some(false), Some(false)),
        (400, Some(true), Some(false)),
        (404, Some(true), Some(false)),
        (410, Some(false), Some(false)),
        (429, Some(true), Some(true)),
        (500, Some(true), Some(true)),
        (503, Some(true), Some(true)),
    ] {
        for (channel, again) in [(&hook, hook_again), (&slack, slack_again)] {
            upstream
                .queue(ok().status(status).header("location", &upstream.url()).header("retry-after", "30"));
            let before = upstream.count();
            let sent = send(channel);
            assert_eq!(sent.as_ref().err().map(|failed| failed.again), again, "{status} {}", channel.kind());
            assert_eq!(upstream.count(), before + 1, "{status}: nothing is followed");
            if status == 429 {
                assert_eq!(sent.unwrap_err().after, Some(Duration::from_secs(30)));
            }
        }
    }
}

#[test]
fn a_host_that_is_slow_endless_or_broken_is_let_go() {
    let upstream = Upstream::start().unwrap();
    let hook = hook(&upstream.url());
    let endless = Script::body("text/plain", vec![b'x'; 64 * 1024 * 1024]);
    for (script, is_taken) in [
        (Script::hangs_up(), false),
        (Script::resets(), false),
        (Script::garbage("no http at all\r\n\r\n"), false),
        (endless, true),
        (ok().stall_after(1), true),
        (Script::never(), false),
    ] {
        upstream.queue(script.clone());
        let began = Instant::now();
        let sent = send(&hook);
        assert_eq!(sent.is_ok(), is_taken, "{script:?}");
        assert!(sent.err().is_none_or(|failed| failed.again), "it is tried again");
        assert!(began.elapsed() < Duration::from_secs(12));
    }
}

#[test]
fn nothing_reaches_this_machine_unless_the_channel_says_so() {
    let upstream = Upstream::start().unwrap();
    let port = upstream.address().port();
    // Spelt so that only who looks at the address that is connected to sees where it leads.
    for host in [
        "127.0.0.1",
        "localhost",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "0.0.0.0",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "169.254.169.254",
        "10.0.0.1",
        "192.168.1.1",
        "[fd00::1]",
        "[fe80::1]",
        "[64:ff9b::7f00:1]",
    ] {
        let url = format!("https://{host}:{port}/");
        let form = json!({"name": "h", "kind": "webhook", "url": url, "secret": SECRET});
        let failed = send(&channel(form)).unwrap_err();
        // Some systems know no such spelling, which is as good.
        let is_refused = failed.why.contains("allow_private") || failed.why.contains("name is not known");
        assert!(is_refused && !failed.why.contains(host), "{host}: {failed:?}");
    }
    let mail = json!({"name": "m", "kind": "email", "to": ["a@b.example"], "from": "t@b.example",
                      "smtp_host": "127.0.0.1", "smtp_port": port, "smtp_tls": "none"});
    assert!(send(&channel(mail)).unwrap_err().why.contains("allow_private"));
    assert_eq!((upstream.count(), upstream.connections()), (0, 0));
}

#[test]
fn a_certificate_has_to_be_trusted() {
    let upstream = Upstream::start().unwrap();
    upstream.at_path("/", ok());
    let authority = Authority::new().unwrap();
    let relay = Relay::out_of_tls(&authority.certify().unwrap(), upstream.address()).unwrap();
    let hook = hook(&format!("https://localhost:{}/", relay.address.port()));
    let failed = send(&hook).unwrap_err();
    assert!(failed.why.contains("certificate") && upstream.count() == 0, "{failed:?}");
    let trusted = vec![CertificateDer::from_pem_slice(authority.certificate.as_bytes()).unwrap()];
    let sender = Sender::trusting(trusted).unwrap();
    send_with(&sender, &hook).unwrap();
    assert_eq!(upstream.count(), 1);
    let server = MailServer::start().unwrap();
    let relay = Relay::out_of_tls(&authority.certify().unwrap(), server.address).unwrap();
    let mail = |tls: &str, port: u16| {
        channel(json!({"name": "m", "kind": "email", "to": ["a@b.example"], "from": "t@b.example",
                       "smtp_host": "localhost", "smtp_port": port, "smtp_tls": tls, "allow_private": true}))
    };
    let failed = send(&mail("implicit", relay.address.port())).unwrap_err();
    assert!(failed.again && failed.why.contains("certificate is not trusted"), "{failed:?}");
    let failed = send_with(&sender, &mail("starttls", server.address.port())).unwrap_err();
    assert!(failed.again && failed.why.contains("STARTTLS"), "{failed:?}");
    assert_eq!(server.letters(), []);
    send_with(&sender, &mail("implicit", relay.address.port())).unwrap();
    assert_eq!(server.letters().len(), 1);
}

#[test]
fn a_letter_arrives_as_it_was_written() {
    let server = MailServer::start().unwrap();
    let mail = channel(json!({
        "name": "m", "kind": "email", "to": ["Ann <ann@b.example>", "bob@b.example"], "from": "Toll <t@b.example>",
        "smtp_host": "localhost", "smtp_port": server.address.port(), "smtp_tls": "none", "allow_private": true,
    }));
    server.refuse(1);
    let failed = send(&mail).unwrap_err();
    assert!(failed.again && failed.why.contains("451"), "{failed:?}");
    assert_eq!(server.letters(), []);
    send(&mail).unwrap();
    let letters = server.letters();
    let letter = &letters[0];
    assert_eq!((letters.len(), letter.from.as_str()), (1, "t@b.example"));
    assert_eq!(letter.to, ["ann@b.example", "bob@b.example"]);
    for line in [
        "Subject: Budget ops: 10 of 10 USD used",
        "Message-ID: <alr_1@tollbook>",
        "Date: Sun, 22 Nov 2026 10:31:00 +0000",
        "It ends on 2026-12-01.",
        ".A line with a dot",
    ] {
        assert!(letter.text.lines().any(|found| found == line), "{line}: {}", letter.text);
    }
}
