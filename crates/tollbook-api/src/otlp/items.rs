//! What both forms of OTLP come to: spans and log records by what stands above them, and how many
//! could not be read.

use tollbook_types::limits::{NAME_BYTES_MAX, TELEMETRY_ITEMS_MAX};
use tollbook_usage::otel::Origin;

/// The status code of a span that went wrong.
pub const STATUS_ERROR: u64 = 2;

/// Why a whole body cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// It is no protobuf message of the kind.
    Protobuf,
    /// It is no JSON text of the kind.
    Json,
    /// It holds more spans or records than are taken at once.
    TooMany,
}

/// Why one span or record cannot be read. The others of its request can.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Its trace or span id is none.
    Id,
    /// A member is of the wrong type.
    Member,
}

impl Fault {
    /// For people.
    pub fn detail(self) -> &'static str {
        match self {
            Fault::Id => "its traceId and spanId are not 32 and 16 hexadecimal digits, or are zero",
            Fault::Member => "a member is of the wrong type",
        }
    }
}

/// How many data points there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Points(pub u64);

/// The spans or log records of a request.
#[derive(Debug, PartialEq, Eq)]
pub struct Batch<T> {
    /// By what stands above them.
    pub groups: Vec<(Origin, Vec<T>)>,
    /// Those that cannot be read.
    pub faults: Vec<Fault>,
    /// Read so far, whether good or not.
    items: usize,
}

impl<T> Default for Batch<T> {
    fn default() -> Batch<T> {
        Batch { groups: Vec::new(), faults: Vec::new(), items: 0 }
    }
}

impl<T> Batch<T> {
    /// What comes next stands below this. A group without anything in it takes no room.
    pub fn begin(&mut self, origin: Origin) {
        self.groups.pop_if(|(_, items)| items.is_empty());
        self.groups.push((origin, Vec::new()));
    }

    /// Takes one in.
    pub fn add(&mut self, item: Result<T, Fault>) -> Result<(), Unreadable> {
        self.items += 1;
        if self.items > TELEMETRY_ITEMS_MAX {
            return Err(Unreadable::TooMany);
        }
        match (item, self.groups.last_mut()) {
            (Ok(item), Some((_, items))) => items.push(item),
            (Ok(_), None) => {}
            (Err(fault), _) => self.faults.push(fault),
        }
        Ok(())
    }
}

/// The text where it is as short as a name, else nothing.
pub fn name(text: &str) -> &str {
    if text.len() <= NAME_BYTES_MAX { text } else { "" }
}
