//! A seeded workload: calls as they come in a busy ledger, with everything that is rare in one.

use super::random::Random;
use crate::batch::{Batch, Control, Gap, Join, Op, Seal};
use crate::record::{adjustment_digest, entry_digest};
use crate::stored::State;
use std::sync::Arc;
use tollbook_types::{
    Adjustment, Attribution, CacheHit, CostBasis, Digest, Entry, Event, Evidence, FreeReason, Identity, Leg,
    LegRating, Meter, Meters, Money, OpenCall, ProviderCost, Rating, Seq, Status, Timestamp, Usage,
};

/// Providers with some of their models; names differ in case, in a prefix and in signs that query
/// languages treat specially.
pub const MODELS: &[(&str, &[&str])] = &[
    ("openai", &["gpt-4o", "gpt-4o-mini", "GPT-4o", "whisper-1"]),
    ("anthropic", &["claude-sonnet-4-5", "claude-haiku-4-5"]),
    ("google", &["gemini-2.5-pro", "gemini-2.5-flash"]),
    ("my%own", &["gpt-4o", "it's", "模型", ""]),
];
/// Sources.
pub const SOURCES: &[&str] = &["api", "gateway", "otlp", "jsonl"];
/// Projects.
pub const PROJECTS: &[&str] = &["web", "Web", "batch", "research"];
/// Names for every other attribution member.
pub const NAMES: &[&str] = &["a", "A", "a ", "b_c", "b%c", "it's \"quoted\"", "Zoë", "日本", ""];
/// Conversations.
pub const SESSIONS: &[&str] = &["s1", "s2", "s3", "s4", "s5", "s6", "s7", "s8", "s9"];
/// Keys of tags.
pub const TAGS: &[&str] = &["team", "feature", "a.b", "quo\"te"];

/// Days on which some zone moves its clocks, leaves out a midnight or starts a month.
const BUSY_DAYS: &[&str] = &[
    "2026-10-24T20:00:00Z",
    "2026-03-28T20:00:00Z",
    "2026-03-07T20:00:00Z",
    "2026-10-31T20:00:00Z",
    "2026-04-04T12:00:00Z",
    "2026-10-03T12:00:00Z",
    "2026-04-23T18:00:00Z",
];

/// What the generator knows of an entry it made.
#[derive(Clone, Debug)]
pub struct Made {
    /// Its position.
    pub seq: Seq,
    /// The entry.
    pub entry: Arc<Entry>,
    /// The state after the adjustments that were made.
    pub state: State,
}

/// A source of entries and batches; equal seeds give equal workloads.
#[derive(Clone, Debug)]
pub struct Workload {
    random: Random,
    seq: Seq,
    number: u64,
    now: Timestamp,
    huge: bool,
    made: Vec<Made>,
    open: Vec<OpenCall>,
    controls: u32,
}

impl Workload {
    /// A workload for a seed.
    pub fn new(seed: u64) -> Workload {
        let now = at_micros(1_798_000_000_000_000);
        let random = Random::new(seed);
        let (made, open) = (Vec::new(), Vec::new());
        Workload { random, seq: 0, number: 0, now, huge: false, made, open, controls: 0 }
    }

    /// With calls that cost millions of dollars, so that sums leave 64 bits.
    pub fn with_huge_costs(mut self) -> Workload {
        self.huge = true;
        self
    }

    /// The entries made so far, with their states.
    pub fn made(&self) -> &[Made] {
        &self.made
    }

    /// The generator, for further choices that belong to the same seed.
    pub fn random(&mut self) -> &mut Random {
        &mut self.random
    }

    /// The position of the last record made.
    pub fn position(&self) -> Seq {
        self.seq
    }

    /// Leaves out so many positions, which records of others have.
    pub fn skip(&mut self, positions: Seq) {
        self.seq += positions;
    }

    /// A rated event of its own, that is in no batch yet.
    pub fn entry(&mut self) -> Entry {
        self.number += 1;
        let event = self.event();
        let rating = rating(&mut self.random, &event, self.huge);
        self.tick();
        Entry { event, rating, recorded_at: self.now }
    }

    /// Exactly this entry as the only change of a batch.
    pub fn batch_of(&mut self, entry: Entry) -> Batch {
        let seq = self.next_seq();
        Batch { ops: vec![self.enter(seq, entry)], through: seq }
    }

