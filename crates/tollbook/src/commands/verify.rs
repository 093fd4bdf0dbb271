//! `tollbook verify`: journal, entries and rollups agree, or what differs.

use crate::config::Config;
use crate::failure::{Exit, Failure};
use crate::open;
use crate::out::Out;
use crate::out::number::count;
use crate::out::text::visible;
use serde_json::json;
use tollbook_ledger::Verification;

pub fn run(config: &Config, out: &mut Out) -> Result<Exit, Failure> {
    let store = open::read(config, out)?;
    let found = tollbook_ledger::verify(&open::dir(config)?, &*store)?;
    let is_well = found.problems.is_empty();
    if out.json {
        out.json(&json!({
            "ok": is_well, "first": found.first, "last": found.last, "records": found.records,
            "entries": found.entries, "adjustments": found.adjustments, "rollup_rows": found.rollup_rows,
            "seals": found.seals, "unrecorded_calls": found.unrecorded_calls,
            "problems": found.problems, "notes": found.notes,
        }))?;
    } else {
        print(&found, out)?;
    }
    Ok(if is_well { Exit::Ok } else { Exit::Differs })
}

fn print(found: &Verification, out: &mut Out) -> Result<(), Failure> {
    let range = match (found.first, found.last) {
        (Some(first), Some(last)) => format!("{first} to {last}"),
        _ => "empty".to_owned(),
    };
    let rows = [
        ("journal", format!("{range}, {} records compared", count(found.records))),
        ("entries", count(found.entries)),
        ("adjustments", count(found.adjustments)),
        ("rollup rows", count(found.rollup_rows)),
        ("seals", count(found.seals)),
        (
            "unrecorded",
            format!("{} calls passed while recording was not possible", count(found.unrecorded_calls)),
        ),
    ];
    for (name, text) in rows {
        out.line(&format!("{name:<12} {text}"))?;
    }
    for note in &found.notes {
        out.line(&format!("{:<12} {}", "note", visible(note)))?;
    }
    for problem in &found.problems {
        out.line(&format!("{:<12} {}", "DIFFERS", visible(problem)))?;
    }
    out.line(&match found.problems.len() {
        0 => "all agree".to_owned(),
        n => format!("{n} problems: `tollbook rebuild` mends rollups, `tollbook restore BACKUP` the rest"),
    })
}
