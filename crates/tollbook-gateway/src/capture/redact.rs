//! What is taken out of words before they touch a disk. Rules are data: patterns that take time in
//! proportion to the text, some with a checksum that tells a number from any other.
//!
//! This finds what looks like a secret or a person's number. It cannot know names, addresses or what a
//! text means. It must never know whose words they are.

use regex::{Regex, RegexBuilder};
use std::ops::Range;
use tollbook_types::limits::{REDACT_PATTERN_BYTES_MAX, REDACT_PATTERNS_MAX};

/// Memory of one compiled pattern.
const PATTERN_MEMORY_MAX: usize = 1 << 20;

struct Rule {
    /// What stands in the text's place, in brackets.
    name: &'static str,
    pattern: &'static str,
    /// Tells what is meant from what only looks like it.
    is_meant: fn(&str) -> bool,
}

const fn rule(name: &'static str, pattern: &'static str) -> Rule {
    Rule { name, pattern, is_meant: |_| true }
}

/// Where two overlap, the one that begins first counts, and the longer of those that begin together.
static RULES: &[Rule] = &[
    rule("key", r"(?s)-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\z)"),
    // Signed tokens, such as those of OpenID Connect.
    rule("key", r"\beyJ[A-Za-z0-9_-]{6,}\.[A-Za-z0-9_-]{6,}(?:\.[A-Za-z0-9_-]*)*"),
    // Providers' keys: sk-…, pk_live_…, tb_…, gsk_…, hf_…, xai-…
    rule(
        "key",
        r"\b(?:sk|pk|rk|tb|gsk|hf|xai|pplx|nvapi|whsec|glpat|npm|pypi|dop_v1|shpat)[-_][A-Za-z0-9_-]{12,}",
    ),
    rule("key", r"\b(?:gh[oprsu]_|github_pat_)[A-Za-z0-9_]{16,}"),
    rule("key", r"\bxox[abeprs]-[A-Za-z0-9-]{10,}"),
    rule("key", r"\b(?:AKIA|ASIA|AROA|AIDA)[A-Z0-9]{16}\b"),
    rule("key", r"\bAIza[A-Za-z0-9_-]{30,}"),
    rule("key", r"(?i)\b(?:bearer|basic)\s+[A-Za-z0-9._~+/=-]{12,}"),
    rule(
        "secret",
        r#"(?i)\b[\w-]*(?:passwor[dt]|passwd|passphrase|secret|token|api[ _-]?key|access[ _-]?key)s?["'`]{0,2}\s*(?:[:=]|\bis\b|\bist\b)\s*["'`]?[^\s"'`,;]{4,}"#,
    ),
    rule("secret", r"(?i)\b[a-z][a-z0-9+.-]{1,15}://[^\s/:@]{1,64}:[^\s/@]{1,128}@"),
    rule("email", r"[\w.%+'-]+@[\w-]+(?:\.[\w-]+)+"),
    Rule {
        name: "iban",
        pattern: r"(?i)\b[A-Z]{2}\d{2}(?:[ -]?[A-Z0-9]{4}){2,7}(?:[ -]?[A-Z0-9]{1,3})?\b",
        is_meant: is_iban,
    },
    Rule { name: "card", pattern: r"\b\d(?:[ -]?\d){11,18}\b", is_meant: is_card },
    rule("id", r"\b\d{3}-\d{2}-\d{4}\b"),
    rule("phone", r"(?:\+|\b00)\d(?:[ ()./-]{0,2}\d){6,14}\b"),
    rule("phone", r"\(?\b[2-9]\d{2}\)?[ .-]?[2-9]\d{2}[ .-]\d{4}\b"),
    rule("phone", r"(?:\(0\d{1,5}\)|\b0\d{1,5})[ /.-]{1,3}\d(?:[ ./-]?\d){4,10}\b"),
    rule("address", r"\b(?:\d{1,3}\.){3}\d{1,3}\b"),
];

/// Takes what looks like a secret out of words.
#[derive(Clone, Debug)]
pub struct Redactor {
    patterns: Vec<Pattern>,
}

/// A rule that is ready.
#[derive(Clone, Debug)]
struct Pattern {
    name: &'static str,
    regex: Regex,
    is_meant: fn(&str) -> bool,
}

