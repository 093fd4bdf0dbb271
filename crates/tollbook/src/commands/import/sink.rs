//! Where imported calls go: into the books, or, on a dry run, nowhere.

use super::summary::{Summary, tokens};
use crate::clock::SystemClock;
use crate::config::Config;
use crate::failure::Failure;
use crate::out::Out;
use crate::wire::CallView;
use crate::{open, prices};
use serde::Serialize;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use tollbook_ledger::{Ledger, Outcome, Rated, rate_event};
use tollbook_pricing::Book;
use tollbook_sqlite::SqliteStore;
use tollbook_store::{EventStore, StoredCall};
use tollbook_types::{Adjustment, Clock, Content, Digest, Entry, Event, Money, Seq, Timestamp};
use tollbook_usage::import::claude_code::{Growth, growth};
use tollbook_usage::import::{Counts, Problem};

/// One call that was read, or why it could not be.
pub struct Item {
    pub file: Rc<str>,
    pub line: Option<u64>,
    pub told: Told,
}

/// What was read.
pub enum Told {
    Event(Box<Event>),
    Refused { id: Option<String>, problems: Vec<Problem> },
}

/// The answer for one call, as a line of JSON.
#[derive(Serialize)]
struct Answer<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<&'a str>,
    line: Option<u64>,
    id: Option<&'a str>,
    result: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'a str>,
    cost_usd: Option<Money>,
    total_tokens: Option<u64>,
}

/// Where calls go, and what became of them.
pub struct Sink {
    target: Target,
    summary: Summary,
    names_files: bool,
    grows: bool,
}

enum Target {
    Books { ledger: Box<Ledger>, cutoff: Option<Timestamp> },
    Nowhere { book: Arc<Book>, known: Option<Box<SqliteStore>>, seen: HashMap<Digest, Content> },
}

