//! `tollbook member …`: people who sign in, through the running server where there is one.

use super::holder::{self, Holder, answer, is_id};
use crate::cli::{MemberAddArgs, MemberCommand};
use crate::config::Config;
use crate::failure::{Exit, Failure};
use crate::out::Out;
use crate::out::table::{Cell, Column, Table};
use crate::wire::{LinkView, MemberView};
use serde_json::json;
use tollbook_ledger::{By, NewMember};
use tollbook_types::{Member, Role};

const PATH: &str = "/api/v1/members";

pub fn run(command: &MemberCommand, config: &Config, out: &mut Out) -> Result<Exit, Failure> {
    match command {
        MemberCommand::Add(args) => {
            let new = new_member(args)?;
            let member = holder::with(config, out, |holder| add(holder, new))?;
            if out.json {
                out.json(&member)?;
            } else {
                out.line(&member.id)?;
                out.note(&format!("`tollbook member link {}` makes a sign-in link", member.id));
            }
        }
        MemberCommand::List => {
            let members = holder::with(config, out, members)?;
            list(&members, out)?;
        }
        MemberCommand::Link(args) => {
            check_id(&args.id)?;
            let (url, link) = holder::with(config, out, |holder| link(holder, &args.id, config))?;
            if out.json {
                out.json(&json!({"url": url, "expires_at": link.expires_at}))?;
            } else {
                out.line(&url)?;
                out.note(&format!("good once, until {}", link.expires_at));
            }
        }
        MemberCommand::Remove(args) => {
            check_id(&args.id)?;
            holder::with(config, out, |holder| remove(holder, &args.id))?;
            if out.json {
                out.json(&json!({"id": args.id, "removed": true}))?;
            }
            out.note("their sessions have ended");
        }
    }
    Ok(Exit::Ok)
}

fn new_member(args: &MemberAddArgs) -> Result<NewMember, Failure> {
    let role = Role::from_name(&args.role).filter(|role| Member::ROLES.contains(role));
    let role = role.ok_or_else(|| Failure::usage("--role is admin, viewer or member"))?;
    let (name, user, project) = (args.name.clone(), args.user.clone(), args.project.clone());
    Ok(NewMember { name, role, user, project })
}

fn add(holder: &Holder, new: NewMember) -> Result<MemberView, Failure> {
    match holder {
        Holder::Books(ledger) => Ok(MemberView::of(&ledger.add_member(&By::local(), new)?)),
        Holder::Server(client) => {
            let body = json!({
                "name": new.name, "role": new.role.name(), "user": new.user, "project": new.project,
            });
            answer(client.ask("POST", PATH, Some(&body))?)
        }
    }
}

fn members(holder: &Holder) -> Result<Vec<MemberView>, Failure> {
    match holder {
        Holder::Books(ledger) => Ok(ledger.members().iter().map(|member| MemberView::of(member)).collect()),
        Holder::Server(client) => {
            let page = client.ask("GET", PATH, None)?;
            answer(page.map(|mut page| page["data"].take()))
        }
    }
}

/// A link, and where to open it.
fn link(holder: &Holder, id: &str, config: &Config) -> Result<(String, LinkView), Failure> {
    let (server, link) = match holder {
        Holder::Books(ledger) => {
            let (text, expires_at) = ledger.link_member(&By::local(), id)?.ok_or_else(unknown)?;
            let scheme = if config.tls_cert.is_some() { "https" } else { "http" };
            (
                config.public_url(&format!("{scheme}://{}", config.listen.value)),
                LinkView::of(text, expires_at),
            )
        }
        Holder::Server(client) => {
            let made: LinkView = answer(client.ask("POST", &format!("{PATH}/{id}/link"), None)?)?;
            (config.public_url(client.url()), made)
        }
    };
    Ok((format!("{server}{}", link.path), link))
}

fn remove(holder: &Holder, id: &str) -> Result<(), Failure> {
    match holder {
        Holder::Books(ledger) => ledger.remove_member(&By::local(), id)?.map(drop).ok_or_else(unknown),
        Holder::Server(client) => client.ask("DELETE", &format!("{PATH}/{id}"), None).map(drop),
    }
}

fn unknown() -> Failure {
    Failure::new("there is no such member").hint("`tollbook member list` names them")
}

fn check_id(id: &str) -> Result<(), Failure> {
    match is_id(id, "mem_") {
        true => Ok(()),
        false => Err(Failure::usage("an id looks like mem_0193…; `tollbook member list` has them")),
    }
}

fn list(members: &[MemberView], out: &mut Out) -> Result<(), Failure> {
    if out.json {
        return out.json(&json!({"data": members, "has_more": false, "next_cursor": null}));
    }
    let mut table = Table::new(vec![
        Column::text("Id").whole(),
        Column::text("Name"),
        Column::text("Role"),
        Column::text("User").expendable(2),
        Column::text("Project").expendable(1),
    ]);
    for member in members {
        table.row(vec![
            Cell::Text(member.id.clone()),
            Cell::Text(member.name.clone()),
            Cell::Text(member.role.clone()),
            Cell::text(member.user.as_deref()),
            Cell::text(member.project.as_deref()),
        ]);
    }
    for line in table.lines(out.width(), out.is_bold()) {
        out.line(&line)?;
    }
    if members.is_empty() {
        out.note("nobody yet; `tollbook member add NAME --role ROLE` adds somebody");
    }
    Ok(())
}
