//! A record of the audit log as it is told.

use super::schema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use tollbook_ledger::{ActorKind, AuditRecord};
use tollbook_types::Timestamp;
use utoipa::ToSchema;

/// What somebody is about to do, or did.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = AuditRecord)]
pub struct AuditView {
    /// `aud_…`
    pub id: String,
    /// When.
    #[schema(value_type = schema::Instant)]
    pub at: Timestamp,
    /// Who: `key`, `member`, `local` for the command line, or `server` for what it does by itself.
    #[schema(pattern = "^(key|member|local|server)$")]
    pub actor: String,
    /// The key's or member's id.
    pub actor_id: Option<String>,
    /// What: `key.create`, `member.remove`, `calls.purge`, …
    pub act: String,
    /// On what kind of thing.
    pub target: Option<String>,
    /// On which one.
    pub target_id: Option<String>,
    /// What else is worth knowing.
    pub told: BTreeMap<String, Value>,
    /// The request's id.
    pub request_id: Option<String>,
    /// The address it came from.
    pub from: Option<String>,
}

impl AuditView {
    /// A record.
    pub fn of(record: AuditRecord) -> AuditView {
        let AuditRecord { id, at, by, act } = record;
        let (target, target_id) = act.target.map(|target| (target.kind, target.id)).unzip();
        let actor = match by.actor.kind {
            ActorKind::Key => "key",
            ActorKind::Member => "member",
            ActorKind::Local => "local",
            ActorKind::Server => "server",
        };
        AuditView {
            id,
            at,
            actor: actor.to_owned(),
            actor_id: by.actor.id,
            act: act.act,
            target,
            target_id,
            told: act.told,
            request_id: by.request_id,
            from: by.from,
        }
    }
}
