//! The state machine: one decision over all budgets that match a call, holds, bookings.

use crate::account::{Account, Sums};
use crate::alert::{Crossing, Turn};
use crate::definition::{AtLimit, Budget, Limit, Mode};
use crate::scope::{Index, Subject};
use crate::typical::{Typical, Used};
use crate::window::Window;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use tollbook_types::{Attribution, Dimension, Money, Seq, Timestamp};

/// The longest that a throttled caller is asked to wait.
const WAIT_SECONDS_MAX: i128 = 60;

/// Why the cost of a call has no bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limits {
    /// The model has no price.
    Unpriced,
    /// Nothing bounds what it may use.
    Unbounded,
}

/// The most that a call can use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bound {
    /// Its cost.
    pub cost: Result<Money, Limits>,
    /// Its tokens, in and out; `None` if nothing bounds them.
    pub tokens: Option<u64>,
}

/// A call that asks to be let go.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// The hold's id: that of the call.
    pub id: &'a str,
    /// Its admission.
    pub at: Timestamp,
    /// What is known of it.
    pub subject: Subject<'a>,
    /// The most that it can use.
    pub worst: Bound,
    /// The most that it can use with an answer of a usual length, for calls of which nothing is known.
    pub usual: Bound,
    /// When the hold goes by itself. Without it, never: it goes with its call.
    pub expires_at: Option<Timestamp>,
    /// Whether the model is one that a budget had it changed to.
    pub is_downgraded: bool,
}

/// What a call is let go with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Admitted {
    /// What is held for it: the most in any of the budgets that count money.
    pub held: Option<Money>,
    /// What is left of the tightest budget that counts money, after the hold.
    pub left: Option<Money>,
    /// How many budgets it was held against.
    pub budgets: usize,
    /// Whether one of them is strict, and does more than warn.
    pub is_strict: bool,
}

/// Why a call is not let go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It does not fit.
    Spent,
    /// It is too soon.
    Throttled {
        /// Seconds after which it may go.
        retry_after_s: u32,
    },
    /// Under a strict budget, a call without a bound.
    NoBound(Limits),
    /// Not with this model: ask again with the other.
    Downgrade {
        /// The other model.
        to: String,
    },
}

/// A call that is not let go, and by which budget.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denied {
    /// Why.
    pub reason: Reason,
    /// Where the budget stands.
    pub standing: Standing,
    /// What the call would have needed of it; `None` if that is not known.
    pub needed: Option<i128>,
}

/// Where a budget, or one value of its `each`, stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The budget's id.
    pub budget: String,
    /// Its name.
    pub name: String,
    /// The value of its `each`.
    pub instance: Option<String>,
    /// The unit.
    pub unit: Limit,
    /// What it has used.
    pub sums: Sums,
    /// The limit, with what it is raised by.
    pub limit: i128,
    /// The first instant that counts; `None` for all time.
    pub since: Option<Timestamp>,
    /// When a new window begins, if it does.
    pub resets_at: Option<Timestamp>,
}

impl Standing {
    /// What is left; never below nothing.
    pub fn left(&self) -> i128 {
        self.limit.saturating_sub(self.sums.used()).max(0)
    }
}

/// One model's part of what is booked. Corrections have negative members.
#[derive(Clone, Copy, Debug)]
pub struct Item<'a> {
    /// The model that it is for.
    pub model: &'a str,
    /// Its cost; nothing where it is not known.
    pub cost: Money,
    /// Its tokens.
    pub tokens: i128,
    /// 1 for the call itself.
    pub calls: i128,
    /// The most that it can have cost, where that is not known.
    pub unsettled: Money,
}

/// An entry of the books, or a correction of one.
#[derive(Clone, Copy, Debug)]
pub struct Booking<'a> {
    /// The position of its record.
    pub seq: Seq,
    /// When the call was admitted or occurred.
    pub at: Timestamp,
    /// What is known of it; the model is that of each item.
    pub subject: Subject<'a>,
    /// What it used.
    pub items: &'a [Item<'a>],
    /// The hold that it settles.
    pub hold: Option<&'a str>,
    /// Whether it tells what such calls usually use: a priced call that went well.
    pub is_typical: bool,
}