    /// A batch of so many records of all kinds; some adjust what the same batch brings.
    pub fn batch(&mut self, records: usize) -> Batch {
        let mut ops = Vec::new();
        for _ in 0..records {
            let seq = self.next_seq();
            match self.random.below(100) {
                0..70 => {
                    let entry = self.entry();
                    ops.push(self.enter(seq, entry));
                }
                70..82 => ops.extend(self.adjust(seq, None)),
                82..90 => ops.extend(self.join(seq)),
                90..93 => ops.push(self.open(seq)),
                93..95 => ops.extend(self.close(seq)),
                95..98 => ops.push(self.control(seq)),
                98 => ops.push(self.gap(seq)),
                _ => ops.push(self.seal()),
            }
        }
        // Records that changed nothing, such as duplicates, move the position too.
        self.seq += self.random.below(3);
        Batch { ops, through: self.seq }
    }

    fn tick(&mut self) {
        self.now = at_micros(self.now.as_microsecond() + 1 + self.random.below(90_000_000) as i64);
    }

    fn next_seq(&mut self) -> Seq {
        self.seq += 1 + self.random.below(3);
        self.seq
    }

    fn enter(&mut self, seq: Seq, entry: Entry) -> Op {
        let entry = Arc::new(entry);
        let digest = entry_digest(seq, &entry);
        self.made.push(Made { seq, entry: Arc::clone(&entry), state: State::of_entry(&entry) });
        Op::Entry { seq, digest, entry }
    }

    fn adjust(&mut self, seq: Seq, digest: Option<Digest>) -> Option<Op> {
        if self.made.is_empty() {
            return None;
        }
        let at = self.random.below(self.made.len() as u64) as usize;
        Some(self.adjust_one(at, seq, digest))
    }

    fn adjust_one(&mut self, made: usize, seq: Seq, digest: Option<Digest>) -> Op {
        self.tick();
        let random = &mut self.random;
        let mut told = self.made[made].entry.event.clone();
        tell_usage(random, &mut told, self.huge);
        let mut attribution = self.made[made].state.attribution.clone();
        if random.chance(50) {
            attribution.fill_from(&attribution_of(random));
        }
        let made = &mut self.made[made];
        let version = made.state.version + 1;
        let adjustment = Adjustment {
            entry: made.seq,
            version,
            run: random.chance(30).then(|| format!("run-{version}")),
            at: self.now,
            reason: (*random.pick(&["rerate", "settled: by hand", "better evidence from otlp"])).to_owned(),
            rating: rating(random, &told, self.huge),
            usage: told.usage,
            evidence: told.evidence,
            free: told.free,
            provider_cost: told.provider_cost,
            conditions: told.conditions,
            attribution,
            flags: told.flags,
            inconsistent: told.inconsistent,
            raw_usage: told.raw_usage,
            estimator: told.estimator,
        };
        made.state = State::of_adjustment(&adjustment);
        let digest = digest.unwrap_or_else(|| adjustment_digest(seq, &adjustment));
        Op::Adjust { seq, digest, adjustment: Arc::new(adjustment) }
    }

    /// A further identity for an entry; half of them bring better evidence in the same record.
    fn join(&mut self, seq: Seq) -> Vec<Op> {
        if self.made.is_empty() {
            return Vec::new();
        }
        self.number += 1;
        let made = self.random.below(self.made.len() as u64) as usize;
        let target = &self.made[made];
        let project = target.entry.event.attribution.project.clone();
        let id = format!("joined-{}", self.number);
        let identity = Identity { project, source: "claude-code".to_owned(), id };
        let content = Digest::of(identity.id.as_bytes());
        let mut ops = vec![Op::Join(Join { seq, identity, content, entry: target.seq })];
        if self.random.chance(50) {
            ops.push(self.adjust_one(made, seq, Some(content)));
        }
        ops
    }

    fn open(&mut self, seq: Seq) -> Op {
        self.number += 1;
        self.tick();
        let (provider, models) = *self.random.pick(MODELS);
        let call = OpenCall {
            id: format!("open-{}", self.number),
            source: "gateway".to_owned(),
            occurred_at: self.now,
            provider: provider.to_owned(),
            model: (*self.random.pick(models)).to_owned(),
            attribution: attribution_of(&mut self.random),
            hold: self.random.chance(50).then(|| amount(&mut self.random, self.huge)),
            worst_case: self.random.chance(50).then(|| amount(&mut self.random, self.huge)),
        };
        self.open.push(call.clone());
        Op::Open { seq, call: Arc::new(call) }
    }

