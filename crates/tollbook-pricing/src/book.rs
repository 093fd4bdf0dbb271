//! The price book: from a call's provider, model, instant and conditions to the rates that applied.
//!
//! A lookup goes: the user's own prices, the user's aliases, the provider's dated aliases, the
//! provider's models, the models of the providers it falls back to. The model that answered comes
//! before the model that was asked for. Within a provider an exact name beats the longest prefix,
//! then come expression, ending and part; among equals the book's order decides.

use crate::card::{Card, Choice};
use crate::index::{Hit, Index};
use crate::model::Provider;
use crate::overrides::Overrides;
use crate::parse::parse_provider;
use crate::problem::Problem;
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, OnceLock, RwLock};
use tollbook_types::{Conditions, Digest, Timestamp, canonical_provider};

/// Names whose candidates are remembered, and cards likewise; beyond it all are forgotten.
const REMEMBERED_MAX: usize = 16_384;
/// Names longer than this are looked up anew each time.
const REMEMBERED_NAME_BYTES: usize = 256;

/// What a price is looked up by.
#[derive(Clone, Copy, Debug)]
pub struct Query<'q> {
    /// The provider, by any of its names.
    pub provider: &'q str,
    /// The model that answered.
    pub model: &'q str,
    /// The model that was asked for.
    pub request_model: Option<&'q str>,
    /// The instant whose price counts.
    pub at: Timestamp,
    /// What else the price depends on.
    pub conditions: &'q Conditions,
}

/// Why there is no price.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoMatch {
    /// The book has no such provider, and no override is for it.
    UnknownProvider(String),
    /// No rule of the provider matches the model.
    UnknownModel(String, String),
    /// A model matches but has no price at that instant.
    NoPriceThen(String, String, Timestamp),
}

impl fmt::Display for NoMatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NoMatch::UnknownProvider(provider) => write!(f, "no prices for provider {provider}"),
            NoMatch::UnknownModel(provider, model) => write!(f, "no price for model {model} of {provider}"),
            NoMatch::NoPriceThen(provider, model, at) => write!(f, "{provider}/{model} has no price at {at}"),
        }
    }
}

impl std::error::Error for NoMatch {}

/// What a name can stand for, best first, and the user's adjustments that are for it.
#[derive(Debug, Default)]
pub(crate) struct Candidates {
    pub list: Vec<Candidate>,
    pub adjusts: u64,
}

/// One thing that a name can stand for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Candidate {
    pub target: Target,
    /// The alias that led here, with its dates.
    pub via: Via,
}

/// A price of the user's own, by position, or a model of the book.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Target {
    Own(u16),
    Book(Hit),
}

/// How a name came to its target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Via {
    Name,
    OwnAlias(u16),
    BookAlias { provider: u16, alias: u16 },
}

type Remembered<K, V> = RwLock<HashMap<K, V>>;

/// The price book.
pub struct Book {
    pub(crate) index: Arc<Index>,
    pub(crate) overrides: Overrides,
    hash: String,
    candidates: Remembered<u64, Vec<Named>>,
    cards: Remembered<Choice, Arc<Card>>,
}

/// A remembered name; the map's key is only its hash.
struct Named {
    provider: String,
    model: String,
    candidates: Arc<Candidates>,
}

impl fmt::Debug for Book {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Book").field("hash", &self.hash).finish_non_exhaustive()
    }
}

impl Clone for Book {
    fn clone(&self) -> Book {
        Book::assemble(Arc::clone(&self.index), self.overrides.clone(), self.hash.clone())
    }
}

impl Book {
    /// The book that is part of the program. It is read once.
    pub fn embedded() -> Arc<Book> {
        static EMBEDDED: OnceLock<Arc<Book>> = OnceLock::new();
        let book = EMBEDDED.get_or_init(|| {
            // A test reads these texts; they are part of the program.
            Arc::new(Book::load(crate::embedded::TEXTS).unwrap_or_else(|_| Book::empty()))
        });
        Arc::clone(book)
    }

    /// A book without prices.
    pub fn empty() -> Book {
        Book::assemble(Arc::new(Index::default()), Overrides::default(), Digest::of(b"").to_string())
    }

    /// A book from price texts, each with its name. A later text of the same provider replaces
    /// that provider's models of the same id and adds the others.
    pub fn load(texts: &[(&str, &str)]) -> Result<Book, Vec<Problem>> {
        Book::empty().with_texts(texts)
    }

