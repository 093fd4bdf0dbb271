//! On whose account a call goes.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Whose call it was and what it was for. Every member is optional; absent is not empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Attribution {
    /// The tenant inside the organisation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// Whom it was done for (a customer's name or domain).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub customer: Option<String>,
    /// The end user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The agent's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// The agent's name for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent_name: Option<String>,
    /// The kind of work, such as `rag_answer`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operation: Option<String>,
    /// One piece of that work.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operation_id: Option<String>,
    /// The conversation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// The id of the Tollbook key that was used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Free dimensions.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
    /// A JSON object kept beside the call, not indexed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<serde_json::Value>,
}

impl Attribution {
    /// Becomes what `other` says calls are told apart by, in the memory that it has: all but the metadata.
    pub fn copy_dimensions(&mut self, other: &Attribution) {
        let Attribution {
            project,
            customer,
            user,
            agent,
            agent_name,
            operation,
            operation_id,
            session,
            key,
            tags,
            metadata: _,
        } = other;
        self.project.clone_from(project);
        self.customer.clone_from(customer);
        self.user.clone_from(user);
        self.agent.clone_from(agent);
        self.agent_name.clone_from(agent_name);
        self.operation.clone_from(operation);
        self.operation_id.clone_from(operation_id);
        self.session.clone_from(session);
        self.key.clone_from(key);
        if self.tags.keys().eq(tags.keys()) {
            self.tags.values_mut().zip(tags.values()).for_each(|(mine, theirs)| mine.clone_from(theirs));
        } else {
            self.tags.clone_from(tags);
        }
        self.metadata = None;
    }

    /// Fills what is absent from `other`; nothing present is replaced. Returns whether anything changed.
    pub fn fill_from(&mut self, other: &Attribution) -> bool {
        fn fill(mine: &mut Option<String>, theirs: &Option<String>) -> bool {
            let filled = mine.is_none() && theirs.is_some();
            if filled {
                mine.clone_from(theirs);
            }
            filled
        }
        let mut changed = fill(&mut self.project, &other.project);
        changed |= fill(&mut self.customer, &other.customer);
        changed |= fill(&mut self.user, &other.user);
        changed |= fill(&mut self.agent, &other.agent);
        changed |= fill(&mut self.agent_name, &other.agent_name);
        changed |= fill(&mut self.operation, &other.operation);
        changed |= fill(&mut self.operation_id, &other.operation_id);
        changed |= fill(&mut self.session, &other.session);
        changed |= fill(&mut self.key, &other.key);
        for (tag, value) in &other.tags {
            if !self.tags.contains_key(tag) {
                self.tags.insert(tag.clone(), value.clone());
                changed = true;
            }
        }
        if self.metadata.is_none() && other.metadata.is_some() {
            self.metadata.clone_from(&other.metadata);
            changed = true;
        }
        changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn who(text: &str) -> Attribution {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn a_copy_says_what_calls_are_told_apart_by_whatever_it_said_before() {
        let all = [
            "{}",
            r#"{"project":"p","user":"ann","tags":{"team":"ops"}}"#,
            r#"{"project":"a longer one","customer":"c","agent":"a","agent_name":"n","tags":{"team":"web"}}"#,
            r#"{"user":"bob","operation":"o","operation_id":"1","session":"s","key":"k","tags":{"a":"1","b":"2"}}"#,
            r#"{"key":"k","metadata":{"kept":"elsewhere"}}"#,
        ];
        for before in all {
            for after in all {
                let mut copy = who(before);
                copy.copy_dimensions(&who(after));
                assert_eq!(copy, Attribution { metadata: None, ..who(after) }, "{before} {after}");
            }
        }
    }
}
