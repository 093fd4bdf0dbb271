//! Identities and response keys where they stand, so that asking for them copies nothing.

use tollbook_types::{Event, Identity, OpenCall, ResponseKey};

/// An [`Identity`] that stands somewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct IdentityRef<'a> {
    /// The project, if any.
    pub project: Option<&'a str>,
    /// Where the event came in.
    pub source: &'a str,
    /// The producer's id for it.
    pub id: &'a str,
}

impl IdentityRef<'_> {
    /// Puts bytes into `frame` that differ between any two identities.
    pub fn frame(&self, frame: &mut Vec<u8>) {
        frame.clear();
        // Neither length can reach the mark of an absent project.
        let project = self.project.map_or(u32::MAX, |project| project.len() as u32);
        frame.extend_from_slice(&project.to_le_bytes());
        frame.extend_from_slice(&(self.source.len() as u32).to_le_bytes());
        for text in [self.project.unwrap_or_default(), self.source, self.id] {
            frame.extend_from_slice(text.as_bytes());
        }
    }

    /// The same on its own.
    pub fn to_identity(self) -> Identity {
        let project = self.project.map(str::to_owned);
        Identity { project, source: self.source.to_owned(), id: self.id.to_owned() }
    }
}

impl<'a> From<&'a Identity> for IdentityRef<'a> {
    fn from(identity: &'a Identity) -> IdentityRef<'a> {
        IdentityRef { project: identity.project.as_deref(), source: &identity.source, id: &identity.id }
    }
}

impl<'a> From<&'a Event> for IdentityRef<'a> {
    fn from(event: &'a Event) -> IdentityRef<'a> {
        IdentityRef { project: event.attribution.project.as_deref(), source: &event.source, id: &event.id }
    }
}

/// The identity that the call's ending will carry.
impl<'a> From<&'a OpenCall> for IdentityRef<'a> {
    fn from(call: &'a OpenCall) -> IdentityRef<'a> {
        IdentityRef { project: call.attribution.project.as_deref(), source: &call.source, id: &call.id }
    }
}

/// A [`ResponseKey`] that stands somewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ResponseRef<'a> {
    /// The project, if any.
    pub project: Option<&'a str>,
    /// The provider.
    pub provider: &'a str,
    /// The id that the provider gave its answer.
    pub response_id: &'a str,
}

impl<'a> ResponseRef<'a> {
    /// That of an event, if the provider gave an id.
    pub fn of(event: &'a Event) -> Option<ResponseRef<'a>> {
        Some(ResponseRef {
            project: event.attribution.project.as_deref(),
            provider: &event.provider,
            response_id: event.provider_response_id.as_deref()?,
        })
    }
}

impl<'a> From<&'a ResponseKey> for ResponseRef<'a> {
    fn from(key: &'a ResponseKey) -> ResponseRef<'a> {
        ResponseRef {
            project: key.project.as_deref(),
            provider: &key.provider,
            response_id: &key.response_id,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_differ_where_identities_do() {
        let projects = [None, Some(""), Some("a"), Some("ab")];
        let mut frames = std::collections::HashSet::new();
        let mut count = 0;
        for project in projects {
            for source in ["", "a", "b", "ab"] {
                for id in ["", "a", "b", "ab", "ba"] {
                    let mut frame = Vec::new();
                    IdentityRef { project, source, id }.frame(&mut frame);
                    frames.insert(frame);
                    count += 1;
                }
            }
        }
        assert_eq!(frames.len(), count);
    }
}
