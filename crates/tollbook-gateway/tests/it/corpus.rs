//! Recorded answers, served by a stand-in and called through the gateway: the books say of each
//! what they say when the recording is imported, and the caller gets every byte.

use crate::rig::Rig;
use serde_json::{Map, Value};
use std::collections::BTreeSet;
use std::path::PathBuf;
use tollbook_gateway::Options;
use tollbook_gateway::upstream::{AuthStyle, ProviderKey, Upstream};
use tollbook_ledger::rate_event;
use tollbook_testkit::upstream::{Coding, Script};
use tollbook_testkit::{Answer, Call, Caller};
use tollbook_types::{Event, Evidence, Timestamp};
use tollbook_usage::Api;
use tollbook_usage::import::{Context, recorded};

/// Differences from the import, by id or by the start of ids, each with its reason.
const EXCEPTIONS: &[(&str, &str)] = &[];

/// The source of what a poll brings.
const POLL: &str = "gateway_poll";
/// What a poll tells of a call that another request started.
const OF_USAGE: &[&str] = &["evidence", "usage", "provider cost", "raw usage"];

/// What a recording is.
struct Case {
    id: String,
    line: Map<String, Value>,
    imported: Event,
    api: Api,
}

impl Case {
    fn text(&self, name: &str) -> Option<&str> {
        self.line.get(name).and_then(Value::as_str)
    }

    fn path(&self) -> &str {
        self.text("url_path").unwrap_or_default()
    }

    fn method(&self) -> &str {
        self.text("method").unwrap_or("POST")
    }

    fn is_stream(&self) -> bool {
        self.line.get("streaming").and_then(Value::as_bool).unwrap_or_default()
    }

    /// The body that was sent, as far as it is known.
    fn sent(&self) -> Value {
        let known = |name: &str| self.line.get(name).filter(|body| !body.is_null()).cloned();
        let sent = known("request_body").or_else(|| known("request_params"));
        let mut sent = sent.unwrap_or_else(|| Value::Object(Map::new()));
        if let (Some(sent), Some(model)) = (sent.as_object_mut(), self.text("request_model")) {
            sent.entry("model").or_insert_with(|| model.into());
        }
        sent
    }

    fn answered(&self) -> Vec<u8> {
        let body = match self.line.get("response_body") {
            Some(Value::String(text)) => text.clone(),
            None | Some(Value::Null) => String::new(),
            Some(other) => other.to_string(),
        };
        match self.text("response_body_encoding") {
            Some("base64") => data_encoding::BASE64.decode(body.as_bytes()).unwrap(),
            _ => body.into_bytes(),
        }
    }

    /// The answer as a script; framing and compression go round.
    fn script(&self, nth: usize) -> Script {
        let content_type = self.text("response_content_type").unwrap_or("application/json");
        let status = self.line["status"].as_u64().and_then(|status| u16::try_from(status).ok()).unwrap();
        let mut script = Script::body(content_type, self.answered()).status(status);
        for (name, value) in
            self.line.get("response_headers").and_then(Value::as_object).into_iter().flatten()
        {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            script = script.header(name, &value);
        }
        let asked_plainly = self.api == Api::Chat && self.is_stream();
        match nth % 4 {
            0 => script,
            1 => script.in_pieces_of(97).chunked(),
            2 if !asked_plainly => script.coded(Coding::Gzip).chunked(),
            3 if !asked_plainly => script.coded(Coding::Brotli),
            _ => script.in_pieces_of(1024).chunked(),
        }
    }
}

/// The recorded answers, or none (and a loud word) where they are not at hand.
fn cases() -> Vec<Case> {
    let folder = std::env::var_os("TOLLBOOK_CORPUS").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/responses"),
        PathBuf::from,
    );
    let Ok(lines) = std::fs::read_to_string(folder.join("cases.jsonl")) else {
        println!("SKIPPED: no recorded answers at {}; set TOLLBOOK_CORPUS", folder.display());
        return Vec::new();
    };
    let context = Context { at: Some(at()), ..Context::new(recorded::SOURCE, at()) };
    let case = |line: &str| {
        let imported = recorded::parse_line(line.as_bytes(), &context).unwrap();
        let line: Map<String, Value> = serde_json::from_str(line).unwrap();
        let path = line["url_path"].as_str().unwrap_or_default();
        let api = Api::of(&imported.provider, path);
        Case { id: imported.id.clone(), imported, api, line }
    };
    lines.lines().map(case).collect()
}

#[test]
fn a_call_is_recorded_as_its_recording_is_imported() {
    let cases = cases();
    if cases.is_empty() {
        return;
    }
    let providers: BTreeSet<&str> = cases.iter().map(|case| case.imported.provider.as_str()).collect();
    let rig = Rig::with(|options| upstreams(options, &providers));
    let mut caller = Caller::new(rig.address);
    let mut answers = Vec::new();
    for (nth, case) in cases.iter().enumerate() {
        rig.upstream.named(&case.id, case.script(nth));
        answers.push(caller.call(&call(&rig, case)).unwrap_or_else(|error| panic!("{}: {error}", case.id)));
    }
    rig.ledger.flush().unwrap();
    let (mut compared, mut refused, mut unrecorded) = (0, 0, 0);
    let mut differences = Vec::new();
    for (case, answer) in cases.iter().zip(&answers) {
        let found = if case.api == Api::Realtime {
            refused += 1;
            (answer.status != 426).then(|| format!("status {}", answer.status))
        } else {
            let recorded = recorded(&rig, case, answer);
            compared += usize::from(recorded.is_some());
            unrecorded += usize::from(recorded.is_none());
            difference(&rig, case, answer, recorded)
        };
        let is_excepted = EXCEPTIONS.iter().any(|(id, _)| case.id.starts_with(id));
        match found {
            Some(found) if !is_excepted => differences.push(format!("{}: {found}", case.id)),
            None if is_excepted => differences.push(format!("{}: no exception any more", case.id)),
            _ => {}
        }
    }
    println!("{compared} calls compared, {refused} realtime sessions refused, {unrecorded} not billable");
    assert!(differences.is_empty(), "{} differences:\n{}", differences.len(), differences.join("\n"));
}

