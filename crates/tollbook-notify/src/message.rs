//! What is told.

use serde_json::Value;
use tollbook_types::Timestamp;

/// What is told, in all the forms that channels want it in.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// The same in every attempt, and of no other message: receivers know by it what they have seen.
    pub id: String,
    /// What kind of message it is, in dotted words: `alert.firing`.
    pub kind: String,
    /// When what it tells happened.
    pub at: Timestamp,
    /// One line for people.
    pub title: String,
    /// More lines for people; may be empty.
    pub text: String,
    /// The same for programs.
    pub data: Value,
}
