//! Keys: who may use the gateway and the API, and on whose account.

use crate::attribution::Attribution;
use crate::digest::Digest;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};

/// What every key's text begins with.
pub const KEY_START: &str = "tb_";

/// What a key may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Everything.
    Admin,
    /// Reads what its own user did, and nothing else.
    Member,
    /// Calls models through the gateway.
    Gateway,
    /// Sends events.
    Ingest,
    /// Reads everything, changes nothing.
    Viewer,
}

impl Role {
    /// Every role.
    pub const ALL: &'static [Role] = &[Role::Admin, Role::Member, Role::Gateway, Role::Ingest, Role::Viewer];

    /// The public name.
    pub const fn name(self) -> &'static str {
        match self {
            Role::Admin => "admin",
            Role::Member => "member",
            Role::Gateway => "gateway",
            Role::Ingest => "ingest",
            Role::Viewer => "viewer",
        }
    }

    /// The role with this public name.
    pub fn from_name(name: &str) -> Option<Role> {
        Role::ALL.iter().copied().find(|role| role.name() == name)
    }
}

/// A key as it is kept: its text is not, only the text's digest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Key {
    /// `key_` and a time-ordered unique number; a call's `attribution.key`.
    pub id: String,
    /// For people.
    pub name: String,
    /// What it may do; at least one.
    pub roles: Vec<Role>,
    /// The first characters of the text, to recognise it by.
    pub prefix: String,
    /// The digest of the whole text.
    pub hash: Digest,
    /// Attribution that every call and event of this key has, whatever it says itself.
    #[serde(default)]
    pub binding: Attribution,
    /// When it was made.
    pub created_at: Timestamp,
    /// The first instant at which it is of no use any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// When it was revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<Timestamp>,
}

impl Key {
    /// Whether it may do what the role is for: it has the role, or is an admin's.
    pub fn may(&self, role: Role) -> bool {
        self.roles.contains(&role) || self.roles.contains(&Role::Admin)
    }

    /// Whether it is good at an instant: neither revoked nor expired.
    pub fn is_good(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|end| now < end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_good_until_it_expires_or_is_revoked() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let key = Key {
            id: "key_1".into(),
            name: "n".into(),
            roles: vec![Role::Gateway, Role::Ingest],
            prefix: "tb_abcdefgh".into(),
            hash: Digest::of(b"x"),
            binding: Attribution::default(),
            created_at: at("2026-01-01T00:00:00Z"),
            expires_at: Some(at("2026-02-01T00:00:00Z")),
            revoked_at: None,
        };
        assert!(key.is_good(at("2026-01-31T23:59:59.999999Z")));
        assert!(!key.is_good(at("2026-02-01T00:00:00Z")));
        let revoked = Key { revoked_at: Some(at("2026-01-02T00:00:00Z")), ..key.clone() };
        assert!(!revoked.is_good(at("2026-01-03T00:00:00Z")));
        assert!(key.may(Role::Ingest) && !key.may(Role::Viewer) && !key.may(Role::Admin));
        let admin = Key { roles: vec![Role::Admin], ..key.clone() };
        assert!(Role::ALL.iter().all(|role| admin.may(*role)));
        let text = serde_json::to_string(&revoked).unwrap();
        assert!(text.contains(r#""roles":["gateway","ingest"]"#), "{text}");
        assert_eq!(serde_json::from_str::<Key>(&text).unwrap(), revoked);
    }

    #[test]
    fn names_of_roles_come_back() {
        for role in Role::ALL {
            assert_eq!(Role::from_name(role.name()), Some(*role));
            assert_eq!(serde_json::to_string(role).unwrap(), format!("\"{}\"", role.name()));
        }
    }
}
