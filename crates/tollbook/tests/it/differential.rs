//! One number, wherever it is read: the same question, asked in the same zone of everything that answers
//! it: sums and calls over HTTP, files over HTTP, the command line, and the shapes of other systems.

use crate::gateway::is_soak;
use crate::gateway::running::{Running, Setup};
use serde_json::{Value, json};
use std::collections::HashMap;
use tollbook_testkit::{Call, Caller, Random};
use tollbook_types::{Meter, Money, Side};

/// Whole, half and quarter hours; clocks that change at midnight, by half an hour, or never.
const ZONES: [&str; 18] = [
    "UTC",
    "Europe/Berlin",
    "Europe/London",
    "America/New_York",
    "America/St_Johns",
    "America/Sao_Paulo",
    "America/Santiago",
    "Africa/Cairo",
    "Africa/Casablanca",
    "Asia/Kathmandu",
    "Asia/Tehran",
    "Asia/Tokyo",
    "Asia/Beirut",
    "Australia/Lord_Howe",
    "Pacific/Apia",
    "Pacific/Chatham",
    "Pacific/Kiritimati",
    "Antarctica/Troll",
];
const EVENTS: u64 = 400;
const MODELS: [(&str, &str); 5] = [
    ("openai", "gpt-5-mini"),
    ("openai", "gpt-4o"),
    ("openai", "no-such-model"),
    ("anthropic", "claude-sonnet-4-5"),
    ("openrouter", "openai/gpt-4o-mini"),
];

/// What everything has to agree on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Sums {
    calls: u64,
    input: u64,
    output: u64,
    cost: Money,
}

impl Sums {
    /// Of a line that says so itself.
    fn add(&mut self, calls: u64, input: u64, output: u64, cost: Money) {
        self.calls += calls;
        self.input += input;
        self.output += output;
        self.cost = self.cost.checked_add(cost).unwrap();
    }

    fn of_report(report: &Value) -> Sums {
        let total = &report["total"];
        let count = |name: &str| total[name].as_u64().unwrap();
        let cost = amount(total["cost_usd"].as_str().unwrap_or_default());
        Sums { calls: count("calls"), input: count("input_tokens"), output: count("output_tokens"), cost }
    }

    fn of_calls<'a>(calls: impl Iterator<Item = &'a Value>) -> Sums {
        let mut sums = Sums::default();
        for call in calls {
            let count = |name: &str| call["usage"][name].as_u64().unwrap_or(0);
            let cost = amount(call["cost_usd"].as_str().unwrap_or_default());
            sums.add(1, count("input_tokens"), count("output_tokens"), cost);
        }
        sums
    }

    fn of_csv(text: &str) -> Sums {
        let mut sums = Sums::default();
        each_line(text, |line| {
            let count = |name: &str| line[name].parse().unwrap_or(0);
            sums.add(count("calls"), count("input_tokens"), count("output_tokens"), amount(line["cost_usd"]));
        });
        sums
    }

    /// Calls are in several rows of FOCUS: they are not counted there.
    fn of_focus(text: &str, calls: u64) -> Sums {
        let mut sums = Sums { calls, ..Sums::default() };
        each_line(text, |line| {
            let side = line["x_Meter"].parse::<Meter>().ok().map(Meter::side);
            let quantity = line["ConsumedQuantity"].strip_suffix(".0").unwrap().parse().unwrap();
            let count = |wanted| if side == Some(wanted) { quantity } else { 0 };
            let (input, output) = (count(Side::Input), count(Side::Output));
            sums.add(0, input, output, amount(line["BilledCost"]));
        });
        sums
    }

    /// Of every member of these names, digit by digit as they stand there.
    fn of_rows(text: &str, [calls, input, output, cost]: [&str; 4]) -> Sums {
        let all = |name| digits(text, name);
        let sum = |name| all(name).iter().map(|n| n.parse::<u64>().unwrap()).sum();
        let cost = Money::checked_sum(all(cost).iter().map(|digits| amount(digits))).unwrap();
        Sums { calls: sum(calls), input: sum(input), output: sum(output), cost }
    }
}

/// An amount; none where there is none.
fn amount(digits: &str) -> Money {
    if digits.is_empty() || digits == "null" { Money::ZERO } else { digits.parse().unwrap() }
}

/// Gives the cells of each line by the names of their columns.
fn each_line(text: &str, mut each: impl FnMut(&HashMap<&str, &str>)) {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let names = reader.headers().unwrap().clone();
    for line in reader.records() {
        let line = line.unwrap();
        each(&names.iter().zip(&line).collect());
    }
}

