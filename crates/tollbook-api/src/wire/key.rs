//! A key as it is told: everything but its text and its digest.

use serde::{Deserialize, Serialize};
use tollbook_types::{Attribution, Key, Role, Timestamp};

/// A key; with its text only where it has just been made.
#[derive(Clone, Debug, Serialize, Deserialize)]
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
    pub binding: Attribution,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends by itself.
    pub expires_at: Option<Timestamp>,
    /// When it was ended.
    pub revoked_at: Option<Timestamp>,
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
