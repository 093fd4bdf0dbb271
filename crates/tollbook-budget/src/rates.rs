//! Rate limits: how many requests and tokens a minute, how many calls at once, how often the same
//! request. They are asked in one decision with the budgets, so that a call which one of them
//! refuses takes nothing from any other; and what a call was taken to use is corrected when it is
//! booked. A limiter beside the engine could do neither. Nothing is kept: a process begins with
//! nothing used.

use crate::accounts::Accounts;
use crate::question::Ask;
use crate::scope::{Index, Scope, Subject};
use hashbrown::HashMap;
use std::collections::BTreeMap;
use std::fmt;
use tollbook_types::{Attribution, Digest, Dimension, Timestamp};

/// Nanoseconds of a minute, over which every rate is counted.
const MINUTE: i128 = 60_000_000_000;
/// The longest that a caller is asked to wait, in seconds.
const WAIT_SECONDS_MAX: i128 = 60;
/// Different requests that one account remembers; beyond that, one that is new is not compared.
const REMEMBERED_MAX: usize = 4_096;

/// A limit on how fast a set of calls may come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// Its id.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// Which calls count.
    pub scope: Scope,
    /// Requests a minute.
    pub requests: Option<u64>,
    /// Tokens a minute, in and out.
    pub tokens: Option<u64>,
    /// Calls at once.
    pub concurrent: Option<u64>,
    /// Requests a minute that are the same to the byte.
    pub identical: Option<u64>,
}

/// What a rate limit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rate {
    /// Requests a minute.
    Requests,
    /// Tokens a minute.
    Tokens,
    /// Calls at once.
    Concurrent,
    /// The same request a minute.
    Identical,
}

/// A call that comes too soon, and by which limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limited {
    /// The limit's id.
    pub limit: String,
    /// Its name.
    pub name: String,
    /// The value of its `each`.
    pub instance: Option<String>,
    /// What there was too much of.
    pub rate: Rate,
    /// How much of it there may be.
    pub quota: u64,
    /// Seconds after which it may go.
    pub retry_after_s: u32,
}

/// Where a rate limit stands for a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateStanding {
    /// The limit's id.
    pub limit: String,
    /// The value of its `each`.
    pub instance: Option<String>,
    /// Requests that may come at once.
    pub requests_left: Option<u64>,
    /// Tokens that may come at once.
    pub tokens_left: Option<u64>,
    /// Calls under way.
    pub under_way: u64,
}

/// What one limit counts for a call in flight. In which of its accounts, the call's subject tells.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Part {
    /// The limit's place.
    pub place: usize,
    tokens: i128,
    is_under_way: bool,
}

/// A bucket that runs out evenly within a minute.
#[derive(Clone, Copy, Debug, Default)]
struct Bucket {
    /// When it will have run out, in nanoseconds of the epoch.
    empty_at: i128,
}

impl Bucket {
    /// Nanoseconds after which so much more fits; nothing if it does now. What is more than a whole
    /// bucket goes into an empty one.
    fn wait(self, now: i128, amount: i128, quota: u64) -> Option<i128> {
        let needed = share(amount, quota)?.min(MINUTE);
        let wait = (self.empty_at - now).max(0) + needed - MINUTE;
        (wait > 0).then_some(wait)
    }

    fn add(&mut self, now: i128, amount: i128, quota: u64) {
        self.empty_at = self.empty_at.max(now).saturating_add(share(amount, quota).unwrap_or(0));
    }

    /// What fits now.
    fn left(self, now: i128, quota: u64) -> u64 {
        let free = MINUTE - (self.empty_at - now).clamp(0, MINUTE);
        u64::try_from(free * i128::from(quota) / MINUTE).unwrap_or(0)
    }
}

/// How long so much of a quota takes to run out, never too short; `None` where there is no quota.
fn share(amount: i128, quota: u64) -> Option<i128> {
    let quota = i128::from(quota);
    let spread = amount.saturating_mul(MINUTE);
    let whole = spread.checked_div_euclid(quota)?;
    Some(if spread.rem_euclid(quota) == 0 { whole } else { whole + 1 })
}

#[derive(Clone, Debug, Default)]
struct Account {
    requests: Bucket,
    tokens: Bucket,
    under_way: u64,
    same: HashMap<Digest, Bucket>,
}

impl Account {
    fn is_idle(&self, now: i128) -> bool {
        let last = self.requests.empty_at.max(self.tokens.empty_at);
        self.under_way == 0 && self.same.is_empty() && last <= now
    }

