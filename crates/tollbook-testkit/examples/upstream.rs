//! The stand-in for a provider as a program, for clients in other languages.
//!
//! `upstream [PORT]` prints its address; each line on its input asks for what was served so far,
//! printed as one line of JSON with a member for each request. It ends with its input.

use serde_json::{Value, json};
use std::io::{BufRead, Write};
use std::net::SocketAddr;
use tollbook_testkit::upstream::{Served, Upstream};

fn main() -> std::io::Result<()> {
    let port = std::env::args().nth(1).and_then(|port| port.parse().ok()).unwrap_or(0);
    let upstream = Upstream::start_at(SocketAddr::from(([127, 0, 0, 1], port)))?;
    let mut out = std::io::stdout();
    writeln!(out, "{}", upstream.url())?;
    for line in std::io::stdin().lock().lines() {
        line?;
        let served: Vec<Value> = upstream.served().iter().map(shown).collect();
        writeln!(out, "{}", Value::from(served))?;
    }
    Ok(())
}

fn shown(served: &Served) -> Value {
    let tokens = served.tokens.map(|tokens| {
        json!({"input": tokens.input, "cached": tokens.cached, "output": tokens.output,
            "reasoning": tokens.reasoning})
    });
    json!({"nth": served.nth, "method": served.method, "target": served.target, "headers": served.headers,
        "body": String::from_utf8_lossy(&served.body), "status": served.status, "whole": served.whole,
        "tokens": tokens})
}