    fn close(&mut self, seq: Seq) -> Option<Op> {
        if self.open.is_empty() {
            return None;
        }
        let at = self.random.below(self.open.len() as u64) as usize;
        let call = self.open.swap_remove(at);
        let mut entry = self.entry();
        let event = &mut entry.event;
        (event.id, event.source, event.occurred_at) = (call.id, call.source, call.occurred_at);
        (event.provider, event.model, event.attribution) = (call.provider, call.model, call.attribution);
        Some(self.enter(seq, entry))
    }

    fn control(&mut self, seq: Seq) -> Op {
        let keys = ["card/5f0c", "key/ab12", "key/ab13", "budget/team%ops", "budget/team_ops"];
        let at = self.controls as usize;
        self.controls += 1;
        let (key, version) = (keys[at % keys.len()].to_owned(), (at / keys.len()) as u32 + 1);
        let body = self.random.chance(80).then(|| format!("{{\"n\":{},\"who\":\"Zoë\"}}", self.controls));
        Op::Control(Control { seq, key, version, body, at: self.now })
    }

    fn gap(&mut self, seq: Seq) -> Op {
        let (from, to) = (at_micros(self.now.as_microsecond() - 5_000_001), self.now);
        let (calls, reason) = (self.random.below(1_000), "the disk was full".to_owned());
        Op::Gap(Gap { seq, from, to, calls, reason })
    }

    fn seal(&mut self) -> Op {
        let random = &mut self.random;
        let cost_picos = i128::from(random.bits()) * 1_000_003;
        let last = self.seq.saturating_sub(1).max(1);
        let (digest_sum, adjustment_digest_sum) = (random.bits(), random.bits());
        let (entries, adjustments) = (random.below(1_000), random.below(1_000));
        let seal =
            Seal { first: 1, last, entries, cost_picos, digest_sum, adjustments, adjustment_digest_sum };
        Op::Seal(seal)
    }

    fn id(&mut self) -> String {
        // A few ids stand in several projects and sources.
        if self.random.chance(5) {
            format!("shared-{}", self.number / 7)
        } else {
            format!("call-{}", self.number)
        }
    }

    fn event(&mut self) -> Event {
        let id = self.id();
        let random = &mut self.random;
        let (provider, models) = *random.pick(MODELS);
        let response_number = if random.chance(10) { self.number / 2 } else { self.number };
        let status = if random.chance(85) { Status::Ok } else { *random.pick(Status::ALL) };
        let mut source = (*random.pick(SOURCES)).to_owned();
        if id.starts_with("shared-") {
            // Its number within the source keeps the identity unique.
            source = format!("import-{}", self.number);
        }
        let mut event = Event {
            content: Digest::of(id.as_bytes()),
            id,
            source,
            occurred_at: occurred_at(random),
            provider: provider.to_owned(),
            model: (*random.pick(models)).to_owned(),
            request_model: random.maybe(30, models),
            api: random.maybe(50, &["chat", "messages", "responses"]),
            status,
            error: (status != Status::Ok).then(|| "went wrong:\n\"details\"\u{7}".to_owned()),
            http_status: random.chance(60).then(|| *random.pick(&[200, 400, 429, 500, 529])),
            usage: None,
            evidence: Evidence::Unknown,
            free: None,
            provider_cost: None,
            conditions: Default::default(),
            provider_response_id: random.chance(60).then(|| format!("chatcmpl-{response_number}")),
            attribution: attribution_of(random),
            latency_ms: random.chance(70).then(|| random.below(120_000)),
            time_to_first_token_ms: random.chance(40).then(|| random.below(4_000)),
            cache_hit: None,
            flags: Vec::new(),
            inconsistent: false,
            raw_usage: None,
            estimator: None,
            worst_case: None,
            hold_id: random.maybe(10, &["hold-1", "hold-2"]),
        };
        tell_usage(random, &mut event, self.huge);
        event
    }
}

fn at_micros(micros: i64) -> Timestamp {
    Timestamp::from_microsecond(micros).unwrap_or(Timestamp::UNIX_EPOCH)
}