    /// What is in the way, and for how long.
    fn wait(&self, limit: &RateLimit, ask: &Ask<'_>, tokens: i128) -> Option<(Rate, u64, i128)> {
        let now = ask.at.as_nanosecond();
        let bucket = |rate, quota: Option<u64>, bucket: Bucket, amount| {
            let quota = quota?;
            // Of nothing there is never any.
            let wait = if quota == 0 { Some(MINUTE) } else { bucket.wait(now, amount, quota) };
            wait.map(|wait| (rate, quota, wait))
        };
        let same = ask.fingerprint.and_then(|print| self.same.get(&print)).copied();
        let at_once = limit.concurrent.filter(|most| self.under_way >= *most);
        [
            bucket(Rate::Requests, limit.requests, self.requests, 1),
            bucket(Rate::Tokens, limit.tokens, self.tokens, tokens.max(1)),
            bucket(Rate::Identical, limit.identical, same.unwrap_or_default(), 1),
            at_once.map(|most| (Rate::Concurrent, most, 0)),
        ]
        .into_iter()
        .flatten()
        .max_by_key(|(_, _, wait)| *wait)
    }

    fn take(&mut self, limit: &RateLimit, ask: &Ask<'_>, tokens: i128) {
        let now = ask.at.as_nanosecond();
        self.requests.add(now, 1, limit.requests.unwrap_or(0));
        self.tokens.add(now, tokens, limit.tokens.unwrap_or(0));
        self.under_way += 1;
        if let (Some(quota), Some(print)) = (limit.identical, ask.fingerprint)
            && (self.same.len() < REMEMBERED_MAX || self.same.contains_key(&print))
        {
            self.same.entry(print).or_default().add(now, 1, quota);
        }
    }
}

struct Slot {
    limit: RateLimit,
    accounts: Accounts<Account>,
}

/// All rate limits.
#[derive(Default)]
pub struct Rates {
    slots: Vec<Slot>,
    /// Places of limits by their ids.
    places: HashMap<String, usize>,
    index: Index,
}

impl Rates {
    /// Adds a limit, or changes the one with its id, whose place it returns: what was counted there
    /// counts no more.
    pub(crate) fn set(&mut self, limit: RateLimit) -> Option<usize> {
        let known = self.places.get(&limit.id).copied();
        let slot = Slot { limit, accounts: Accounts::default() };
        match known {
            None => {
                self.index.add(self.slots.len(), &slot.limit.scope);
                self.places.insert(slot.limit.id.clone(), self.slots.len());
                self.slots.push(slot);
            }
            Some(place) => {
                self.slots[place] = slot;
                self.reindex();
            }
        }
        known
    }

    /// Takes the limit with this id away, and returns its place: those after it move up.
    pub(crate) fn remove(&mut self, id: &str) -> Option<usize> {
        let place = self.places.get(id).copied()?;
        self.slots.remove(place);
        self.reindex();
        Some(place)
    }

    fn reindex(&mut self) {
        self.index = Index::of(self.slots.iter().map(|slot| &slot.limit.scope).enumerate());
        let ids = self.slots.iter().map(|slot| slot.limit.id.clone());
        self.places = ids.enumerate().map(|(place, id)| (id, place)).collect();
    }

    /// Whether a limit looks at what requests are the same.
    pub fn compares(&self) -> bool {
        self.slots.iter().any(|slot| slot.limit.identical.is_some())
    }

    /// Whether a limit looks at how many calls there are at once.
    pub fn counts_at_once(&self) -> bool {
        self.slots.iter().any(|slot| slot.limit.concurrent.is_some())
    }

    /// The places of the limits that match a call, or the one that it has to wait for longest.
    pub(crate) fn find(
        &self,
        ask: &Ask<'_>,
        subject: &Subject<'_>,
        tokens: i128,
    ) -> Result<Vec<usize>, Box<Limited>> {
        let found = self.matching(subject);
        let mut longest: Option<(i128, Limited)> = None;
        let nothing = Account::default();
        for place in &found {
            let Slot { limit, accounts } = &self.slots[*place];
            let instance = limit.scope.instance(subject);
            let account = accounts.get(instance).unwrap_or(&nothing);
            if let Some((rate, quota, wait)) = account.wait(limit, ask, tokens)
                && longest.as_ref().is_none_or(|(known, _)| *known < wait)
            {
                let limited = Limited {
                    limit: limit.id.clone(),
                    name: limit.name.clone(),
                    instance: instance.map(str::to_owned),
                    rate,
                    quota,
                    retry_after_s: seconds(wait),
                };
                longest = Some((wait, limited));
            }
        }
        match longest {
            None => Ok(found),
            Some((_, limited)) => Err(Box::new(limited)),
        }
    }

    fn matching(&self, subject: &Subject<'_>) -> Vec<usize> {
        self.index.find(subject, |place| &self.slots[place].limit.scope)
    }