/// What a booking did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Booked {
    /// A hold was settled.
    pub settled: bool,
    /// It cost more than was held for it in a strict budget.
    pub exceeded: bool,
}

/// A hold, with what a later budget needs to know of it.
#[derive(Clone, Debug)]
pub struct Hold {
    at: Timestamp,
    provider: String,
    request_model: Option<String>,
    who: Arc<Attribution>,
    worst: Bound,
    expires_at: Option<Timestamp>,
    /// Budget, value of its `each`, amount.
    parts: Vec<(String, Option<String>, i128)>,
    strict_picos: Option<i128>,
}

/// What a budget begins with: what its calls used, up to a position.
#[derive(Clone, Debug, Default)]
pub struct Start {
    /// The last record that is in the sums.
    pub through: Seq,
    /// Value of `each`, an instant in the window or its part, what counts then.
    pub used: Vec<(Option<String>, Timestamp, Sums)>,
}

struct Slot {
    budget: Budget,
    through: Seq,
    accounts: HashMap<Option<String>, Account>,
    /// Until when no account changes by the passing of time alone.
    quiet_until: Option<Timestamp>,
}

/// All budgets and holds.
#[derive(Default)]
pub struct Engine {
    slots: Vec<Slot>,
    /// Places of budgets by their ids.
    places: HashMap<String, usize>,
    index: Index,
    holds: HashMap<String, Hold>,
    typical: Typical,
    crossings: Vec<Crossing>,
}

/// What one budget asks of a call.
struct Claim {
    place: usize,
    instance: Option<String>,
    amount: i128,
    next_at: Option<Timestamp>,
}

impl Engine {
    /// Adds a budget, or changes the one with its id, at `now`. It begins with what `start` says, and
    /// with holds of the calls in flight that it is for. Thresholds that are passed already are not
    /// told again.
    pub fn set(&mut self, budget: Budget, start: &Start, now: Timestamp) {
        let mut slot = Slot { budget, through: start.through, accounts: HashMap::new(), quiet_until: None };
        for (instance, at, sums) in &start.used {
            let account = slot.accounts.entry(instance.clone()).or_default();
            account.advance(&slot.budget, now);
            account.add(&slot.budget, *at, *sums);
        }
        for account in slot.accounts.values_mut() {
            let (spent, limit) = (account.sums(&slot.budget, now).spent, slot.budget.limit_at(now));
            account.fired.assume(&slot.budget.warn_at, spent, limit);
        }
        for hold in self.holds.values_mut() {
            hold.parts.retain(|(budget, _, _)| *budget != slot.budget.id);
            let subject = hold.subject();
            if slot.budget.scope.admits(&subject) {
                let amount = worst_amount(slot.budget.limit, &hold.worst).unwrap_or(0);
                let instance = slot.budget.scope.instance(&subject);
                let account = slot.accounts.entry(instance.clone()).or_default();
                account.advance(&slot.budget, now);
                account.add(&slot.budget, hold.at, Sums { held: amount, ..Sums::default() });
                hold.parts.push((slot.budget.id.clone(), instance, amount));
            }
        }
        match self.places.get(&slot.budget.id) {
            Some(place) => self.slots[*place] = slot,
            None => self.slots.push(slot),
        }
        self.reindex();
    }

    /// Takes a budget away.
    pub fn remove(&mut self, id: &str) {
        self.slots.retain(|slot| slot.budget.id != id);
        for hold in self.holds.values_mut() {
            hold.parts.retain(|(budget, _, _)| budget != id);
        }
        self.reindex();
    }

    fn reindex(&mut self) {
        self.index = Index::of(self.slots.iter().map(|slot| &slot.budget.scope).enumerate());
        let ids = self.slots.iter().map(|slot| slot.budget.id.clone());
        self.places = ids.enumerate().map(|(place, id)| (id, place)).collect();
    }

    /// The budgets.
    pub fn budgets(&self) -> impl Iterator<Item = &Budget> {
        self.slots.iter().map(|slot| &slot.budget)
    }

