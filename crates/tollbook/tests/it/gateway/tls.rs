//! TLS on both sides: callers that speak it, and upstreams that speak nothing else.

use super::running::{Running, Setup, call_id, chat};
use serde_json::json;
use tollbook_testkit::tls::{Authority, Relay};
use tollbook_testkit::upstream::Upstream;

#[test]
fn callers_may_speak_tls() {
    let authority = Authority::new().unwrap();
    let mut running = Running::with(Setup { tls: Some(authority), ..Setup::default() });
    let answers = [false, true].map(|stream| running.call(chat(stream)));
    for answer in &answers {
        assert_eq!((answer.status, answer.whole), (200, true), "{}", answer.text());
    }
    running.end();
    let books = running.books();
    for answer in &answers {
        assert_eq!(books[&call_id(answer)]["status"], "ok");
    }
}

#[test]
fn an_upstream_must_be_who_it_says_it_is() {
    let (trusted, unknown) = (Authority::new().unwrap(), Authority::new().unwrap());
    for (name, vouching, status, end) in
        [("vouched for", &trusted, 200, "ok"), ("unknown", &unknown, 502, "upstream_error")]
    {
        let upstream = Upstream::start().unwrap();
        let relay = Relay::out_of_tls(&vouching.certify().unwrap(), upstream.address()).unwrap();
        let roots = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(roots.path(), &trusted.certificate).unwrap();
        let mut environment = Setup::default().environment;
        environment.push(("SSL_CERT_FILE".to_owned(), roots.path().to_str().unwrap().to_owned()));
        let base_url = Some(format!("https://localhost:{}", relay.address.port()));
        let setup = Setup { base_url, environment, ..Setup::default() };
        let mut running = Running::with(setup);
        let answer = running.call(chat(false));
        assert_eq!(answer.status, status, "{name}: {}", answer.text());
        assert_eq!(upstream.served().len(), usize::from(status == 200), "{name}");
        running.end();
        let call = &running.books()[&call_id(&answer)];
        assert_eq!(call["status"], end, "{name}: {call}");
        if status != 200 {
            assert_eq!(call["cost_usd"], json!("0"), "{name}: {call}");
        }
    }
}
