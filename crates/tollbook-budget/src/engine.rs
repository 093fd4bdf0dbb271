//! The state machine: one decision over all budgets that match a call, holds, bookings.

use crate::account::{Account, Sums};
use crate::accounts::Accounts;
use crate::alert::{Crossing, Remembered, Turn};
use crate::definition::{AtLimit, Budget, Limit, Mode};
use crate::hold::{Hold, Holds, Share};
use crate::question::{
    Admitted, Ask, Booked, Booking, Bound, Denied, Item, Limits, Reason, Refused, Standing, Start,
};
use crate::rates::{RateLimit, Rates};
use crate::scope::{Index, Subject};
use crate::typical::{Typical, Used};
use crate::window::Window;
use hashbrown::HashMap;
use std::collections::BTreeMap;
use tollbook_types::{Attribution, Dimension, Money, Seq, Timestamp};

/// The longest that a throttled caller is asked to wait.
const WAIT_SECONDS_MAX: i128 = 60;

/// So many accounts of a budget are opened by calls that it refuses, which cost their callers nothing.
const REFUSED_ACCOUNTS_MAX: usize = 4_096;

struct Slot {
    budget: Budget,
    through: Seq,
    accounts: Accounts<Account>,
    /// Until when no account changes by the passing of time alone.
    quiet_until: Option<Timestamp>,
}

/// All budgets, rate limits and holds.
#[derive(Default)]
pub struct Engine {
    /// Rate limits: they are asked in the same decision.
    pub rates: Rates,
    slots: Vec<Slot>,
    /// Places of budgets by their ids.
    places: HashMap<String, usize>,
    index: Index,
    /// Their shares name budgets and rate limits by place.
    holds: Holds,
    typical: Typical,
    crossings: Vec<Crossing>,
}

/// What one budget asks of a call.
struct Claim {
    share: Share,
    next_at: Option<Timestamp>,
}

impl Engine {
    /// Adds a budget, or changes the one with its id, at `now`. It begins with what `start` says, and
    /// with holds of the calls in flight that it is for. Thresholds that are passed already are told
    /// with the next look, unless they are [`Engine::remember`]ed.
    pub fn set(&mut self, budget: Budget, start: &Start, now: Timestamp) {
        let known = self.places.get(&budget.id).copied();
        let place = known.unwrap_or(self.slots.len());
        let through = start.through;
        let mut slot = Slot { budget, through, accounts: Accounts::default(), quiet_until: None };
        for (instance, at, sums) in &start.used {
            let account = slot.accounts.open(instance.as_deref());
            account.advance(&slot.budget, now);
            account.add(&slot.budget, *at, *sums);
        }
        for hold in self.holds.values_mut() {
            hold.parts.retain(|share| share.place != place);
            let subject = hold.subject();
            if slot.budget.scope.admits(&subject) {
                let amount = worst_amount(slot.budget.limit, &hold.worst).unwrap_or(0);
                let account = slot.accounts.open(slot.budget.scope.instance(&subject));
                account.advance(&slot.budget, now);
                let key = slot.budget.window.key(hold.at, &slot.budget.zone.1);
                account.add_to(key, Sums { held: amount, ..Sums::default() });
                if slot.budget.is_strict_on_money() {
                    hold.strict_picos = Some(amount);
                }
                hold.parts.push(Share { place, amount, key });
            }
        }
        match self.slots.get_mut(place) {
            None => {
                self.index.add(place, &slot.budget.scope);
                self.places.insert(slot.budget.id.clone(), place);
                self.slots.push(slot);
            }
            Some(known) => {
                *known = slot;
                self.reindex();
            }
        }
    }

    /// Thresholds of a budget that were told before, in whatever window: they are not told again, and
    /// taken back when they hold no more.
    pub fn remember(&mut self, id: &str, told: &[Remembered], now: Timestamp) {
        let Some(slot) = self.places.get(id).map(|place| &mut self.slots[*place]) else { return };
        let may_repeat = matches!(slot.budget.window, Window::Rolling { .. });
        for Remembered { instance, window, percent, limit, holds } in told {
            let account = slot.accounts.open(instance.as_deref());
            account.advance(&slot.budget, now);
            let is_present = match slot.budget.window {
                Window::Calendar(_) => account.first() == *window,
                Window::Rolling { .. } | Window::Total => true,
            };
            if is_present && slot.budget.warn_at.contains(percent) {
                account.fired.remember(*percent, *limit, *holds, may_repeat);
            }
        }
        slot.quiet_until = None;
    }

