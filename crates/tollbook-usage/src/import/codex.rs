//! Codex's session logs: `sessions/**/rollout-*.jsonl` and `archived_sessions/`.
//!
//! A log reports running totals, and mostly also what the last request added. The same totals are
//! written again and again, go out of date, start over after a compaction, and are copied with new
//! timestamps into the logs of forked sessions. So a call is a change of the totals, whichever file
//! shows it: its identity is the oldest session of its line of forks with the figures themselves,
//! never a position in a file. An archived copy, a fork's inherited history and a second import
//! all lead to the same identities.
//!
//! The service tier is not in these logs, nor is a bill; nothing is guessed for either.

use super::lines::{Line, Lines};
use super::problem::{Problem, code};
use super::{Context, FileReader, Import, Progress, each_line, text};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use tollbook_types::limits::QUANTITY_MAX;
use tollbook_types::{
    Attribution, Event, Evidence, Meter, Meters, Status, Timestamp, Usage, UsageError, canonical_provider,
    parse_instant,
};

/// The source of these events.
pub const SOURCE: &str = "codex";
/// Sessions that a line of forks is followed back through.
const FORKS_MAX: usize = 64;

/// Reads the logs of all sessions; events come at the end.
#[derive(Debug)]
pub struct Codex<'a> {
    ctx: Context<'a>,
    lines: Lines,
    progress: Progress,
    session: Session,
    /// Which session each one was forked from.
    parents: BTreeMap<String, String>,
    calls: Vec<Call>,
}

/// Where the log that is being read stands.
#[derive(Debug, Default)]
struct Session {
    name: String,
    id: Option<String>,
    cwd: Option<String>,
    provider: Option<String>,
    model: Option<String>,
    forked: bool,
    totals: Option<Totals>,
    /// Identical changes of one log are told apart by how often they came before.
    seen: BTreeMap<String, u32>,
}

/// Usage as the log writes it: the input includes the cached part, the output the reasoning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
struct Totals {
    input_tokens: u64,
    cached_input_tokens: u64,
    output_tokens: u64,
    reasoning_output_tokens: u64,
    total_tokens: u64,
}

/// A change of the totals.
#[derive(Debug)]
struct Call {
    session: String,
    figures: String,
    at: Timestamp,
    cwd: Option<String>,
    provider: String,
    model: String,
    used: Totals,
}

