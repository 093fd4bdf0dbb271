//! What a socket is sent: JSON objects with a `type`.

use super::flights::Running;
use super::hub::{Gap, Told};
use crate::wire::{AlertView, CallView, MeasuresView};
use serde::Serialize;
use tollbook_types::{Seq, Timestamp};

/// A message.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Message<'a> {
    /// A call that is new or was corrected.
    Call {
        /// Where to go on after it.
        seq: Seq,
        /// `recorded` or `corrected`.
        change: &'static str,
        /// As in a list of calls.
        call: Box<CallView>,
    },
    /// Streams on their way. One that is there no more has ended.
    Progress {
        /// The oldest of them.
        calls: &'a [Running],
        /// How many there are beside these.
        more: u64,
    },
    /// Sums of today.
    Totals {
        /// Calls up to here have been sent.
        seq: Seq,
        /// Today's first instant.
        from: Option<Timestamp>,
        /// Tomorrow's.
        to: Option<Timestamp>,
        /// The zone.
        tz: &'a str,
        /// As the total of a report.
        total: MeasuresView<'a>,
    },
    /// An alert that began or ended.
    Alert {
        /// As in a list of alerts.
        alert: Box<AlertView>,
    },
    /// Calls that were not sent: some after one position, none after the other.
    Gap {
        /// Where to go on for them.
        after: Seq,
        /// The position of the last.
        through: Seq,
        /// How many, where that is known.
        calls: Option<u64>,
    },
}

impl From<&Told> for Message<'_> {
    fn from(told: &Told) -> Self {
        let change = if told.is_correction { "corrected" } else { "recorded" };
        Message::Call { seq: told.seq, change, call: Box::new(CallView::of(&told.call)) }
    }
}

impl From<Gap> for Message<'_> {
    fn from(Gap { after, through, calls }: Gap) -> Self {
        Message::Gap { after, through, calls }
    }
}
