//! Members: people who sign in, and what they may see.

use crate::attribution::Attribution;
use crate::digest::Digest;
use crate::key::{Key, Role};
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};

/// A person who may sign in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Member {
    /// `mem_` and a time-ordered unique number.
    pub id: String,
    /// For people.
    pub name: String,
    /// What they may do: admin, viewer or member.
    pub role: Role,
    /// The user that they are; a member sees only this one's calls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Unless they are an admin, they see only this project's calls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// When they were added.
    pub created_at: Timestamp,
    /// When they were removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub removed_at: Option<Timestamp>,
    /// The sign-in link that was made last and not used yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<Link>,
}

/// A sign-in link as it is kept: its text is not, only the text's digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// The digest of the text.
    pub hash: Digest,
    /// The first instant at which it is of no use any more.
    pub expires_at: Timestamp,
}

impl Member {
    /// Roles that people have: the others are for programs.
    pub const ROLES: &'static [Role] = &[Role::Admin, Role::Viewer, Role::Member];

    /// What a session of theirs acts as: a key that no text opens.
    pub fn as_key(&self) -> Key {
        let binding =
            Attribution { user: self.user.clone(), project: self.project.clone(), ..Attribution::default() };
        Key {
            id: self.id.clone(),
            name: self.name.clone(),
            roles: vec![self.role],
            prefix: String::new(),
            hash: Digest::default(),
            binding,
            created_at: self.created_at,
            expires_at: None,
            revoked_at: self.removed_at,
        }
    }
}
