//! Calls as files: whole, within what the caller sees, and with the sums of every other report.

use crate::matrix::Row;
use crate::rig::{Answer, Rig, bound, event, request};
use csv::StringRecord;
use http::Method;
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::Read;
use tollbook_api::export::{Calls, Format, write};
use tollbook_ledger::{By, Scope};
use tollbook_pricing::Book;
use tollbook_store::{Dimension, EventStore, Interval, MemoryStore, UsageQuery, View};
use tollbook_testkit::{Random, Workload, usage_query};
use tollbook_types::{Money, Role};

/// Who may use its routes.
pub const ROWS: &[Row] = &[("GET", "/api/v1/export", [401, 200, 200, 403, 403, 200])];

/// A table, line by line.
struct Table {
    names: StringRecord,
    lines: Vec<StringRecord>,
}

impl Table {
    fn of(bytes: &[u8]) -> Table {
        let mut reader = csv::Reader::from_reader(bytes);
        let names = reader.headers().unwrap().clone();
        Table { names, lines: reader.records().map(Result::unwrap).collect() }
    }

    fn place(&self, name: &str) -> usize {
        self.names.iter().position(|known| known == name).unwrap_or_else(|| panic!("no column {name}"))
    }

    /// The cells of a column.
    fn column(&self, name: &str) -> Vec<&str> {
        let place = self.place(name);
        self.lines.iter().map(|line| &line[place]).collect()
    }

    fn money(&self, name: &str) -> Money {
        let amounts = self.column(name).into_iter().filter(|cell| !cell.is_empty());
        Money::checked_sum(amounts.map(|cell| cell.parse::<Money>().unwrap())).unwrap()
    }

    fn count(&self, name: &str) -> u64 {
        self.column(name)
            .into_iter()
            .filter(|cell| !cell.is_empty())
            .map(|cell| cell.parse::<u64>().unwrap())
            .sum()
    }

    /// The lines, cell by name.
    fn rows(&self) -> impl Iterator<Item = BTreeMap<&str, &str>> {
        self.lines.iter().map(|line| self.names.iter().zip(line).collect())
    }
}

fn get(rig: &Rig, query: &str, key: &str) -> Answer {
    let answer = rig.get(&format!("/api/v1/export?{query}"), key);
    assert_eq!(answer.status, 200, "{query}: {}", answer.text());
    answer
}

