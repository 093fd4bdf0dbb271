//! Where the gateway's calls meet the budgets: what is known of a request becomes bounds, what the
//! ledger decides becomes a call let go or a refusal in words.

use http::StatusCode;
use std::sync::Arc;
use tollbook_budget::{Limited, Limits, Rate, Reason as Why, Refused};
use tollbook_gateway::refusal::{Quota, Reason, Refusal};
use tollbook_gateway::{Admission, Admitted, Ask};
use tollbook_ledger::Ledger;
use tollbook_ledger::budgets::{Asked, Let};
use tollbook_types::Conditions;
use tollbook_usage::Bounds;

/// Decides by the ledger's budgets.
pub struct Budgeted {
    ledger: Arc<Ledger>,
    /// The status of a refusal because a budget is spent.
    spent: StatusCode,
}

impl Budgeted {
    /// Over this ledger; a spent budget is refused with this status.
    pub fn new(ledger: Arc<Ledger>, spent: u16) -> Budgeted {
        Budgeted { ledger, spent: StatusCode::from_u16(spent).unwrap_or(StatusCode::PAYMENT_REQUIRED) }
    }

    fn refusal(&self, refused: &Refused) -> Refusal {
        self.ledger.count_refused(refused);
        let denied = match refused {
            Refused::Budget(denied) => denied,
            Refused::Rate(limited) => return too_fast(limited),
        };
        let reason = match denied.reason {
            Why::Spent | Why::Downgrade { .. } => Reason::BudgetExceeded,
            Why::Throttled { .. } => Reason::RateLimited,
            Why::NoBound(Limits::Unpriced) => Reason::ModelUnpriced,
            Why::NoBound(Limits::Unbounded) => Reason::UnboundedCall,
        };
        let mut refusal = Refusal::new(reason, denied.to_string());
        match denied.reason {
            Why::Spent | Why::Downgrade { .. } => refusal.status = self.spent,
            Why::Throttled { retry_after_s } => refusal.retry_after_s = Some(retry_after_s),
            Why::NoBound(_) => {}
        }
        refusal
    }
}

/// A rate limit is in the way.
fn too_fast(limited: &Limited) -> Refusal {
    let (name, unit, window_s) = match limited.rate {
        Rate::Requests => ("requests", None, Some(60)),
        Rate::Tokens => ("tokens", Some("tokens"), Some(60)),
        Rate::Concurrent => ("concurrent", Some("concurrent-requests"), None),
        Rate::Identical => ("identical", None, Some(60)),
    };
    Refusal {
        retry_after_s: Some(limited.retry_after_s),
        quota: Some(Quota { name, quota: limited.quota, unit, window_s }),
        ..Refusal::new(Reason::RateLimited, limited.to_string())
    }
}

impl Admission for Budgeted {
    fn admit(&self, ask: &Ask<'_>) -> Result<Admitted, Refusal> {
        if !self.ledger.has_budgets() {
            return Ok(Admitted::default());
        }
        let bounds = Bounds::of(ask.request, ask.text);
        let conditions = ask.request.conditions();
        let mut asked = asked(ask, &conditions);
        asked.input_tokens = bounds.input_tokens;
        asked.output_tokens = bounds.output_tokens;
        asked.is_bounded = bounds.is_by_tokens;
        let let_go = |asked: &Asked<'_>| self.ledger.admit_fitted(asked, || ask.may_lower_max_tokens());
        let other = match let_go(&asked) {
            Ok(granted) => return Ok(admitted(granted, None)),
            Err(Refused::Budget(denied)) => match denied.reason {
                Why::Downgrade { ref to } if ask.may_change_model() => to.clone(),
                _ => return Err(self.refusal(&Refused::Budget(denied))),
            },
            Err(refused) => return Err(self.refusal(&refused)),
        };
        (asked.model, asked.instead_of) = (Some(other.as_str()), ask.model);
        let granted = let_go(&asked).map_err(|refused| self.refusal(&refused))?;
        Ok(admitted(granted, Some(other)))
    }

    fn pass(&self, ask: &Ask<'_>) -> Result<(), Refusal> {
        if !self.ledger.has_budgets() {
            return Ok(());
        }
        let conditions = Conditions::default();
        self.ledger.pass(&asked(ask, &conditions)).map_err(|refused| self.refusal(&refused))
    }

    fn ended(&self, call_id: &str) {
        self.ledger.call_ended(call_id);
    }

    fn release(&self, call_id: &str) {
        self.ledger.release_hold(call_id);
    }
}

/// What the budgets are asked, of a call that nothing bounds yet.
fn asked<'a>(ask: &'a Ask<'_>, conditions: &'a Conditions) -> Asked<'a> {
    Asked {
        id: ask.call_id,
        at: ask.at,
        provider: ask.provider,
        model: ask.model,
        instead_of: None,
        who: ask.attribution,
        conditions,
        input_tokens: None,
        output_tokens: None,
        is_bounded: false,
        expires_at: None,
        text: ask.text,
    }
}

fn admitted((granted, max_tokens): (Let, Option<u64>), model: Option<String>) -> Admitted {
    Admitted {
        hold: granted.admitted.held,
        worst_case: granted.worst_case,
        remaining_usd: granted.admitted.left,
        model,
        max_tokens,
        must_be_recorded: granted.admitted.is_strict,
    }
}
