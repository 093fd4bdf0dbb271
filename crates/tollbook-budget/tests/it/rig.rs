//! An engine, and short words for calls to it.

use tollbook_budget::{
    Admitted, Ask, Booked, Booking, Bound, Budget, BudgetForm, Engine, Item, Limits, RateLimitForm, Reason,
    Refused, Standing, Start, Subject,
};
use tollbook_types::{Attribution, Digest, Money, Timestamp, Zone};

/// The present of every test that does not say otherwise: a Sunday.
pub const NOW: &str = "2026-11-22T10:31:00Z";

pub fn instant(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// A budget from its members as JSON.
pub fn budget(id: &str, members: &str) -> Budget {
    let form: BudgetForm = serde_json::from_str(&format!("{{\"name\":\"{id}\",{members}}}")).unwrap();
    form.read(id, &("UTC".to_owned(), Zone::UTC)).unwrap()
}

/// `user=ann tag.team=ops` as an account.
pub fn account(text: &str) -> Attribution {
    let mut who = Attribution::default();
    for pair in text.split_whitespace() {
        let (key, value) = pair.split_once('=').unwrap();
        let (text, value) = (value, Some(value.to_owned()));
        match key {
            "user" => who.user = value,
            "project" => who.project = value,
            "customer" => who.customer = value,
            "agent" => who.agent = value,
            "operation" => who.operation = value,
            "session" => who.session = value,
            "key" => who.key = value,
            _ => drop(who.tags.insert(key.strip_prefix("tag.").unwrap().to_owned(), text.to_owned())),
        }
    }
    who
}

/// A call: its account and model, and in cents what it costs at most.
#[derive(Clone)]
pub struct Call {
    pub id: String,
    pub who: Attribution,
    pub model: String,
    pub at: Timestamp,
    pub worst: Result<Money, Limits>,
    /// The model that it was changed to.
    pub instead: Option<String>,
}

pub fn cents(cents: i128) -> Money {
    Money::from_picos(cents * 10_000_000_000)
}

pub fn call(id: &str, who: &str, worst_cents: i128) -> Call {
    Call {
        id: id.to_owned(),
        who: account(who),
        model: "gpt-x".to_owned(),
        at: instant(NOW),
        worst: Ok(cents(worst_cents)),
        instead: None,
    }
}

impl Call {
    pub fn at(mut self, at: &str) -> Call {
        self.at = instant(at);
        self
    }

    pub fn model(mut self, model: &str) -> Call {
        self.model = model.to_owned();
        self
    }

    pub fn subject(&self) -> Subject<'_> {
        let model = self.instead.as_deref();
        Subject { provider: "openai", request_model: Some(&self.model), model, who: &self.who }
    }

    /// The same with another model.
    pub fn instead(mut self, model: &str, worst_cents: i128) -> Call {
        (self.instead, self.worst) = (Some(model.to_owned()), Ok(cents(worst_cents)));
        self
    }

    pub fn admit(&self, engine: &mut Engine) -> Result<Admitted, Refused> {
        engine.admit(&self.ask())
    }

    /// Asks without a hold.
    pub fn pass(&self, engine: &mut Engine) -> Result<Admitted, Refused> {
        let nothing = Admitted { held: None, left: None, budgets: 0, is_strict: false };
        engine.pass(&self.ask()).map(|()| nothing)
    }

    pub fn ask(&self) -> Ask<'_> {
        let bound = Bound { cost: self.worst, tokens: self.worst.ok().map(|_| 1_000) };
        Ask {
            id: &self.id,
            at: self.at,
            provider: "openai",
            request_model: Some(&self.model),
            model: self.instead.as_deref(),
            who: &self.who,
            worst: bound,
            usual: bound,
            expires_at: None,
            fingerprint: Some(Digest::of(self.model.as_bytes())),
        }
    }

    /// Books what it cost, at the time of its admission.
    pub fn book(&self, engine: &mut Engine, seq: u64, cost: Money) -> Booked {
        self.book_all(engine, seq, cost, Money::ZERO)
    }

    pub fn book_all(&self, engine: &mut Engine, seq: u64, cost: Money, unsettled: Money) -> Booked {
        let items = [Item { model: &self.model, cost, tokens: 100, calls: 1, unsettled }];
        let booking = Booking {
            seq,
            at: self.at,
            subject: self.subject(),
            items: &items,
            hold: Some(&self.id),
            is_typical: unsettled == Money::ZERO,
        };
        engine.book(&booking, self.at)
    }
}

/// `spent/held/unsettled of limit`, in the unit of the limit.
pub fn stands(standing: &Standing) -> String {
    let text = |amount| standing.unit.text(amount);
    let sums = standing.sums;
    format!("{}/{}/{} of {}", text(sums.spent), text(sums.held), text(sums.unsettled), text(standing.limit))
}

/// Where the only account of a budget stands.
pub fn standing(engine: &Engine, id: &str, now: &str) -> String {
    stands(&engine.standings(id, instant(now))[0])
}

/// Puts a rate limit in force.
pub fn limit(engine: &mut Engine, id: &str, members: &str) {
    let form: RateLimitForm = serde_json::from_str(&format!("{{\"name\":\"{id}\",{members}}}")).unwrap();
    engine.set_rate_limit(form.read(id).unwrap());
}

pub fn engine(budgets: &[(&str, &str)]) -> Engine {
    let mut engine = Engine::default();
    for (id, members) in budgets {
        engine.set(budget(id, members), &Start::default(), instant(NOW));
    }
    engine
}

/// `ok`, or why not and by which budget.
pub fn verdict(result: &Result<Admitted, Refused>) -> String {
    match result {
        Ok(_) => "ok".to_owned(),
        Err(Refused::Rate(limited)) => {
            format!("{:?}, wait {} ({})", limited.rate, limited.retry_after_s, limited.limit)
        }
        Err(Refused::Budget(denied)) => {
            let why = match &denied.reason {
                Reason::Spent => "spent".to_owned(),
                Reason::Throttled { retry_after_s } => format!("wait {retry_after_s}"),
                Reason::NoBound(Limits::Unpriced) => "unpriced".to_owned(),
                Reason::NoBound(Limits::Unbounded) => "unbounded".to_owned(),
                Reason::Downgrade { to } => format!("use {to}"),
            };
            format!("{why} ({})", denied.standing.budget)
        }
    }
}
