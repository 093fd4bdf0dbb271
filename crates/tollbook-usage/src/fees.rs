//! Fees that no usage object mentions: server tools are counted from the items of an answer.

use crate::google;
use crate::json_push::Doc;
use crate::tree::Slot;
use crate::value::Value;
use std::collections::BTreeSet;
use tollbook_types::{Meter, Meters};

/// Containers that are told apart.
const CONTAINERS_MAX: usize = 64;

/// Server-tool calls of an answer. Later documents that list items replace earlier counts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fees {
    web_searches: u64,
    file_searches: u64,
    containers: u64,
    image_generations: u64,
    queries: u64,
    maps: u64,
}

impl Fees {
    pub fn document(&mut self, doc: &Doc<'_>) {
        if doc.has(&[Slot::Queries]) {
            self.queries = self.queries.max(queries(doc));
        }
        self.maps = self.maps.max(doc.count(Slot::Maps).min(1));
        if doc.count(Slot::Item) > 0 {
            self.items(doc);
        }
    }

    fn items(&mut self, doc: &Doc<'_>) {
        let mut seen = Fees { queries: self.queries, maps: self.maps, ..Fees::default() };
        let mut containers: BTreeSet<Vec<u8>> = BTreeSet::new();
        let mut item = Item::default();
        for (slot, captured) in doc.items() {
            match slot {
                Slot::Item => seen.close(std::mem::take(&mut item), &mut containers),
                Slot::ItemType => item.kind = captured.to_vec(),
                Slot::ItemAction => item.action = captured.to_vec(),
                Slot::ItemContainer if captured != b"null" => item.container = captured.to_vec(),
                _ => {}
            }
        }
        seen.close(item, &mut containers);
        *self = seen;
    }

    fn close(&mut self, item: Item, containers: &mut BTreeSet<Vec<u8>>) {
        match item.kind.as_slice() {
            // Opening a found page and looking inside of it are no searches.
            b"\"web_search_call\"" if item.action.is_empty() || item.action == b"\"search\"" => {
                self.web_searches += 1;
            }
            b"\"file_search_call\"" => self.file_searches += 1,
            b"\"image_generation_call\"" => self.image_generations += 1,
            b"\"code_interpreter_call\"" if containers.len() < CONTAINERS_MAX => {
                containers.insert(item.container);
                self.containers = containers.len() as u64;
            }
            _ => {}
        }
    }

    /// Adds the fees to the meters, unless the provider counted them itself.
    pub fn add_to(&self, meters: &mut Meters, model: &str) {
        let counts = [
            (Meter::WebSearch, self.web_searches),
            (Meter::FileSearch, self.file_searches),
            (Meter::CodeSession, self.containers),
            (Meter::WebSearch, google::searches(model, self.queries)),
            (Meter::MapsGrounding, self.maps),
        ];
        for (meter, count) in counts {
            if count > 0 && meters.get(meter).is_none() {
                meters.set(meter, count);
            }
        }
    }

    /// What costs something but has no meter here.
    pub fn flag(&self) -> Option<String> {
        let count = self.image_generations;
        (count > 0)
            .then(|| format!("image_generation_call: {count}, billed as image tokens that are not reported"))
    }
}

#[derive(Default)]
struct Item {
    kind: Vec<u8>,
    action: Vec<u8>,
    container: Vec<u8>,
}

fn queries(doc: &Doc<'_>) -> u64 {
    doc.items()
        .filter(|(slot, _)| *slot == Slot::Queries)
        .filter_map(|(_, captured)| Some(Value::parse(captured, &mut Vec::new())?.list().len() as u64))
        .sum()
}
