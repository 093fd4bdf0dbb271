//! What a span or log record tells of its tokens, as figures of which each part lies in its whole.

use super::Attributes;
use super::names::{Column, LANGSMITH_MEMBERS, LANGSMITH_USAGE};
use crate::import::{Problem, code};
use crate::shape::{Field, Figures, Place, Rows, Shape};
use crate::value::quantity;
use serde_json::{Map, Value};
use tollbook_types::json;

/// Totals that include their parts, as the conventions have it.
static CONVENTION: Shape = Shape {
    name: "otel",
    marks: &[],
    rows: Rows::of(&[]),
    seconds: &[],
    splits: &[],
    cache: Place::Inside,
    reasoning: Place::Inside,
};

/// Figures, and the attributes that they are from.
pub(super) struct Told {
    pub figures: Box<Figures>,
    /// As JSON text, for `explain`.
    pub raw: String,
}

/// Reads the columns; none where no attribute tells anything. What is there and is no count is a problem.
pub(super) fn read(attributes: &Attributes, columns: &[Column]) -> Result<Option<Told>, Vec<Problem>> {
    let langsmith = members(attributes).map_err(|problem| vec![problem])?;
    let text_of = |name: &str| {
        let member = langsmith.iter().find(|(known, _)| *known == name);
        attributes.get(name).or(member.map(|(_, text)| text.as_str()))
    };
    let mut figures = Box::new(Figures::empty(&CONVENTION));
    let (mut raw, mut problems) = (Map::new(), Vec::new());
    for (field, names) in columns {
        let Some((name, text)) = names.iter().find_map(|name| Some((*name, text_of(name)?))) else {
            continue;
        };
        match quantity(text) {
            Ok(count) => {
                figures.set(*field, name, count);
                raw.insert(name.to_owned(), Value::from(count));
            }
            Err(damage) => {
                let detail = format!("{name} is {}", damage.name());
                problems.push(Problem::new(code::FIELD_INVALID, detail));
            }
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    Ok((!figures.is_empty()).then(|| Told { figures, raw: Value::Object(raw).to_string() }))
}

/// The counts in LangSmith's JSON text, by the names that the columns have for them.
fn members(attributes: &Attributes) -> Result<Vec<(&'static str, String)>, Problem> {
    let Some(text) = attributes.get(LANGSMITH_USAGE) else { return Ok(Vec::new()) };
    let usage = json::parse(text.as_bytes())
        .map_err(|_| Problem::new(code::FIELD_INVALID, format!("{LANGSMITH_USAGE} is no JSON text")))?;
    let member = |name: &'static str| {
        let found = usage.pointer(name.strip_prefix(LANGSMITH_USAGE)?)?;
        (!found.is_null()).then(|| (name, found.to_string()))
    };
    Ok(LANGSMITH_MEMBERS.iter().filter_map(|name| member(name)).collect())
}

/// Puts parts into their whole where the emitter counted them beside it: always where `is_beside` says
/// so, else only where the figures cannot be read otherwise, which is flagged.
pub(super) fn inclusive(figures: &mut Figures, cache_is_beside: bool, reasoning_is_beside: bool) {
    let writes = figures.get(Field::CacheWrite).unwrap_or_else(|| {
        figures.or_zero(Field::CacheWrite5m).saturating_add(figures.or_zero(Field::CacheWrite1h))
    });
    let cached = figures.or_zero(Field::CacheRead).saturating_add(writes);
    raise(figures, Field::Input, cached, cache_is_beside, "cache_excluded", "cached tokens");
    let reasoning = figures.or_zero(Field::Reasoning);
    raise(figures, Field::Output, reasoning, reasoning_is_beside, "reasoning_excluded", "reasoning tokens");
}

fn raise(figures: &mut Figures, whole: Field, parts: u64, is_beside: bool, flag: &str, what: &str) {
    let Some(told) = figures.get(whole) else { return };
    if !is_beside {
        if parts <= told {
            return;
        }
        figures.flag(format!(
            "{flag}: {what} ({parts}) exceed {} ({told}) and are added to it",
            figures.name(whole)
        ));
    }
    figures.set(whole, figures.name(whole), told.saturating_add(parts));
}