/// The moment that the rig's clock shows.
fn at() -> Timestamp {
    "2026-11-22T10:00:00Z".parse().unwrap()
}

/// The name of a provider's upstream.
fn name(provider: &str) -> String {
    let allowed = |c: char| if c.is_ascii_lowercase() || c.is_ascii_digit() { c } else { '-' };
    provider.chars().map(allowed).collect()
}

/// One upstream for each provider, all of them the stand-in.
fn upstreams(options: &mut Options, providers: &BTreeSet<&str>) {
    let base_url = options.upstreams[0].base_url.clone();
    let upstream = |provider: &&str| Upstream {
        name: name(provider),
        provider: (*provider).to_owned(),
        dialect: (*provider).to_owned(),
        base_url: base_url.clone(),
        auth: AuthStyle::Bearer,
        key: ProviderKey::None,
        passthrough: false,
        asks_usage: true,
        cache_ttl_s: None,
    };
    options.upstreams = providers.iter().map(upstream).collect();
}

fn call(rig: &Rig, case: &Case) -> Call {
    let target = format!("/{}{}", name(&case.imported.provider), case.path());
    let mut call = Call::post(&target, &case.sent()).bearer(&rig.key).header("x-script", &case.id);
    call.method = case.method().to_owned();
    if call.method == "GET" {
        call.body.clear();
    }
    if case.api == Api::Realtime {
        call = call.header("connection", "upgrade").header("upgrade", "websocket");
    }
    call
}

/// What is in the books of a call, and whether it is there as an entry of its own. A poll is there
/// under the id of the response it asked for, or has joined the call that started the work.
fn recorded(rig: &Rig, case: &Case, answer: &Answer) -> Option<(Event, bool)> {
    let by_id = |id: &str| rig.ledger.store().calls_by_id(id).unwrap().into_iter();
    if let Some(id) = answer.header("x-tollbook-call-id")
        && let Some(call) = by_id(id).next()
    {
        return Some((call.entry.event, true));
    }
    let id = case.imported.provider_response_id.as_deref()?;
    by_id(id).find_map(|call| match call.entry.event.source.as_str() {
        POLL => Some((call.entry.event, true)),
        _ if call.joined.iter().any(|(identity, _)| identity.source == POLL) => {
            let state = call.corrected();
            let (usage, evidence, raw_usage) = (state.usage, state.evidence, state.raw_usage);
            let provider_cost = state.provider_cost;
            Some((Event { usage, evidence, raw_usage, provider_cost, ..call.entry.event }, false))
        }
        _ => None,
    })
}

fn difference(rig: &Rig, case: &Case, answer: &Answer, recorded: Option<(Event, bool)>) -> Option<String> {
    let served = rig.upstream.served();
    let served = served.iter().rfind(|served| served.header("x-script") == Some(&case.id))?;
    // What was asked for on the caller's behalf is hidden again.
    let is_hidden = case.method() == "POST" && served.body != case.sent().to_string().into_bytes();
    if !answer.whole || (!is_hidden && answer.body.len() as u64 != served.sent_bytes) {
        return Some(format!("{} of {} bytes came", answer.body.len(), served.sent_bytes));
    }
    let starts = case.api.starts_work(case.method(), case.path());
    let Some((recorded, is_entry)) = recorded else {
        let is_billed =
            starts || (case.imported.usage.is_some() && case.imported.provider_response_id.is_some());
        return is_billed.then(|| "no entry".to_owned());
    };
    if is_entry && recorded.source != if starts { "gateway" } else { POLL } {
        return Some(format!("source {}", recorded.source));
    }
    let is_estimated = case.imported.evidence == Evidence::Estimated;
    let (ours, theirs) = (facts(rig, &recorded, is_estimated), facts(rig, &case.imported, is_estimated));
    let differing: Vec<String> = ours
        .iter()
        .zip(&theirs)
        .filter(|((name, _), _)| is_entry || OF_USAGE.contains(name))
        .filter(|(ours, theirs)| ours != theirs)
        .map(|((name, ours), (_, theirs))| format!("{name} {ours} for {theirs}"))
        .collect();
    (!differing.is_empty()).then(|| differing.join("; "))
}

/// What must be the same. An estimate is made by another rule on the way of a call.
fn facts(rig: &Rig, event: &Event, is_estimated: bool) -> Vec<(&'static str, String)> {
    let mut facts = vec![
        ("provider", event.provider.clone()),
        ("model", event.model.clone()),
        ("asked model", format!("{:?}", event.request_model)),
        ("api", format!("{:?}", event.api)),
        ("status", format!("{:?} {:?}", event.status, event.http_status)),
        ("evidence", format!("{:?}", event.evidence)),
        ("free", format!("{:?}", event.free)),
        ("provider cost", format!("{:?}", event.provider_cost)),
        ("conditions", format!("{:?}", event.conditions)),
        ("response id", format!("{:?}", event.provider_response_id)),
        ("inconsistent", format!("{:?}", event.inconsistent)),
    ];
    if !is_estimated {
        facts.push(("usage", format!("{:?}", event.usage)));
        facts.push(("flags", format!("{:?}", event.flags)));
        facts.push(("raw usage", format!("{:?}", event.raw_usage)));
        facts.push(("cost", format!("{:?}", rate_event(&rig.ledger.book(), event).rating)));
    }
    facts
}
