//! What was asked and answered in a call, where capture is switched on.

use serde::Serialize;
use tollbook_types::{Capture, Captured};
use utoipa::ToSchema;

/// The words of a call, without what looked like a secret.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Captured)]
pub struct CapturedView {
    /// What was asked; texts of several messages stand on lines of their own.
    pub prompt: Option<String>,
    /// There was more than is kept.
    pub prompt_is_cut: bool,
    /// What was answered.
    pub answer: Option<String>,
    /// There was more than is kept.
    pub answer_is_cut: bool,
}

impl CapturedView {
    /// What is kept of a call.
    pub fn of(capture: Capture) -> CapturedView {
        let parts = |captured: Option<Captured>| captured.map_or((None, false), |c| (Some(c.text), c.is_cut));
        let (prompt, prompt_is_cut) = parts(capture.prompt);
        let (answer, answer_is_cut) = parts(capture.answer);
        CapturedView { prompt, prompt_is_cut, answer, answer_is_cut }
    }
}