impl<'a> Codex<'a> {
    /// A reader.
    pub fn new(now: Timestamp) -> Codex<'a> {
        Codex::with(Context::new(SOURCE, now))
    }

    /// A reader with a context of its own, such as one that sets every event's instant.
    pub fn with(ctx: Context<'a>) -> Codex<'a> {
        Codex {
            ctx,
            lines: Lines::new(),
            progress: Progress::default(),
            session: Session::default(),
            parents: BTreeMap::new(),
            calls: Vec::new(),
        }
    }

    fn line(&mut self, line: &Line<'_>) {
        let Some(bytes) = self.progress.take(line) else { return };
        let written: Written<'_> = match serde_json::from_slice(bytes) {
            Ok(written) => written,
            Err(_) if !line.ended => {
                self.progress.counts.partial += 1;
                return;
            }
            Err(error) => return self.progress.bad(vec![Problem::of_json(&error, bytes)]),
        };
        let Some(payload) = written.payload else { return };
        match written.kind.and_then(text_of).as_deref() {
            Some("session_meta") => self.session_meta(payload),
            Some("turn_context") => {
                if let Ok(Turn { model: Some(model) }) = serde_json::from_str(payload.get()) {
                    self.session.model = text_of(model).and_then(|model| text::name(&model));
                }
            }
            Some("event_msg") => self.event_msg(&written, payload),
            _ => {}
        }
    }

    /// The first one names the session; any later one was copied from the session it was forked from.
    fn session_meta(&mut self, payload: &RawValue) {
        let Ok(meta) = serde_json::from_str::<Meta<'_>>(payload.get()) else { return };
        let read = |raw: Option<&RawValue>| raw.and_then(text_of).and_then(|text| text::name(&text));
        let Some(id) = read(meta.id) else { return };
        if let Some(parent) = read(meta.forked_from_id).filter(|parent| *parent != id) {
            self.parents.insert(id.clone(), parent);
        }
        let Some(own) = &self.session.id else {
            self.session.forked = self.parents.contains_key(&id);
            self.session.id = Some(id);
            self.session.cwd = read(meta.cwd);
            self.session.provider = read(meta.model_provider);
            return;
        };
        if *own != id {
            self.session.forked = true;
            if !self.parents.contains_key(own) && !self.parents.contains_key(&id) {
                self.parents.insert(own.clone(), id);
            }
        }
    }

    fn event_msg(&mut self, written: &Written<'_>, payload: &RawValue) {
        let Ok(Message { kind: Some(kind), info }) = serde_json::from_str(payload.get()) else { return };
        let Some(info) = info.filter(|info| kind.get() == "\"token_count\"" && info.get() != "null") else {
            return;
        };
        self.progress.counts.usages += 1;
        match self.token_count(written, info) {
            Ok(Some(call)) => self.calls.push(call),
            Ok(None) => {}
            Err(problem) => self.progress.bad(vec![problem]),
        }
    }

    fn token_count(&mut self, written: &Written<'_>, info: &RawValue) -> Result<Option<Call>, Problem> {
        let wrong =
            |_| Problem::at(code::FIELD_INVALID, "/payload/info", "holds something that is no token count");
        let info: Info<'_> = serde_json::from_str(info.get()).map_err(wrong)?;
        let at = written
            .timestamp
            .and_then(text_of)
            .ok_or_else(|| Problem::at(code::FIELD_MISSING, "/timestamp", "has to be there"))
            .and_then(|text| {
                parse_instant(&text)
                    .map_err(|detail| Problem::at(code::TIMESTAMP_INVALID, "/timestamp", detail))
            })?;
        if let Some(problem) = self.ctx.refuse(at).filter(|_| self.ctx.at.is_none()) {
            return Err(problem.pointed("/timestamp"));
        }
        for totals in info.total_token_usage.iter().chain(&info.last_token_usage) {
            totals.check()?;
        }
        let before = self.session.totals;
        let used = match change(before, info.total_token_usage, info.last_token_usage, self.session.forked) {
            Change::Used(used) => used,
            Change::Repeated => {
                self.progress.counts.repeated += 1;
                return Ok(None);
            }
            Change::Stale => {
                self.progress.counts.stale += 1;
                return Ok(None);
            }
            Change::Start => {
                self.progress.counts.stale += 1;
                self.session.totals = info.total_token_usage;
                return Ok(None);
            }
        };
        self.session.totals = info.total_token_usage.or(before);
        let model = info.model.and_then(text_of).and_then(|model| text::name(&model));
        let model = model.or_else(|| self.session.model.clone()).unwrap_or_else(|| "unknown".to_owned());
        let mut figures = match info.total_token_usage {
            Some(total) => text::fingerprint(&[&total.text(), &used.text()]),
            None => text::fingerprint(&[&at.to_string(), &used.text()]),
        };
        let times = self.session.seen.entry(figures.clone()).or_insert(0);
        *times += 1;
        if *times > 1 {
            figures = format!("{figures}#{times}");
        }
        let provider =
            self.session.provider.as_deref().map_or_else(|| "openai".to_owned(), canonical_provider);
        Ok(Some(Call {
            session: self.session.id.clone().unwrap_or_else(|| self.session.name.clone()),
            figures,
            at,
            cwd: self.session.cwd.clone(),
            provider,
            model,
            used,
        }))
    }

    /// The oldest session that this one goes back to.
    fn root<'s>(&'s self, session: &'s str) -> &'s str {
        let mut here = session;
        for _ in 0..FORKS_MAX {
            match self.parents.get(here) {
                Some(parent) if parent != session => here = parent,
                _ => break,
            }
        }
        here
    }

    fn event(&self, id: String, call: &Call) -> Event {
        let (meters, contradiction) = call.used.meters();
        let usage = Some(Usage::one(meters));
        let content = [
            ("id", Value::from(id.as_str())),
            ("model", Value::from(call.model.as_str())),
            ("usage", serde_json::to_value(&usage).unwrap_or_default()),
        ];
        let members: Map<String, Value> =
            content.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        let tags = call.cwd.iter().map(|cwd| ("cwd".to_owned(), cwd.clone())).collect();
        Event {
            id,
            source: self.ctx.source.to_owned(),
            occurred_at: self.ctx.at.unwrap_or(call.at),
            provider: call.provider.clone(),
            model: call.model.clone(),
            request_model: None,
            api: Some("responses".to_owned()),
            status: Status::Ok,
            error: None,
            http_status: None,
            usage,
            evidence: Evidence::ProviderUsage,
            free: None,
            provider_cost: None,
            conditions: BTreeMap::new(),
            provider_response_id: None,
            attribution: Attribution {
                agent: Some(SOURCE.to_owned()),
                session: Some(call.session.clone()).filter(|session| !session.is_empty()),
                tags,
                ..Attribution::default()
            },
            latency_ms: None,
            time_to_first_token_ms: None,
            cache_hit: None,
            inconsistent: contradiction.is_some(),
            flags: contradiction.map(|error| format!("usage_inconsistent: {error}")).into_iter().collect(),
            raw_usage: Some(call.used.text()),
            estimator: None,
            worst_case: None,
            hold_id: None,
            content: text::content(text::each(&members)),
        }
    }
}

