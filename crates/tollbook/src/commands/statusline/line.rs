//! The line: parts with places for figures. A part whose figure is absent is left out.

use crate::out::number::brief_dollars;
use crate::out::text::visible;
use crate::source::Standing;
use serde::{Serialize, Serializer};
use tollbook_types::Money;

/// The parts of the line unless told otherwise.
pub const USUAL: &str = "{today} today|{session} session|{budget}|↗ {rate}/h|resets {resets}";
/// Between two parts.
const BETWEEN: &str = " · ";
/// A longer layout is none.
const LAYOUT_BYTES_MAX: usize = 1_024;

/// What a place may stand for.
const PLACES: &[&str] = &["today", "session", "budget", "left", "rate", "resets", "model"];

/// Everything that a line may show.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Facts {
    /// Today's cost; `None` where no call of today has one.
    #[serde(rename = "today_usd")]
    pub today: Option<Money>,
    /// Calls of today that are not in it.
    #[serde(rename = "without_cost")]
    pub unpriced: u64,
    /// The cost of the last hour.
    #[serde(rename = "last_hour_usd")]
    pub rate: Option<Money>,
    /// The session's cost.
    #[serde(rename = "session_usd")]
    pub session: Option<Money>,
    /// The model's name.
    pub model: Option<String>,
    /// The budget of which the largest part is used.
    #[serde(serialize_with = "told")]
    pub budget: Option<Standing>,
    /// Seconds until it begins anew.
    #[serde(rename = "budget_resets_in_s")]
    pub resets_s: Option<i64>,
    /// The zone of today.
    #[serde(rename = "tz")]
    pub zone: String,
}

fn told<S: Serializer>(budget: &Option<Standing>, serializer: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Shape<'a> {
        name: &'a str,
        percent: u32,
        limit: String,
        left: String,
    }
    let shape = budget.as_ref().map(|budget| Shape {
        name: &budget.name,
        percent: budget.percent(),
        limit: amount(budget.limit, budget.is_usd),
        left: amount(budget.limit - budget.used, budget.is_usd),
    });
    shape.serialize(serializer)
}

/// A layout that has been read: parts, each of texts and places in turn.
#[derive(Debug, PartialEq, Eq)]
pub struct Layout<'a>(Vec<Vec<Piece<'a>>>);

#[derive(Debug, PartialEq, Eq)]
enum Piece<'a> {
    Text(&'a str),
    Place(&'static str),
}

impl<'a> Layout<'a> {
    /// Reads a layout: parts between `|`, places in braces. The error is for the line's place.
    pub fn read(text: &'a str) -> Result<Layout<'a>, String> {
        if text.len() > LAYOUT_BYTES_MAX {
            return Err("tollbook: the format is too long".to_owned());
        }
        text.split('|').map(pieces).collect::<Result<_, _>>().map(Layout)
    }

    /// The line.
    pub fn line(&self, facts: &Facts) -> String {
        let shown: Vec<String> = self.0.iter().filter_map(|part| shown(part, facts)).collect();
        visible(&shown.join(BETWEEN)).into_owned()
    }
}

fn pieces(part: &str) -> Result<Vec<Piece<'_>>, String> {
    let (mut found, mut rest) = (Vec::new(), part);
    while let Some((text, after)) = rest.split_once('{') {
        let (name, after) =
            after.split_once('}').ok_or_else(|| "tollbook: the format has { without }".to_owned())?;
        let place = PLACES.iter().find(|place| **place == name);
        let place = place.ok_or_else(|| format!("tollbook: the format knows {}", PLACES.join(" ")))?;
        found.extend([Piece::Text(text), Piece::Place(place)]);
        rest = after;
    }
    found.push(Piece::Text(rest));
    Ok(found)
}

fn shown(part: &[Piece<'_>], facts: &Facts) -> Option<String> {
    let texts = part.iter().map(|piece| match piece {
        Piece::Text(text) => Some((*text).to_owned()),
        Piece::Place(place) => figure(place, facts),
    });
    let text = texts.collect::<Option<Vec<String>>>()?.concat();
    (!text.is_empty()).then_some(text)
}

fn figure(place: &str, facts: &Facts) -> Option<String> {
    let budget = facts.budget.as_ref();
    match place {
        // A plus: some calls are not in it.
        "today" => match (facts.today, facts.unpriced) {
            (Some(today), 0) => Some(brief_dollars(today)),
            (Some(today), _) => Some(format!("{}+", brief_dollars(today))),
            (None, calls) => Some(format!("{calls} unpriced")),
        },
        "session" => facts.session.map(brief_dollars),
        "budget" => {
            budget.map(|budget| format!("{} % of {}", budget.percent(), amount(budget.limit, budget.is_usd)))
        }
        "left" => budget.map(|budget| amount(budget.limit - budget.used, budget.is_usd)),
        "rate" => facts.rate.filter(|rate| rate.picos() > 0).map(brief_dollars),
        "resets" => facts.resets_s.map(span),
        "model" => facts.model.clone(),
        _ => None,
    }
}

fn amount(amount: i128, is_usd: bool) -> String {
    match is_usd {
        true => brief_dollars(Money::from_picos(amount)),
        false => amount.to_string(),
    }
}

/// A time ahead in its largest unit: `7 h`, `12 min`, `3 d`.
fn span(seconds: i64) -> String {
    match seconds.max(0) {
        seconds if seconds >= 2 * 86_400 => format!("{} d", seconds / 86_400),
        seconds if seconds >= 3_600 => format!("{} h", seconds / 3_600),
        seconds => format!("{} min", seconds.div_euclid(60)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts() -> Facts {
        let money = |text: &str| text.parse::<Money>().unwrap();
        let budget = Standing {
            name: "ops".to_owned(),
            at_limit: "block".to_owned(),
            used: money("4.1").picos(),
            limit: money("10").picos(),
            is_usd: true,
            resets_at: None,
        };
        Facts {
            today: Some(money("4.1234")),
            unpriced: 0,
            rate: Some(money("0.9")),
            session: Some(money("0.83")),
            model: Some("Opus\u{1b}[31m".to_owned()),
            budget: Some(budget),
            resets_s: Some(7 * 3_600 + 59),
            zone: "UTC".to_owned(),
        }
    }

    #[track_caller]
    fn check(layout: &str, facts: &Facts, wanted: &str) {
        let line = Layout::read(layout).map_or_else(|problem| problem, |layout| layout.line(facts));
        assert_eq!(line, wanted, "{layout}");
    }

    #[test]
    fn parts_without_a_figure_are_left_out() {
        let all = facts();
        check(USUAL, &all, "$4.12 today · $0.8300 session · 41 % of $10.00 · ↗ $0.9000/h · resets 7 h");
        let some = Facts { session: None, budget: None, resets_s: None, rate: None, ..facts() };
        check(USUAL, &some, "$4.12 today");
        check(USUAL, &Facts { unpriced: 3, ..some.clone() }, "$4.12+ today");
        check(USUAL, &Facts { today: None, unpriced: 3, ..some }, "3 unpriced today");
        check("{left} left|{model}", &all, "$5.90 left · Opus␛[31m");
        check("plain", &all, "plain");
        check("", &all, "");
        check("{nonsense}", &all, "tollbook: the format knows today session budget left rate resets model");
        check("{today", &all, "tollbook: the format has { without }");
    }

    #[test]
    fn times_have_their_largest_unit() {
        let cases = [(-5, "0 min"), (59, "0 min"), (3_599, "59 min"), (3_600, "1 h"), (172_800, "2 d")];
        for (seconds, wanted) in cases {
            assert_eq!(span(seconds), wanted);
        }
    }
}
