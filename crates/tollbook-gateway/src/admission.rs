//! The seam between a call and the budgets: whether it may go, and what is held back for it.

use crate::refusal::Refusal;
use tollbook_types::{Attribution, Key, Money, Timestamp};
use tollbook_usage::Request;

/// A call that asks to be let go.
#[derive(Debug)]
pub struct Ask<'a> {
    /// The id that it has in the books.
    pub call_id: &'a str,
    /// Its admission.
    pub at: Timestamp,
    /// The provider.
    pub provider: &'a str,
    /// The model that is asked for, if it is known.
    pub model: Option<&'a str>,
    /// What else is known of the request.
    pub request: &'a Request,
    /// On whose account.
    pub attribution: &'a Attribution,
    /// With which key.
    pub key: &'a Key,
}

/// What a call is let go with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Admitted {
    /// Money that is held back for it.
    pub hold: Option<Money>,
    /// The most it can cost.
    pub worst_case: Option<Money>,
    /// The hold that its event settles.
    pub hold_id: Option<String>,
    /// What is left of the tightest budget.
    pub remaining_usd: Option<Money>,
    /// A lower bound on its output tokens than it asked for.
    pub max_tokens: Option<u64>,
    /// Another model than it asked for.
    pub model: Option<String>,
}

/// Decides whether calls may go.
pub trait Admission: Send + Sync {
    /// Lets a call go, or says why it may not. It is asked on the data plane's threads and must not
    /// wait.
    fn admit(&self, ask: &Ask<'_>) -> Result<Admitted, Refusal>;
}

/// Lets everything go.
#[derive(Clone, Copy, Debug, Default)]
pub struct Open;

impl Admission for Open {
    fn admit(&self, _ask: &Ask<'_>) -> Result<Admitted, Refusal> {
        Ok(Admitted::default())
    }
}