#[test]
fn each_format_is_a_file_of_its_own() {
    let rig = Rig::new();
    let many: Vec<String> = (0..1_003).map(|n| event(&format!("e{n}"), r#","user":"ann""#)).collect();
    for some in many.chunks(500) {
        assert_eq!(rig.ingest(format!("[{}]", some.join(","))).status, 200);
    }
    assert_eq!(rig.ingest(event("+x", r#","user":"=1+1","tags":{"team":"a,\"b"}"#)).status, 200);
    let viewer = &rig.keys.viewer;
    let header = |answer: &Answer, name: &str| answer.headers[name].to_str().unwrap().to_owned();

    let answer = get(&rig, "", viewer);
    assert_eq!(header(&answer, "content-type"), "text/csv; charset=utf-8; header=present");
    assert_eq!(
        header(&answer, "content-disposition"),
        "attachment; filename=\"tollbook-calls-2026-11-22.csv\""
    );
    assert_eq!(header(&answer, "cache-control"), "no-store");
    let table = Table::of(&answer.body);
    assert_eq!(
        (table.lines.len(), table.count("calls"), table.money("cost_usd").to_string()),
        (1_004, 1_004, "1.2048".into())
    );
    let last = table.rows().last().unwrap();
    assert_eq!((last["id"], last["user"], last["tags"]), ("'+x", "'=1+1", r#"{"team":"a,\"b"}"#));

    let answer = get(&rig, "format=jsonl", viewer);
    assert_eq!(header(&answer, "content-type"), "application/x-ndjson");
    let lines: Vec<Value> = answer.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 1_004);
    assert_eq!(lines[1_003], rig.get("/api/v1/calls/%2Bx", viewer).json(), "as anywhere else");

    let zipped = rig.send(request(
        Method::GET,
        "/api/v1/export?format=csv",
        viewer,
        &[("accept-encoding", "br, gzip")],
        "",
    ));
    assert_eq!(
        (header(&zipped, "content-encoding"), header(&zipped, "vary")),
        ("gzip".into(), "accept-encoding".into())
    );
    let mut text = Vec::new();
    flate2::read::GzDecoder::new(&zipped.body[..]).read_to_end(&mut text).unwrap();
    assert_eq!(text, get(&rig, "format=csv", viewer).body);
}

#[test]
fn parquet_is_there_or_is_refused_with_what_to_do() {
    let rig = Rig::new();
    assert_eq!(rig.ingest(event("e1", "")).status, 200);
    let answer = rig.get("/api/v1/export?format=parquet", &rig.keys.viewer);
    if cfg!(feature = "parquet") {
        assert_eq!(answer.headers["content-type"], "application/vnd.apache.parquet");
        assert!(answer.body.starts_with(b"PAR1") && answer.body.ends_with(b"PAR1"));
    } else {
        assert_eq!(answer.verdict(), "406 format_unavailable");
    }
}

#[test]
fn nobody_exports_what_they_do_not_see() {
    let rig = Rig::new();
    for (n, (user, project)) in
        [("ann", "web"), ("bob", "web"), ("ann", "lab"), ("bob", "lab")].into_iter().enumerate()
    {
        let more = format!(r#","user":"{user}","project":"{project}""#);
        assert_eq!(rig.ingest(event(&format!("{user}-{project}-{n}"), &more)).status, 200);
    }
    let in_web = rig.key(&[Role::Viewer], bound(|binding| binding.project = Some("web".into())));
    for (key, query, wanted) in [
        (&rig.keys.admin, "", "ann-web-0 bob-web-1 ann-lab-2 bob-lab-3"),
        (&rig.keys.member, "", "ann-web-0 ann-lab-2"),
        (&rig.keys.member, "user=bob", ""),
        (&rig.keys.member, "user!=ann", ""),
        (&in_web, "", "ann-web-0 bob-web-1"),
        (&in_web, "project=lab", ""),
        (&in_web, "user=bob", "bob-web-1"),
        (&rig.keys.viewer, "user=bob&project=lab", "bob-lab-3"),
        (&rig.keys.viewer, "from=2026-11-23", ""),
        (&rig.keys.viewer, "to=2026-11-22&tz=Asia/Tokyo", "ann-web-0 bob-web-1 ann-lab-2 bob-lab-3"),
        (&rig.keys.viewer, "to=2026-11-22&tz=Pacific/Kiritimati", ""),
    ] {
        let table = Table::of(&get(&rig, query, key).body);
        assert_eq!(table.column("id").join(" "), wanted, "{query}");
        let focus = Table::of(&get(&rig, &format!("format=focus&{query}"), key).body);
        assert_eq!(focus.money("BilledCost"), table.money("cost_usd"), "{query}");
    }
}

#[test]
fn what_makes_no_sense_is_refused() {
    let rig = Rig::new();
    for query in [
        "format=xml",
        "format=csv&format=csv",
        "from=yesterday",
        "from=2026-11-22&to=2026-11-20",
        "tz=Nowhere",
        "nonsense=1",
        "limit=1",
    ] {
        let answer = rig.get(&format!("/api/v1/export?{query}"), &rig.keys.viewer);
        assert_eq!(answer.verdict(), "400 parameter_invalid", "{query}");
    }
}

#[test]
fn focus_sums_by_day_meter_and_tags() {
    let rig = Rig::new();
    let tagged = r#","project":"web","agent":"a1","user":"ann","tags":{"team":"ops"}"#;
    let older = event("e4", tagged).replace("2026-11-22T10:30:00Z", "2026-10-31T23:59:59Z");
    let unpriced = event("e5", "").replace("gpt-x", "no-such-model");
    let billed = event("e6", r#","provider_cost_usd":"0.25""#);
    let failed = r#"{"id":"e7","occurred_at":"2026-11-22T10:30:00Z","provider":"openai","model":"gpt-x","status":"upstream_error"}"#;
    let events = [
        event("e1", tagged),
        event("e2", tagged),
        event("e3", ""),
        older,
        unpriced,
        billed,
        failed.to_owned(),
    ];
    let sent = rig.call(Method::POST, "/api/v1/events", &rig.keys.admin, format!("[{}]", events.join(",")));
    assert_eq!(sent.json()["accepted"], 7, "{}", sent.text());
    let table = Table::of(&get(&rig, "format=focus", &rig.keys.viewer).body);
    let shown = |names: &[&str]| -> Vec<String> {
        table.rows().map(|row| names.iter().map(|name| row[name]).collect::<Vec<_>>().join(" ")).collect()
    };
    let names = [
        "ChargePeriodStart",
        "x_Model",
        "SkuMeter",
        "ConsumedQuantity",
        "ConsumedUnit",
        "BilledCost",
        "x_CostBasis",
        "x_RequestCount",
    ];
    assert_eq!(
        shown(&names),
        [
            "2026-11-22T00:00:00Z gpt-x Input Tokens 1000.0 Tokens 0.0 provider 1.0",
            "2026-11-22T00:00:00Z gpt-x Input Tokens 1000.0 Tokens 0.001 book 1.0",
            "2026-11-22T00:00:00Z gpt-x Output Tokens 100.0 Tokens 0.0 provider 1.0",
            "2026-11-22T00:00:00Z gpt-x Output Tokens 100.0 Tokens 0.0002 book 1.0",
            "2026-11-22T00:00:00Z gpt-x Bills of the Provider 1.0 Requests 0.25 provider 1.0",
            "2026-11-22T00:00:00Z gpt-x Calls 1.0 Requests 0.0 free 1.0",
            "2026-11-22T00:00:00Z no-such-model Input Tokens 1000.0 Tokens 0.0 unpriced 1.0",
            "2026-11-22T00:00:00Z no-such-model Output Tokens 100.0 Tokens 0.0 unpriced 1.0",
            "2026-11-22T00:00:00Z gpt-x Input Tokens 2000.0 Tokens 0.002 book 2.0",
            "2026-11-22T00:00:00Z gpt-x Output Tokens 200.0 Tokens 0.0004 book 2.0",
            "2026-10-31T00:00:00Z gpt-x Input Tokens 1000.0 Tokens 0.001 book 1.0",
            "2026-10-31T00:00:00Z gpt-x Output Tokens 100.0 Tokens 0.0002 book 1.0",
        ]
    );
    let row = table.rows().nth(8).unwrap();
    for (name, wanted) in [
        ("BillingAccountId", "ledger-1"),
        ("BillingPeriodStart", "2026-11-01T00:00:00Z"),
        ("BillingPeriodEnd", "2026-12-01T00:00:00Z"),
        ("ChargePeriodEnd", "2026-11-23T00:00:00Z"),
        ("ListUnitPrice", "0.000001"),
        ("ListCost", "0.002"),
        ("PricingQuantity", "2000.0"),
        ("ProviderName", "OpenAI"),
        ("ServiceName", "OpenAI API"),
        ("SubAccountId", "web"),
        ("SubAccountType", "Project"),
        ("SkuId", "openai/gpt-x/input"),
        ("SkuPriceDetails", r#"{"x_Meter":"input","x_PricedAs":"input"}"#),
        ("ChargeClass", ""),
        ("InvoiceId", ""),
    ] {
        assert_eq!(row[name], wanted, "{name}");
    }
    let tags: Value = serde_json::from_str(row["Tags"]).unwrap();
    assert_eq!((&tags["team"], &tags["tollbook/agent"]), (&"ops".into(), &"a1".into()), "{tags}");
    let bill = table.rows().nth(4).unwrap();
    assert_eq!(
        (bill["PricingQuantity"], bill["PricingUnit"], bill["ListUnitPrice"], bill["ListCost"]),
        ("0.25", "USD", "1.0", "0.25")
    );
    assert!(
        !table.lines.iter().any(|line| line.iter().any(|cell| cell.contains("ann"))),
        "no person is in it"
    );
    assert_sound(&table);
}

#[test]
fn what_changed_after_its_month_is_a_correction_in_focus() {
    let rig = Rig::new();
    let older = event("old", "").replace("2026-11-22T10:30:00Z", "2026-10-31T23:59:59Z");
    let sent = format!("[{older},{}]", event("new", ""));
    assert_eq!(rig.call(Method::POST, "/api/v1/events", &rig.keys.admin, sent).json()["accepted"], 2);
    let text = "provider = \"openai\"\nsource = \"a test\"\nchecked = \"2026-11-01\"\n[[model]]\nid = \"gpt-x\"\n\
        [[model.price]]\ninput = \"3\"\noutput = \"2\"\n";
    let dearer = Book::load(&[("openai.toml", text)]).unwrap();
    let run = rig.ledger.rerate(&By::local(), dearer.into(), Scope::default()).unwrap();
    assert_eq!(run.changes.unwrap().calls, 2);
    let table = Table::of(&get(&rig, "format=focus", &rig.keys.viewer).body);
    let names =
        ["ChargePeriodStart", "SkuMeter", "ConsumedQuantity", "BilledCost", "ChargeClass", "x_RequestCount"];
    let shown: Vec<String> =
        table.rows().map(|row| names.iter().map(|name| row[name]).collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(
        shown,
        [
            "2026-11-22T00:00:00Z Input Tokens 1000.0 0.003  1.0",
            "2026-11-22T00:00:00Z Output Tokens 100.0 0.0002  1.0",
            "2026-10-31T00:00:00Z Input Tokens 1000.0 0.001  1.0",
            "2026-10-31T00:00:00Z Input Tokens -1000.0 -0.001 Correction -1.0",
            "2026-10-31T00:00:00Z Input Tokens 1000.0 0.003 Correction 1.0",
            "2026-10-31T00:00:00Z Output Tokens 100.0 0.0002  1.0",
        ]
    );
    assert_sound(&table);
}

/// A decimal number as digits and how many of them are after the point.
fn decimal(text: &str) -> (i128, u32) {
    let (whole, fraction) = text.split_once('.').unwrap_or_else(|| panic!("{text:?} has no point"));
    let fraction = fraction.trim_end_matches('0');
    (format!("{whole}{fraction}").parse().unwrap(), u32::try_from(fraction.len()).unwrap())
}

/// What the specification says of every row.
fn assert_sound(table: &Table) {
    let mut skus: BTreeMap<String, String> = BTreeMap::new();
    for row in table.rows() {
        for [price, quantity, cost] in [
            ["ListUnitPrice", "PricingQuantity", "ListCost"],
            ["ContractedUnitPrice", "PricingQuantity", "ContractedCost"],
        ] {
            let (price, quantity, cost) = (decimal(row[price]), decimal(row[quantity]), decimal(row[cost]));
            let product = price.0.checked_mul(quantity.0).unwrap();
            let scale = price.1 + quantity.1;
            assert_eq!(product, cost.0 * 10_i128.pow(scale - cost.1), "{row:?}");
        }
        assert_eq!(row["BilledCost"], row["EffectiveCost"]);
        assert!(row["ChargeClass"] == "Correction" || decimal(row["ConsumedQuantity"]).0 >= 0, "{row:?}");
        assert_eq!(row["ConsumedQuantity"].is_empty(), row["ConsumedUnit"].is_empty());
        let sku = skus.entry(row["SkuPriceId"].to_owned()).or_insert_with(|| row["SkuId"].to_owned());
        assert_eq!(sku, row["SkuId"]);
        for name in ["Tags", "SkuPriceDetails"] {
            let flat = |value: &Value| value.as_object().unwrap().values().all(Value::is_string);
            assert!(row[name].is_empty() || flat(&serde_json::from_str(row[name]).unwrap()), "{row:?}");
        }
    }
}

fn written(format: Format, store: &MemoryStore, query: &UsageQuery) -> Table {
    let calls = Calls { store, range: query.range, filters: &query.filters };
    let mut bytes = Vec::new();
    write(format, &calls, &mut bytes).unwrap();
    Table::of(&bytes)
}

#[test]
fn tables_add_up_to_what_reports_say_whatever_is_asked() {
    let mut work = Workload::new(71);
    let store = MemoryStore::new("ledger-1");
    for _ in 0..30 {
        store.append(&work.batch(40)).unwrap();
    }
    let mut random = Random::new(72);
    let mut with_cost = 0;
    for _ in 0..300 {
        let asked = usage_query(&mut random);
        let (group_by, interval) = (vec![Dimension::Model], Interval::None);
        let query = UsageQuery { view: View::Corrected, group_by, interval, ..asked };
        let report = store.usage(&query).unwrap();
        let total = &report.total;
        let table = written(Format::Csv, &store, &query);
        let tokens = [total.meters.input_tokens(), total.meters.output_tokens(), total.meters.total_tokens()];
        assert_eq!(table.count("calls"), total.calls, "{query:?}");
        assert_eq!(["input_tokens", "output_tokens", "total_tokens"].map(|name| table.count(name)), tokens);
        assert_eq!(
            ["cost_usd", "input_cost_usd", "output_cost_usd", "other_cost_usd"].map(|name| table.money(name)),
            [total.cost, total.input_cost, total.output_cost, total.other_cost],
            "{query:?}"
        );
        let mut by_model: BTreeMap<&str, Vec<StringRecord>> = BTreeMap::new();
        for (model, line) in table.column("leg_model").into_iter().zip(&table.lines) {
            by_model.entry(model).or_default().push(line.clone());
        }
        assert_eq!(by_model.len(), report.rows.len(), "{query:?}");
        for row in &report.rows {
            let lines = by_model.remove(row.keys[0].as_deref().unwrap()).unwrap();
            let of_model = Table { names: table.names.clone(), lines };
            assert_eq!(
                (of_model.count("calls"), of_model.money("cost_usd")),
                (row.measures.calls, row.measures.cost)
            );
        }

        let focus = written(Format::Focus, &store, &query);
        assert_eq!(focus.money("BilledCost"), total.cost, "{query:?}");
        let mut quantities: BTreeMap<&str, i128> = BTreeMap::new();
        for row in focus.rows().filter(|row| !["bill", "call"].contains(&row["x_Meter"])) {
            let (digits, decimals) = decimal(row["ConsumedQuantity"]);
            assert_eq!(decimals, 0);
            *quantities.entry(row["x_Meter"]).or_default() += digits;
        }
        for (meter, quantity) in total.meters.iter().filter(|(_, quantity)| *quantity > 0) {
            assert_eq!(quantities.remove(meter.name()), Some(i128::from(quantity)), "{meter} {query:?}");
        }
        // What a month was closed with, and a correction took back.
        quantities.retain(|_, quantity| *quantity != 0);
        assert!(quantities.is_empty(), "{quantities:?} {query:?}");
        assert_sound(&focus);
        with_cost += u32::from(total.cost != Money::ZERO);
    }
    assert!(with_cost > 60, "only {with_cost} questions found something");
}
