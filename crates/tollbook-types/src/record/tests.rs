//! What is written is read back, and written again in the same bytes.

use super::*;
use crate::{
    Attribution, CacheHit, CostBasis, Entry, Event, Evidence, FreeReason, Leg, LegRating, Meter, Meters,
    Money, OpenCall, ProviderCost, Rating, Status, Timestamp, Usage,
};
use proptest::prelude::*;

fn plain() -> Entry {
    let sides = [1_250_000, 600_000, 0].map(|picos| Some(Money::from_picos(picos)));
    let (cost, [input_cost, output_cost, other_cost]) = (Some(Money::from_picos(1_850_000)), sides);
    let leg = LegRating { card: Some(Digest::of(b"card")), cost, input_cost, output_cost, other_cost };
    Entry {
        event: Event {
            provider: "openai".to_owned(),
            model: "gpt-4o-mini".to_owned(),
            usage: Some(Usage::one(Meters::from_pairs([(Meter::Input, 1_250), (Meter::Output, 0)]))),
            evidence: Evidence::ProviderUsage,
            content: Digest::of(b"a"),
            ..Event::new("a".to_owned(), "gateway".to_owned(), "2026-11-22T10:30:45.123456Z".parse().unwrap())
        },
        rating: Rating {
            basis: CostBasis::Book,
            cost,
            input_cost,
            output_cost,
            other_cost,
            book_cost: cost,
            legs: vec![leg],
            note: None,
            price_id: Some("openai/gpt-4o-mini".to_owned()),
            worst_case: None,
        },
        recorded_at: "2026-11-22T10:30:46Z".parse().unwrap(),
    }
}

/// Writes, reads, writes; returns the form.
fn check(entry: &Entry) -> String {
    let write = |entry: &Entry| {
        let mut out = Vec::new();
        write_entry(&mut out, entry).unwrap();
        String::from_utf8(out).unwrap()
    };
    let form = write(entry);
    assert!(!form.bytes().any(|byte| byte == b'\n' || byte == 0), "{form}");
    serde_json::from_str::<serde::de::IgnoredAny>(&form).unwrap();
    let back = read_entry(form.as_bytes()).unwrap_or_else(|error| panic!("{error}: {form}"));
    assert_eq!(back, *entry, "{form}");
    assert_eq!(write(&back), form);
    form
}

#[test]
fn the_usual_entry_is_short() {
    assert_eq!(
        check(&plain()),
        concat!(
            r#"{"id":"a","source":"gateway","at":1795343445123456,"rec":876544,"provider":"openai","#,
            r#""model":"gpt-4o-mini","use":{"input":1250,"output":0},"content":"ca978112ca1bbdcafac231b39a23dc4d","#,
            r#""picos":[1250000,600000,0],"card":"8367cd66fdd136bba8ba23f8805bb050","price":"openai/gpt-4o-mini"}"#
        )
    );
}

#[test]
fn every_member_comes_back() {
    let full = |change: &dyn Fn(&mut Entry)| {
        let mut entry = plain();
        change(&mut entry);
        entry
    };
    let cases: &[&dyn Fn(&mut Entry)] = &[
        &|e| e.event.request_model = Some("gpt".to_owned()),
        &|e| e.event.api = Some(String::new()),
        &|e| e.event.status = Status::Timeout,
        &|e| e.event.error = Some("\"it\\\u{1}\n\u{7f}é".to_owned()),
        &|e| e.event.http_status = Some(529),
        &|e| e.event.usage = None,
        &|e| e.event.usage = Some(Usage::one(Meters::new())),
        &|e| e.event.usage = Some(Usage::of(Vec::new())),
        &|e| e.event.usage.as_mut().unwrap().legs[0].kind = Some("advisor".to_owned()),
        &|e| e.event.usage.as_mut().unwrap().legs.push(Leg::default()),
        &|e| {
            e.event.usage.as_mut().unwrap().reported.insert("input_tokens".to_owned(), 7);
        },
        &|e| e.event.evidence = Evidence::Unknown,
        &|e| e.event.free = Some(FreeReason::NotBillable),
        &|e| {
            e.event.provider_cost = Some(ProviderCost {
                total: Money::ZERO,
                input: None,
                output: Some(Money::from_picos(3)),
                field: "f".to_owned(),
            })
        },
        &|e| drop(e.event.conditions.insert("a \"b\"".to_owned(), "c".to_owned())),
        &|e| e.event.provider_response_id = Some("chatcmpl-1".to_owned()),
        &|e| e.event.attribution.project = Some("p".to_owned()),
        &|e| e.event.attribution.key = Some("k".to_owned()),
        &|e| drop(e.event.attribution.tags.insert("team".to_owned(), "\t".to_owned())),
        &|e| e.event.attribution.metadata = Some(serde_json::json!({"n": 0.1, "deep": [null, {"a": "\n"}]})),
        &|e| e.event.latency_ms = Some(u64::MAX),
        &|e| e.event.time_to_first_token_ms = Some(0),
        &|e| e.event.cache_hit = Some(CacheHit { saved: Money::from_picos(-1), saved_tokens: 3 }),
        &|e| e.event.flags = vec!["one".to_owned(), "two".to_owned()],
        &|e| e.event.inconsistent = true,
        &|e| e.event.estimator = Some("o200k".to_owned()),
        &|e| e.event.worst_case = Some(Money::from_picos(i128::MAX)),
        &|e| e.event.hold_id = Some("h".to_owned()),
        &|e| e.recorded_at = Timestamp::UNIX_EPOCH,
        &|e| e.rating.basis = CostBasis::Override,
        &|e| e.rating.cost = None,
        &|e| e.rating.cost = Some(Money::from_picos(1_850_001)),
        &|e| e.rating.input_cost = Some(Money::from_picos(-1)),
        &|e| e.rating.other_cost = None,
        &|e| e.rating.book_cost = None,
        &|e| e.rating.legs.clear(),
        &|e| e.rating.legs[0].card = None,
        &|e| e.rating.legs[0].input_cost = None,
        &|e| e.rating.note = Some("why".to_owned()),
        &|e| e.rating.price_id = None,
        &|e| e.rating.worst_case = Some(Money::from_picos(5)),
        &|e| {
            (e.event.usage, e.event.worst_case) = (None, Some(Money::from_picos(9)));
            let none = Rating {
                cost: None,
                input_cost: None,
                output_cost: None,
                other_cost: None,
                ..e.rating.clone()
            };
            e.rating = Rating {
                basis: CostBasis::UnknownUsage,
                book_cost: None,
                legs: Vec::new(),
                worst_case: e.event.worst_case,
                ..none
            };
        },
    ];
    for case in cases {
        check(&full(case));
    }
}

