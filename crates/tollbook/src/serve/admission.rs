//! Where the gateway's calls meet the budgets: what is known of a request becomes bounds, what the
//! ledger decides becomes a call let go or a refusal in words.

use http::StatusCode;
use std::sync::Arc;
use tollbook_budget::{Denied, Limits, Reason as Why};
use tollbook_gateway::refusal::{Reason, Refusal};
use tollbook_gateway::{Admission, Admitted, Ask};
use tollbook_ledger::Ledger;
use tollbook_ledger::budgets::Asked;
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

    fn refusal(&self, denied: &Denied) -> Refusal {
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

impl Admission for Budgeted {
    fn admit(&self, ask: &Ask<'_>) -> Result<Admitted, Refusal> {
        if !self.ledger.has_budgets() {
            return Ok(Admitted::default());
        }
        let bounds = Bounds::of(ask.request, ask.text);
        let conditions = ask.request.conditions();
        let mut asked = Asked {
            id: ask.call_id,
            at: ask.at,
            provider: ask.provider,
            model: ask.model,
            who: ask.attribution,
            conditions: &conditions,
            input_tokens: bounds.input_tokens,
            output_tokens: bounds.output_tokens,
            is_bounded: bounds.is_by_tokens,
            expires_at: None,
            is_downgraded: false,
        };
        let other = match self.ledger.admit(&asked) {
            Ok(granted) => return Ok(admitted(granted, None)),
            Err(denied) => match denied.reason {
                Why::Downgrade { ref to } if ask.may_change_model => to.clone(),
                _ => return Err(self.refusal(&denied)),
            },
        };
        asked.model = Some(&other);
        asked.is_downgraded = true;
        let granted = self.ledger.admit(&asked).map_err(|denied| self.refusal(&denied))?;
        Ok(admitted(granted, Some(other)))
    }

    fn release(&self, call_id: &str) {
        self.ledger.release_hold(call_id);
    }
}

fn admitted(granted: tollbook_ledger::budgets::Let, model: Option<String>) -> Admitted {
    Admitted {
        hold: granted.admitted.held,
        worst_case: granted.worst_case,
        remaining_usd: granted.admitted.left,
        model,
        must_be_recorded: granted.admitted.is_strict,
    }
}
