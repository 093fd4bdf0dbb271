//! A fault in one call is that call's alone.

use crate::rig::{CHAT, PANICS, Rig};

#[test]
fn no_panic_reaches_a_neighbour() {
    let rig = Rig::new();
    let bearer = format!("Bearer {}", rig.key);
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
    let faulty = CHAT.replace("gpt-4o-mini", PANICS);
    let chat = "/openai/v1/chat/completions";
    // More connections than threads, each open throughout: some share a thread with the fault.
    let mut neighbours: Vec<_> = (0..8).map(|_| rig.client()).collect();
    let faults = [("the budgets'", chat, faulty.as_bytes()), ("the control plane's", "/api/panics", b"")];
    for (nth, (whose, path, body)) in (1..).zip(faults) {
        let (half, rest) = CHAT.as_bytes().split_at(10);
        for client in &mut neighbours {
            client.send(format!(
                "POST {chat} HTTP/1.1\r\nhost: gateway\r\nauthorization: {bearer}\r\ncontent-length: {}\r\n\r\n",
                CHAT.len()
            ));
            client.send(half);
        }
        let mut client = rig.client();
        client.request("POST", path, &headers, body);
        let reply = client.reply();
        assert_eq!((reply.status, reply.whole), (500, true), "{whose}: {}", reply.text());
        assert!(!reply.text().contains("fault of the budgets"), "{whose}: {}", reply.text());
        assert_eq!(rig.counters.panics.get(), nth, "{whose}");
        // The same connection goes on, and so does everybody else's.
        client.request("POST", chat, &headers, CHAT.as_bytes());
        assert_eq!(client.reply().status, 200, "{whose}");
        for client in &mut neighbours {
            client.send(rest);
            assert_eq!(client.reply().status, 200, "{whose}");
        }
    }
    assert_eq!(rig.entries(18).len(), 18);
    assert_eq!(rig.open_calls(), 0);
}