/// What became of an event.
enum Fate {
    Accepted(Option<Money>, u64),
    Duplicate(&'static str, Option<Seq>),
    Rejected(&'static str, String),
}

impl Sink {
    /// Records.
    pub fn recording(config: &Config, names_files: bool, out: &mut Out) -> Result<Sink, Failure> {
        let ledger = open::write(config, out)?;
        let cutoff = ledger.store().position()?.cutoff;
        let target = Target::Books { ledger: Box::new(ledger), cutoff };
        Ok(Sink { target, summary: Summary::default(), names_files, grows: false })
    }

    /// Only rates. What is in the books already is looked up where there are any.
    pub fn dry(config: &Config, out: &Out) -> Result<Sink, Failure> {
        let dir = open::dir(config)?;
        let known = match dir.store().exists() && !out.json {
            true => Some(Box::new(open::reading(&dir)?)),
            false => None,
        };
        let target = Target::Nowhere { book: prices::book(config)?, known, seen: HashMap::new() };
        Ok(Sink { target, summary: Summary::default(), names_files: false, grows: false })
    }

    /// A call that is told again with more usage adjusts its entry, instead of contradicting it.
    pub fn grows_entries(&mut self) {
        self.grows = true;
    }

    /// Calls taken so far.
    pub fn read_so_far(&self) -> u64 {
        self.summary.read
    }

    /// Notes what a reader of logs left out.
    pub fn log_counts(&mut self, counts: &Counts) {
        self.summary.log_counts = *counts;
    }

    /// Notes a file that could not be read to its end.
    pub fn unreadable(&mut self, file: &str, problem: &str, out: &mut Out) {
        self.summary.unreadable += 1;
        out.complain(&format!("{file}: {problem}"));
    }

    /// Notes refused lines whose problems were too many to keep.
    pub fn untold(&mut self, lines: u64, out: &mut Out) {
        if lines > 0 {
            self.summary.read += lines;
            self.summary.rejected += lines;
            out.complain(&format!("and {lines} more lines that cannot be read"));
        }
    }

    /// Takes a batch of calls and answers for each, in order. Nothing is said before it is durable.
    pub fn take(&mut self, items: Vec<Item>, out: &mut Out) -> Result<(), Failure> {
        if items.is_empty() {
            return Ok(());
        }
        let events: Vec<Event> = items.iter().filter_map(Item::event).cloned().collect();
        let fates = self.record(events, out)?;
        let mut fates = fates.into_iter();
        for item in &items {
            self.summary.read += 1;
            match (&item.told, fates.len()) {
                (Told::Event(event), n) if n > 0 => {
                    if let Some(fate) = fates.next() {
                        self.answer(item, event, &fate, out)?;
                    }
                }
                (Told::Event(_), _) => {}
                (Told::Refused { id, problems }, _) => self.refuse(item, id.as_deref(), problems, out)?,
            }
        }
        out.flush()
    }

    fn record(&mut self, events: Vec<Event>, out: &mut Out) -> Result<Vec<Fate>, Failure> {
        match &mut self.target {
            Target::Nowhere { book, known, seen } => {
                let fates = events
                    .iter()
                    .map(|event| rehearse(book, known.as_deref(), seen, event, &mut self.summary, out));
                fates.collect()
            }
            Target::Books { ledger, cutoff } => {
                let before = |event: &Event| cutoff.is_some_and(|cutoff| event.occurred_at < cutoff);
                let kept: Vec<Event> = events.iter().filter(|event| !before(event)).cloned().collect();
                let mut outcomes = ledger.submit(kept)?.into_iter();
                let mut fates = Vec::with_capacity(events.len());
                for event in &events {
                    let fate = match before(event) {
                        true => {
                            Fate::Rejected("before_cutoff", "calls of that day are no longer kept".to_owned())
                        }
                        false => fate(ledger, event, outcomes.next(), self.grows, &mut self.summary)?,
                    };
                    fates.push(fate);
                }
                Ok(fates)
            }
        }
    }

    fn answer(&mut self, item: &Item, event: &Event, fate: &Fate, out: &mut Out) -> Result<(), Failure> {
        let mut answer = Answer {
            file: self.names_files.then_some(&*item.file),
            line: item.line,
            id: Some(&event.id),
            result: "accepted",
            code: None,
            detail: None,
            cost_usd: None,
            total_tokens: None,
        };
        match fate {
            Fate::Accepted(cost, tokens) => {
                answer.cost_usd = *cost;
                answer.total_tokens = Some(*tokens);
            }
            Fate::Duplicate(why, entry) => {
                answer.result = "duplicate";
                answer.detail = Some(*why).filter(|why| !why.is_empty());
                if out.json
                    && let (Target::Books { ledger, .. }, Some(entry)) = (&self.target, entry)
                    && let Some(call) = ledger.store().call(*entry)?
                {
                    let state = call.corrected();
                    answer.cost_usd = state.rating.cost;
                    answer.total_tokens = Some(state.meters().total_tokens());
                }
            }
            Fate::Rejected(code, detail) => {
                answer.result = "rejected";
                answer.code = Some(code);
                answer.detail = Some(detail);
                self.summary.rejected += 1;
                complain(item, code, detail, out);
            }
        }
        // A dry run has printed the rated call itself.
        match &self.target {
            Target::Books { .. } if out.json => out.json_line(&answer),
            _ => Ok(()),
        }
    }

    fn refuse(
        &mut self,
        item: &Item,
        id: Option<&str>,
        problems: &[Problem],
        out: &mut Out,
    ) -> Result<(), Failure> {
        self.summary.rejected += 1;
        let details: Vec<String> = problems.iter().map(words).collect();
        for (problem, detail) in problems.iter().zip(&details) {
            complain(item, problem.code, detail, out);
        }
        if !out.json || matches!(self.target, Target::Nowhere { .. }) {
            return Ok(());
        }
        out.json_line(&Answer {
            file: self.names_files.then_some(&*item.file),
            line: item.line,
            id,
            result: "rejected",
            code: problems.first().map(|problem| problem.code),
            detail: Some(&details.join("; ")),
            cost_usd: None,
            total_tokens: None,
        })
    }

    /// Ends in order.
    pub fn close(self) -> (Result<(), Failure>, Summary) {
        let closed = match self.target {
            Target::Books { ledger, .. } => ledger.close().map_err(Failure::from),
            Target::Nowhere { .. } => Ok(()),
        };
        (closed, self.summary)
    }
}

impl Item {
    fn event(&self) -> Option<&Event> {
        match &self.told {
            Told::Event(event) => Some(event),
            Told::Refused { .. } => None,
        }
    }
}

/// `file:line: code: detail`
fn complain(item: &Item, code: &str, detail: &str, out: &mut Out) {
    let line = item.line.map_or(String::new(), |line| format!(":{line}"));
    out.complain(&format!("{}{line}: {code}: {detail}", item.file));
}

/// A problem's detail with the member that it is about.
fn words(problem: &Problem) -> String {
    match &problem.pointer {
        Some(pointer) => format!("{pointer} {}", problem.detail),
        None => problem.detail.clone(),
    }
}

/// What the books made of an event.
fn fate(
    ledger: &Ledger,
    event: &Event,
    outcome: Option<Outcome>,
    grows: bool,
    summary: &mut Summary,
) -> Result<Fate, Failure> {
    match outcome {
        Some(Outcome::Accepted { entry, .. }) => {
            summary.accept(&entry.event, &entry.rating);
            Ok(Fate::Accepted(entry.rating.cost, tokens(&entry.event)))
        }
        Some(Outcome::Duplicate { entry }) => {
            summary.duplicates += 1;
            Ok(Fate::Duplicate("", Some(entry)))
        }
        Some(Outcome::Joined { entry, adjusted }) => {
            summary.joined += 1;
            let why = if adjusted { "joined, and told more than was known" } else { "joined" };
            Ok(Fate::Duplicate(why, Some(entry)))
        }
        Some(Outcome::Conflict { entry }) if grows => match grow(ledger, entry, event)? {
            Some(Growth::Same) => {
                summary.duplicates += 1;
                Ok(Fate::Duplicate("", Some(entry)))
            }
            Some(Growth::Grown) => {
                summary.grown += 1;
                Ok(Fate::Duplicate("grown: its entry was adjusted", Some(entry)))
            }
            _ => Ok(conflict(summary)),
        },
        Some(Outcome::Conflict { .. }) => Ok(conflict(summary)),
        _ => Err(Failure::new(format!("nothing is known of what became of {:?}", event.id))),
    }
}

fn conflict(summary: &mut Summary) -> Fate {
    summary.conflicts += 1;
    let detail = "the id is recorded already and says something else; the first is kept";
    Fate::Rejected("id_conflict", detail.to_owned())
}

/// Adjusts an entry that was recorded while its call was still going on.
fn grow(ledger: &Ledger, entry: Seq, event: &Event) -> Result<Option<Growth>, Failure> {
    let Some(call) = ledger.store().call(entry)? else { return Ok(None) };
    let state = call.corrected();
    let recorded = &call.entry.event;
    let (Some(before), Some(after)) = (&state.usage, &event.usage) else { return Ok(None) };
    if (&recorded.model, &recorded.provider) != (&event.model, &event.provider) {
        return Ok(None);
    }
    let growth = growth(before, after);
    if growth == Growth::Grown {
        let mut told = event.clone();
        told.occurred_at = recorded.occurred_at;
        let Rated { rating, cards } = rate_event(&ledger.book(), &told);
        let adjustment = Adjustment {
            entry,
            version: call.version() + 1,
            run: None,
            at: SystemClock.now(),
            reason: format!("{} tells more than when it was recorded", event.source),
            usage: told.usage,
            evidence: told.evidence,
            free: told.free,
            provider_cost: told.provider_cost,
            conditions: told.conditions,
            attribution: state.attribution,
            flags: told.flags,
            inconsistent: told.inconsistent,
            raw_usage: told.raw_usage,
            estimator: told.estimator,
            rating,
        };
        ledger.adjust(vec![(adjustment, cards)])?;
    }
    Ok(Some(growth))
}

/// What would become of an event.
fn rehearse(
    book: &Book,
    known: Option<&SqliteStore>,
    seen: &mut HashMap<Digest, Content>,
    event: &Event,
    summary: &mut Summary,
    out: &mut Out,
) -> Result<Fate, Failure> {
    let Rated { rating, .. } = rate_event(book, event);
    if out.json {
        let entry = Entry { event: event.clone(), rating: rating.clone(), recorded_at: event.occurred_at };
        let call = StoredCall {
            seq: 0,
            digest: Digest::default(),
            entry,
            adjustments: Vec::new(),
            joined: Vec::new(),
        };
        out.json_line(&CallView::of(&call))?;
    }
    let identity = event.identity();
    let in_books = match known {
        Some(store) => store.find(&[(&identity).into()])?.pop().flatten().map(|known| known.content),
        None => None,
    };
    match in_books.or_else(|| seen.get(&identity.digest()).copied()) {
        Some(content) if content == event.content => {
            summary.duplicates += 1;
            Ok(Fate::Duplicate("", None))
        }
        Some(_) => Ok(conflict(summary)),
        None => {
            seen.insert(identity.digest(), event.content);
            summary.accept(event, &rating);
            Ok(Fate::Accepted(rating.cost, tokens(event)))
        }
    }
}
