//! What is told of the demo.

use super::schema;
use serde::{Deserialize, Serialize};
use tollbook_types::Timestamp;
use utoipa::ToSchema;

/// The demo that is in the books, or that there is none.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[schema(as = Demo)]
pub struct DemoView {
    /// Whether there is one.
    pub present: bool,
    /// How many calls it has.
    pub calls: u64,
    /// Since when it is there.
    #[schema(value_type = Option<schema::Instant>)]
    pub at: Option<Timestamp>,
    /// When its spike begins: an agent that ran in circles one night.
    #[schema(value_type = Option<schema::Instant>)]
    pub spike_from: Option<Timestamp>,
    /// The spike is before this.
    #[schema(value_type = Option<schema::Instant>)]
    pub spike_to: Option<Timestamp>,
}

/// What taking the demo out did.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = DemoRemoved)]
pub struct RemovedView {
    /// Calls that went; 0 when there was no demo.
    pub calls: u64,
}
