//! What calls are told apart by, and its names.

use crate::attribution::Attribution;
use std::fmt;
use std::str::FromStr;

/// Something to group by, to filter on, or to set a budget for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Dimension {
    /// The tenant.
    Project,
    /// Whom it was done for.
    Customer,
    /// The end user.
    User,
    /// The agent's id.
    Agent,
    /// The agent's name.
    AgentName,
    /// The kind of work.
    Operation,
    /// One piece of work.
    OperationId,
    /// The conversation.
    Session,
    /// The Tollbook key's id.
    Key,
    /// The provider.
    Provider,
    /// The model of the leg.
    Model,
    /// How the call ended.
    Status,
    /// Where the event came in.
    Source,
    /// How the usage is known.
    Evidence,
    /// A tag.
    Tag(String),
}

impl Dimension {
    /// Every dimension but tags.
    pub const NAMED: &'static [Dimension] = &[
        Dimension::Project,
        Dimension::Customer,
        Dimension::User,
        Dimension::Agent,
        Dimension::AgentName,
        Dimension::Operation,
        Dimension::OperationId,
        Dimension::Session,
        Dimension::Key,
        Dimension::Provider,
        Dimension::Model,
        Dimension::Status,
        Dimension::Source,
        Dimension::Evidence,
    ];

    /// Its value on an account; `None` also where an account does not tell, as with the provider.
    pub fn on_account<'a>(&self, who: &'a Attribution) -> Option<&'a str> {
        let member = match self {
            Dimension::Project => &who.project,
            Dimension::Customer => &who.customer,
            Dimension::User => &who.user,
            Dimension::Agent => &who.agent,
            Dimension::AgentName => &who.agent_name,
            Dimension::Operation => &who.operation,
            Dimension::OperationId => &who.operation_id,
            Dimension::Session => &who.session,
            Dimension::Key => &who.key,
            Dimension::Tag(key) => return who.tags.get(key).map(String::as_str),
            Dimension::Provider
            | Dimension::Model
            | Dimension::Status
            | Dimension::Source
            | Dimension::Evidence => return None,
        };
        member.as_deref()
    }

    fn name(&self) -> &str {
        match self {
            Dimension::Project => "project",
            Dimension::Customer => "customer",
            Dimension::User => "user",
            Dimension::Agent => "agent",
            Dimension::AgentName => "agent_name",
            Dimension::Operation => "operation",
            Dimension::OperationId => "operation_id",
            Dimension::Session => "session",
            Dimension::Key => "key",
            Dimension::Provider => "provider",
            Dimension::Model => "model",
            Dimension::Status => "status",
            Dimension::Source => "source",
            Dimension::Evidence => "evidence",
            Dimension::Tag(_) => "tag",
        }
    }
}

impl fmt::Display for Dimension {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Dimension::Tag(key) => write!(f, "tag.{key}"),
            named => f.write_str(named.name()),
        }
    }
}

impl FromStr for Dimension {
    type Err = String;

    fn from_str(text: &str) -> Result<Dimension, String> {
        if let Some(key) = text.strip_prefix("tag.").filter(|key| !key.is_empty()) {
            return Ok(Dimension::Tag(key.to_owned()));
        }
        Dimension::NAMED.iter().find(|d| d.name() == text).cloned().ok_or_else(|| {
            let names: Vec<&str> = Dimension::NAMED.iter().map(Dimension::name).collect();
            format!("no dimension {text:?}; there are {} and tag.KEY", names.join(", "))
        })
    }
}
