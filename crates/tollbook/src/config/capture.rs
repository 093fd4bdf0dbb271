//! `[capture]`: whose prompts and answers are kept, for how long, and what is taken out of them.

use super::budgets::{list, small};
use super::file::Reader;
use tollbook_gateway::capture::Redactor;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The keys of the section.
pub const KEYS: &[&str] = &["enabled", "days", "max_mib", "upstreams", "projects", "redact"];
/// Days that words are kept, unless configured.
const DAYS: u32 = 30;
/// What they may take on the disk, unless configured.
const MAX_MIB: u32 = 1_024;
const MAX_MIB_MAX: u32 = 1_048_576;

/// `[capture]`
#[derive(Clone, Debug)]
pub struct Capture {
    /// Nothing is kept unless it is true.
    pub enabled: bool,
    /// Days that words are kept, today included.
    pub days: u32,
    /// What they may take on the disk.
    pub max_mib: u32,
    /// Only those of calls to these upstreams, with the place of the list.
    pub upstreams: Vec<String>,
    /// Where the upstreams are named.
    pub place: String,
    /// Only those of calls in these projects.
    pub projects: Vec<String>,
    /// What is taken out beside what is built in.
    pub redact: Vec<String>,
}

impl Default for Capture {
    fn default() -> Capture {
        let (upstreams, projects, redact) = (Vec::new(), Vec::new(), Vec::new());
        let place = String::new();
        Capture { enabled: false, days: DAYS, max_mib: MAX_MIB, upstreams, place, projects, redact }
    }
}

/// Reads the section.
pub fn read(reader: &mut Reader<'_>, capture: &mut Capture, table: &DeTable<'_>) {
    for (key, found) in table {
        match key.get_ref().as_ref() {
            "enabled" => capture.enabled = reader.truth(found).unwrap_or_default(),
            "days" => {
                let days = reader.whole(found).map(super::value::retention_days);
                capture.days = days.and_then(|days| reader.checked(found.span(), days)).unwrap_or(DAYS);
            }
            "max_mib" => {
                let mib = small(reader, found).filter(|mib| (1..=MAX_MIB_MAX).contains(mib));
                if mib.is_none() {
                    reader.problem(found.span(), &format!("it must be from 1 to {MAX_MIB_MAX}"));
                }
                capture.max_mib = mib.unwrap_or(MAX_MIB);
            }
            "upstreams" => {
                capture.place = reader.origin(key.span()).to_string();
                capture.upstreams = names(reader, found);
            }
            "projects" => capture.projects = names(reader, found),
            "redact" => {
                capture.redact = names(reader, found);
                let items = list(reader, found);
                for (place, problem) in Redactor::new(&capture.redact).err().unwrap_or_default() {
                    let span = items.get(place).map_or(found.span(), |item| item.span());
                    reader.problem(span, &problem);
                }
            }
            other => reader.unknown_key("capture", other, key.span()),
        }
    }
}

fn names(reader: &mut Reader<'_>, found: &Spanned<DeValue<'_>>) -> Vec<String> {
    let items = list(reader, found);
    items.into_iter().filter_map(|item| reader.text(item)).collect()
}
