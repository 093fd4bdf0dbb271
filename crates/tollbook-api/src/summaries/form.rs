//! A summary as people order it. Everything that is wrong is told at once.

use tollbook_ledger::alerts::Every;
use tollbook_types::Dimension;

/// The hour at which it comes, unless said.
const HOUR: u8 = 8;
/// What the dearest are told by, unless said.
const BY: &[Dimension] = &[Dimension::Model, Dimension::User];
/// Dimensions that one may name: a message stays short.
const BY_MAX: usize = 3;
/// Channels that one may name.
const NOTIFY_MAX: usize = 16;

/// The members of an order, as they are written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SummaryForm {
    /// How often it comes.
    pub every: String,
    /// The hour at which it comes.
    pub hour: Option<u32>,
    /// What the dearest are told by.
    pub by: Option<Vec<String>>,
    /// Channels that are told.
    pub notify: Vec<String>,
}

/// A summary that is ordered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SummaryOrder {
    /// How often it comes.
    pub every: Every,
    /// The hour at which it comes, on the day after its period.
    pub hour: u8,
    /// What the dearest are told by.
    pub by: Vec<Dimension>,
    /// Channels that are told.
    pub notify: Vec<String>,
}

/// What is wrong with a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SummaryFault {
    /// The member.
    pub member: &'static str,
    /// What is wrong with it.
    pub detail: String,
}

impl SummaryForm {
    /// What it means.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn read(&self) -> Result<SummaryOrder, Vec<SummaryFault>> {
        let mut faults = Vec::new();
        let mut fault = |member, detail: String| faults.push(SummaryFault { member, detail });
        let every = Every::ALL.iter().copied().find(|every| every.name() == self.every);
        if every.is_none() {
            let names: Vec<&str> = Every::ALL.iter().map(|every| every.name()).collect();
            fault("every", format!("it must be one of {}", names.join(", ")));
        }
        let hour = self.hour.map_or(Some(HOUR), |hour| u8::try_from(hour).ok().filter(|hour| *hour < 24));
        if hour.is_none() {
            fault("hour", "it must be 0 to 23".to_owned());
        }
        let by = match &self.by {
            None => Ok(BY.to_vec()),
            Some(names) => names.iter().map(|name| name.parse()).collect::<Result<Vec<Dimension>, String>>(),
        };
        let by = by.unwrap_or_else(|problem| {
            fault("by", problem);
            Vec::new()
        });
        if by.len() > BY_MAX {
            fault("by", format!("it may name {BY_MAX} dimensions"));
        }
        if self.notify.is_empty() || self.notify.len() > NOTIFY_MAX {
            fault("notify", format!("it must name 1 to {NOTIFY_MAX} channels"));
        }
        match (every, hour) {
            (Some(every), Some(hour)) if faults.is_empty() => {
                Ok(SummaryOrder { every, hour, by, notify: self.notify.clone() })
            }
            _ => Err(faults),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_is_wrong_is_told_at_once() {
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let form = |every: &str, hour, by: Option<&[&str]>, notify: &[&str]| SummaryForm {
            every: every.to_owned(),
            hour,
            by: by.map(texts),
            notify: texts(notify),
        };
        for (form, members) in [
            (form("day", None, None, &["ops"]), vec![]),
            (form("month", Some(0), Some(&[]), &["ops"]), vec![]),
            (form("week", Some(23), Some(&["tag.team", "agent"]), &["ops"]), vec![]),
            (form("year", Some(24), Some(&["team"]), &[]), vec!["every", "hour", "by", "notify"]),
            (form("", Some(256), Some(&["user"; 4]), &["ops"; 17]), vec!["every", "hour", "by", "notify"]),
        ] {
            let faults = form.read().err().unwrap_or_default();
            let found: Vec<&str> = faults.iter().map(|fault| fault.member).collect();
            assert_eq!(found, members, "{form:?}");
        }
        let usual = form("day", None, None, &["ops"]).read().unwrap();
        assert_eq!((usual.hour, usual.by), (8, vec![Dimension::Model, Dimension::User]));
    }
}
