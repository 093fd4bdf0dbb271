//! Members and sessions as they are told: no link's or session's text, and no digest.

use super::schema;
use serde::{Deserialize, Serialize};
use tollbook_types::{Key, Member, Role, Timestamp};
use utoipa::ToSchema;

/// A person who may sign in.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = Member)]
pub struct MemberView {
    /// `mem_…`
    pub id: String,
    /// For people.
    pub name: String,
    /// `admin`, `viewer` or `member`.
    pub role: String,
    /// The user that they are.
    pub user: Option<String>,
    /// The one project that they see, unless they are an admin.
    pub project: Option<String>,
    /// When they were added.
    #[schema(value_type = schema::Instant)]
    pub created_at: Timestamp,
    /// Until when the link that was made last is good, where it was not used.
    #[schema(value_type = Option<schema::Instant>)]
    pub link_expires_at: Option<Timestamp>,
}

impl MemberView {
    /// A member as they are listed.
    pub fn of(member: &Member) -> MemberView {
        MemberView {
            id: member.id.clone(),
            name: member.name.clone(),
            role: member.role.name().to_owned(),
            user: member.user.clone(),
            project: member.project.clone(),
            created_at: member.created_at,
            link_expires_at: member.link.map(|link| link.expires_at),
        }
    }
}

/// A member who is to be added. To change one, what is absent stays, and null takes away.
#[derive(ToSchema)]
#[schema(as = NewMember)]
#[expect(dead_code, reason = "members are read one by one, so that all that is wrong is told at once")]
pub struct NewMemberView {
    /// For people.
    name: Option<String>,
    /// `admin`, `viewer` or `member`.
    #[schema(pattern = "^(admin|viewer|member)$")]
    role: Option<String>,
    /// The user that they are; who has the role `member` needs one.
    user: Option<String>,
    /// The one project that they see.
    project: Option<String>,
}

/// A one-time sign-in link.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = Link)]
pub struct LinkView {
    /// Where to open it, below the server's address.
    pub path: String,
    /// Its text, in this answer and in no other.
    pub link: String,
    /// When it ends, unless it is used before.
    #[schema(value_type = schema::Instant)]
    pub expires_at: Timestamp,
}

impl LinkView {
    /// A link that was just made.
    pub fn of(text: String, expires_at: Timestamp) -> LinkView {
        LinkView { path: format!("/welcome?once={text}"), link: text, expires_at }
    }
}

/// What a sign-in is made with: one of the two.
#[derive(ToSchema)]
#[schema(as = SignIn)]
#[expect(dead_code, reason = "members are read one by one, so that all that is wrong is told at once")]
pub struct SignInView {
    /// A key's text.
    key: Option<String>,
    /// A one-time link's text.
    link: Option<String>,
}

/// Who asks.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Session)]
pub struct SessionView {
    /// The key's or member's id.
    pub id: String,
    /// For people.
    pub name: String,
    /// The roles, joined by `+`.
    pub role: String,
    /// The user that they are.
    pub user: Option<String>,
    /// The one project that they see, unless they are an admin.
    pub project: Option<String>,
    /// The zone of days and buckets, where a request names none.
    pub time_zone: String,
    /// When the session ends at the latest; null without a session.
    #[schema(value_type = Option<schema::Instant>)]
    pub expires_at: Option<Timestamp>,
    /// What the header `x-tollbook-csrf` of every request that changes something must say; null
    /// without a session.
    pub csrf_token: Option<String>,
}

impl SessionView {
    /// Whoever acts with this key, or as it, on a server whose days are those of this zone.
    pub fn of(key: &Key, time_zone: &str) -> SessionView {
        let roles: Vec<&str> = key.roles.iter().map(|role| Role::name(*role)).collect();
        SessionView {
            id: key.id.clone(),
            name: key.name.clone(),
            role: roles.join("+"),
            user: key.binding.user.clone(),
            project: key.binding.project.clone(),
            time_zone: time_zone.to_owned(),
            expires_at: None,
            csrf_token: None,
        }
    }
}