impl Redactor {
    /// With the rules that are built in, and further patterns. The errors say which of these are none,
    /// by place, and never repeat them.
    pub fn new(own: &[String]) -> Result<Redactor, Vec<(usize, String)>> {
        let mut problems = Vec::new();
        let mut patterns = Vec::new();
        for rule in RULES {
            match compiled(rule.pattern) {
                Ok(regex) => patterns.push(Pattern { name: rule.name, regex, is_meant: rule.is_meant }),
                Err(problem) => problems.push((0, problem)),
            }
        }
        for (place, text) in own.iter().enumerate() {
            let found = match compiled(text) {
                _ if place >= REDACT_PATTERNS_MAX => {
                    Err(format!("there are more than {REDACT_PATTERNS_MAX}"))
                }
                _ if text.len() > REDACT_PATTERN_BYTES_MAX => {
                    Err(format!("it is longer than {REDACT_PATTERN_BYTES_MAX} bytes"))
                }
                Ok(regex) if regex.is_match("") => Err("it matches nothing at all, too".to_owned()),
                found => found,
            };
            match found {
                Ok(regex) => patterns.push(Pattern { name: "redacted", regex, is_meant: |_| true }),
                Err(problem) => problems.push((place, problem)),
            }
        }
        if problems.is_empty() { Ok(Redactor { patterns }) } else { Err(problems) }
    }

    /// The text without what looks like a secret, of which the first `bytes_max` bytes are wanted. What
    /// begins within them is judged by all of the text.
    pub fn redact(&self, text: &str, bytes_max: usize) -> String {
        let mut end = text.len().min(bytes_max);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        let mut out = String::with_capacity(end);
        let mut at = 0;
        for (place, name) in self.found(text) {
            if place.start >= end {
                break;
            }
            out.push_str(&text[at..place.start]);
            out.push('[');
            out.push_str(name);
            out.push(']');
            at = place.end;
        }
        out.push_str(text.get(at..end).unwrap_or_default());
        out
    }

    /// What looks like a secret, in order, without overlaps.
    fn found(&self, text: &str) -> Vec<(Range<usize>, &'static str)> {
        let mut all: Vec<(Range<usize>, &'static str)> = Vec::new();
        for Pattern { name, regex, is_meant } in &self.patterns {
            let meant = regex.find_iter(text).filter(|found| is_meant(found.as_str()));
            all.extend(meant.map(|found| (found.range(), *name)));
        }
        all.sort_by_key(|(place, _)| (place.start, std::cmp::Reverse(place.end)));
        let mut apart: Vec<(Range<usize>, &'static str)> = Vec::with_capacity(all.len());
        for (place, name) in all {
            match apart.last_mut() {
                // What begins inside another goes with it, to its own end.
                Some((last, _)) if place.start < last.end => last.end = last.end.max(place.end),
                _ => apart.push((place, name)),
            }
        }
        apart
    }
}

fn compiled(pattern: &str) -> Result<Regex, String> {
    let built = RegexBuilder::new(pattern).size_limit(PATTERN_MEMORY_MAX).build();
    built.map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => "it takes too much memory".to_owned(),
        _ => "it is no regular expression of the syntax of Rust's regex crate".to_owned(),
    })
}

fn digits(text: &str) -> impl DoubleEndedIterator<Item = u32> {
    text.chars().filter_map(|c| c.to_digit(10)).collect::<Vec<_>>().into_iter()
}

/// Luhn's checksum (ISO/IEC 7812-1, annex B).
fn is_card(text: &str) -> bool {
    let doubled = |digit: u32| if digit > 4 { 2 * digit - 9 } else { 2 * digit };
    let sum: u32 = digits(text).rev().enumerate().map(|(n, d)| if n % 2 == 1 { doubled(d) } else { d }).sum();
    sum.is_multiple_of(10) && digits(text).any(|digit| digit != 0)
}