fn digits<'a>(text: &'a str, name: &str) -> Vec<&'a str> {
    let parts = text.split(&format!("\"{name}\":")).skip(1).collect::<Vec<_>>();
    parts.into_iter().map(|part| part.split([',', '}']).next().unwrap()).collect()
}

/// Some weeks in which the clocks change in many places.
fn events(random: &mut Random) -> Vec<Value> {
    let event = |nth: u64| {
        let (month, day) =
            if random.chance(50) { (3, 1 + random.below(31)) } else { (4, 1 + random.below(30)) };
        let (hour, minute, second) = (random.below(24), random.below(60), random.below(60));
        let (provider, model) = *random.pick(&MODELS);
        let input = random.below(90_000);
        let cached = random.below(input + 1);
        let failed = random.chance(5);
        json!({
            "id": format!("e{nth}"), "provider": provider, "model": model,
            "occurred_at": format!("2026-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z"),
            "usage": (!failed).then(|| json!({
                "input_tokens": input, "output_tokens": random.below(9_000), "cache_read_tokens": cached,
            })),
            "status": if failed { "upstream_error" } else { "ok" },
            "provider_cost_usd": random.chance(10).then(|| Money::from_picos(i128::from(random.below(1 << 40))).to_string()),
            "user": random.maybe(90, &["u0", "u1", "u2", "u3"]),
            "agent": random.maybe(80, &["a0", "a1", "a2"]),
            "customer": random.maybe(70, &["c0", "c1"]),
            "operation": random.maybe(60, &["rag", "chat"]),
            "tags": random.maybe(50, &["ops", "web"]).map(|team| json!({ "team": team })),
        })
    };
    (0..EVENTS).map(event).collect()
}

/// A question: days of the zone, both inclusive, and filters.
struct Question {
    from: String,
    to: String,
    filters: Vec<(&'static str, &'static str)>,
}

impl Question {
    fn new(random: &mut Random) -> Question {
        let day = |nth: u64| {
            if nth < 31 { format!("2026-03-{:02}", nth + 1) } else { format!("2026-04-{:02}", nth - 30) }
        };
        let first = random.below(61);
        let last = first + random.below(61 - first);
        let some: &[(&str, &[&str])] = if random.chance(50) {
            // What other systems can ask, too.
            &[("agent", &["a0", "a1", "a2"]), ("user", &["u0", "u1", "u2", "u3"])]
        } else {
            &[
                ("model", &["gpt-5-mini", "gpt-4o", "claude-sonnet-4-5"]),
                ("model!", &["no-such-model", "gpt-4o"]),
                ("provider", &["openai", "anthropic", "openrouter"]),
                ("customer", &["c0", "c1", ""]),
                ("user!", &["u0", ""]),
                ("operation", &["rag", "chat"]),
                ("status", &["ok", "upstream_error"]),
                ("evidence", &["provider_usage", "provider_cost"]),
                ("tag.team", &["ops", "web", ""]),
            ]
        };
        let mut filters = Vec::new();
        for (name, values) in some {
            if random.chance(if some.len() == 2 { 50 } else { 20 }) {
                filters.push((*name, *random.pick(values)));
            }
        }
        Question { from: day(first), to: day(last), filters }
    }

    fn query(&self, zone: &str) -> String {
        let filters: String = self.filters.iter().map(|(name, value)| format!("&{name}={value}")).collect();
        format!("from={}&to={}&tz={zone}{filters}", self.from, self.to)
    }

    fn args(&self, zone: &str) -> Vec<String> {
        let mut args: Vec<String> =
            ["--since", &self.from, "--until", &self.to, "--tz", zone].map(str::to_owned).to_vec();
        for (name, value) in &self.filters {
            args.extend(["-f".to_owned(), format!("{name}={value}")]);
        }
        args
    }

