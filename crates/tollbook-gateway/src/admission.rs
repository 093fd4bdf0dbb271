//! The seam between a call and the budgets: whether it may go, and what is held back for it.

use crate::change::{MaxTokens, model_in};
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
    /// Its body, as JSON; empty where it has none that can be read.
    pub text: &'a [u8],
    /// Whether all of its body was read, so that members of it could be changed.
    pub is_whole: bool,
}

impl Ask<'_> {
    /// Whether another model could be put in place of the one that it asks for.
    pub fn may_change_model(&self) -> bool {
        self.is_whole && model_in(self.text).is_some()
    }

    /// Whether its bound on tokens out could be lowered.
    pub fn may_lower_max_tokens(&self) -> bool {
        self.is_whole && MaxTokens::of(self.request, self.text).is_some()
    }
}

/// What a call is let go with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Admitted {
    /// Money that is held back for it.
    pub hold: Option<Money>,
    /// The most it can cost.
    pub worst_case: Option<Money>,
    /// What is left of the tightest budget.
    pub remaining_usd: Option<Money>,
    /// Another model than it asked for.
    pub model: Option<String>,
    /// Fewer tokens out than it asked for.
    pub max_tokens: Option<u64>,
    /// A strict budget counts it: it may not go out without a record.
    pub must_be_recorded: bool,
}

/// Decides whether calls may go.
pub trait Admission: Send + Sync {
    /// Lets a call go, or says why it may not. It is asked on the data plane's threads and must not
    /// wait.
    fn admit(&self, ask: &Ask<'_>) -> Result<Admitted, Refusal>;

    /// Whether a request may go that might start work, of which nothing will be recorded.
    fn pass(&self, ask: &Ask<'_>) -> Result<(), Refusal>;

    /// A call that was let go is no longer under way; its record follows.
    fn ended(&self, call_id: &str);

    /// Gives back what is held for a call that was let go and will have no record.
    fn release(&self, call_id: &str);
}

/// Lets everything go.
#[derive(Clone, Copy, Debug, Default)]
pub struct Open;

impl Admission for Open {
    fn admit(&self, _ask: &Ask<'_>) -> Result<Admitted, Refusal> {
        Ok(Admitted::default())
    }

    fn pass(&self, _ask: &Ask<'_>) -> Result<(), Refusal> {
        Ok(())
    }

    fn ended(&self, _call_id: &str) {}

    fn release(&self, _call_id: &str) {}
}
