//! `tollbook held` tells everything that is held on a person; `tollbook erase` takes a person out,
//! through the running server where there is one, else in the books themselves.

use crate::cli::{EraseArgs, HeldArgs};
use crate::client::Client;
use crate::clock::SystemClock;
use crate::config::Config;
use crate::failure::{Exit, Failure};
use crate::open;
use crate::out::Out;
use crate::out::number::count;
use crate::out::text::visible;
use crate::wire::{ErasedView, HeldView};
use serde_json::json;
use std::time::Duration;
use tollbook_api::{Person, held_on};
use tollbook_ledger::{By, ErasureOrder, LedgerError};
use tollbook_store::{Captures, StoreError};
use tollbook_types::Clock;

/// A large store takes minutes to be written anew.
const PATIENCE: Duration = Duration::from_secs(3_600);

/// Everything that is held, one thing a line of JSON.
pub fn held(args: &HeldArgs, config: &Config, out: &mut Out) -> Result<Exit, Failure> {
    let store = open::read(config, out)?;
    let person = Person { user: args.user.clone(), project: args.project.clone() };
    let captures = open::captured(config)?;
    let captures = captures.as_ref().map(|captures| captures as &dyn Captures);
    held_on(store.as_ref(), captures, &person, SystemClock.now(), |line: &HeldView| out.json_line(line))?;
    Ok(Exit::Ok)
}

/// Takes a person out.
pub fn erase(args: &EraseArgs, config: &Config, out: &mut Out) -> Result<Exit, Failure> {
    if !args.yes {
        return preview(args, config, out);
    }
    let order =
        ErasureOrder { user: args.user.clone(), project: args.project.clone(), reason: args.reason.clone() };
    let erased = match open::lock(config) {
        Ok(lock) => {
            let ledger = open::open_locked(config, lock, out)?;
            let erased = ledger.erase(&By::local(), &order)?;
            ledger.close()?;
            ErasedView::of(&erased)
        }
        Err(locked @ LedgerError::Locked { .. }) => {
            let Some(client) = Client::find(&config.data_dir.value) else { return Err(locked.into()) };
            let body = json!({"user": order.user, "project": order.project, "reason": order.reason});
            let answer = client.patient(PATIENCE).ask("POST", "/api/v1/erasures", Some(&body))?;
            serde_json::from_value(answer.unwrap_or_default())?
        }
        Err(error) => return Err(error.into()),
    };
    if out.json {
        out.json(&erased)?;
        return Ok(Exit::Ok);
    }
    let pseudonym = visible(&erased.erasure.pseudonym);
    out.line(&format!(
        "{} calls stand under {pseudonym} now; {} keys ended",
        count(erased.calls),
        erased.keys
    ))?;
    if !erased.scrubbed {
        out.note("a reader is in the way: free places of the store are overwritten later");
    }
    for note in &erased.notes {
        out.note(&visible(note));
    }
    out.note("the journal keeps the name for up to 30 days, backups until they are deleted");
    Ok(Exit::Ok)
}

/// Says what would be erased. Nobody shall lose their name by a slip: it cannot be undone.
fn preview(args: &EraseArgs, config: &Config, out: &mut Out) -> Result<Exit, Failure> {
    let store = open::read(config, out)?;
    let person = Person { user: args.user.clone(), project: args.project.clone() };
    let (mut calls, mut keys) = (0, 0);
    held_on(store.as_ref(), None, &person, SystemClock.now(), |line| {
        match line {
            HeldView::Call(_) | HeldView::OpenCall(_) => calls += 1,
            HeldView::Key(_) => keys += 1,
            _ => {}
        }
        Ok::<(), StoreError>(())
    })?;
    if out.json {
        out.json(&json!({"applied": false, "calls": calls, "keys": keys}))?;
        return Ok(Exit::Ok);
    }
    out.line(&format!("{} calls would stand under a pseudonym, {keys} keys would end", count(calls)))?;
    out.note("nothing was done; --yes does it, and it cannot be undone");
    Ok(Exit::Ok)
}
