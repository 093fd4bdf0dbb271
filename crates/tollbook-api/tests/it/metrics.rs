//! Figures: what is counted, what corrections do to it, and how many series there can be.

use crate::rig::{Rig, event};
use std::time::{Duration, Instant};
use tollbook_api::Options;
use tollbook_ledger::{By, Scope};
use tollbook_pricing::Book;
use tollbook_testkit::Scrape;

const PATIENCE: Duration = Duration::from_secs(20);

fn scrape(rig: &Rig) -> Scrape {
    let text = rig.get("/metrics", &rig.keys.viewer).text();
    Scrape::read(&text).unwrap_or_else(|wrong| panic!("{wrong}\n{text}"))
}

/// The figures once so many calls are counted, which is a moment after they are recorded.
#[track_caller]
fn once(rig: &Rig, is_there: impl Fn(&Scrape) -> bool) -> Scrape {
    let since = Instant::now();
    loop {
        let scrape = scrape(rig);
        if is_there(&scrape) {
            return scrape;
        }
        assert!(since.elapsed() < PATIENCE, "{:#?}", scrape.samples);
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn calls(count: u64) -> impl Fn(&Scrape) -> bool {
    move |scrape| scrape.sum("tollbook_calls_total", &[]) == count
}

/// A name, its labels, and the value that is due.
type Due<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a str);

/// Whether the figures have these values.
#[track_caller]
fn check(scrape: &Scrape, wanted: &[Due<'_>]) {
    for (name, labels, value) in wanted {
        assert_eq!(scrape.value(name, labels), Some(*value), "{name}{labels:?}\n{:#?}", scrape.samples);
    }
}

const WEB: [(&str, &str); 3] = [("provider", "openai"), ("model", "gpt-x"), ("project", "web")];

fn web<'a>(more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    WEB.iter().chain(more).copied().collect()
}

#[test]
fn calls_are_counted_by_whose_they_are_and_what_they_used() {
    let rig = Rig::new();
    let alone = r#","project":"web","latency_ms":2340,"time_to_first_token_ms":150"#;
    assert_eq!(rig.ingest(event("a", alone)).status, 200);
    assert_eq!(rig.ingest(event("a", alone)).status, 200, "a duplicate is no call");
    let failed = event("b", r#","project":"web","status":"upstream_error","latency_ms":50"#);
    assert_eq!(rig.ingest(failed).status, 200);
    assert_eq!(rig.ingest(event("c", "").replace("gpt-x", "gpt-unheard-of")).status, 200);
    let scrape = once(&rig, calls(3));
    check(
        &scrape,
        &[
            ("tollbook_calls_total", &web(&[("source", "api"), ("status", "ok")]), "1"),
            ("tollbook_calls_total", &web(&[("source", "api"), ("status", "upstream_error")]), "1"),
            ("tollbook_tokens_total", &web(&[("meter", "input")]), "2000"),
            ("tollbook_tokens_total", &web(&[("meter", "output")]), "200"),
            ("tollbook_cost_usd_total", &web(&[("cost_type", "input")]), "0.002"),
            ("tollbook_cost_usd_total", &web(&[("cost_type", "output")]), "0.0004"),
            ("tollbook_cost_usd_total", &web(&[("cost_type", "other")]), "0"),
            ("tollbook_unpriced_calls_total", &[("reason", "no_price")], "1"),
            ("tollbook_unpriced_calls_total", &[("reason", "unknown_usage")], "0"),
            ("tollbook_estimated_calls_total", &[("evidence", "estimated")], "0"),
            ("tollbook_metrics_label_overflow_total", &[("label", "model")], "0"),
            ("tollbook_feed_skipped_changes_total", &[], "0"),
            ("tollbook_price_book_models", &[], "1"),
            ("tollbook_price_book_checked_timestamp_seconds", &[], "1793491200"),
            ("tollbook_interrupted_calls", &[], "0"),
            ("tollbook_call_duration_seconds_sum", &WEB[..2], "2.39"),
            ("tollbook_call_duration_seconds_bucket", &with_end(&WEB[..2], "0.05"), "1"),
            ("tollbook_call_duration_seconds_bucket", &with_end(&WEB[..2], "2.5"), "2"),
            ("tollbook_time_to_first_token_seconds_count", &WEB[..2], "1"),
        ],
    );
    let unpriced =
        [("provider", "openai"), ("model", "gpt-unheard-of"), ("project", ""), ("cost_type", "input")];
    assert_eq!(scrape.value("tollbook_cost_usd_total", &unpriced), None, "no cost is not 0");
    assert!(scrape.kinds.keys().all(|name| name.starts_with("tollbook_")));
}

fn with_end<'a>(labels: &[(&'a str, &'a str)], end: &'a str) -> Vec<(&'a str, &'a str)> {
    labels.iter().copied().chain([("le", end)]).collect()
}

#[test]
fn corrections_leave_counters_alone() {
    let rig = Rig::new();
    rig.ingest(event("a", r#","project":"web""#));
    let before = once(&rig, calls(1));
    let cheaper = "provider = \"openai\"\nsource = \"a test\"\nchecked = \"2026-11-01\"\n\
        [[model]]\nid = \"gpt-x\"\n[[model.price]]\ninput = \"0.5\"\noutput = \"1\"\n";
    let cheaper = Book::load(&[("openai.toml", cheaper)]).unwrap();
    let run = rig.ledger.rerate(&By::local(), cheaper.into(), Scope::default()).unwrap();
    assert_eq!(run.changes.unwrap().calls, 1);
    let name = "tollbook_cost_corrections_usd";
    let after = once(&rig, |scrape| scrape.value(name, &WEB).is_some());
    check(&after, &[(name, &WEB, "-0.0006")]);
    for name in ["tollbook_cost_usd_total", "tollbook_calls_total", "tollbook_tokens_total"] {
        let of = |scrape: &Scrape| {
            let samples = scrape.samples.clone().into_iter();
            samples.filter(|((found, _), _)| found == name).collect::<Vec<_>>()
        };
        assert_eq!(of(&before), of(&after), "{name}");
    }
}

#[test]
fn what_callers_make_up_is_bounded() {
    let rig = Rig::new();
    let count = 3_000_u64;
    for batch in 0..3 {
        let events: Vec<String> = (0..1_000)
            .map(|n| {
                let n = batch * 1_000 + n;
                let more = format!(r#","project":"p{n}","latency_ms":5"#);
                event(&format!("e{n}"), &more)
                    .replace("gpt-x", &format!("m{}", n % 700))
                    .replace("openai", &format!("provider{}", n % 90))
            })
            .collect();
        assert_eq!(rig.ingest(format!("[{}]", events.join(","))).status, 200);
    }
    let scrape = once(&rig, calls(count));
    assert_eq!(scrape.sum("tollbook_tokens_total", &[("meter", "input")]), count * 1_000);
    assert_eq!(scrape.sum("tollbook_call_duration_seconds_count", &[]), count);
    let series = |name: &str| scrape.samples.keys().filter(|(found, _)| found == name).count();
    for (name, most) in [("tollbook_calls_total", 440), ("tollbook_call_duration_seconds_count", 440)] {
        assert!(series(name) <= most, "{name} has {} series", series(name));
    }
    for label in ["provider", "model", "project"] {
        assert!(scrape.sum("tollbook_metrics_label_overflow_total", &[("label", label)]) > 0, "{label}");
    }
}

#[test]
fn names_of_earlier_systems_are_there_when_asked_for() {
    let rig = Rig::with(Options { seeds_metrics: true, ..Options::default() });
    let agent = r#","agent":"a-1","agent_name":"Support \"Pro\"""#;
    rig.ingest(event("a", agent));
    rig.ingest(event("b", agent).replace(":1000,", ":100000000,"));
    rig.ingest(event("c", agent).replace("gpt-x", "gpt-unheard-of"));
    let scrape = once(&rig, calls(3));
    let labels = [("agent_id", "a-1"), ("agent_name", "Support \"Pro\"")];
    let typed = |kind| [labels[0], labels[1], ("token_type", kind)];
    check(
        &scrape,
        &[
            ("openai_tokens_total", &typed("input"), "100002000"),
            ("openai_tokens_total", &typed("output"), "300"),
            ("openai_cost_total_count", &labels, "2"),
            ("openai_cost_total_sum", &labels, "100.0014"),
            ("openai_cost_total_bucket", &with_end(&labels, "0.001"), "0"),
            ("openai_cost_total_bucket", &with_end(&labels, "0.01"), "1"),
            ("openai_cost_total_bucket", &with_end(&labels, "10"), "1"),
            ("openai_cost_total_bucket", &with_end(&labels, "+Inf"), "2"),
        ],
    );
}