fn occurred_at(random: &mut Random) -> Timestamp {
    let day: Timestamp = random.pick(BUSY_DAYS).parse().unwrap_or(Timestamp::UNIX_EPOCH);
    let micros = if random.chance(70) {
        day.as_microsecond() + random.below(2 * 86_400_000_000) as i64
    } else {
        // Anywhere in 2026.
        1_767_225_600_000_000 + random.below(365 * 86_400_000_000) as i64
    };
    match random.below(10) {
        // On a border of quarter hours, or one microsecond before.
        0 | 1 => at_micros(micros - micros.rem_euclid(900_000_000)),
        2 => at_micros(micros - micros.rem_euclid(900_000_000) - 1),
        _ => at_micros(micros),
    }
}

fn attribution_of(random: &mut Random) -> Attribution {
    let mut attribution = Attribution {
        project: random.maybe(80, PROJECTS),
        customer: random.maybe(50, NAMES),
        user: random.maybe(60, NAMES),
        agent: random.maybe(40, NAMES),
        agent_name: random.maybe(30, NAMES),
        operation: random.maybe(50, NAMES),
        operation_id: random.maybe(30, SESSIONS),
        session: random.maybe(60, SESSIONS),
        key: random.maybe(50, NAMES),
        ..Attribution::default()
    };
    for tag in TAGS {
        if let Some(value) = random.maybe(25, NAMES) {
            attribution.tags.insert((*tag).to_owned(), value);
        }
    }
    if random.chance(15) {
        attribution.metadata = Some(metadata(random));
    }
    attribution
}

/// What clients put beside a call, with numbers of every kind: they come back digit by digit.
fn metadata(random: &mut Random) -> serde_json::Value {
    let any = f64::from_bits(random.bits());
    serde_json::json!({
        "z": [1, -2, any, f64::MIN_POSITIVE, null, true],
        "a": { "deep": "日本\u{1}" },
        "n": u64::MAX,
    })
}

/// Gives the event a usage of some kind, with what goes with it.
fn tell_usage(random: &mut Random, event: &mut Event, huge: bool) {
    event.usage = Some(usage(random, &event.provider));
    event.evidence = *random.pick(&[Evidence::ProviderUsage, Evidence::ProviderUsage, Evidence::Partial]);
    (event.free, event.provider_cost, event.inconsistent) = (None, None, false);
    (event.raw_usage, event.estimator, event.worst_case) = (None, None, None);
    match random.below(20) {
        0 => {
            (event.usage, event.evidence) = (None, Evidence::Unknown);
            event.worst_case = random.chance(50).then(|| amount(random, huge));
        }
        1 => {
            (event.usage, event.free) = (None, Some(FreeReason::HttpError));
        }
        2 => {
            (event.usage, event.free) = (None, Some(FreeReason::CacheHit));
            let (saved, saved_tokens) = (amount(random, huge), random.below(9_000));
            event.cache_hit = Some(CacheHit { saved, saved_tokens });
        }
        3 => {
            event.inconsistent = true;
            event
                .flags
                .push("usage_inconsistent: cached_tokens (314) exceeds prompt_tokens (202)".to_owned());
        }
        4 => {
            event.evidence = Evidence::Estimated;
            event.estimator = Some("o200k".to_owned());
        }
        5 | 6 => {
            event.evidence = Evidence::ProviderCost;
            let (input, output) = (amount(random, false), amount(random, huge));
            let total = Money::from_picos(input.picos() + output.picos() + 3);
            let split = random.chance(60);
            event.provider_cost = Some(ProviderCost {
                total,
                input: split.then_some(input),
                output: split.then_some(output),
                field: "usage.cost".to_owned(),
            });
        }
        _ => event.raw_usage = random.maybe(50, &["{\"prompt_tokens\":5,\"x\":1.50}", "{}"]),
    }
    if random.chance(30) {
        event.conditions.insert("service_tier".to_owned(), "flex".to_owned());
    }
}

fn usage(random: &mut Random, provider: &str) -> Usage {
    let legs = if random.chance(85) { 1 } else { 1 + random.below(4) };
    let models =
        MODELS.iter().find(|(name, _)| *name == provider).map_or(&["other"][..], |(_, models)| models);
    let leg = |first: bool, random: &mut Random| Leg {
        model: if first && random.chance(80) { None } else { random.maybe(80, models) },
        kind: random.maybe(10, &["advisor_message", "transcription"]),
        meters: meters(random),
    };
    let mut usage = Usage::of((0..legs).map(|index| leg(index == 0, random)).collect());
    if random.chance(10) {
        usage.reported.insert("input_tokens".to_owned(), random.below(1_000_000));
    }
    usage
}