    /// Lets a call go against all budgets that match it, or says which one is in the way. Nothing is
    /// held by those that were not in the way then.
    pub fn admit(&mut self, ask: &Ask<'_>) -> Result<Admitted, Box<Denied>> {
        let mut claims = Vec::new();
        for place in self.index.find(&ask.subject) {
            claims.push(self.claim(place, ask)?);
        }
        let mut admitted = Admitted { held: None, left: None, budgets: claims.len(), is_strict: false };
        let mut hold = Hold::of(ask);
        for claim in claims {
            let slot = &mut self.slots[claim.place];
            let budget = &slot.budget;
            admitted.is_strict |= budget.mode == Mode::Strict && budget.at_limit != AtLimit::Warn;
            let account = slot.accounts.entry(claim.instance.clone()).or_default();
            account.add(budget, ask.at, Sums { held: claim.amount, ..Sums::default() });
            if claim.next_at.is_some() {
                account.next_at = claim.next_at;
            }
            if matches!(budget.limit, Limit::Usd(_)) {
                let left = budget.limit_at(ask.at).saturating_sub(account.sums(budget, ask.at).used()).max(0);
                let least = admitted.left.map_or(left, |known| known.picos().min(left));
                let most = admitted.held.map_or(claim.amount, |known| known.picos().max(claim.amount));
                admitted.left = Some(Money::from_picos(least));
                admitted.held = Some(Money::from_picos(most));
                if budget.mode == Mode::Strict {
                    hold.strict_picos = Some(claim.amount);
                }
            }
            hold.parts.push((budget.id.clone(), claim.instance, claim.amount));
        }
        if !hold.parts.is_empty() || ask.expires_at.is_some() {
            self.holds.insert(ask.id.to_owned(), hold);
        }
        Ok(admitted)
    }

    /// Knows a hold of before again, without asking: budgets that are set afterwards hold for it.
    pub fn restore(&mut self, ask: &Ask<'_>) {
        self.holds.insert(ask.id.to_owned(), Hold::of(ask));
    }

    /// Whether there is a hold with this id.
    pub fn is_held(&self, id: &str) -> bool {
        self.holds.contains_key(id)
    }

    /// What a budget asks of a call, if it fits.
    fn claim(&mut self, place: usize, ask: &Ask<'_>) -> Result<Claim, Box<Denied>> {
        self.advance(place, &ask.subject, ask.at);
        let slot = &self.slots[place];
        let budget = &slot.budget;
        let instance = budget.scope.instance(&ask.subject);
        let account = slot.accounts.get(&instance);
        let sums = account.map(|account| account.sums(budget, ask.at)).unwrap_or_default();
        let limit = budget.limit_at(ask.at);
        let deny = |reason: Reason, needed: Option<i128>| {
            Box::new(Denied {
                reason,
                standing: standing(budget, instance.as_deref(), account, ask.at),
                needed,
            })
        };
        let amount = match (self.amount(budget, ask), &budget.at_limit) {
            (Ok(amount), _) => amount,
            (Err(_), AtLimit::Warn) => 0,
            (Err(why), _) => return Err(deny(Reason::NoBound(why), None)),
        };
        let used = match budget.mode {
            Mode::Strict => sums.used(),
            Mode::Expected => sums.spent.saturating_add(sums.held),
        };
        let fits = used.saturating_add(amount) <= limit;
        let is_near = used.saturating_mul(100) >= limit.saturating_mul(i128::from(budget.nearing_percent()));
        let mut next_at = None;
        match &budget.at_limit {
            AtLimit::Warn => {}
            AtLimit::Block if fits => {}
            AtLimit::Block => return Err(deny(Reason::Spent, Some(amount))),
            AtLimit::Throttle if fits && !is_near => {}
            AtLimit::Throttle => {
                let earliest = account.and_then(|account| account.next_at).filter(|next| *next > ask.at);
                let wait = match earliest {
                    _ if !fits => Some(WAIT_SECONDS_MAX),
                    Some(next) => Some(i128::from(next.as_second() - ask.at.as_second()).max(1)),
                    None => None,
                };
                if let Some(wait) = wait {
                    let retry_after_s = u32::try_from(wait.min(WAIT_SECONDS_MAX)).unwrap_or(1);
                    return Err(deny(Reason::Throttled { retry_after_s }, Some(amount)));
                }
                next_at = pace(budget, ask.at, amount, limit.saturating_sub(used));
            }
            AtLimit::Downgrade { .. } if fits && !is_near => {}
            AtLimit::Downgrade { .. } if ask.is_downgraded => {}
            AtLimit::Downgrade { models } => {
                let asked = ask.subject.request_model;
                match models.iter().find(|(from, _)| Some(from.as_str()) == asked) {
                    Some((_, to)) => return Err(deny(Reason::Downgrade { to: to.clone() }, Some(amount))),
                    None if fits => {}
                    // The models that others are changed to stay open.
                    None if models.iter().any(|(_, to)| Some(to.as_str()) == asked) => {}
                    None => return Err(deny(Reason::Spent, Some(amount))),
                }
            }
        }
        Ok(Claim { place, instance, amount, next_at })
    }