    /// Takes a budget away.
    pub fn remove(&mut self, id: &str) {
        let Some(place) = self.places.get(id).copied() else { return };
        self.slots.remove(place);
        for hold in self.holds.values_mut() {
            hold.parts.retain(|share| share.place != place);
            // Those after it have moved up.
            hold.parts.iter_mut().filter(|share| share.place > place).for_each(|share| share.place -= 1);
        }
        self.reindex();
    }

    /// Adds a rate limit, or changes the one with its id, which begins with nothing used then.
    pub fn set_rate_limit(&mut self, limit: RateLimit) {
        if let Some(place) = self.rates.set(limit) {
            self.holds.values_mut().for_each(|hold| hold.rates.retain(|part| part.place != place));
        }
    }

    /// Takes a rate limit away.
    pub fn remove_rate_limit(&mut self, id: &str) {
        let Some(place) = self.rates.remove(id) else { return };
        for hold in self.holds.values_mut() {
            hold.rates.retain(|part| part.place != place);
            hold.rates.iter_mut().filter(|part| part.place > place).for_each(|part| part.place -= 1);
        }
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

    /// Lets a call go against all budgets and rate limits that match it, or says which one is in the
    /// way. Nothing is held by those that were not in the way then.
    pub fn admit(&mut self, ask: &Ask<'_>) -> Result<Admitted, Refused> {
        let (subject, typical) = (ask.subject(), self.typical_of(ask));
        let tokens = tokens(ask, typical);
        let rates = self.rates.find(ask, &subject, tokens).map_err(Refused::Rate)?;
        let claims = self.claims(ask, &subject, typical)?;
        let mut admitted = Admitted { held: None, left: None, budgets: claims.len(), is_strict: false };
        let (id, mut hold) = self.holds.blank(ask);
        self.rates.take(&rates, ask, &subject, tokens, &mut hold.rates);
        hold.parts.reserve_exact(claims.len());
        for Claim { share, next_at } in claims {
            let Slot { budget, accounts, .. } = &mut self.slots[share.place];
            admitted.is_strict |= budget.mode == Mode::Strict && budget.at_limit != AtLimit::Warn;
            let instance = budget.scope.instance(&subject);
            let account = accounts.open(instance);
            advance(budget, instance, account, ask.at, &mut self.crossings);
            account.add_to(share.key, Sums { held: share.amount, ..Sums::default() });
            account.next_at = next_at.or(account.next_at);
            if matches!(budget.limit, Limit::Usd(_)) {
                let counted = account.sums(budget, ask.at).counted(budget.mode);
                let left = budget.limit_at(ask.at).saturating_sub(counted).max(0);
                let least = admitted.left.map_or(left, |known| known.picos().min(left));
                let most = admitted.held.map_or(share.amount, |known| known.picos().max(share.amount));
                admitted.left = Some(Money::from_picos(least));
                admitted.held = Some(Money::from_picos(most));
                if budget.is_strict_on_money() {
                    hold.strict_picos = Some(share.amount);
                }
            }
            hold.parts.push(share);
        }
        if !hold.parts.is_empty() || !hold.rates.is_empty() || ask.expires_at.is_some() {
            self.holds.insert((id, hold));
        } else {
            self.holds.spare((id, hold));
        }
        Ok(admitted)
    }

    /// Whether a request may go of which nothing will be booked. Nothing is held for it; rate limits
    /// count it as a request.
    pub fn pass(&mut self, ask: &Ask<'_>) -> Result<(), Refused> {
        let subject = ask.subject();
        let rates = self.rates.find(ask, &subject, 0).map_err(Refused::Rate)?;
        self.claims(ask, &subject, self.typical_of(ask))?;
        let mut parts = Vec::new();
        self.rates.take(&rates, ask, &subject, 0, &mut parts);
        self.rates.ended(&mut parts, &subject);
        Ok(())
    }

    /// A call was refused for good: the budget that was in the way counts it, unless it has many
    /// accounts already and this would be one more.
    pub fn count_refused(&mut self, refused: &Refused, now: Timestamp) {
        let Refused::Budget(denied) = refused else { return };
        let Some(place) = self.places.get(&denied.standing.budget).copied() else { return };
        let Slot { budget, accounts, .. } = &mut self.slots[place];
        let instance = denied.standing.instance.as_deref();
        if accounts.len() >= REFUSED_ACCOUNTS_MAX && accounts.get(instance).is_none() {
            return;
        }
        let account = accounts.open(instance);
        advance(budget, instance, account, now, &mut self.crossings);
        let key = account.key(budget, now);
        account.add_to(key, Sums { refused: 1, ..Sums::default() });
    }

    /// What calls of its kind usually use.
    fn typical_of(&self, ask: &Ask<'_>) -> Option<Used> {
        let sent_model = ask.model.or(ask.request_model).unwrap_or_default();
        self.typical.of(ask.who.operation.as_deref(), sent_model)
    }

    fn find(&self, subject: &Subject<'_>) -> Vec<usize> {
        self.index.find(subject, |place| &self.slots[place].budget.scope)
    }

    fn claims(
        &mut self,
        ask: &Ask<'_>,
        subject: &Subject<'_>,
        typical: Option<Used>,
    ) -> Result<Vec<Claim>, Refused> {
        let places = self.find(subject);
        let mut claims = Vec::with_capacity(places.len());
        for place in places {
            claims.push(self.claim(place, ask, subject, typical).map_err(Refused::Budget)?);
        }
        Ok(claims)
    }

    /// A call is no longer under way; what it used is booked later.
    pub fn ended(&mut self, id: &str) {
        if let Some(hold) = self.holds.get_mut(id) {
            let mut parts = std::mem::take(&mut hold.rates);
            self.rates.ended(&mut parts, &hold.subject());
            hold.rates = parts;
        }
    }

    /// Knows a hold of before again, without asking: budgets that are set afterwards hold for it.
    pub fn restore(&mut self, ask: &Ask<'_>) {
        let hold = self.holds.blank(ask);
        self.holds.insert(hold);
    }

    /// Whether there is a hold with this id.
    pub fn is_held(&self, id: &str) -> bool {
        self.holds.get(id).is_some()
    }

    /// What the strict budgets hold for a call, in dollars, if they do.
    pub fn strict_hold(&self, id: &str) -> Option<Money> {
        self.holds.get(id)?.strict_picos.map(Money::from_picos)
    }

    /// What a budget asks of a call, if it fits.
    fn claim(
        &mut self,
        place: usize,
        ask: &Ask<'_>,
        subject: &Subject<'_>,
        typical: Option<Used>,
    ) -> Result<Claim, Box<Denied>> {
        let Slot { budget, accounts, .. } = &mut self.slots[place];
        let instance = budget.scope.instance(subject);
        // Who is refused gets no account: anybody may say to be anybody.
        let mut blank = Account::default();
        let account = accounts.get_mut(instance).unwrap_or(&mut blank);
        advance(budget, instance, account, ask.at, &mut self.crossings);
        let (budget, account) = (&*budget, &*account);
        let sums = account.sums(budget, ask.at);
        let limit = budget.limit_at(ask.at);
        let deny = |reason: Reason, needed: Option<i128>| {
            Box::new(Denied { reason, standing: standing(budget, instance, Some(account), ask.at), needed })
        };
        let (amount, is_known) = match amount(budget, ask, typical) {
            Ok(amount) => (amount, true),
            // What has no price is let go: there is nothing to hold, and an alert says so.
            Err(_) if budget.mode == Mode::Expected || budget.at_limit == AtLimit::Warn => (0, false),
            Err(why) => return Err(deny(Reason::NoBound(why), None)),
        };
        let used = sums.counted(budget.mode);
        // Once all is spent, nothing goes of which it is not known that it is free.
        let fits = used.saturating_add(amount) <= limit && (is_known || used < limit);
        let is_near = used.saturating_mul(100) >= limit.saturating_mul(i128::from(budget.nearing_percent()));
        let is_strict = budget.mode == Mode::Strict;
        let mut next_at = None;
        match &budget.at_limit {
            AtLimit::Warn => {}
            AtLimit::Block if fits => {}
            AtLimit::Block => return Err(deny(Reason::Spent, Some(amount))),
            AtLimit::Throttle if fits && !is_near => {}
            AtLimit::Throttle => {
                let earliest = account.next_at.filter(|next| *next > ask.at);
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
            // A limit that is strict is one for the cheaper model, too.
            AtLimit::Downgrade { .. } if ask.model.is_some() && (fits || !is_strict) => {}
            AtLimit::Downgrade { .. } if ask.model.is_some() => {
                return Err(deny(Reason::Spent, Some(amount)));
            }
            AtLimit::Downgrade { models } => {
                let asked = ask.request_model;
                match models.iter().find(|(from, _)| Some(from.as_str()) == asked) {
                    Some((_, to)) => return Err(deny(Reason::Downgrade { to: to.clone() }, Some(amount))),
                    None if fits => {}
                    // The models that others are changed to stay open.
                    None if !is_strict && models.iter().any(|(_, to)| Some(to.as_str()) == asked) => {}
                    None => return Err(deny(Reason::Spent, Some(amount))),
                }
            }
        }
        Ok(Claim { share: Share { place, amount, key: account.key(budget, ask.at) }, next_at })
    }

    /// Books an entry or a correction: it settles its hold, and counts in every budget that it
    /// matches and that does not have it already.
    pub fn book(&mut self, booking: &Booking<'_>, now: Timestamp) -> Booked {
        let mut booked = Booked::default();
        let mut used = Used::default();
        for item in booking.items {
            used.picos = used.picos.saturating_add(item.cost.picos());
            used.tokens = used.tokens.saturating_add(item.tokens);
        }
        let mut hold = booking.hold.and_then(|id| self.holds.remove(id));
        if let Some((_, hold)) = &mut hold {
            self.let_go(hold, used.tokens, now);
            let exceeded = hold.strict_picos.is_some_and(|strict| used.picos > strict);
            booked = Booked { settled: true, exceeded };
        }
        let mut touched: Vec<(usize, Option<&str>)> = Vec::new();
        for item in booking.items {
            let subject = Subject { model: Some(item.model), ..booking.subject };
            for place in self.find(&subject) {
                let Slot { budget, through, accounts, .. } = &mut self.slots[place];
                if booking.seq <= *through {
                    continue;
                }
                let instance = budget.scope.instance(&subject);
                let account = accounts.open(instance);
                advance(budget, instance, account, now, &mut self.crossings);
                let sums = item_sums(budget.limit, item);
                let share = hold.as_ref().and_then(|(_, hold)| hold.share(place, budget, instance));
                match share {
                    // It counts where it was held, whatever the clock has done since.
                    Some(share) => account.add_to(share.key, sums),
                    None => account.add(budget, booking.at, sums),
                }
                if !touched.contains(&(place, instance)) {
                    touched.push((place, instance));
                }
            }
        }
        for (place, instance) in touched {
            let Slot { budget, accounts, .. } = &mut self.slots[place];
            let account = accounts.open(instance);
            look(budget, instance, account, now, &mut self.crossings);
        }
        let sent = hold.as_ref().and_then(|(_, hold)| hold.sent_model()).or(booking.subject.request_model);
        if booking.is_typical
            && let Some(model) = sent.or(booking.items.first().map(|item| item.model))
        {
            self.typical.learn(booking.subject.who.operation.as_deref(), model, used);
        }
        if let Some(hold) = hold {
            self.holds.spare(hold);
        }
        booked
    }

    /// Gives back what was held for a call that costs nothing. False if there is no such hold.
    pub fn release(&mut self, id: &str, now: Timestamp) -> bool {
        let Some((id, mut hold)) = self.holds.remove(id) else { return false };
        self.let_go(&mut hold, 0, now);
        self.holds.spare((id, hold));
        true
    }

    /// Time passes: windows begin anew, holds expire, idle accounts are forgotten.
    pub fn tick(&mut self, now: Timestamp) {
        self.rates.tick(now);
        let is_over = |hold: &Hold| hold.expires_at.is_some_and(|end| end <= now);
        let over: Vec<String> =
            self.holds.iter().filter(|(_, hold)| is_over(hold)).map(|(id, _)| id.to_owned()).collect();
        for id in over {
            self.release(&id, now);
        }
        for Slot { budget, accounts, quiet_until, .. } in &mut self.slots {
            if quiet_until.is_some_and(|until| now < until) {
                continue;
            }
            accounts.retain(|instance, account| {
                advance(budget, instance, account, now, &mut self.crossings);
                look(budget, instance, account, now, &mut self.crossings);
                !account.is_idle()
            });
            *quiet_until = Some(budget.changes_after(now));
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
        let of = |(instance, account): (Option<&str>, &Account)| {
            standing(&slot.budget, instance, Some(account), now)
        };
        let mut all: Vec<Standing> = slot.accounts.iter().map(of).collect();
        if slot.budget.scope.each.is_none() && all.is_empty() {
            all.push(standing(&slot.budget, None, None, now));
        }
        all.sort_by(|a, b| (b.sums.used(), &a.instance).cmp(&(a.sums.used(), &b.instance)));
        all
    }

    /// Where budgets stand, at most so many: where one has an `each`, the account that has used most.
    pub fn tightest(&self, most: usize, now: Timestamp) -> Vec<Standing> {
        let of = |slot: &Slot| {
            let used = |account: &Account| account.sums(&slot.budget, now).used();
            let tightest = slot.accounts.iter().max_by_key(|(_, account)| used(account));
            let (instance, account) = tightest.unzip();
            standing(&slot.budget, instance.flatten(), account, now)
        };
        self.slots.iter().take(most).map(of).collect()
    }

    /// Every limit that applies to a call, in the order in which they are asked.
    pub fn applying(&self, subject: &Subject<'_>, now: Timestamp) -> Vec<Standing> {
        let of = |place: usize| {
            let slot = &self.slots[place];
            let instance = slot.budget.scope.instance(subject);
            standing(&slot.budget, instance, slot.accounts.get(instance), now)
        };
        self.find(subject).into_iter().map(of).collect()
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
            let instance = each.and_then(|each| each.on_account(who));
            Some((standing(&slot.budget, instance, slot.accounts.get(instance), now), asked))
        };
        self.slots.iter().filter_map(of).collect()
    }

    /// How many holds there are.
    pub fn holds(&self) -> usize {
        self.holds.len()
    }

    fn let_go(&mut self, hold: &mut Hold, tokens: i128, now: Timestamp) {
        let mut rates = std::mem::take(&mut hold.rates);
        let subject = hold.subject();
        self.rates.settle(&mut rates, &subject, tokens);
        for share in &hold.parts {
            let Slot { budget, accounts, .. } = &mut self.slots[share.place];
            let instance = budget.scope.instance(&subject);
            if let Some(account) = accounts.get_mut(instance) {
                advance(budget, instance, account, now, &mut self.crossings);
                account.add_to(share.key, Sums { held: -share.amount, ..Sums::default() });
            }
        }
        hold.rates = rates;
    }
}

/// Has an account go on to its window; what that resolves is told.
fn advance(
    budget: &Budget,
    instance: Option<&str>,
    account: &mut Account,
    now: Timestamp,
    crossings: &mut Vec<Crossing>,
) {
    let before = account.first();
    if account.advance(budget, now) {
        let turns = account.fired.end();
        let told = Told { budget, instance, window: before, spent: 0, now };
        crossings.extend(told.crossings(turns));
    }
}

/// Tells which thresholds an account has passed.
fn look(
    budget: &Budget,
    instance: Option<&str>,
    account: &mut Account,
    now: Timestamp,
    crossings: &mut Vec<Crossing>,
) {
    let (spent, limit) = (account.present(budget, now).spent, budget.limit_at(now));
    let may_repeat = matches!(budget.window, Window::Rolling { .. });
    let turns = account.fired.look(&budget.warn_at, spent, limit, may_repeat);
    let told = Told { budget, instance, window: account.first(), spent, now };
    crossings.extend(told.crossings(turns));
}

/// What crossings have in common.
struct Told<'a> {
    budget: &'a Budget,
    instance: Option<&'a str>,
    window: Option<Timestamp>,
    spent: i128,
    now: Timestamp,
}

impl Told<'_> {
    fn crossings(&self, turns: Vec<(u32, Turn)>) -> Vec<Crossing> {
        let crossing = |(percent, turn)| Crossing {
            budget: self.budget.id.clone(),
            instance: self.instance.map(str::to_owned),
            window: self.window.filter(|_| self.budget.window != Window::Total),
            percent,
            spent: self.spent,
            limit: self.budget.limit_at(self.now),
            at: self.now,
            turn,
        };
        turns.into_iter().map(crossing).collect()
    }
}