fn meters(random: &mut Random) -> Meters {
    let mut meters = Meters::new();
    for meter in [Meter::Input, Meter::CacheRead, Meter::Output] {
        if random.chance(80) {
            meters.set(meter, random.below(20_000));
        }
    }
    while random.chance(30) {
        let quantity = if random.chance(30) { 0 } else { random.below(1_000_000) };
        meters.set(*random.pick(Meter::ALL), quantity);
    }
    meters
}

/// An amount below a dollar, or of millions.
fn amount(random: &mut Random, huge: bool) -> Money {
    let picos = match random.below(20) {
        0 => 0,
        1 if huge => i128::from(random.bits()) * 3,
        2..6 if huge => i128::from(random.below(9_000_000_000_000_000_000)),
        _ => i128::from(random.below(900_000_000_000)),
    };
    Money::from_picos(picos)
}

/// A rating as it could be for this event: the parts add up wherever they are given.
fn rating(random: &mut Random, event: &Event, huge: bool) -> Rating {
    let legs = event.usage.as_ref().map_or(0, |usage| usage.legs.len());
    let unpriced = random.chance(8);
    let legs: Vec<LegRating> = (0..legs).map(|_| leg_rating(random, huge, unpriced)).collect();
    let sum = |side: fn(&LegRating) -> Option<Money>| {
        legs.iter().map(side).sum_options().filter(|_| !legs.is_empty())
    };
    let mut rating = Rating {
        basis: CostBasis::Book,
        cost: sum(|leg| leg.cost),
        input_cost: sum(|leg| leg.input_cost),
        output_cost: sum(|leg| leg.output_cost),
        other_cost: sum(|leg| leg.other_cost),
        book_cost: sum(|leg| leg.cost),
        price_id: random.maybe(80, &["openai/gpt-4o@2024-10-01"]),
        note: None,
        worst_case: event.worst_case,
        legs,
    };
    if event.free.is_some() {
        set_cost(&mut rating, CostBasis::Free, Some([Money::ZERO; 3]));
    } else if event.usage.is_none() {
        set_cost(&mut rating, CostBasis::UnknownUsage, None);
    } else if let Some(bill) = &event.provider_cost {
        let (input, output) = (bill.input.unwrap_or_default(), bill.output.unwrap_or_default());
        let rest = Money::from_picos(bill.total.picos() - input.picos() - output.picos());
        set_cost(&mut rating, CostBasis::Provider, Some([input, output, rest]));
    } else if event.inconsistent {
        set_cost(&mut rating, CostBasis::Inconsistent, None);
    } else if rating.cost.is_none() {
        set_cost(&mut rating, CostBasis::Unpriced, None);
        rating.note = Some("no price for \"this\" model".to_owned());
    } else if random.chance(10) {
        let sides = [amount(random, huge), amount(random, false), amount(random, false)];
        set_cost(&mut rating, CostBasis::Override, Some(sides));
    }
    rating
}

fn leg_rating(random: &mut Random, huge: bool, unpriced: bool) -> LegRating {
    if unpriced && random.chance(60) {
        return LegRating::default();
    }
    let [input, output, other] = [amount(random, huge), amount(random, huge), amount(random, false)];
    LegRating {
        card: Some(Digest::of(&random.below(5).to_be_bytes())),
        cost: Money::checked_sum([input, output, other]),
        input_cost: Some(input),
        output_cost: Some(output),
        other_cost: Some(other),
    }
}

fn set_cost(rating: &mut Rating, basis: CostBasis, sides: Option<[Money; 3]>) {
    rating.basis = basis;
    rating.cost = sides.and_then(Money::checked_sum);
    [rating.input_cost, rating.output_cost, rating.other_cost] = match sides {
        Some(sides) => sides.map(Some),
        None => [None; 3],
    };
}

/// Sums that are absent as soon as one part is.
trait SumOptions {
    fn sum_options(self) -> Option<Money>;
}

impl<I: Iterator<Item = Option<Money>>> SumOptions for I {
    fn sum_options(mut self) -> Option<Money> {
        self.try_fold(Money::ZERO, |sum, part| sum.checked_add(part?))
    }
}