    /// What a call counts as while it is in flight.
    fn amount(&self, budget: &Budget, ask: &Ask<'_>) -> Result<i128, Limits> {
        if budget.mode == Mode::Strict {
            return worst_amount(budget.limit, &ask.worst);
        }
        let model = ask.subject.request_model.unwrap_or_default();
        let typical = self.typical.of(ask.subject.who.operation.as_deref(), model);
        Ok(match (budget.limit, typical) {
            (Limit::Calls(_), _) => 1,
            (Limit::Usd(_), Some(used)) => used.picos,
            (Limit::Tokens(_), Some(used)) => used.tokens,
            // What has no price is let go: there is nothing to hold, and an alert says so.
            (limit, None) => worst_amount(limit, &ask.usual).unwrap_or(0),
        })
    }

    /// Books an entry or a correction: it settles its hold, and counts in every budget that it
    /// matches and that does not have it already.
    pub fn book(&mut self, booking: &Booking<'_>, now: Timestamp) -> Booked {
        let mut booked = Booked::default();
        let mut touched: Vec<(usize, Option<String>)> = Vec::new();
        if let Some(hold) = booking.hold.and_then(|id| self.holds.remove(id)) {
            self.let_go(&hold, now);
            let cost = booking.items.iter().fold(0_i128, |sum, item| sum.saturating_add(item.cost.picos()));
            booked =
                Booked { settled: true, exceeded: hold.strict_picos.is_some_and(|strict| cost > strict) };
        }
        let mut used = Used::default();
        for item in booking.items {
            used.picos = used.picos.saturating_add(item.cost.picos());
            used.tokens = used.tokens.saturating_add(item.tokens);
            let subject = Subject { model: Some(item.model), ..booking.subject };
            for place in self.index.find(&subject) {
                if booking.seq <= self.slots[place].through {
                    continue;
                }
                self.advance(place, &subject, now);
                let slot = &mut self.slots[place];
                let instance = slot.budget.scope.instance(&subject);
                let account = slot.accounts.entry(instance.clone()).or_default();
                account.add(&slot.budget, booking.at, item_sums(slot.budget.limit, item));
                if !touched.contains(&(place, instance.clone())) {
                    touched.push((place, instance));
                }
            }
        }
        for (place, instance) in touched {
            self.look(place, &instance, now);
        }
        if booking.is_typical
            && let Some(model) =
                booking.subject.request_model.or(booking.items.first().map(|item| item.model))
        {
            self.typical.learn(booking.subject.who.operation.as_deref(), model, used);
        }
        booked
    }

    /// Gives back what was held for a call that costs nothing. False if there is no such hold.
    pub fn release(&mut self, id: &str, now: Timestamp) -> bool {
        let hold = self.holds.remove(id);
        hold.map(|hold| self.let_go(&hold, now)).is_some()
    }

