//! A request's query: the parameters that a handler knows, and filters for the rest.

use crate::access::Scope;
use crate::code::Code;
use crate::problem::Problem;
use crate::question::{self, NamedZone};
use axum::extract::Query;
use http::Uri;
use tollbook_store::Filter;
use tollbook_types::Digest;

/// The pairs of a query.
#[derive(Clone, Debug)]
pub struct Params(Vec<(String, String)>);

/// A refused parameter.
pub fn invalid(detail: impl Into<String>) -> Problem {
    Problem::new(Code::ParameterInvalid, detail)
}

impl Params {
    /// The query of a request's target.
    pub fn of(uri: &Uri) -> Result<Params, Problem> {
        let Query(pairs) = Query::try_from_uri(uri).map_err(|_| invalid("the query cannot be read"))?;
        Ok(Params(pairs))
    }

    /// Takes out a parameter that may be there once.
    pub fn take(&mut self, name: &str) -> Result<Option<String>, Problem> {
        let Some(place) = self.0.iter().position(|(key, _)| key == name) else { return Ok(None) };
        let (_, value) = self.0.remove(place);
        if self.0.iter().any(|(key, _)| key == name) {
            return Err(invalid(format!("{name} stands twice")));
        }
        Ok(Some(value))
    }

    /// Whether nothing is left.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes out a parameter that is one of these words.
    pub fn word<T: Copy>(&mut self, name: &str, words: &[(&str, T)]) -> Result<Option<T>, Problem> {
        let Some(text) = self.take(name)? else { return Ok(None) };
        match words.iter().find(|(word, _)| *word == text) {
            Some((_, meant)) => Ok(Some(*meant)),
            None => {
                let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
                Err(invalid(format!("{name} is one of {}", known.join(", "))))
            }
        }
    }

    /// Takes out how many there may be at most: 1 to `max`.
    pub fn limit(&mut self, max: usize) -> Result<Option<usize>, Problem> {
        let Some(text) = self.take("limit")? else { return Ok(None) };
        match text.parse() {
            Ok(limit) if (1..=max).contains(&limit) => Ok(Some(limit)),
            _ => Err(invalid(format!("limit is a number from 1 to {max}"))),
        }
    }

    /// Takes out the zone.
    pub fn zone(&mut self, otherwise: &NamedZone) -> Result<NamedZone, Problem> {
        match self.take("tz")? {
            Some(name) => NamedZone::find(&name).map_err(invalid),
            None => Ok(otherwise.clone()),
        }
    }

    /// What is left, as filters, within what the caller sees.
    pub fn filters(&self, scope: &Scope) -> Result<Vec<Filter>, Problem> {
        let pairs = self.0.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        let mut filters = question::filters(pairs).map_err(invalid)?;
        filters.extend(scope.filters());
        Ok(filters)
    }

    /// A digest of what is left, whatever its order.
    pub fn digest(&self) -> Digest {
        let mut pairs = self.0.clone();
        pairs.sort();
        Digest::of(format!("{pairs:?}").as_bytes())
    }
}
