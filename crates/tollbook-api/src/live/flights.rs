//! Streams on their way: whose they are, and about how much has come.

use serde::{Serialize, Serializer};
use std::sync::Arc;
use tollbook_store::{Dimension, Filter};
use tollbook_types::{Attribution, Timestamp};

/// The source of a stream that is on its way.
const SOURCE: &str = "gateway";

/// A stream on its way.
#[derive(Clone, Debug, Serialize)]
pub struct Running {
    /// The call's id, as it will be in the books.
    pub id: String,
    /// Its admission.
    #[serde(rename = "occurred_at")]
    pub at: Timestamp,
    /// The provider.
    pub provider: String,
    /// The model that was asked for.
    pub model: String,
    /// On whose account.
    #[serde(flatten, serialize_with = "inner")]
    pub attribution: Arc<Attribution>,
    /// Output tokens so far, estimated; absent while nothing could be.
    pub output_tokens_estimate: Option<u64>,
    /// What they were estimated by.
    pub estimator: &'static str,
    /// Bytes of the answer so far.
    pub answer_bytes: u64,
}

fn inner<S: Serializer>(attribution: &Arc<Attribution>, serializer: S) -> Result<S::Ok, S::Error> {
    Attribution::serialize(attribution, serializer)
}

/// Where streams on their way are known.
pub trait Flights: Send + Sync {
    /// Shows those on their way now, oldest first. Where `see` says so, a new estimate is made until
    /// the next time.
    fn each(&self, see: &mut dyn FnMut(&Running) -> bool);
}

impl Running {
    /// Whether it passes the filters. How it ends and what it uses is not known yet: absent.
    pub fn passes(&self, filters: &[Filter]) -> bool {
        filters.iter().all(|filter| filter.admits(self.value(&filter.dimension)))
    }

    fn value(&self, dimension: &Dimension) -> Option<&str> {
        match dimension {
            Dimension::Provider => Some(&self.provider),
            Dimension::Model => Some(&self.model),
            Dimension::Source => Some(SOURCE),
            Dimension::Status | Dimension::Evidence => None,
            of_account => of_account.on_account(&self.attribution),
        }
    }
}
