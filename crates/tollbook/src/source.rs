//! Where a glance at the books comes from: the running server, or the store, which is read beside
//! whoever writes it. Both answer in the same shapes. Nothing here waits long, takes a lock or
//! writes.

use crate::client::{Client, encoded};
use crate::config::{Config, NamedZone};
use crate::failure::Failure;
use crate::open;
use crate::wire::{CallView, ReportView};
use serde::Deserialize;
use serde_json::Value;
use std::time::Duration;
use tollbook_api::question;
use tollbook_ledger::run_in_progress;
use tollbook_sqlite::SqliteStore;
use tollbook_store::{CallsOrder, CallsQuery, EventStore, Filter, Interval, UsageQuery, View};
use tollbook_types::{Money, TimeRange, Timestamp};

/// Where figures come from.
pub enum Source {
    /// The server that runs.
    Server(Client),
    /// The store, as it stands.
    Store(Box<SqliteStore>),
}

/// A question for sums.
pub struct Asked<'a> {
    /// Which time.
    pub range: TimeRange,
    /// Split by time.
    pub interval: Interval,
    /// Split by this dimension.
    pub by: Option<&'a str>,
    /// `KEY=VALUE` and `KEY!=VALUE`.
    pub filters: &'a [(String, String)],
}

/// A row of sums, as far as a glance shows it.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Sums {
    /// The start of its time.
    pub bucket: Option<Timestamp>,
    /// Its value of the dimension that was asked for.
    #[serde(skip)]
    pub key: Option<String>,
    pub calls: u64,
    pub errors: u64,
    pub input_tokens: u64,
    pub output_tokens: u64,
    pub total_tokens: u64,
    pub unpriced_calls: u64,
    pub unknown_calls: u64,
    /// `None` where no call has a cost.
    pub cost_usd: Option<Money>,
    pub saved_usd: Option<Money>,
    pub latency_ms_avg: Option<u64>,
}

/// Sums, by row and in all.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    pub rows: Vec<Sums>,
    pub total: Sums,
}

/// Where a budget, or one value of its `each`, stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Standing {
    /// What it is called, with the value of its `each`.
    pub name: String,
    /// `warn`, `block` and so on.
    pub at_limit: String,
    /// Spent and held, and the limit, in the same unit: picodollars, tokens or calls.
    pub used: i128,
    pub limit: i128,
    pub is_usd: bool,
    pub resets_at: Option<Timestamp>,
}

impl Standing {
    /// The used part in per cent, cut to a whole number; at most 999.
    pub fn percent(&self) -> u32 {
        let part = self.used.max(0).saturating_mul(100).checked_div(self.limit).unwrap_or(999);
        u32::try_from(part.clamp(0, 999)).unwrap_or(999)
    }
}

impl Source {
    /// The server of the data directory if one answers, else its store.
    pub fn open(config: &Config, patience: Duration) -> Result<Source, Failure> {
        if let Some(client) = Client::find(&config.data_dir.value) {
            let client = client.patient(patience);
            // A file that a killed server left behind leads nowhere.
            if client.ask("GET", "/healthz", None).is_ok() {
                return Ok(Source::Server(client));
            }
        }
        let dir = open::dir(config)?;
        if !dir.store().exists() {
            return Err(Failure::new(format!("there is nothing in {} yet", config.data_dir.value.display()))
                .hint("`tollbook serve` starts a server, `tollbook demo` shows what it is like"));
        }
        Ok(Source::Store(Box::new(open::reading(&dir)?)))
    }

    /// Sums.
    pub fn usage(&self, asked: &Asked<'_>, zone: &NamedZone) -> Result<Report, Failure> {
        let told = match self {
            Source::Server(client) => client.ask("GET", &asked.path(zone), None)?.unwrap_or_default(),
            Source::Store(store) => {
                let query = asked.query(zone)?;
                let run = run_in_progress(&**store)?;
                let report = store.usage(&query)?;
                let run_in_progress = run.as_deref();
                let view = ReportView { query: &query, zone: &zone.name, run_in_progress, report: &report };
                serde_json::to_value(view)?
            }
        };
        read_report(told, asked.by)
    }

    /// The newest calls, in the shape of the API.
    pub fn calls(&self, limit: usize, filters: &[(String, String)]) -> Result<Vec<Value>, Failure> {
        match self {
            Source::Server(client) => {
                let mut path = format!("/api/v1/calls?limit={limit}");
                push_filters(&mut path, filters);
                let mut page = client.ask("GET", &path, None)?.unwrap_or_default();
                Ok(serde_json::from_value(page["data"].take())?)
            }
            Source::Store(store) => {
                let query = CallsQuery {
                    range: TimeRange::ALL,
                    filters: read_filters(filters)?,
                    order: CallsOrder::Newest,
                    after: None,
                    limit,
                };
                let page = store.calls(&query)?;
                Ok(page
                    .calls
                    .iter()
                    .map(|call| serde_json::to_value(CallView::of(call)))
                    .collect::<Result<_, _>>()?)
            }
        }
    }

    /// Where budgets stand, the tightest first. Only a server knows: it counts them.
    pub fn budgets(&self) -> Result<Vec<Standing>, Failure> {
        let Source::Server(client) = self else { return Ok(Vec::new()) };
        let page = client.ask("GET", "/api/v1/budgets", None)?.unwrap_or_default();
        let mut found: Vec<Standing> =
            page["data"].as_array().into_iter().flatten().flat_map(standings).collect();
        found.sort_by(|a, b| b.percent().cmp(&a.percent()).then_with(|| a.name.cmp(&b.name)));
        Ok(found)
    }
}