    /// Time passes: windows begin anew, holds expire, idle accounts are forgotten.
    pub fn tick(&mut self, now: Timestamp) {
        let is_over = |hold: &Hold| hold.expires_at.is_some_and(|end| end <= now);
        let over: Vec<String> =
            self.holds.iter().filter(|(_, hold)| is_over(hold)).map(|(id, _)| id.clone()).collect();
        for id in over {
            self.release(&id, now);
        }
        for place in 0..self.slots.len() {
            if self.slots[place].quiet_until.is_some_and(|until| now < until) {
                continue;
            }
            let instances: Vec<Option<String>> = self.slots[place].accounts.keys().cloned().collect();
            for instance in instances {
                self.advance_instance(place, &instance, now);
                self.look(place, &instance, now);
            }
            let slot = &mut self.slots[place];
            slot.accounts.retain(|_, account| !account.is_idle());
            slot.quiet_until = Some(slot.budget.changes_after(now));
        }
    }

    /// Thresholds that were passed since this was asked last.
    pub fn take_crossings(&mut self) -> Vec<Crossing> {
        std::mem::take(&mut self.crossings)
    }

    /// Where a budget stands: every value of its `each` with something in its window, by what is
    /// used, most first; without `each`, one.
    pub fn standings(&self, id: &str, now: Timestamp) -> Vec<Standing> {
        let Some(slot) = self.places.get(id).map(|place| &self.slots[*place]) else { return Vec::new() };
        let of = |(instance, account): (&Option<String>, &Account)| {
            standing(&slot.budget, instance.as_deref(), Some(account), now)
        };
        let mut all: Vec<Standing> = slot.accounts.iter().map(of).collect();
        if slot.budget.scope.each.is_none() && all.is_empty() {
            all.push(standing(&slot.budget, None, None, now));
        }
        all.sort_by(|a, b| (b.sums.used(), &a.instance).cmp(&(a.sums.used(), &b.instance)));
        all
    }

    /// Every limit that applies to a call, in the order in which they are asked.
    pub fn applying(&self, subject: &Subject<'_>, now: Timestamp) -> Vec<Standing> {
        let of = |place: usize| {
            let slot = &self.slots[place];
            let instance = slot.budget.scope.instance(subject);
            standing(&slot.budget, instance.as_deref(), slot.accounts.get(&instance), now)
        };
        self.index.find(subject).into_iter().map(of).collect()
    }

    /// Every limit that may apply to calls on an account, with what else it asks of them.
    pub fn concerning(
        &self,
        who: &Attribution,
        now: Timestamp,
    ) -> Vec<(Standing, BTreeMap<Dimension, String>)> {
        let of = |slot: &Slot| {
            let asked = slot.budget.scope.asks_of(who)?;
            let each = slot.budget.scope.each.as_ref();
            let instance = each.and_then(|each| each.on_account(who)).map(str::to_owned);
            let account = slot.accounts.get(&instance);
            Some((standing(&slot.budget, instance.as_deref(), account, now), asked))
        };
        self.slots.iter().filter_map(of).collect()
    }

    /// How many holds there are.
    pub fn holds(&self) -> usize {
        self.holds.len()
    }

    fn let_go(&mut self, hold: &Hold, now: Timestamp) {
        for (id, instance, amount) in &hold.parts {
            let Some(place) = self.places.get(id).copied() else { continue };
            self.advance_instance(place, instance, now);
            let slot = &mut self.slots[place];
            if let Some(account) = slot.accounts.get_mut(instance) {
                account.add(&slot.budget, hold.at, Sums { held: -amount, ..Sums::default() });
            }
        }
    }

    fn advance(&mut self, place: usize, subject: &Subject<'_>, now: Timestamp) {
        let slot = &mut self.slots[place];
        let instance = slot.budget.scope.instance(subject);
        slot.accounts.entry(instance.clone()).or_default();
        self.advance_instance(place, &instance, now);
    }

    fn advance_instance(&mut self, place: usize, instance: &Option<String>, now: Timestamp) {
        let slot = &mut self.slots[place];
        let Some(account) = slot.accounts.get_mut(instance) else { return };
        let before = account.first();
        if account.advance(&slot.budget, now) {
            let turns = account.fired.end();
            let told = Told { slot: &slot.budget, instance, window: before, spent: 0, now };
            self.crossings.extend(told.crossings(turns));
        }
    }

