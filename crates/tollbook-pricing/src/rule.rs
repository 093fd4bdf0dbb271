//! Match rules: which model names a price is for.

use regex::Regex;
use std::fmt;
use std::sync::OnceLock;

/// The largest compiled size of a rule's expression.
const REGEX_BYTES_MAX: usize = 256 * 1024;

/// One test of a model's name. Names are compared in lower case.
#[derive(Clone, Debug)]
pub enum Test {
    /// The whole name.
    Exact(String),
    /// How it begins.
    Prefix(String),
    /// How it ends.
    Suffix(String),
    /// What stands somewhere in it.
    Contains(String),
    /// A regular expression.
    Regex(Pattern),
    /// A regular expression that must not match.
    NotRegex(Pattern),
    /// Any name.
    Any,
}

/// A regular expression that is compiled when it is first needed.
#[derive(Clone, Debug)]
pub struct Pattern {
    text: String,
    compiled: OnceLock<Option<Regex>>,
}

impl Pattern {
    /// From its text, not yet compiled.
    pub fn new(text: &str) -> Pattern {
        Pattern { text: text.to_owned(), compiled: OnceLock::new() }
    }

    /// The text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether the text is a regular expression of bounded size.
    pub fn check(&self) -> Result<(), String> {
        compile(&self.text).map(|_| ())
    }

    fn is_match(&self, name: &str) -> bool {
        let compiled = self.compiled.get_or_init(|| compile(&self.text).ok());
        compiled.as_ref().is_some_and(|regex| regex.is_match(name))
    }
}

fn compile(text: &str) -> Result<Regex, String> {
    let mut builder = regex::RegexBuilder::new(text);
    builder.size_limit(REGEX_BYTES_MAX).dfa_size_limit(REGEX_BYTES_MAX).nest_limit(32);
    builder.build().map_err(|error| {
        error.to_string().lines().last().unwrap_or("not a regular expression").trim().to_owned()
    })
}

impl Test {
    fn holds(&self, name: &str) -> bool {
        match self {
            Test::Exact(text) => name == text,
            Test::Prefix(text) => name.starts_with(text.as_str()),
            Test::Suffix(text) => name.ends_with(text.as_str()),
            Test::Contains(text) => name.contains(text.as_str()),
            Test::Regex(pattern) => pattern.is_match(name),
            Test::NotRegex(pattern) => !pattern.is_match(name),
            Test::Any => true,
        }
    }

    /// How specific the test is: kind first, then length; greater is more specific.
    fn rank(&self) -> (u8, usize) {
        match self {
            Test::Exact(text) => (6, text.len()),
            Test::Prefix(text) => (5, text.len()),
            Test::Regex(_) => (4, 0),
            Test::Suffix(text) => (3, text.len()),
            Test::Contains(text) => (2, text.len()),
            Test::NotRegex(_) => (1, 0),
            Test::Any => (0, 0),
        }
    }

    /// The word for it in a price text, and its argument.
    pub fn parts(&self) -> (&'static str, &str) {
        match self {
            Test::Exact(text) => ("exact", text),
            Test::Prefix(text) => ("prefix", text),
            Test::Suffix(text) => ("suffix", text),
            Test::Contains(text) => ("contains", text),
            Test::Regex(pattern) => ("regex", pattern.text()),
            Test::NotRegex(pattern) => ("not_regex", pattern.text()),
            Test::Any => ("any", ""),
        }
    }

    /// The test for a word and its argument.
    pub fn from_parts(word: &str, text: &str) -> Option<Test> {
        let lower = text.to_lowercase();
        Some(match word {
            "exact" => Test::Exact(lower),
            "prefix" => Test::Prefix(lower),
            "suffix" => Test::Suffix(lower),
            "contains" => Test::Contains(lower),
            "regex" => Test::Regex(Pattern::new(text)),
            "not_regex" => Test::NotRegex(Pattern::new(text)),
            "any" => Test::Any,
            _ => return None,
        })
    }
}

/// A rule: all of its tests must hold.
#[derive(Clone, Debug)]
pub struct Rule {
    /// The tests; never empty.
    pub tests: Vec<Test>,
}

impl Rule {
    /// A rule of one test.
    pub fn one(test: Test) -> Rule {
        Rule { tests: vec![test] }
    }

    /// Whether a name, in lower case, satisfies the rule.
    pub fn matches(&self, name: &str) -> bool {
        self.tests.iter().all(|test| test.holds(name))
    }

    /// The most specific test's rank: an exact name beats a prefix, a longer prefix a shorter one,
    /// then come expression, ending, part.
    pub fn rank(&self) -> (u8, usize) {
        self.tests.iter().map(Test::rank).max().unwrap_or((0, 0))
    }

    /// The exact name, if that is all the rule says.
    pub fn exact(&self) -> Option<&str> {
        match self.tests.as_slice() {
            [Test::Exact(name)] => Some(name),
            _ => None,
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (nth, test) in self.tests.iter().enumerate() {
            if nth > 0 {
                f.write_str(" and ")?;
            }
            match test.parts() {
                ("any", _) => f.write_str("any model")?,
                (word, text) => write!(f, "{word} {text}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(word: &str, text: &str) -> Rule {
        Rule::one(Test::from_parts(word, text).unwrap())
    }

    #[test]
    fn tests_hold_and_rank() {
        let ordered = [
            rule("exact", "GPT-4o"),
            rule("prefix", "gpt-4o"),
            rule("prefix", "gpt-"),
            rule("regex", r"^gpt-\d"),
            rule("suffix", "4o"),
            rule("contains", "pt-4"),
            Rule::one(Test::Any),
        ];
        for pair in ordered.windows(2) {
            assert!(pair[0].matches("gpt-4o") && pair[1].matches("gpt-4o"));
            assert!(pair[0].rank() > pair[1].rank(), "{} before {}", pair[0], pair[1]);
        }
        let both = Rule {
            tests: vec![Test::Prefix("gemini-2.5-pro".into()), Test::NotRegex(Pattern::new("-tts(?:$|-)"))],
        };
        assert!(both.matches("gemini-2.5-pro-preview"));
        assert!(!both.matches("gemini-2.5-pro-preview-tts"));
        assert_eq!(both.to_string(), "prefix gemini-2.5-pro and not_regex -tts(?:$|-)");
    }

    #[test]
    fn expressions_are_bounded() {
        assert!(Pattern::new("(").check().is_err());
        assert!(Pattern::new(r"\w{1000}{1000}").check().is_err());
        assert!(Pattern::new(r"^gpt-5-\d{4}-\d{2}-\d{2}$").check().is_ok());
        assert!(!rule("regex", "(").matches("("));
    }
}