    /// The same in the shape of other systems: a target, and the members to sum.
    fn of_seeds(&self) -> Vec<(String, [&'static str; 4])> {
        let is_only = |names: &[&str]| self.filters.iter().all(|(name, _)| names.contains(name));
        let (from, to) = (&self.from, &self.to);
        let as_told = |names: &[(&str, &str)]| -> String {
            let name =
                |known: &str| names.iter().find(|(ours, _)| *ours == known).map_or("", |(_, theirs)| theirs);
            self.filters.iter().map(|(known, value)| format!("&{}={value}", name(known))).collect()
        };
        let mut targets = Vec::new();
        if is_only(&["agent", "user"]) {
            let more = as_told(&[("agent", "agentId"), ("user", "userId")]);
            let members = ["requestCount", "totalInputTokens", "totalOutputTokens", "totalCost"];
            targets
                .push((format!("/api/esa-agents/token-usage?startDate={from}&endDate={to}{more}"), members));
        }
        targets
    }
}

/// A server with the events, in this zone.
fn server(zone: &str, events: &[Value]) -> Running {
    let mut setup = Setup::default();
    setup.environment.push(("TOLLBOOK_TIME_ZONE".to_owned(), zone.to_owned()));
    let running = Running::with(setup);
    let sent = Call::post("/api/v1/events", &Value::from(events.to_vec())).bearer(&running.admin);
    let answer = running.caller().call(&sent).unwrap().json();
    assert_eq!(answer["accepted"], events.len(), "{answer}");
    running
}

fn get(caller: &mut Caller, target: &str, key: &str) -> String {
    let answer = caller.call(&Call::get(target).bearer(key)).unwrap();
    assert!(answer.status == 200 && answer.whole, "{target}: {}", answer.text());
    answer.text()
}

/// All pages of calls.
fn calls(caller: &mut Caller, query: &str, key: &str) -> Vec<Value> {
    let (mut calls, mut cursor) = (Vec::new(), String::new());
    loop {
        let page: Value =
            serde_json::from_str(&get(caller, &format!("/api/v1/calls?limit=150&{query}{cursor}"), key))
                .unwrap();
        calls.extend(page["data"].as_array().unwrap().iter().cloned());
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return calls,
        }
    }
}

/// Asks everything, and gives the sums that all agree on and how many shapes of others said so.
fn check(running: &Running, caller: &mut Caller, zone: &str, question: &Question) -> (Sums, usize) {
    let (query, key) = (question.query(zone), running.admin.clone());
    let mut get = |target: &str| get(caller, target, &key);
    let usage: Value = serde_json::from_str(&get(&format!("/api/v1/usage?{query}"))).unwrap();
    let wanted = Sums::of_report(&usage);
    let csv = get(&format!("/api/v1/export?format=csv&{query}"));
    let lines = get(&format!("/api/v1/export?format=jsonl&{query}"));
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let focus = get(&format!("/api/v1/export?format=focus&{query}"));
    let seeds = question.of_seeds();
    let of_seeds: Vec<(String, Sums)> = seeds
        .iter()
        .map(|(target, members)| (target.clone(), Sums::of_rows(&get(target), *members)))
        .collect();
    let args = question.args(zone);
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let place = &running.place;
    let by_hand = place.json(&[&["usage"], &args[..]].concat());
    let exported = place.run(&[&["export"], &args[..]].concat()).ok().out;
    let focused = place.run(&[&["export", "--format", "focus"], &args[..]].concat()).ok().out;
    for (what, sums) in [
        ("calls", Sums::of_calls(calls(caller, &query, &key).iter())),
        ("csv", Sums::of_csv(&csv)),
        ("jsonl", Sums::of_calls(lines.iter())),
        ("focus", Sums::of_focus(&focus, wanted.calls)),
        ("usage on the command line", Sums::of_report(&by_hand)),
    ] {
        assert_eq!(sums, wanted, "{what}: {query}");
    }
    for (target, sums) in &of_seeds {
        assert_eq!(*sums, wanted, "{target} in {zone}");
    }
    assert_eq!(exported, csv, "{query}");
    assert_eq!(focused, focus, "{query}");
    assert_eq!(by_hand["total"], usage["total"], "{query}");
    (wanted, of_seeds.len())
}

#[test]
fn soak_one_number_wherever_it_is_read() {
    let questions = if is_soak() { 200 } else { 4 };
    let mut random = Random::new(4);
    let events = events(&mut random);
    let (mut found, mut by_seeds) = (0, 0);
    for zone in ZONES {
        let mut running = server(zone, &events);
        let mut caller = running.caller();
        for _ in 0..questions {
            let (sums, seeds) = check(&running, &mut caller, zone, &Question::new(&mut random));
            found += u32::from(sums.calls > 0 && sums.cost != Money::ZERO);
            by_seeds += seeds;
        }
        running.end();
    }
    println!(
        "{questions} questions in each of {} zones: {found} found costs, {by_seeds} in other shapes",
        ZONES.len()
    );
    let asked = ZONES.len() * questions;
    assert!(
        found as usize > asked / 3 && by_seeds > asked / 4,
        "too little was compared: {found} {by_seeds} of {asked}"
    );
}
