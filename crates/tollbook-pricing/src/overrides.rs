//! A user's own file: prices of their own, discounts and markups, aliases.

use crate::model::{ADJUSTMENTS_MAX, Bound, Price, all_hold};
use crate::parse::{check_rules, dates, model_rule, overlap, price, rules, same_kind, when};
use crate::problem::Problem;
use crate::reader::{Reader, Table};
use crate::rule::Rule;
use std::ops::Range;
use tollbook_types::{Conditions, Money, Timestamp, canonical_provider};

const RULE_WORDS: [&str; 6] = ["exact", "prefix", "suffix", "contains", "regex", "all"];
/// One, in trillionths.
const ONE: u64 = 1_000_000_000_000;

/// Which calls an override is for.
#[derive(Clone, Debug)]
pub(crate) struct Scope {
    /// The provider's canonical id; absent means any.
    pub provider: Option<String>,
    /// The models; empty means any.
    pub rules: Vec<Rule>,
    /// Where it stands: `my-prices.toml:12`.
    pub origin: String,
}

impl Scope {
    /// The most specific rule that one of the names satisfies, if the provider is right.
    pub fn rank(&self, provider: &str, names: &[String]) -> Option<(u8, usize)> {
        if self.provider.as_deref().is_some_and(|own| own != provider) {
            return None;
        }
        if self.rules.is_empty() {
            return Some((0, 0));
        }
        let matching = self.rules.iter().filter(|rule| names.iter().any(|name| rule.matches(name)));
        matching.map(Rule::rank).max()
    }

    fn same(&self, other: &Scope) -> bool {
        let text = |scope: &Scope| scope.rules.iter().map(ToString::to_string).collect::<Vec<_>>();
        self.provider == other.provider && text(self) == text(other)
    }

    /// The rules in words.
    pub fn text(&self) -> String {
        if self.rules.is_empty() {
            return "any model".to_owned();
        }
        self.rules.iter().map(ToString::to_string).collect::<Vec<_>>().join(" or ")
    }
}

/// A price of the user's own.
#[derive(Clone, Debug)]
pub(crate) struct OwnPrice {
    pub scope: Scope,
    pub price: Price,
}

impl OwnPrice {
    /// Whether it applies at an instant under conditions.
    pub fn applies(&self, at: Timestamp, conditions: &Conditions) -> bool {
        self.price.covers(at) && self.price.in_window(at) && self.price.holds(conditions)
    }
}

/// A discount or a markup.
#[derive(Clone, Debug)]
pub(crate) struct Adjust {
    pub scope: Scope,
    /// Trillionths: 15 % off is 850_000_000_000.
    pub factor: u64,
    /// In words: `discount 15%`.
    pub text: String,
    pub when: Vec<(String, String)>,
    pub from: Option<Bound>,
    pub to: Option<Bound>,
}

impl Adjust {
    /// Whether it applies at an instant under conditions.
    pub fn applies(&self, at: Timestamp, conditions: &Conditions) -> bool {
        self.from.as_ref().is_none_or(|from| at >= from.at)
            && self.to.as_ref().is_none_or(|to| at < to.at)
            && all_hold(&self.when, conditions)
    }
}

/// A name of the user's own for a model, such as a deployment's.
#[derive(Clone, Debug)]
pub(crate) struct OwnAlias {
    pub scope: Scope,
    pub provider: Option<String>,
    pub model: String,
    pub from: Option<Bound>,
    pub to: Option<Bound>,
}

/// Everything in the user's files.
#[derive(Clone, Debug, Default)]
pub(crate) struct Overrides {
    pub prices: Vec<OwnPrice>,
    pub adjusts: Vec<Adjust>,
    pub aliases: Vec<OwnAlias>,
}

