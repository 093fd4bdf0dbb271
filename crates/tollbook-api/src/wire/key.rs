//! A key as it is told: everything but its text and its digest.

use super::schema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use tollbook_types::{Attribution, Key, Role, Timestamp};
use utoipa::ToSchema;

/// A key; with its text only where it has just been made.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = Key)]
pub struct KeyView {
    /// `key_…`
    pub id: String,
    /// The text, in the one answer that has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// For people.
    pub name: String,
    /// Its roles, joined by `+`.
    pub role: String,
    /// What the text begins with.
    pub prefix: String,
    /// What it is bound to.
    #[serde(flatten)]
    #[schema(value_type = schema::Attribution)]
    pub binding: Attribution,
    /// When it was made.
    #[schema(value_type = schema::Instant)]
    pub created_at: Timestamp,
    /// When it ends by itself.
    #[schema(value_type = Option<schema::Instant>)]
    pub expires_at: Option<Timestamp>,
    /// When it was ended.
    #[schema(value_type = Option<schema::Instant>)]
    pub revoked_at: Option<Timestamp>,
}

/// A key that is asked for. What it is bound to is written on every call and event of it.
#[derive(ToSchema)]
#[schema(as = NewKey)]
#[expect(dead_code, reason = "members are read one by one, so that all that is wrong is told at once")]
pub struct NewKeyView {
    /// For people.
    name: String,
    /// `admin`, `member`, `gateway`, `ingest` or `viewer`; several are joined by `+`.
    #[schema(pattern = "^(admin|member|gateway|ingest|viewer)(\\+(admin|member|gateway|ingest|viewer))*$")]
    role: String,
    project: Option<String>,
    customer: Option<String>,
    /// Whose calls a member sees; a member's key names it.
    user: Option<String>,
    agent: Option<String>,
    agent_name: Option<String>,
    operation: Option<String>,
    operation_id: Option<String>,
    session: Option<String>,
    tags: Option<BTreeMap<String, String>>,
    /// When it ends by itself: an instant ahead.
    #[schema(value_type = Option<schema::Instant>)]
    expires_at: Option<Timestamp>,
}

impl KeyView {
    /// A key as it is listed.
    pub fn of(key: &Key) -> KeyView {
        let roles: Vec<&str> = key.roles.iter().map(|role| Role::name(*role)).collect();
        KeyView {
            id: key.id.clone(),
            key: None,
            name: key.name.clone(),
            role: roles.join("+"),
            prefix: key.prefix.clone(),
            binding: key.binding.clone(),
            created_at: key.created_at,
            expires_at: key.expires_at,
            revoked_at: key.revoked_at,
        }
    }

    /// A key that has just been made, with its text.
    pub fn shown_once(key: &Key, text: String) -> KeyView {
        KeyView { key: Some(text), ..KeyView::of(key) }
    }
}