/// The checksum of ISO 13616: the number with its first four signs at the end, modulo 97, is 1.
fn is_iban(text: &str) -> bool {
    let signs: Vec<u32> = text.chars().filter_map(|c| c.to_digit(36)).collect();
    let turned = signs.iter().skip(4).chain(signs.iter().take(4));
    turned.fold(0, |rest, sign| (rest * if *sign < 10 { 10 } else { 100 } + sign) % 97) == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(redactor: &Redactor, text: &str, expected: &str) {
        assert_eq!(redactor.redact(text, text.len()), expected, "{text}");
    }

    #[test]
    fn secrets_go_and_words_stay() {
        let own = [r"\bPRJ-\d+\b".to_owned()];
        let redactor = Redactor::new(&own).unwrap();
        let cases = [
            ("write to Ann.O'Hara+x@mail.example.co.uk, soon", "write to [email], soon"),
            ("jürgen@bücher.example", "[email]"),
            ("key sk-proj-AbC123_def456-ghi789 works", "key [key] works"),
            ("tb_Ab12Cd34Ef56Gh78", "[key]"),
            ("ghp_0123456789abcdefABCD and AKIAIOSFODNN7EXAMPLE", "[key] and [key]"),
            ("AIzaSyA-0123456789abcdefghijklmnopqrstu", "[key]"),
            ("xoxb-123456789012-abcdef", "[key]"),
            ("Authorization: Bearer abc.def-ghi_jkl", "Authorization: [key]"),
            ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl", "[key]"),
            ("-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----\nafter", "[key]\nafter"),
            ("-----BEGIN PRIVATE KEY-----\nMIIE\ncut", "[key]"),
            ("my password is hunter22, ok", "my [secret], ok"),
            (r#"{"api_key": "abcd1234"}"#, r#"{"[secret]"}"#),
            ("DB_PASSWORD=s3cr3t!", "[secret]"),
            ("postgres://joe:pw1234@db/x", "[secret]db/x"),
            ("pay 4111 1111 1111 1111 now", "pay [card] now"),
            ("378282246310005", "[card]"),
            ("order 4111 1111 1111 1112", "order 4111 1111 1111 1112"),
            ("DE89 3704 0044 0532 0130 00 bitte", "[iban] bitte"),
            ("GB82WEST12345698765432", "[iban]"),
            ("call +49 (0)30 1234567 or 0171/1234567", "call [phone] or [phone]"),
            ("(555) 234-5678, 555-234-5678", "[phone], [phone]"),
            ("ssn 078-05-1120", "ssn [id]"),
            ("from 192.168.0.17", "from [address]"),
            ("about PRJ-77", "about [redacted]"),
            (
                "In 2024 we sold 1,250,000 units at 12.50 in 3 cities.",
                "In 2024 we sold 1,250,000 units at 12.50 in 3 cities.",
            ),
            ("What is a token? What is a secret?", "What is a token? What is a secret?"),
            ("fn main() { let x = [1, 2, 3]; }", "fn main() { let x = [1, 2, 3]; }"),
            ("", ""),
        ];
        for (text, expected) in cases {
            check(&redactor, text, expected);
        }
    }

    #[test]
    fn no_part_of_a_secret_stands_at_a_cut() {
        let redactor = Redactor::new(&[]).unwrap();
        let text = "ab ann@mail.example cd 4111 1111 1111 1111 ü";
        for max in 0..=text.len() + 1 {
            let cut = redactor.redact(text, max);
            assert!(!cut.contains("ann") && !cut.contains("41"), "{max}: {cut}");
            assert!("ab [email] cd [card] ü".starts_with(&cut), "{max}: {cut}");
        }
    }

    #[test]
    fn patterns_that_are_none_are_told_and_not_repeated() {
        let long = "x".repeat(513);
        let cases = ["(secret", "(?=secret)", "(?:secret)*", "secret{9}{99}{99}{99}", &long];
        for text in cases {
            let problems = Redactor::new(&["fine".to_owned(), text.to_owned()]).unwrap_err();
            assert_eq!((problems.len(), problems[0].0), (1, 1), "{problems:?}");
            assert!(!problems[0].1.contains("secret"), "{problems:?}");
        }
        let many = vec!["x".to_owned(); 66];
        assert_eq!(Redactor::new(&many).unwrap_err().len(), 2);
    }

    #[test]
    fn hostile_texts_take_no_longer_than_others() {
        let redactor = Redactor::new(&[]).unwrap();
        for piece in ["a@", "1 ", "0", "eyJ", "-----BEGIN PRIVATE KEY-----", "password", "sk-", "+1("] {
            let text = piece.repeat(33 * 1024 / piece.len());
            assert!(redactor.redact(&text, 32 * 1024).len() <= 64 * 1024);
        }
    }
}