impl FileReader for Codex<'_> {
    fn open(&mut self, file: &str) {
        self.progress.start(file);
        self.lines = Lines::new();
        // The file's own name stands in where the log does not name its session.
        let name = file.rsplit(['/', '\\']).next().unwrap_or(file);
        let name = text::name(name.strip_suffix(".jsonl").unwrap_or(name));
        self.session = Session { name: name.unwrap_or_default(), ..Session::default() };
    }

    fn push(&mut self, bytes: &[u8]) {
        each_line(self, |reader| &mut reader.lines, Some(bytes), Self::line);
    }

    fn close(&mut self) {
        each_line(self, |reader| &mut reader.lines, None, Self::line);
    }

    fn finish(mut self) -> Import {
        let mut calls = std::mem::take(&mut self.calls);
        calls.sort_by(|a, b| (a.at, &a.session, &a.figures).cmp(&(b.at, &b.session, &b.figures)));
        let mut known = BTreeSet::new();
        let mut events = Vec::with_capacity(calls.len());
        for call in &calls {
            // The earliest report of a change is the call itself, later ones are copies of it.
            let id = text::fingerprint(&[self.root(&call.session), &call.figures]);
            if known.insert(id.clone()) {
                events.push(self.event(id, call));
            } else {
                self.progress.counts.repeated += 1;
            }
        }
        self.progress.import(events)
    }
}

/// What a report says against the one before it.
#[derive(Debug, PartialEq, Eq)]
enum Change {
    /// A call that used this.
    Used(Totals),
    /// The same totals again.
    Repeated,
    /// Totals from before the ones already seen.
    Stale,
    /// Totals that a fork inherited: where counting starts.
    Start,
}

fn change(before: Option<Totals>, total: Option<Totals>, last: Option<Totals>, forked: bool) -> Change {
    let Some(total) = total else {
        return last.filter(|last| *last != Totals::default()).map_or(Change::Repeated, Change::Used);
    };
    match before {
        Some(before) if before == total => Change::Repeated,
        Some(before) if total.fell_slightly(&before) => Change::Stale,
        Some(before) => {
            let used = last.or_else(|| total.since(&before)).unwrap_or(total);
            if used == Totals::default() { Change::Repeated } else { Change::Used(used) }
        }
        // The first totals of a resumed or forked log hold what came before it.
        None => match last {
            Some(last) => Change::Used(last),
            None if forked => Change::Start,
            None => Change::Used(total),
        },
    }
}

