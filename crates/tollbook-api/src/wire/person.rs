//! What is told of persons: erasures, and everything that is held on one.

use super::{CallView, CapturedView, KeyView, schema};
use serde::{Deserialize, Serialize};
use tollbook_ledger::Erased;
use tollbook_types::{Attribution, Erasure, OpenCall, Timestamp};
use utoipa::ToSchema;

/// An erasure as it is kept: without the person's name.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = Erasure)]
pub struct ErasureView {
    /// `erasure_…`
    pub id: String,
    /// Only in this project.
    pub project: Option<String>,
    /// The user of the erased calls from then on.
    pub pseudonym: String,
    /// It is of what occurred before this.
    #[schema(value_type = schema::Instant)]
    pub before: Timestamp,
    /// When it was ordered.
    #[schema(value_type = schema::Instant)]
    pub at: Timestamp,
    /// Why.
    pub reason: String,
}

/// An erasure that was just made, and what it did.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = Erased)]
pub struct ErasedView {
    #[serde(flatten)]
    pub erasure: ErasureView,
    /// Calls under the pseudonym.
    pub calls: u64,
    /// Keys of the person that were ended.
    pub keys: u64,
    /// Whether the free places of the store's file are overwritten. If not, that is tried again later.
    pub scrubbed: bool,
    /// What a person has to look after.
    pub notes: Vec<String>,
}

/// An erasure that is asked for.
#[derive(ToSchema)]
#[schema(as = NewErasure)]
#[expect(dead_code, reason = "members are read one by one, so that all that is wrong is told at once")]
pub struct NewErasureView {
    /// The person, as `user` of their calls.
    user: String,
    /// Only in this project.
    project: Option<String>,
    /// For those who read the books later; kept without the person's name.
    reason: String,
}

/// One line of what is held on a person.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum HeldView {
    /// Whom it is about: the first line.
    About {
        /// The person.
        user: String,
        /// When it was asked.
        at: Timestamp,
    },
    /// A call with its corrections.
    Call(Box<CallView>),
    /// What was asked and answered in the call of the line before.
    Captured(CapturedView),
    /// A call that has not ended.
    OpenCall(OpenCallView),
    /// A key that is bound to the person, without its text.
    Key(KeyView),
    /// An erasure of the person: what occurred before it is no longer held under the name.
    Erasure {
        /// `erasure_…`
        id: String,
        /// Only in this project.
        project: Option<String>,
        /// It is of what occurred before this.
        before: Timestamp,
    },
    /// The last line: what lacks it was cut.
    End {
        /// Calls among the lines.
        calls: u64,
    },
}

/// A call that has not ended.
#[derive(Clone, Debug, Serialize)]
pub struct OpenCallView {
    id: String,
    source: String,
    occurred_at: Timestamp,
    provider: String,
    model: String,
    #[serde(flatten)]
    attribution: Attribution,
}

impl ErasureView {
    /// An erasure as it is listed.
    pub fn of(erasure: &Erasure) -> ErasureView {
        ErasureView {
            id: erasure.id.clone(),
            project: erasure.project.clone(),
            pseudonym: erasure.pseudonym.clone(),
            before: erasure.before,
            at: erasure.at,
            reason: erasure.reason.clone(),
        }
    }
}

impl ErasedView {
    /// What an erasure did.
    pub fn of(erased: &Erased) -> ErasedView {
        ErasedView {
            erasure: ErasureView::of(&erased.erasure),
            calls: erased.calls,
            keys: erased.keys,
            scrubbed: erased.is_scrubbed,
            notes: erased.notes.clone(),
        }
    }
}

impl OpenCallView {
    /// An open call.
    pub fn of(call: &OpenCall) -> OpenCallView {
        OpenCallView {
            id: call.id.clone(),
            source: call.source.clone(),
            occurred_at: call.occurred_at,
            provider: call.provider.clone(),
            model: call.model.clone(),
            attribution: call.attribution.clone(),
        }
    }
}
