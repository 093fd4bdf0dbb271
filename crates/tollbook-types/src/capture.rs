//! Captured words: what was asked and answered, where somebody switched that on.

use crate::Timestamp;

/// Words as they are kept: redacted, of bounded length.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Captured {
    /// The words.
    pub text: String,
    /// There were more.
    pub is_cut: bool,
}

/// What is kept of one call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capture {
    /// The call's id, as the gateway gave it.
    pub id: String,
    /// When the call occurred.
    pub at: Timestamp,
    /// On whose account it was told to be.
    pub user: Option<String>,
    /// In which project.
    pub project: Option<String>,
    /// What was asked.
    pub prompt: Option<Captured>,
    /// What was answered.
    pub answer: Option<Captured>,
}