/// What a call counts as while it is in flight.
fn amount(budget: &Budget, ask: &Ask<'_>, typical: Option<Used>) -> Result<i128, Limits> {
    if budget.mode == Mode::Strict {
        return worst_amount(budget.limit, &ask.worst);
    }
    match (budget.limit, typical) {
        (Limit::Calls(_), _) => Ok(1),
        (Limit::Usd(_), Some(used)) => Ok(used.picos),
        (Limit::Tokens(_), Some(used)) => Ok(used.tokens),
        (limit, None) => worst_amount(limit, &ask.usual),
    }
}

/// Tokens that rate limits count a call as until it is booked.
fn tokens(ask: &Ask<'_>, typical: Option<Used>) -> i128 {
    let tokens = typical.map(|used| used.tokens).or(ask.usual.tokens.map(i128::from));
    tokens.unwrap_or(0)
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
        Limit::Usd(_) => {
            Sums { spent: item.cost.picos(), unsettled: item.unsettled.picos(), ..Sums::default() }
        }
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
    let now = account.map_or(now, |account| account.deciding(budget, now));
    let range = budget.window.range(now, &budget.zone.1);
    Standing {
        budget: budget.id.clone(),
        name: budget.name.clone(),
        instance: instance.map(str::to_owned),
        unit: budget.limit,
        sums: account.map(|account| account.sums(budget, now)).unwrap_or_default(),
        mode: budget.mode,
        limit: budget.limit_at(now),
        since: range.from,
        resets_at: range.to,
    }
}