#[test]
fn a_raw_usage_keeps_every_byte() {
    let cases = [
        ("{\n    \"prompt_tokens\": 1,\r\n \"cost\": 0.1000000000000000055511151231257827\n  }", true),
        ("{}", true),
        ("{\"a\":\"\\u0000\\n\"}", true),
        ("{\n\t\"a\": 1\n}", false),
        ("{\"a\":1}\n", false),
        ("{\"a\":\"\n\"}", false),
        ("{\"a\":1}}", false),
        ("{nothing}", false),
        ("[1]", false),
        ("\"text\"", false),
        ("", false),
    ];
    for (raw, is_json) in cases {
        let mut entry = plain();
        entry.event.raw_usage = Some(raw.to_owned());
        assert_eq!(check(&entry).contains(",\"raw\":{"), is_json, "{raw:?}");
    }
}

#[test]
fn an_open_call_comes_back() {
    let mut call = OpenCall {
        id: "a\"b".to_owned(),
        source: "gateway".to_owned(),
        occurred_at: "2026-11-22T10:30:45.123456Z".parse().unwrap(),
        provider: "openai".to_owned(),
        model: "gpt-4o-mini".to_owned(),
        attribution: Attribution::default(),
        hold: None,
        worst_case: None,
    };
    for with_all in [false, true] {
        if with_all {
            call.attribution.session = Some("s".to_owned());
            (call.hold, call.worst_case) = (Some(Money::from_picos(7)), Some(Money::from_picos(i128::MAX)));
        }
        let mut form = Vec::new();
        write_open(&mut form, &call).unwrap();
        assert_eq!(read_open(&form).unwrap(), call);
    }
}

#[test]
fn what_is_not_known_is_refused() {
    let form = check(&plain());
    assert!(read_entry(form.replace("{\"id\"", "{\"more\":1,\"id\"").as_bytes()).is_err());
    assert!(read_entry(form.replace("\"rec\":876544", "\"rec\":9223372036854775807").as_bytes()).is_err());
}

#[test]
fn a_digest_covers_body_kind_and_position() {
    let of = |body: &[u8], kind, seq| BodyHash::of(body).at(kind, seq);
    assert_eq!(of(b"{}", "event", 12), Digest::of(b"{} event 12"));
    assert_ne!(of(b"{}", "event", 12), of(b"{}", "event", 13));
    assert_ne!(of(b"{}", "event", 12), of(b"{}", "adjust", 12));
}

proptest! {
    #[test]
    fn any_text_and_amount_come_back(
        texts in proptest::array::uniform4(".{0,40}"),
        raw in "\\{[ \\n\\t\"a:1{},\\\\]{0,12}\\}",
        picos in proptest::array::uniform3(any::<i128>().prop_map(|n| n / 4)),
        at in -1_000_000_000_000_000_i64..10_000_000_000_000_000,
        after in any::<i32>(),
    ) {
        let mut entry = plain();
        let [id, source, user, tag] = texts;
        (entry.event.id, entry.event.source, entry.event.attribution.user) = (id, source, Some(user));
        entry.event.attribution.tags.insert(tag.clone(), tag);
        entry.event.raw_usage = Some(raw);
        entry.event.occurred_at = Timestamp::from_microsecond(at).unwrap();
        entry.recorded_at = Timestamp::from_microsecond(at + i64::from(after)).unwrap();
        let sides = picos.map(|picos| Some(Money::from_picos(picos)));
        [entry.rating.input_cost, entry.rating.output_cost, entry.rating.other_cost] = sides;
        check(&entry);
        entry.rating.cost = Money::checked_sum(sides.into_iter().flatten());
        check(&entry);
    }
}