    fn look(&mut self, place: usize, instance: &Option<String>, now: Timestamp) {
        let slot = &mut self.slots[place];
        let Some(account) = slot.accounts.get_mut(instance) else { return };
        let (spent, limit) = (account.sums(&slot.budget, now).spent, slot.budget.limit_at(now));
        let may_repeat = matches!(slot.budget.window, Window::Rolling { .. });
        let turns = account.fired.look(&slot.budget.warn_at, spent, limit, may_repeat);
        let told = Told { slot: &slot.budget, instance, window: account.first(), spent, now };
        self.crossings.extend(told.crossings(turns));
    }
}

/// What crossings have in common.
struct Told<'a> {
    slot: &'a Budget,
    instance: &'a Option<String>,
    window: Option<Timestamp>,
    spent: i128,
    now: Timestamp,
}

impl Told<'_> {
    fn crossings(&self, turns: Vec<(u32, Turn)>) -> Vec<Crossing> {
        let crossing = |(percent, turn)| Crossing {
            budget: self.slot.id.clone(),
            instance: self.instance.clone(),
            window: self.window.filter(|_| self.slot.window != Window::Total),
            percent,
            spent: self.spent,
            limit: self.slot.limit_at(self.now),
            at: self.now,
            turn,
        };
        turns.into_iter().map(crossing).collect()
    }
}

impl Hold {
    fn of(ask: &Ask<'_>) -> Hold {
        Hold {
            at: ask.at,
            provider: ask.subject.provider.to_owned(),
            request_model: ask.subject.request_model.map(str::to_owned),
            who: Arc::new(ask.subject.who.clone()),
            worst: ask.worst,
            expires_at: ask.expires_at,
            parts: Vec::new(),
            strict_picos: None,
        }
    }

    fn subject(&self) -> Subject<'_> {
        Subject {
            provider: &self.provider,
            request_model: self.request_model.as_deref(),
            model: None,
            who: &self.who,
        }
    }
}

/// The most that a call can use, in the unit of the limit.
fn worst_amount(limit: Limit, bound: &Bound) -> Result<i128, Limits> {
    match limit {
        Limit::Usd(_) => bound.cost.map(Money::picos),
        Limit::Tokens(_) => bound.tokens.map(i128::from).ok_or(Limits::Unbounded),
        Limit::Calls(_) => Ok(1),
    }
}

fn item_sums(limit: Limit, item: &Item<'_>) -> Sums {
    match limit {
        Limit::Usd(_) => Sums { spent: item.cost.picos(), held: 0, unsettled: item.unsettled.picos() },
        Limit::Tokens(_) => Sums { spent: item.tokens, ..Sums::default() },
        Limit::Calls(_) => Sums { spent: item.calls, ..Sums::default() },
    }
}

/// When the next call may go, so that what is left lasts to the end of the window.
fn pace(budget: &Budget, now: Timestamp, amount: i128, left: i128) -> Option<Timestamp> {
    let seconds_left = match budget.window {
        Window::Rolling { minutes } => i64::from(minutes) * 60,
        Window::Calendar(period) => period.end(now, &budget.zone.1).as_second() - now.as_second(),
        Window::Total => return None,
    };
    let wait = amount.saturating_mul(i128::from(seconds_left)).checked_div(left)?;
    let wait = i64::try_from(wait.clamp(0, WAIT_SECONDS_MAX)).unwrap_or(0);
    Timestamp::from_second(now.as_second() + wait).ok()
}

fn standing(budget: &Budget, instance: Option<&str>, account: Option<&Account>, now: Timestamp) -> Standing {
    // A clock that was set back does not reopen a window.
    let now = account.and_then(Account::first).map_or(now, |first| now.max(first));
    let range = budget.window.range(now, &budget.zone.1);
    Standing {
        budget: budget.id.clone(),
        name: budget.name.clone(),
        instance: instance.map(str::to_owned),
        unit: budget.limit,
        sums: account.map(|account| account.sums(budget, now)).unwrap_or_default(),
        limit: budget.limit_at(now),
        since: range.from,
        resets_at: range.to,
    }
}
