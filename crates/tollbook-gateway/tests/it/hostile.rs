//! Callers and providers that look for a way around the books, or for a secret.

use crate::client::Client;
use crate::rig::{CHAT, Rig};
use std::time::Duration;
use tollbook_gateway::CacheOptions;
use tollbook_testkit::upstream::Script;
use tollbook_types::Evidence;

const PATH: &str = "/openai/v1/chat/completions";

fn chat(stream: bool) -> String {
    CHAT.replacen('{', &format!("{{\"stream\":{stream},"), 1)
}

#[test]
fn headers_of_gateways_reach_the_books_and_go_no_further() {
    let rig = Rig::new();
    let headers = [
        ("x-tollbook-user", "ada"),
        ("x-tollbook-tags", "team=ops"),
        ("x-litellm-session-id", "s1"),
        ("helicone-property-plan", "free"),
        ("x-portkey-metadata", r#"{"env":"prod"}"#),
    ];
    let reply = rig.post(PATH, &headers, CHAT);
    assert_eq!(reply.status, 200, "{reply:?}");
    let attribution = rig.entry().event.attribution;
    assert_eq!(attribution.user.as_deref(), Some("ada"));
    assert_eq!(attribution.session.as_deref(), Some("s1"));
    assert_eq!(attribution.tags.get("team").map(String::as_str), Some("ops"));
    let metadata = attribution.metadata.unwrap();
    assert_eq!((&metadata["plan"], &metadata["env"]), (&"free".into(), &"prod".into()));
    let served = &rig.upstream.served()[0];
    for (name, _) in headers {
        assert_eq!(served.header(name), None, "{name}");
    }
}

/// Paths and methods that a provider understands as a billable call.
#[test]
fn no_spelling_of_a_path_passes_unmetered() {
    let answer = || {
        Script::json(&serde_json::json!({"id": "c", "object": "chat.completion", "model": "gpt-4o-mini",
            "choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13}}))
    };
    for path in [
        "/openai/v1/chat/%63ompletions",
        "/openai/v1/chat%2Fcompletions",
        "/openai/v1/chat/completions//",
        "/openai/v1/Chat/Completions",
        "/openai/v1/chat//completions",
        "/openai/v1/chat/completions/?a=b",
    ] {
        let rig = Rig::new();
        rig.upstream.queue(answer());
        let reply = rig.post(path, &[], CHAT);
        let refused = reply.status == 404 && rig.upstream.count() == 0;
        assert!(refused || rig.entries(1).len() == 1, "{path}: {} and no entry", reply.status);
    }
}

#[test]
fn no_header_turns_a_request_into_another() {
    let rig = Rig::new();
    for name in ["x-http-method-override", "x-http-method", "x-method-override"] {
        let count = rig.upstream.count();
        rig.post(PATH, &[(name, "GET")], CHAT);
        assert_eq!(rig.upstream.served()[count].header(name), None, "{name}");
    }
}

#[test]
fn a_body_counts_as_what_it_is_and_not_as_what_it_is_called() {
    for kind in ["application/x-www-form-urlencoded", "text/plain"] {
        let rig = Rig::new();
        let bearer = format!("Bearer {}", rig.key);
        let mut client = rig.client();
        let headers = [("authorization", bearer.as_str()), ("content-type", kind)];
        client.request("POST", PATH, &headers, chat(true).as_bytes());
        let reply = client.reply();
        assert_eq!(reply.status, 200, "{reply:?}");
        let entry = rig.entry();
        assert_eq!(entry.event.evidence, Evidence::ProviderUsage, "{kind}: its usage was not asked for");
        assert_eq!(entry.event.request_model.as_deref().unwrap_or(&entry.event.model), "gpt-4o-mini");
    }
}

#[test]
fn callers_that_announce_much_and_send_nothing_stop_nobody() {
    let rig = Rig::new();
    let head = format!(
        "POST {PATH} HTTP/1.1\r\nhost: g\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\n\
         content-length: 67108864\r\n\r\n{{",
        rig.key
    );
    let mut slow: Vec<Client> = (0..8).map(|_| rig.client()).collect();
    slow.iter_mut().for_each(|client| assert!(client.send(&head)));
    std::thread::sleep(Duration::from_millis(300));
    let reply = rig.post(PATH, &[], CHAT);
    assert_eq!(reply.status, 200, "{}", reply.text());
}

#[test]
fn two_keys_are_two_keys_wherever_they_stand() {
    let rig = Rig::new();
    let other = "tb_another0000000000000000000000000000000000";
    for path in [format!("{PATH}?key={}&key={other}", rig.key), format!("{PATH}?key={other}&key={}", rig.key)]
    {
        let mut client = rig.client();
        client.request("POST", &path, &[("content-type", "application/json")], CHAT.as_bytes());
        assert_eq!(client.reply().status, 400, "{path}");
    }
    assert_eq!(rig.upstream.count(), 0);
}

#[test]
fn a_request_behind_another_is_looked_at_as_closely() {
    let rig = Rig::new();
    let head = format!("POST {PATH} HTTP/1.1\r\nhost: g\r\nauthorization: Bearer {}\r\n", rig.key);
    let json = "content-type: application/json\r\n";
    let first = format!("{head}{json}content-length: {}\r\n\r\n{CHAT}", CHAT.len());
    let second = format!(
        "{head}{json}content-length: 3\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{CHAT}\r\n0\r\n\r\n",
        CHAT.len()
    );
    let mut client = rig.client();
    client.send(first + &second);
    assert_eq!(client.reply().status, 200);
    assert_eq!(client.reply().status, 400);
}

#[test]
fn words_in_an_answer_do_not_end_a_call() {
    let rig = Rig::new();
    let said = "data: {\"id\":\"c\",\"model\":\"gpt-4o-mini\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"data: [DONE]";
    let rest = "\"}}]}\n\ndata: {\"id\":\"c\",\"model\":\"gpt-4o-mini\",\"choices\":[],\"usage\":{\"prompt_tokens\":9,\
                \"completion_tokens\":4,\"total_tokens\":13}}\n\ndata: [DONE]\n\n";
    rig.upstream.queue(Script::sse([said, rest]).every(Duration::from_millis(100)));
    let body = CHAT.replacen('{', r#"{"stream":true,"stream_options":{"include_usage":true},"#, 1);
    let reply = rig.post(PATH, &[], &body);
    assert_eq!(reply.text(), [said, rest].concat());
    let usage = rig.entry().event.usage.expect("it was reported");
    assert_eq!(usage.total().output_tokens(), 4);
}

#[test]
fn the_cache_gives_nobody_what_was_anothers() {
    let rig = Rig::with(|options| {
        options.cache = Some(CacheOptions { bytes: 1 << 20 });
        options.upstreams.iter_mut().for_each(|upstream| upstream.cache_ttl_s = Some(60));
    });
    let answer = serde_json::json!({"id": "c", "object": "chat.completion", "model": "gpt-4o-mini", "choices": [],
        "usage": {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13}});
    let script = Script::json(&answer).header("set-cookie", "session=canary").header("x-request-id", "first");
    rig.upstream.queue(script);
    let first = rig.post(PATH, &[], CHAT);
    assert_eq!(first.header("x-tollbook-cache"), Some("miss"));
    let second = rig.post(PATH, &[], CHAT);
    assert_eq!((second.header("x-tollbook-cache"), rig.upstream.count()), (Some("hit"), 1));
    assert_eq!(second.body, first.body);
    assert_eq!(second.header("set-cookie"), None);
    assert_ne!(second.header("x-request-id"), Some("first"));
}

#[test]
fn an_upstream_cannot_speak_for_us() {
    let rig = Rig::new();
    let answer = serde_json::json!({"id": "c", "model": "of-no-price", "choices": [],
        "usage": {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13}});
    rig.upstream.queue(
        Script::json(&answer).header("x-tollbook-cost-usd", "0").header("x-litellm-response-cost", "0"),
    );
    let reply = rig.post(PATH, &[], &CHAT.replace("gpt-4o-mini", "of-no-price"));
    assert_eq!(reply.header("x-tollbook-cost-status"), Some("unpriced"));
    assert_eq!((reply.header("x-tollbook-cost-usd"), reply.header("x-litellm-response-cost")), (None, None));
}

#[test]
fn an_answer_that_is_read_on_is_read_on_while_the_gateway_ends() {
    let rig = Rig::new();
    let usage = "data: {\"id\":\"c\",\"model\":\"gpt-4o-mini\",\"choices\":[],\"usage\":{\"prompt_tokens\":9,\
                 \"completion_tokens\":4,\"total_tokens\":13}}\n\n";
    let piece = "data: {\"id\":\"c\",\"model\":\"gpt-4o-mini\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"x\"}}]}\n\n";
    let pieces = [piece, piece, piece, piece, usage, "data: [DONE]\n\n"];
    rig.upstream.queue(Script::sse(pieces).every(Duration::from_millis(200)));
    let body = CHAT.replacen('{', r#"{"stream":true,"stream_options":{"include_usage":true},"#, 1);
    let bearer = format!("Bearer {}", rig.key);
    let mut client = rig.client();
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
    client.request("POST", PATH, &headers, body.as_bytes());
    client.head();
    client.some(10);
    client.close();
    std::thread::sleep(Duration::from_millis(100));
    rig.shutdown(Duration::from_secs(5));
    let usage = rig.entry().event.usage.expect("the provider reported it within the grace");
    assert_eq!(usage.total().output_tokens(), 4);
}

#[test]
fn a_client_of_http_2_that_reads_nothing_holds_nothing() {
    let limit = Duration::from_secs(1);
    let rig = Rig::with(|options| {
        options.timeouts.write_idle = limit;
        options.timeouts.answer_idle = limit;
        options.timeouts.answer = limit * 2;
    });
    let piece = format!("data: {{\"x\":\"{}\"}}\n\n", "y".repeat(8_000));
    rig.upstream.queue(Script::sse(vec![piece; 2_000]).every(Duration::from_millis(1)));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let stream = tokio::net::TcpStream::connect(rig.address).await.unwrap();
        let io = hyper_util::rt::TokioIo::new(stream);
        let executor = hyper_util::rt::TokioExecutor::new();
        let (mut sender, connection) = hyper::client::conn::http2::Builder::new(executor)
            .initial_stream_window_size(16 * 1024)
            .handshake(io)
            .await
            .unwrap();
        tokio::spawn(connection);
        let request = http::Request::post(format!("http://gateway{PATH}"))
            .header("authorization", format!("Bearer {}", rig.key))
            .header("content-type", "application/json")
            .body(http_body_util::Full::new(bytes::Bytes::from(chat(true))))
            .unwrap();
        let response = sender.send_request(request).await.unwrap();
        assert_eq!(response.status(), 200);
        tokio::time::sleep(limit * 5).await;
        let entries = rig.entries(0).len();
        assert_eq!((entries, rig.upstream.open_connections()), (1, 0), "its call has ended");
        drop(response);
    });
}
