//! Arithmetic that differs from provider to provider: which counts stand beside their whole.
//!
//! After [`inclusive`] every part lies inside of its whole: `Input` is all input and `Output` all
//! output. Everything that knows a provider's habits of counting is here.

use crate::shape::{Field, Figures, Place};

/// Makes the figures inclusive.
pub(crate) fn inclusive(figures: &mut Figures, provider: &str) {
    let shape = figures.shape;
    if shape.cache == Place::Beside {
        let writes = figures.get(Field::CacheWrite).or_else(|| write_parts(figures));
        raise(figures, Field::Input, figures.get(Field::CacheRead));
        raise(figures, Field::Input, writes);
    }
    match shape.name {
        "cohere_billed" => raise(figures, Field::Input, figures.get(Field::InputImage)),
        "openai_chat" => {
            hidden_thoughts(figures, provider);
            audio_beside(figures);
        }
        _ => {}
    }
    raise(figures, Field::Input, figures.get(Field::ToolPrompt));
    if reasoning_is_beside(figures, provider) {
        raise(figures, Field::Output, figures.get(Field::Reasoning));
    }
}

fn raise(figures: &mut Figures, whole: Field, by: Option<u64>) {
    let Some(by) = by else { return };
    let name = if figures.get(whole).is_some() { figures.name(whole) } else { "" };
    figures.set(whole, name, figures.or_zero(whole).saturating_add(by));
}

/// The sum of the writes by time to live, where the total is not reported.
fn write_parts(figures: &Figures) -> Option<u64> {
    let parts = [Field::CacheWrite5m, Field::CacheWrite1h].map(|field| figures.get(field));
    parts.iter().any(Option::is_some).then(|| parts.iter().flatten().sum())
}

/// Whether reasoning tokens are beside the output count. The provider's own total decides where
/// it can; Perplexity's leaves reasoning out altogether.
fn reasoning_is_beside(figures: &Figures, provider: &str) -> bool {
    if figures.shape.reasoning == Place::Beside {
        return true;
    }
    let reasoning = figures.or_zero(Field::Reasoning);
    if figures.shape.name != "openai_chat" || reasoning == 0 {
        return false;
    }
    if provider == "perplexity" {
        return true;
    }
    let sum = figures.or_zero(Field::Input).saturating_add(figures.or_zero(Field::Output));
    match figures.get(Field::Total) {
        Some(total) if total == sum => false,
        Some(total) => total == sum.saturating_add(reasoning),
        None => provider == "xai",
    }
}

/// Google's OpenAI-compatible endpoint reports thoughts in the total only.
fn hidden_thoughts(figures: &mut Figures, provider: &str) {
    if !matches!(provider, "google" | "vertex")
        || figures.get(Field::Reasoning).is_some_and(|known| known > 0)
    {
        return;
    }
    let sum = figures.or_zero(Field::Input).saturating_add(figures.or_zero(Field::Output));
    let hidden = figures.or_zero(Field::Total).saturating_sub(sum);
    if hidden > 0 {
        figures.set(Field::Reasoning, "total_tokens", hidden);
        raise(figures, Field::Output, Some(hidden));
    }
}

/// Mistral's audio tokens are beside the prompt's; the total shows it.
fn audio_beside(figures: &mut Figures) {
    let audio = figures.or_zero(Field::InputAudio);
    let sum = figures.or_zero(Field::Input).saturating_add(figures.or_zero(Field::Output));
    if audio > 0 && figures.get(Field::Total) == Some(sum.saturating_add(audio)) {
        raise(figures, Field::Input, Some(audio));
    }
}