impl Asked<'_> {
    fn path(&self, zone: &NamedZone) -> String {
        let interval = match self.interval {
            Interval::None => "none",
            Interval::Hour => "hour",
            Interval::Day => "day",
            Interval::Week => "week",
            Interval::Month => "month",
        };
        let mut path = format!("/api/v1/usage?interval={interval}&tz={}", encoded(&zone.name));
        for (name, at) in [("from", self.range.from), ("to", self.range.to)] {
            if let Some(at) = at {
                path.push_str(&format!("&{name}={}", encoded(&at.to_string())));
            }
        }
        if let Some(by) = self.by {
            path.push_str(&format!("&group_by={}", encoded(by)));
        }
        push_filters(&mut path, self.filters);
        path
    }

    fn query(&self, zone: &NamedZone) -> Result<UsageQuery, Failure> {
        let group_by = self.by.map(str::parse).transpose().map_err(Failure::usage)?;
        Ok(UsageQuery {
            range: self.range,
            interval: self.interval,
            zone: zone.zone.clone(),
            group_by: group_by.into_iter().collect(),
            filters: read_filters(self.filters)?,
            view: View::Corrected,
        })
    }
}

fn read_filters(filters: &[(String, String)]) -> Result<Vec<Filter>, Failure> {
    question::filters(filters.iter().map(|(key, value)| (key.as_str(), value.as_str())))
        .map_err(Failure::usage)
}

fn push_filters(path: &mut String, filters: &[(String, String)]) {
    for (key, value) in filters {
        path.push_str(&format!("&{}={}", encoded(key), encoded(value)));
    }
}

fn read_report(mut told: Value, by: Option<&str>) -> Result<Report, Failure> {
    let mut rows = Vec::new();
    for row in told["rows"].as_array().into_iter().flatten() {
        let key = by.and_then(|by| row[by].as_str()).map(str::to_owned);
        rows.push(Sums { key, ..Sums::deserialize(row)? });
    }
    Ok(Report { rows, total: serde_json::from_value(told["total"].take())? })
}

/// A budget's accounts, or itself where it has none.
fn standings(budget: &Value) -> Vec<Standing> {
    let name = budget["name"].as_str().unwrap_or_default();
    let at_limit = budget["at_limit"].as_str().unwrap_or("warn");
    // Calls of unknown outcome count where nothing may pass the limit.
    let is_strict = budget["mode"] == "strict";
    let one = |stands: &Value, name: String| -> Option<Standing> {
        let is_usd = stands["spent_usd"].is_string();
        let amount = |value: &Value| -> Option<i128> {
            match value {
                Value::String(text) if is_usd => text.parse::<Money>().ok().map(Money::picos),
                Value::String(text) => text.parse().ok(),
                other => other.as_i64().map(i128::from),
            }
        };
        let unsettled = if is_strict { "unsettled_usd" } else { "" };
        let members = if is_usd { ["spent_usd", "held_usd", unsettled] } else { ["spent", "held", ""] };
        let used = members.iter().filter_map(|member| amount(&stands[*member])).sum();
        let resets_at = stands["resets_at"].as_str().and_then(|at| at.parse().ok());
        let limit = amount(&stands["limit"])?;
        Some(Standing { name, at_limit: at_limit.to_owned(), used, limit, is_usd, resets_at })
    };
    match budget["accounts"].as_array() {
        Some(accounts) => accounts
            .iter()
            .filter_map(|stands| one(stands, format!("{name}: {}", stands["value"].as_str().unwrap_or("–"))))
            .collect(),
        None => one(budget, name.to_owned()).into_iter().collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn budgets_are_read_in_each_unit() {
        let usd = json!({"name": "ops", "at_limit": "block", "spent_usd": "4.1", "held_usd": "0", "unsettled_usd": "0",
            "left_usd": "5.9", "limit": "10", "resets_at": "2026-11-24T00:00:00Z"});
        let found = standings(&usd);
        assert_eq!((found.len(), found[0].percent(), found[0].is_usd), (1, 41, true));
        for (mode, percent) in [("expected", 41), ("strict", 91)] {
            let mut unknown = usd.clone();
            unknown["mode"] = mode.into();
            unknown["unsettled_usd"] = "5".into();
            assert_eq!(standings(&unknown)[0].percent(), percent, "{mode}");
        }
        let each = json!({"name": "users", "spent": 0, "held": 0, "left": 10, "limit": "10", "accounts": [
            {"value": "ann", "spent": 9, "held": 2, "left": -1, "limit": "10", "resets_at": null},
            {"value": null, "spent": 1, "held": 0, "left": 9, "limit": "10"},
        ]});
        let told: Vec<(String, u32)> =
            standings(&each).into_iter().map(|stands| (stands.name.clone(), stands.percent())).collect();
        assert_eq!(told, [("users: ann".to_owned(), 110), ("users: –".to_owned(), 10)]);
        assert!(standings(&json!({"name": "odd", "limit": "x"})).is_empty());
        let none = Standing { limit: 0, ..standings(&usd).remove(0) };
        assert_eq!(none.percent(), 999);
    }
}
