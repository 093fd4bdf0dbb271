//! The gate before the tokenizer: an event that names nothing of interest is never parsed.
//!
//! It may let too much through, never too little: what it stops cannot carry usage.

use crate::api::Api;
use memchr::memmem::Finder;

/// Events that are read whatever they say, until the answer's model and id are known.
const GREETED_MAX: u8 = 8;

/// Searches an event for names of interest.
#[derive(Debug)]
pub(crate) struct Gate {
    usage: Finder<'static>,
    error: Finder<'static>,
    more: Vec<Finder<'static>>,
    greeted: u8,
    open: bool,
}

/// Further names by family.
const fn names(api: Api) -> &'static [&'static str] {
    match api {
        Api::Realtime => &["\"session."],
        Api::GenerateContent => &["webSearchQueries", "groundingChunks"],
        Api::Ollama => &["eval_count"],
        Api::LlamaCpp => &["tokens_predicted"],
        Api::Invoke => &["okenCount", "token_count"],
        Api::CohereChat => &["billed_units"],
        _ => &[],
    }
}

impl Gate {
    pub fn new(api: Api) -> Gate {
        Gate {
            usage: Finder::new("usage"),
            error: Finder::new("\"error\""),
            more: names(api).iter().map(|name| Finder::new(*name)).collect(),
            greeted: 0,
            open: matches!(api, Api::BatchResults | Api::Batch | Api::Other),
        }
    }

    /// Whether the event must be read. `known`: the answer's model and id are.
    pub fn passes(&mut self, event: &[u8], known: bool) -> bool {
        if self.open {
            return true;
        }
        if !known && self.greeted < GREETED_MAX {
            self.greeted += 1;
            return true;
        }
        says_something(&self.usage, event)
            || says_something(&self.error, event)
            || self.more.iter().any(|name| name.find(event).is_some())
    }
}

/// Whether the name is there with a value other than `null`.
fn says_something(name: &Finder<'_>, event: &[u8]) -> bool {
    let mut from = 0;
    while let Some(at) = name.find(&event[from..]) {
        from += at + name.needle().len();
        let mut rest = &event[from..];
        if rest.starts_with(b"\":null") {
            continue;
        }
        if let Some(after) = rest.strip_prefix(b"\"") {
            rest = after;
        }
        let rest = rest.trim_ascii_start();
        let null = rest.strip_prefix(b":").is_some_and(|value| value.trim_ascii_start().starts_with(b"null"));
        if !null {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn null_usage_does_not_pass() {
        let mut gate = Gate::new(Api::Chat);
        assert!(
            !gate.passes(br#"{"choices":[{"delta":{"content":"x"}}],"usage":null,"error" : null}"#, true)
        );
        assert!(gate.passes(br#"{"usage":null,"x_groq":{"usage":{"prompt_tokens":1}}}"#, true));
        assert!(gate.passes(br#"{"usageMetadata":{}}"#, true));
        assert!(gate.passes(br#"{"error":{"message":"x"}}"#, true));
        assert!(gate.passes(br#"{}"#, false));
    }
}
