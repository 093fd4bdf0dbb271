//! Which spans repeat what the calls below them used, where no span says so itself: two layers that
//! both trace one call, or an outer call that sums up inner ones.
//!
//! A call below which another call lies is not counted. Spans come when they end, so the inner one is
//! mostly known first; then a mark on the span above it is enough. Where the outer one came in an
//! earlier request and was counted, it is taken back. Remembered are the calls and the spans above
//! them, the latest so many; spans in between are known within one request only.

use super::SpanId;
use std::collections::{HashMap, VecDeque};
use tollbook_types::limits::SPANS_REMEMBERED_MAX;
use tollbook_types::{Digest, Identity};

/// How far up a mark is carried.
const STEPS_MAX: usize = 64;

/// A span of one request, as it hangs together with others.
#[derive(Clone, Debug)]
pub struct Link {
    /// Its id.
    pub id: SpanId,
    /// The span above it.
    pub parent: Option<[u8; 8]>,
    /// The id of its event, where it is a call.
    pub call: Option<String>,
}

/// What is remembered of the latest spans, of all who send.
#[derive(Debug, Default)]
pub struct Lineage {
    known: HashMap<Digest, Node>,
    order: VecDeque<Digest>,
}

#[derive(Debug, Default)]
struct Node {
    parent: Option<Digest>,
    /// A call lies below it.
    is_above: bool,
    /// The event that was counted for it.
    counted: Option<Identity>,
}

/// What a request's spans came to.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// For each link, whether it is a call below which another lies.
    pub repeats: Vec<bool>,
    /// Events counted earlier of which it is known now that they repeat others.
    pub taken_back: Vec<TakenBack>,
}

/// An event that was counted for a span and should not have been.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TakenBack {
    /// The event's.
    pub identity: Identity,
    span: Digest,
}

impl Lineage {
    /// Judges the spans of one request. `tenant` keeps the spans of different projects apart. What is
    /// counted now is remembered by [`Lineage::counted`], once it is recorded.
    pub fn judge(&mut self, tenant: &str, links: &[Link]) -> Verdict {
        let above = |link: &Link| link.parent.filter(|span| *span != link.id.span);
        let within: HashMap<Digest, Option<Digest>> = links
            .iter()
            .map(|link| {
                (key(tenant, link.id), above(link).map(|span| key(tenant, SpanId { span, ..link.id })))
            })
            .collect();
        let mut verdict = Verdict::default();
        for link in links {
            let own = key(tenant, link.id);
            let parent = within.get(&own).copied().flatten();
            let is_above = self.known.get(&own).is_some_and(|node| node.is_above);
            if link.call.is_some() || is_above {
                self.node(own).parent = parent;
                self.mark(parent, &within, &mut verdict.taken_back);
            }
        }
        let is_above = |link: &Link| self.known.get(&key(tenant, link.id)).is_some_and(|node| node.is_above);
        verdict.repeats = links.iter().map(|link| link.call.is_some() && is_above(link)).collect();
        let own = |id: &String| links.iter().any(|link| link.call.as_ref() == Some(id));
        verdict.taken_back.retain(|back| !own(&back.identity.id));
        self.forget();
        verdict
    }

    /// Remembers that a call was recorded as this event.
    pub fn counted(&mut self, tenant: &str, id: SpanId, event: Identity) {
        self.node(key(tenant, id)).counted = Some(event);
        self.forget();
    }

    /// Remembers that an event does not count any more.
    pub fn took_back(&mut self, back: &TakenBack) {
        if let Some(node) = self.known.get_mut(&back.span) {
            node.counted = None;
        }
    }

    /// Marks a span and all above it, as far as they are known.
    fn mark(
        &mut self,
        from: Option<Digest>,
        within: &HashMap<Digest, Option<Digest>>,
        taken_back: &mut Vec<TakenBack>,
    ) {
        let mut next = from;
        for _ in 0..STEPS_MAX {
            let Some(here) = next else { return };
            let node = self.node(here);
            node.is_above = true;
            let counted = node.counted.clone().map(|identity| TakenBack { identity, span: here });
            taken_back.extend(counted.filter(|back| !taken_back.contains(back)));
            if let Some(parent) = within.get(&here) {
                node.parent = *parent;
            }
            next = node.parent;
        }
    }

    fn node(&mut self, key: Digest) -> &mut Node {
        self.known.entry(key).or_insert_with(|| {
            self.order.push_back(key);
            Node::default()
        })
    }

    fn forget(&mut self) {
        while self.order.len() > SPANS_REMEMBERED_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
    }
}

fn key(tenant: &str, id: SpanId) -> Digest {
    let mut bytes = Vec::with_capacity(tenant.len() + 24);
    bytes.extend_from_slice(&id.trace);
    bytes.extend_from_slice(&id.span);
    bytes.extend_from_slice(tenant.as_bytes());
    Digest::of(&bytes)
}