    /// This book with further price texts, such as imported ones.
    pub fn with_texts(&self, texts: &[(&str, &str)]) -> Result<Book, Vec<Problem>> {
        let mut providers = self.index.providers.clone();
        let mut problems = Vec::new();
        let mut digest = self.hash.clone().into_bytes();
        for (file, text) in texts {
            match parse_provider(file, text) {
                Ok(provider) => merge(&mut providers, provider),
                Err(found) => problems.extend(found),
            }
            digest.extend_from_slice(&Digest::of(text.as_bytes()).0);
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let hash = Digest::of(&digest).to_string();
        Ok(Book::assemble(Arc::new(Index::new(providers)), self.overrides.clone(), hash))
    }

    /// This book with a user's overrides. Every problem of the text is reported, or none.
    pub fn with_overrides(&self, text: &str) -> Result<Book, Vec<Problem>> {
        self.with_override_file("prices", text)
    }

    /// The same, with the file's name for problems and explanations.
    pub fn with_override_file(&self, file: &str, text: &str) -> Result<Book, Vec<Problem>> {
        let mut overrides = self.overrides.clone();
        overrides.add(file, text)?;
        let mut digest = self.hash.clone().into_bytes();
        digest.extend_from_slice(&Digest::of(text.as_bytes()).0);
        Ok(Book::assemble(Arc::clone(&self.index), overrides, Digest::of(&digest).to_string()))
    }

    fn assemble(index: Arc<Index>, overrides: Overrides, hash: String) -> Book {
        let (candidates, cards) = (RwLock::default(), RwLock::default());
        Book { index, overrides, hash, candidates, cards }
    }

    /// The digest of every text that the book was made from.
    pub fn hash(&self) -> &str {
        &self.hash
    }

    /// Every provider with its models, in the book's order.
    pub fn providers(&self) -> &[Provider] {
        &self.index.providers
    }

    /// Finds the price of a call.
    pub fn find(&self, query: &Query<'_>) -> Result<Match<'_>, NoMatch> {
        let mut late = None;
        for (requested, name) in [(false, Some(query.model)), (true, query.request_model)] {
            let Some(name) = name.filter(|name| !name.is_empty()) else { continue };
            let candidates = self.candidates(query.provider, name);
            if let Some(found) = self.first_active(&candidates, query, requested) {
                return Ok(found);
            }
            if late.is_none() && !candidates.list.is_empty() {
                late = Some(name);
            }
        }
        Err(self.no_match(query, late))
    }

    fn first_active(&self, candidates: &Candidates, query: &Query<'_>, requested: bool) -> Option<Match<'_>> {
        let active = |candidate: &&Candidate| self.is_active(candidate, query);
        let candidate = *candidates.list.iter().find(active)?;
        let is_book = |c: &&Candidate| matches!(c.target, Target::Book(_)) && self.is_active(c, query);
        let beneath = match candidate.target {
            Target::Own(_) => candidates.list.iter().find(is_book).map(|c| c.target),
            Target::Book(_) => None,
        };
        let adjusts = self.active_adjusts(candidates.adjusts, query);
        Some(Match { book: self, candidate, beneath, adjusts, requested })
    }

    fn no_match(&self, query: &Query<'_>, late: Option<&str>) -> NoMatch {
        let provider = canonical_provider(query.provider);
        match late {
            Some(name) => NoMatch::NoPriceThen(provider, name.to_owned(), query.at),
            None if self.index.provider(&provider).is_none() => NoMatch::UnknownProvider(provider),
            None => NoMatch::UnknownModel(provider, query.model.to_owned()),
        }
    }

    /// The most tokens that a model takes, where the book knows.
    pub fn context_window(&self, provider: &str, model: &str) -> Option<u64> {
        let candidates = self.candidates(provider, model);
        let hits = candidates.list.iter().filter_map(|candidate| match candidate.target {
            Target::Book(hit) => Some(hit),
            Target::Own(_) => None,
        });
        hits.into_iter().find_map(|hit| self.index.model(hit).context_window)
    }

    /// The rates of a call whose whole input is `total_input` tokens. Equal resolutions give the
    /// same card, computed once.
    pub fn card(&self, query: &Query<'_>, total_input: u64) -> Result<Arc<Card>, NoMatch> {
        Ok(self.find(query)?.card(query, total_input))
    }

    /// Whether a candidate's alias and price cover the query's instant and conditions.
    pub(crate) fn is_active(&self, candidate: &Candidate, query: &Query<'_>) -> bool {
        let covers = |from: Option<Timestamp>, to: Option<Timestamp>| {
            from.is_none_or(|from| query.at >= from) && to.is_none_or(|to| query.at < to)
        };
        let alias = match candidate.via {
            Via::Name => true,
            Via::OwnAlias(nth) => {
                let alias = &self.overrides.aliases[usize::from(nth)];
                covers(alias.from.as_ref().map(|b| b.at), alias.to.as_ref().map(|b| b.at))
            }
            Via::BookAlias { provider, alias } => {
                let alias = &self.index.at(provider).aliases[usize::from(alias)];
                covers(alias.from.as_ref().map(|b| b.at), alias.to.as_ref().map(|b| b.at))
            }
        };
        alias
            && match candidate.target {
                Target::Own(nth) => {
                    self.overrides.prices[usize::from(nth)].applies(query.at, query.conditions)
                }
                Target::Book(hit) => self.index.model(hit).plain_at(query.at).is_some(),
            }
    }

    fn active_adjusts(&self, bits: u64, query: &Query<'_>) -> u64 {
        if bits == 0 {
            return 0;
        }
        let adjusts = self.overrides.adjusts.iter().enumerate().take(64);
        let active =
            adjusts.filter(|(nth, a)| bits & (1 << nth) != 0 && a.applies(query.at, query.conditions));
        active.fold(0, |found, (nth, _)| found | 1 << nth)
    }

    /// What a name can stand for; remembered.
    pub(crate) fn candidates(&self, provider: &str, model: &str) -> Arc<Candidates> {
        let key = fingerprint(provider, model);
        if let Ok(known) = self.candidates.read()
            && let Some(found) = known
                .get(&key)
                .and_then(|all| all.iter().find(|named| named.provider == provider && named.model == model))
        {
            return Arc::clone(&found.candidates);
        }
        let candidates = Arc::new(self.gather(provider, model, false));
        if provider.len() + model.len() <= REMEMBERED_NAME_BYTES
            && let Ok(mut known) = self.candidates.write()
        {
            if known.len() >= REMEMBERED_MAX {
                known.clear();
            }
            let same = known.entry(key).or_default();
            if same.len() < 4 {
                let (provider, model) = (provider.to_owned(), model.to_owned());
                same.push(Named { provider, model, candidates: Arc::clone(&candidates) });
            }
        }
        candidates
    }

    /// What a name can stand for; with `all`, also what a more specific rule excludes.
    pub(crate) fn gather(&self, provider: &str, model: &str, all: bool) -> Candidates {
        let provider = canonical_provider(provider);
        let names = self.names(&provider, model);
        let mut list = Vec::new();
        self.gather_own(&provider, &names, Via::Name, &mut list);
        for (nth, alias) in self.overrides.aliases.iter().enumerate().take(usize::from(u16::MAX)) {
            if alias.scope.rank(&provider, &names).is_some() {
                let via = Via::OwnAlias(nth as u16);
                let target = alias.provider.clone().unwrap_or_else(|| provider.clone());
                let names = self.names(&target, &alias.model);
                self.gather_own(&target, &names, via, &mut list);
                self.gather_book(&target, &names, via, all, &mut list);
            }
        }
        self.gather_book(&provider, &names, Via::Name, all, &mut list);
        Candidates { adjusts: self.adjusts_for(&provider, &names, &list), list }
    }

    fn gather_own(&self, provider: &str, names: &[String], via: Via, list: &mut Vec<Candidate>) {
        let prices = self.overrides.prices.iter().enumerate().take(usize::from(u16::MAX));
        let ranked = prices.filter_map(|(nth, own)| {
            let rank = own.scope.rank(provider, names)?;
            // Among equally specific ones a condition counts, then a named provider, then the later.
            Some(((rank, own.price.when.len(), own.scope.provider.is_some(), nth), nth as u16))
        });
        let mut ranked: Vec<_> = ranked.collect();
        ranked.sort_by_key(|(rank, _)| std::cmp::Reverse(*rank));
        list.extend(ranked.into_iter().map(|(_, nth)| Candidate { target: Target::Own(nth), via }));
    }

    fn gather_book(&self, provider: &str, names: &[String], via: Via, all: bool, list: &mut Vec<Candidate>) {
        for position in self.index.chain(provider) {
            let aliases = self.index.at(position).aliases.iter().enumerate().take(usize::from(u16::MAX));
            for (nth, alias) in aliases.filter(|(_, alias)| names.contains(&alias.name)) {
                if let Some(hit) = self.index.by_model_id(position, &alias.model) {
                    let book_alias = Via::BookAlias { provider: position, alias: nth as u16 };
                    let via = if via == Via::Name { book_alias } else { via };
                    list.push(Candidate { target: Target::Book(hit), via });
                }
            }
            // The name as it stands counts before what is left of it without a prefix.
            let hits =
                names.iter().map(|name| self.index.hits(position, name, all)).find(|hits| !hits.is_empty());
            let hits = hits.into_iter().flatten();
            list.extend(hits.map(|hit| Candidate { target: Target::Book(hit), via }));
        }
    }

    fn adjusts_for(&self, provider: &str, names: &[String], list: &[Candidate]) -> u64 {
        let mut bits = 0;
        for (nth, adjust) in self.overrides.adjusts.iter().enumerate().take(64) {
            let by_id = list.iter().any(|candidate| match candidate.target {
                Target::Book(hit) => {
                    let id = self.index.model(hit).id.clone();
                    adjust.scope.rank(provider, &[id]).is_some()
                }
                Target::Own(_) => false,
            });
            if by_id || adjust.scope.rank(provider, names).is_some() {
                bits |= 1 << nth;
            }
        }
        bits
    }

    /// A name in lower case, and what is left of it without a prefix that says nothing.
    pub(crate) fn names(&self, provider: &str, model: &str) -> Vec<String> {
        let whole = model.trim().to_lowercase();
        let mut names = vec![whole.clone()];
        let mut add = |name: &str| {
            if !name.is_empty() && !names.iter().any(|known| known == name) {
                names.push(name.to_owned());
            }
        };
        let own = format!("{provider}/");
        let mut rest = whole.strip_prefix(own.as_str()).unwrap_or(&whole);
        add(rest);
        if let Some((_, last)) = rest.rsplit_once("/models/") {
            rest = last;
        }
        rest = rest.strip_prefix("models/").unwrap_or(rest);
        add(rest);
        if let Some(dashed) = dashed_date(rest) {
            add(&dashed);
        }
        for position in self.index.chain(provider) {
            for prefix in &self.index.at(position).strip {
                if let Some(rest) = rest.strip_prefix(prefix.as_str()) {
                    add(rest);
                }
            }
        }
        names
    }

    /// The remembered card for a choice, or a new one.
    pub(crate) fn remembered(&self, choice: Choice) -> Arc<Card> {
        if let Ok(known) = self.cards.read()
            && let Some(card) = known.get(&choice)
        {
            return Arc::clone(card);
        }
        let card = Arc::new(Card::build(self, &choice));
        if let Ok(mut known) = self.cards.write() {
            if known.len() >= REMEMBERED_MAX {
                known.clear();
            }
            return Arc::clone(known.entry(choice).or_insert(card));
        }
        card
    }
}

/// A price that was found.
#[derive(Clone, Copy, Debug)]
pub struct Match<'b> {
    pub(crate) book: &'b Book,
    pub(crate) candidate: Candidate,
    /// The book's model beneath a price of the user's own: fees that the own price lacks.
    pub(crate) beneath: Option<Target>,
    pub(crate) adjusts: u64,
    pub(crate) requested: bool,
}

impl Match<'_> {
    /// The rates for a call whose whole input is `total_input` tokens.
    pub fn card(&self, query: &Query<'_>, total_input: u64) -> Arc<Card> {
        self.book.remembered(Choice::of(self, query, total_input))
    }

    /// Whether the user's own file made or changes the price.
    pub fn is_override(&self) -> bool {
        self.adjusts != 0 || matches!(self.candidate.target, Target::Own(_))
    }
}

/// Adds a provider to a list, or its parts to the provider of the same id.
fn merge(providers: &mut Vec<Provider>, new: Provider) {
    let Some(known) = providers.iter_mut().find(|known| known.id == new.id) else {
        providers.push(new);
        return;
    };
    known.fees.extend(new.fees);
    known.aliases.extend(new.aliases);
    known.surcharges.extend(new.surcharges);
    for fallback in new.fallback {
        if !known.fallback.contains(&fallback) {
            known.fallback.push(fallback);
        }
    }
    for mut model in new.models {
        // A model that is merged in keeps saying where its figures come from.
        for price in &mut model.prices {
            price.source.get_or_insert_with(|| new.source.clone());
            price.checked.get_or_insert_with(|| new.checked.clone());
        }
        match known.models.iter_mut().find(|old| old.id == model.id) {
            Some(old) => *old = model,
            None => {
                crate::merge::release_names(&mut known.models, &model);
                known.models.push(model);
            }
        }
    }
}

/// `gpt-5.2-20251211` as `gpt-5.2-2025-12-11`: both ways of writing a snapshot's day occur.
fn dashed_date(name: &str) -> Option<String> {
    let (head, day) = name.rsplit_once('-')?;
    let is_day = day.len() == 8 && day.starts_with("20") && day.bytes().all(|b| b.is_ascii_digit());
    is_day.then(|| format!("{head}-{}-{}-{}", &day[..4], &day[4..6], &day[6..]))
}

fn fingerprint(provider: &str, model: &str) -> u64 {
    // FNV-1a: a collision costs a comparison, never a wrong answer.
    let bytes = provider.bytes().chain(std::iter::once(0)).chain(model.bytes());
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}
