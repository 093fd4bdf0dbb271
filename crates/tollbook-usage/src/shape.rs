//! Usage objects as data: which member means what, per family, and what lies inside of what.
//!
//! A family is a table of paths. Reading one gives [`Figures`]: the provider's own numbers under
//! common names, still overlapping. Making them disjoint is `disjoint.rs`'s work.

use crate::names::Places;
use crate::value::{Damage, Value};
use crate::{anthropic, bedrock, cohere, google, openai};
use tollbook_types::limits::FLAGS_MAX;

/// A figure that some provider reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Field {
    Input,
    Output,
    Total,
    CacheRead,
    CacheWrite,
    CacheWrite5m,
    CacheWrite1h,
    Reasoning,
    ToolPrompt,
    InputAudio,
    InputImage,
    InputVideo,
    CacheAudio,
    CacheImage,
    CacheVideo,
    OutputAudio,
    OutputImage,
    OutputVideo,
    Citation,
    WebSearch,
    SocialSearch,
    FileSearch,
    DocumentSearch,
    CodeSession,
    RerankSearch,
    Pages,
    Images,
    AudioMs,
}

/// Rows of one family.
const ROWS_MAX: usize = 32;

/// Steps of the longest path.
pub(crate) const PATH_STEPS: usize = 3;

pub(crate) const FIELDS: usize = Field::AudioMs as usize + 1;

const _: () = assert!(FIELDS <= 32, "a bit for each");

/// Whether a part is counted in its whole or beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Inside,
    Beside,
}

/// Which part of the usage a list of modalities splits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Split {
    Input,
    Cache,
    Output,
    /// Cache writes, by time to live.
    Writes,
}

/// A family's usage object.
#[derive(Debug)]
pub(crate) struct Shape {
    pub name: &'static str,
    /// Members of which one must stand there for the family to be recognised.
    pub marks: &'static [&'static str],
    /// Paths and what they are. Several paths for one figure are aliases: the largest counts.
    pub rows: Rows,
    /// Paths in seconds.
    pub seconds: &'static [&'static str],
    /// Lists of `{modality, count}`: path, name of the modality, name of the count, what it splits.
    pub splits: &'static [(&'static str, &'static str, &'static str, Split)],
    /// Cached tokens against the input count.
    pub cache: Place,
    /// Reasoning tokens against the output count.
    pub reasoning: Place,
}

/// Paths and what they are, found by their ends.
#[derive(Debug)]
pub(crate) struct Rows {
    list: &'static [(&'static str, Field)],
    /// Steps of each path.
    steps: [u8; ROWS_MAX],
    places: Places,
}

impl Rows {
    pub const fn of(list: &'static [(&'static str, Field)]) -> Rows {
        let mut places = Places::NONE;
        let mut steps = [1; ROWS_MAX];
        let mut at = 0;
        while at < list.len() {
            let path = list[at].0.as_bytes();
            let mut byte = 0;
            while byte < path.len() {
                steps[at] += (path[byte] == b'.') as u8;
                byte += 1;
            }
            places = places.with(at, list[at].0);
            at += 1;
        }
        Rows { list, steps, places }
    }

    /// The row whose path consists of these steps.
    pub fn find(&self, steps: &[&str]) -> Option<(&'static str, Field)> {
        let first = *steps.first()?.as_bytes().first()?;
        let last = *steps.last()?.as_bytes().last()?;
        let length = steps.iter().map(|step| step.len() + 1).sum::<usize>() - 1;
        let is = |number: usize| {
            usize::from(self.steps[number]) == steps.len() && is_path(self.list[number].0, steps)
        };
        self.places.find(length, first, last, is).map(|number| self.list[number])
    }
}

/// In the order in which they are tried.
const SHAPES: &[&Shape] = &[
    &openai::CHAT,
    &cohere::BILLED,
    &google::METADATA,
    &google::INTERACTION,
    &bedrock::CONVERSE,
    &bedrock::METRICS,
    &anthropic::MESSAGES,
    &openai::RESPONSES,
    &openai::SECONDS,
    &openai::PAGES,
    &openai::TOTAL_ONLY,
];

/// A provider's figures under common names. Absent is not 0.
#[derive(Clone, Debug)]
pub(crate) struct Figures {
    pub shape: &'static Shape,
    /// Which figures are there, by bits.
    present: u32,
    values: [u64; FIELDS],
    names: [&'static str; FIELDS],
    /// What was wrong with single figures.
    pub flags: Vec<String>,
    /// Whether a figure was damaged, so that the rest cannot be trusted.
    pub damaged: bool,
}

impl Figures {
    pub fn empty(shape: &'static Shape) -> Figures {
        let (values, names) = ([0; FIELDS], [""; FIELDS]);
        Figures { shape, present: 0, values, names, flags: Vec::new(), damaged: false }
    }