    /// Counts a call that goes, and what in its `parts`.
    pub(crate) fn take(
        &mut self,
        found: &[usize],
        ask: &Ask<'_>,
        subject: &Subject<'_>,
        tokens: i128,
        parts: &mut Vec<Part>,
    ) {
        for place in found {
            let Slot { limit, accounts } = &mut self.slots[*place];
            accounts.open(limit.scope.instance(subject)).take(limit, ask, tokens);
            parts.push(Part { place: *place, tokens, is_under_way: true });
        }
    }

    /// A call is no longer under way.
    pub(crate) fn ended(&mut self, parts: &mut [Part], subject: &Subject<'_>) {
        for part in parts {
            if std::mem::take(&mut part.is_under_way)
                && let Some((_, account)) = self.account(part, subject)
            {
                account.under_way = account.under_way.saturating_sub(1);
            }
        }
    }

    /// A call is booked, with so many tokens.
    pub(crate) fn settle(&mut self, parts: &mut [Part], subject: &Subject<'_>, tokens: i128) {
        self.ended(parts, subject);
        for part in parts {
            if let Some((limit, account)) = self.account(part, subject)
                && let Some(more) = share(tokens.saturating_sub(part.tokens), limit.tokens.unwrap_or(0))
            {
                account.tokens.empty_at = account.tokens.empty_at.saturating_add(more);
            }
        }
    }

    fn account(&mut self, part: &Part, subject: &Subject<'_>) -> Option<(&RateLimit, &mut Account)> {
        let Slot { limit, accounts } = self.slots.get_mut(part.place)?;
        let account = accounts.get_mut(limit.scope.instance(subject))?;
        Some((limit, account))
    }

    /// Time passes: what has run out is forgotten.
    pub(crate) fn tick(&mut self, now: Timestamp) {
        let now = now.as_nanosecond();
        for slot in &mut self.slots {
            slot.accounts.retain(|_, account| {
                account.same.retain(|_, bucket| bucket.empty_at > now);
                !account.is_idle(now)
            });
        }
    }

    /// Every limit that applies to a call.
    pub fn applying(&self, subject: &Subject<'_>, now: Timestamp) -> Vec<RateStanding> {
        let of = |place: usize| {
            let slot = &self.slots[place];
            slot.standing(slot.limit.scope.instance(subject), now)
        };
        self.matching(subject).into_iter().map(of).collect()
    }

    /// Every limit that may apply to calls on an account, with what else it asks of them.
    pub fn concerning(
        &self,
        who: &Attribution,
        now: Timestamp,
    ) -> Vec<(RateStanding, BTreeMap<Dimension, String>)> {
        let of = |slot: &Slot| {
            let asked = slot.limit.scope.asks_of(who)?;
            let each = slot.limit.scope.each.as_ref();
            let instance = each.and_then(|each| each.on_account(who));
            Some((slot.standing(instance, now), asked))
        };
        self.slots.iter().filter_map(of).collect()
    }
}

impl Slot {
    fn standing(&self, instance: Option<&str>, now: Timestamp) -> RateStanding {
        let now = now.as_nanosecond();
        let account = self.accounts.get(instance).cloned().unwrap_or_default();
        RateStanding {
            limit: self.limit.id.clone(),
            instance: instance.map(str::to_owned),
            requests_left: self.limit.requests.map(|quota| account.requests.left(now, quota)),
            tokens_left: self.limit.tokens.map(|quota| account.tokens.left(now, quota)),
            under_way: account.under_way,
        }
    }
}

/// Whole seconds, 1 at least.
fn seconds(wait: i128) -> u32 {
    let seconds = (wait + 999_999_999) / 1_000_000_000;
    u32::try_from(seconds.clamp(1, WAIT_SECONDS_MAX)).unwrap_or(1)
}

impl fmt::Display for RateLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [
            (self.requests, "requests a minute"),
            (self.tokens, "tokens a minute"),
            (self.concurrent, "calls at once"),
            (self.identical, "requests a minute that are the same"),
        ];
        let parts: Vec<String> =
            parts.iter().filter_map(|(quota, unit)| Some(format!("{} {unit}", (*quota)?))).collect();
        write!(f, "{} may be at most {}.", self.scope, parts.join(", "))
    }
}

impl fmt::Display for Limited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Rate limit '{}'", self.name)?;
        if let Some(value) = &self.instance {
            write!(f, " for {value}")?;
        }
        let unit = match self.rate {
            Rate::Requests => "requests a minute",
            Rate::Tokens => "tokens a minute",
            Rate::Concurrent => "calls at once",
            Rate::Identical => "requests a minute that are the same: it looks like a loop",
        };
        write!(f, " lets go {} {unit}. Try again in {} s.", self.quota, self.retry_after_s)
    }
}