impl Overrides {
    /// Adds a further file's. Every problem is reported, or none and all is added.
    pub fn add(&mut self, file: &str, text: &str) -> Result<(), Vec<Problem>> {
        let mut reader = Reader::new(file, text);
        let root = reader.parse();
        if !reader.problems.is_empty() {
            return Err(reader.problems);
        }
        reader.known(&root, &["price", "discount", "markup", "alias"]);
        let mut all = self.clone();
        for (table, span) in reader.tables(&root, "price") {
            let own = own_price(&mut reader, table, &span);
            let clash = all.prices.iter().find(|known| {
                known.scope.same(&own.scope)
                    && same_kind(&known.price, &own.price)
                    && overlap(&known.price, &own.price)
            });
            if let Some(known) = clash {
                let message = format!(
                    "its dates overlap those of the price at {}: give one a `to`",
                    known.scope.origin
                );
                reader.problem(span, message);
            }
            all.prices.push(own);
        }
        for (word, down) in [("discount", true), ("markup", false)] {
            for (table, span) in reader.tables(&root, word) {
                let adjust = adjust(&mut reader, table, &span, word, down);
                all.adjusts.extend(adjust);
            }
        }
        for (table, span) in reader.tables(&root, "alias") {
            let alias = own_alias(&mut reader, table, &span);
            all.aliases.extend(alias);
        }
        if all.adjusts.len() > ADJUSTMENTS_MAX {
            reader.problem(0..0, format!("more than {ADJUSTMENTS_MAX} discounts and markups"));
        }
        if !reader.problems.is_empty() {
            return Err(reader.problems);
        }
        *self = all;
        Ok(())
    }
}

fn scope(reader: &mut Reader<'_>, table: &Table<'_>, span: &Range<usize>, model_key: &str) -> Scope {
    let mut all = rules(reader, table);
    for (text, at) in reader.texts(table, model_key) {
        if text.is_empty() {
            reader.problem(at, format!("`{model_key}` is empty: write \"*\" for any model"));
        } else {
            all.push(model_rule(text));
        }
    }
    if let Err(message) = check_rules(&all) {
        reader.problem(span.clone(), message);
    }
    let provider = reader.string(table, "provider").map(|name| canonical_provider(&name));
    Scope { provider, rules: all, origin: reader.origin(span.start) }
}

fn own_price(reader: &mut Reader<'_>, table: &Table<'_>, span: &Range<usize>) -> OwnPrice {
    let mut also = vec!["provider", "model"];
    also.extend(RULE_WORDS);
    let scope = scope(reader, table, span, "model");
    let price = price(reader, table, &also, span);
    if scope.rules.is_empty() {
        reader.problem(span.clone(), "a price needs a `model` (\"*\" for any)".to_owned());
    }
    if price.rates.is_empty() {
        reader.problem(span.clone(), "a price without a rate, such as `input = \"2.50\"`".to_owned());
    }
    OwnPrice { scope, price }
}

fn adjust(
    reader: &mut Reader<'_>,
    table: &Table<'_>,
    span: &Range<usize>,
    word: &str,
    down: bool,
) -> Option<Adjust> {
    let mut known = vec!["provider", "model", "percent", "when", "from", "to"];
    known.extend(RULE_WORDS);
    reader.known(table, &known);
    let scope = scope(reader, table, span, "model");
    let when = when(reader, table);
    let (from, to) = dates(reader, table, span);
    let Some((text, at)) = reader.text(table, "percent") else {
        reader.problem(span.clone(), format!("a {word} needs a `percent`, in quotes"));
        return None;
    };
    let part = text.parse::<Money>().ok().and_then(|percent| u64::try_from(percent.picos() / 100).ok());
    let limit = if down { ONE } else { ONE * 1_000 };
    let Some(part) = part.filter(|part| *part <= limit) else {
        let range = if down { "0 to 100" } else { "0 to 100000" };
        reader.problem(at, format!("`percent` must be a decimal number from {range}"));
        return None;
    };
    let factor = if down { ONE - part } else { ONE + part };
    Some(Adjust { scope, factor, text: format!("{word} {text}%"), when, from, to })
}

fn own_alias(reader: &mut Reader<'_>, table: &Table<'_>, span: &Range<usize>) -> Option<OwnAlias> {
    let mut known = vec!["provider", "name", "model", "model_provider", "from", "to"];
    known.extend(RULE_WORDS);
    reader.known(table, &known);
    let scope = scope(reader, table, span, "name");
    let (from, to) = dates(reader, table, span);
    let provider = reader.string(table, "model_provider").map(|name| canonical_provider(&name));
    let model = reader.string(table, "model").filter(|model| !model.is_empty());
    let Some(model) = model.filter(|_| !scope.rules.is_empty()) else {
        reader.problem(span.clone(), "an alias needs `name` and `model`".to_owned());
        return None;
    };
    Some(OwnAlias { scope, provider, model: model.to_lowercase(), from, to })
}