    /// Reads a usage object; `None` when it is of no known family or carries no figure at all.
    pub fn read(value: &Value<'_>, shape: &'static Shape) -> Option<Box<Figures>> {
        let mut figures = Box::new(Figures::empty(shape));
        figures.walk(value, &mut [""; PATH_STEPS], 0);
        for path in shape.seconds {
            if let Some(found) = value.at(path) {
                figures.take(path, Field::AudioMs, found.millis());
            }
        }
        for (path, modality, count, split) in shape.splits {
            if let Some(list) = value.at(path) {
                figures.split(path, list, (modality, count), *split);
            }
        }
        (!figures.is_empty() || figures.damaged).then_some(figures)
    }

    pub fn get(&self, field: Field) -> Option<u64> {
        (self.present & 1 << field as u32 != 0).then_some(self.values[field as usize])
    }

    pub fn or_zero(&self, field: Field) -> u64 {
        self.get(field).unwrap_or(0)
    }

    pub fn set(&mut self, field: Field, name: &'static str, quantity: u64) {
        self.present |= 1 << field as u32;
        self.values[field as usize] = quantity;
        self.names[field as usize] = name;
    }

    /// The provider's name for a figure.
    pub fn name(&self, field: Field) -> &'static str {
        self.names[field as usize]
    }

    pub fn is_empty(&self) -> bool {
        self.present == 0
    }

    /// Takes over every figure that `later` has; what it lacks stays.
    pub fn merge(&mut self, later: &Figures) {
        for at in 0..FIELDS {
            if later.present & 1 << at != 0 {
                self.values[at] = later.values[at];
                self.names[at] = later.names[at];
            }
        }
        self.present |= later.present;
        self.damaged |= later.damaged;
        for flag in &later.flags {
            self.flag(flag.clone());
        }
    }

    pub fn flag(&mut self, flag: String) {
        if self.flags.len() < FLAGS_MAX && !self.flags.contains(&flag) {
            self.flags.push(flag);
        }
    }

    /// Takes every member that the table names, whatever the order.
    fn walk<'v>(&mut self, value: &'v Value<'_>, steps: &mut [&'v str; PATH_STEPS], depth: usize) {
        let Value::Object(members) = value else { return };
        for (name, member) in members {
            if *member == Value::Null {
                continue;
            }
            steps[depth] = name;
            match self.shape.rows.find(&steps[..=depth]) {
                Some((path, field)) => self.take(path, field, member.quantity()),
                None if depth + 1 < PATH_STEPS => self.walk(member, steps, depth + 1),
                None => {}
            }
        }
    }

    pub fn take(&mut self, path: &'static str, field: Field, found: Result<u64, Damage>) {
        match found {
            Ok(quantity) if self.get(field).is_none_or(|known| quantity > known) => {
                self.set(field, path, quantity);
            }
            Ok(_) => {}
            Err(damage) => {
                self.damaged = true;
                self.flag(format!("usage_damaged: {path} is {}", damage.name()));
            }
        }
    }

    fn split(&mut self, path: &'static str, list: &Value<'_>, keys: (&str, &str), split: Split) {
        for part in list.list() {
            let Some(modality) = part.at(keys.0).and_then(Value::text) else { continue };
            // A zero count is left out by some encoders.
            let count = part.at(keys.1).map_or(Ok(0), Value::quantity);
            let field = match (split, modality.to_ascii_uppercase().as_str()) {
                (Split::Input, "AUDIO") => Field::InputAudio,
                (Split::Input, "IMAGE") => Field::InputImage,
                (Split::Input, "VIDEO") => Field::InputVideo,
                (Split::Cache, "AUDIO") => Field::CacheAudio,
                (Split::Cache, "IMAGE") => Field::CacheImage,
                (Split::Cache, "VIDEO") => Field::CacheVideo,
                (Split::Output, "AUDIO") => Field::OutputAudio,
                (Split::Output, "IMAGE") => Field::OutputImage,
                (Split::Output, "VIDEO") => Field::OutputVideo,
                (Split::Writes, "5M") => Field::CacheWrite5m,
                (Split::Writes, "1H") => Field::CacheWrite1h,
                _ => continue,
            };
            self.take(path, field, count);
        }
    }
}

/// Whether a dotted path of as many steps consists of these.
fn is_path(path: &str, steps: &[&str]) -> bool {
    let mut rest = path.as_bytes();
    for (at, step) in steps.iter().enumerate() {
        if at > 0 {
            let Some(after) = rest.strip_prefix(b".") else { return false };
            rest = after;
        }
        let Some(after) = rest.strip_prefix(step.as_bytes()) else { return false };
        rest = after;
    }
    rest.is_empty()
}

/// The family of a usage object, by the members that stand in it.
pub(crate) fn recognise(value: &Value<'_>) -> Option<&'static Shape> {
    SHAPES.iter().copied().find(|shape| shape.marks.iter().any(|mark| value.at(mark).is_some()))
}