impl Totals {
    fn all(&self) -> u64 {
        self.total_tokens.max(self.input_tokens.saturating_add(self.output_tokens))
    }

    fn check(&self) -> Result<(), Problem> {
        let largest = self.all().max(self.cached_input_tokens).max(self.reasoning_output_tokens);
        if largest <= QUANTITY_MAX {
            return Ok(());
        }
        Err(Problem::at(code::FIELD_TOO_LARGE, "/payload/info", format!("more than {QUANTITY_MAX}")))
    }

    /// Down by no more than 2 %: written before the report that is known already.
    fn fell_slightly(&self, before: &Totals) -> bool {
        self.all() < before.all() && u128::from(self.all()) * 100 >= u128::from(before.all()) * 98
    }

    /// What was added, unless something fell.
    fn since(&self, before: &Totals) -> Option<Totals> {
        Some(Totals {
            input_tokens: self.input_tokens.checked_sub(before.input_tokens)?,
            cached_input_tokens: self.cached_input_tokens.checked_sub(before.cached_input_tokens)?,
            output_tokens: self.output_tokens.checked_sub(before.output_tokens)?,
            reasoning_output_tokens: self
                .reasoning_output_tokens
                .checked_sub(before.reasoning_output_tokens)?,
            total_tokens: self.total_tokens.saturating_sub(before.total_tokens),
        })
    }

    /// Disjoint meters; a part above its whole is kept as far as it fits, and told.
    fn meters(&self) -> (Meters, Option<UsageError>) {
        let cached = self.cached_input_tokens.min(self.input_tokens);
        let reasoning = self.reasoning_output_tokens.min(self.output_tokens);
        let meters = Meters::from_pairs([
            (Meter::Input, self.input_tokens - cached),
            (Meter::CacheRead, cached),
            (Meter::Output, self.output_tokens - reasoning),
            (Meter::Reasoning, reasoning),
        ]);
        let exceeds = |part: &str, part_quantity: u64, whole: &str, whole_quantity: u64| {
            (part_quantity > whole_quantity).then(|| UsageError {
                part: part.to_owned(),
                part_quantity,
                whole: whole.to_owned(),
                whole_quantity,
            })
        };
        let error =
            exceeds("cached_input_tokens", self.cached_input_tokens, "input_tokens", self.input_tokens);
        let error = error.or_else(|| {
            let (part, whole) = (self.reasoning_output_tokens, self.output_tokens);
            exceeds("reasoning_output_tokens", part, "output_tokens", whole)
        });
        (meters, error)
    }

    fn text(&self) -> String {
        format!(
            "{{\"input_tokens\":{},\"cached_input_tokens\":{},\"output_tokens\":{},\
             \"reasoning_output_tokens\":{},\"total_tokens\":{}}}",
            self.input_tokens,
            self.cached_input_tokens,
            self.output_tokens,
            self.reasoning_output_tokens,
            self.total_tokens
        )
    }
}

#[derive(Deserialize)]
struct Written<'a> {
    #[serde(borrow)]
    timestamp: Option<&'a RawValue>,
    #[serde(borrow, rename = "type")]
    kind: Option<&'a RawValue>,
    #[serde(borrow)]
    payload: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Meta<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    cwd: Option<&'a RawValue>,
    #[serde(borrow)]
    model_provider: Option<&'a RawValue>,
    #[serde(borrow)]
    forked_from_id: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Turn<'a> {
    #[serde(borrow)]
    model: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<&'a RawValue>,
    #[serde(borrow)]
    info: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Info<'a> {
    total_token_usage: Option<Totals>,
    last_token_usage: Option<Totals>,
    #[serde(borrow)]
    model: Option<&'a RawValue>,
}

fn text_of(raw: &RawValue) -> Option<String> {
    serde_json::from_str::<String>(raw.get()).ok().filter(|text| !text.is_empty())
}
