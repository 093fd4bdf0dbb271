//! `tollbook key …`: through the running server where there is one, else in the books themselves.

use super::holder::{self, Holder, answer, is_id};
use crate::cli::{KeyCommand, KeyCreateArgs};
use crate::config::Config;
use crate::failure::{Exit, Failure};
use crate::out::Out;
use crate::out::table::{Cell, Column, Table};
use crate::wire::KeyView;
use serde_json::{Map, Value, json};
use tollbook_api::question;
use tollbook_ledger::{By, NewKey};
use tollbook_types::{Attribution, parse_instant};

pub fn run(command: &KeyCommand, config: &Config, out: &mut Out) -> Result<Exit, Failure> {
    match command {
        KeyCommand::Create(args) => {
            let new = new_key(args)?;
            let key = holder::with(config, out, |holder| create(holder, &new))?;
            shown(&key, out)?;
        }
        KeyCommand::List => {
            let found = holder::with(config, out, keys)?;
            list(&found, out)?;
        }
        KeyCommand::Revoke(args) => {
            check_id(&args.id)?;
            holder::with(config, out, |holder| revoke(holder, &args.id))?;
            if out.json {
                out.json(&json!({"id": args.id, "revoked": true}))?;
            }
            out.note("it opens nothing any more");
        }
        KeyCommand::Rotate(args) => {
            check_id(&args.id)?;
            let key = holder::with(config, out, |holder| rotate(holder, &args.id))?;
            shown(&key, out)?;
        }
    }
    Ok(Exit::Ok)
}

fn create(holder: &Holder, new: &NewKey) -> Result<KeyView, Failure> {
    match holder {
        Holder::Books(ledger) => {
            let (key, text) = ledger.create_key(&By::local(), new.clone())?;
            Ok(KeyView::shown_once(&key, text))
        }
        Holder::Server(client) => answer(client.ask("POST", "/api/v1/keys", Some(&as_asked(new)?))?),
    }
}

fn keys(holder: &Holder) -> Result<Vec<KeyView>, Failure> {
    match holder {
        Holder::Books(ledger) => Ok(ledger.keys().list().map(|key| KeyView::of(key)).collect()),
        Holder::Server(client) => {
            let page = client.ask("GET", "/api/v1/keys", None)?;
            answer(page.map(|mut page| page["data"].take()))
        }
    }
}

fn revoke(holder: &Holder, id: &str) -> Result<(), Failure> {
    match holder {
        Holder::Books(ledger) => ledger.revoke_key(&By::local(), id)?.map(drop).ok_or_else(unknown),
        Holder::Server(client) => client.ask("DELETE", &format!("/api/v1/keys/{id}"), None).map(drop),
    }
}

fn rotate(holder: &Holder, id: &str) -> Result<KeyView, Failure> {
    match holder {
        Holder::Books(ledger) => {
            let (key, text) = ledger.rotate_key(&By::local(), id)?.ok_or_else(unknown)?;
            Ok(KeyView::shown_once(&key, text))
        }
        Holder::Server(client) => answer(client.ask("POST", &format!("/api/v1/keys/{id}/rotate"), None)?),
    }
}

fn unknown() -> Failure {
    Failure::new("there is no such key, or it was revoked").hint("`tollbook key list` names the keys")
}

/// Ids go into paths.
fn check_id(id: &str) -> Result<(), Failure> {
    if is_id(id, "key_") {
        Ok(())
    } else {
        Err(Failure::usage("an id looks like key_0193…; `tollbook key list` has them"))
    }
}

fn new_key(args: &KeyCreateArgs) -> Result<NewKey, Failure> {
    let mut binding = Attribution {
        project: args.project.clone(),
        customer: args.customer.clone(),
        user: args.user.clone(),
        agent: args.agent.clone(),
        ..Attribution::default()
    };
    for tag in &args.tags {
        let (name, value) = tag
            .split_once('=')
            .ok_or_else(|| Failure::usage(format!("{tag:?} is no tag: write KEY=VALUE, such as team=ops")))?;
        binding.tags.insert(name.to_owned(), value.to_owned());
    }
    let expires_at = args.expires.as_deref().map(parse_instant).transpose();
    Ok(NewKey {
        name: args.name.clone(),
        roles: question::roles(&args.role).map_err(Failure::usage)?,
        binding,
        expires_at: expires_at.map_err(|problem| Failure::usage(format!("--expires: {problem}")))?,
    })
}

/// The key as the API is asked for it.
fn as_asked(new: &NewKey) -> Result<Value, Failure> {
    let roles: Vec<&str> = new.roles.iter().map(|role| role.name()).collect();
    let mut members = match serde_json::to_value(&new.binding)? {
        Value::Object(members) => members,
        _ => Map::new(),
    };
    members.insert("name".to_owned(), Value::from(new.name.as_str()));
    members.insert("role".to_owned(), Value::from(roles.join("+")));
    members.insert("expires_at".to_owned(), json!(new.expires_at));
    Ok(Value::Object(members))
}

/// A key that was just made: its text is the data, the rest is talk.
fn shown(key: &KeyView, out: &mut Out) -> Result<(), Failure> {
    if out.json {
        return out.json(key);
    }
    out.line(key.key.as_deref().unwrap_or_default())?;
    out.note(&format!("shown this once; its id is {}, its role {}", key.id, key.role));
    Ok(())
}

fn list(keys: &[KeyView], out: &mut Out) -> Result<(), Failure> {
    if out.json {
        return out.json(&json!({"data": keys, "has_more": false, "next_cursor": null}));
    }
    let mut table = Table::new(vec![
        Column::text("Id").whole(),
        Column::text("Name"),
        Column::text("Role"),
        Column::text("Begins").expendable(3),
        Column::text("Bound to").expendable(2),
        Column::text("Ends").expendable(1),
    ]);
    for key in keys {
        let ends = match (key.revoked_at, key.expires_at) {
            (Some(at), _) => format!("revoked {at}"),
            (None, Some(at)) => at.to_string(),
            (None, None) => "–".to_owned(),
        };
        table.row(vec![
            Cell::Text(key.id.clone()),
            Cell::Text(key.name.clone()),
            Cell::Text(key.role.clone()),
            Cell::Text(key.prefix.clone()),
            Cell::text(bound_to(&key.binding).as_deref()),
            Cell::Text(ends),
        ]);
    }
    for line in table.lines(out.width(), out.is_bold()) {
        out.line(&line)?;
    }
    if keys.is_empty() {
        out.note("no keys yet; `tollbook key create NAME` makes one");
    }
    Ok(())
}

fn bound_to(binding: &Attribution) -> Option<String> {
    let members = [
        ("project", &binding.project),
        ("customer", &binding.customer),
        ("user", &binding.user),
        ("agent", &binding.agent),
    ];
    let named = members.into_iter().filter_map(|(name, value)| Some(format!("{name}={}", value.as_ref()?)));
    let tags = binding.tags.iter().map(|(name, value)| format!("tag.{name}={value}"));
    let parts: Vec<String> = named.chain(tags).collect();
    (!parts.is_empty()).then(|| parts.join(" "))
}
