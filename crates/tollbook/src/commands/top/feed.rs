//! Brings figures, once a second, for what is looked at. It must never know how they are drawn.

use super::state::{Range, View, Wants};
use super::streams::Stream;
use crate::clock::SystemClock;
use crate::config::NamedZone;
use crate::failure::Failure;
use crate::source::{Asked, Report, Source, Standing, Sums};
use serde_json::Value;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;
use tollbook_api::question;
use tollbook_store::Interval;
use tollbook_types::{Clock, TimeRange, Timestamp};

/// Between two looks.
const EVERY: Duration = Duration::from_secs(1);
/// Calls that are listed.
const CALLS: usize = 200;
/// Days of the calendar: whole weeks.
const CALENDAR_DAYS: u32 = 84;

/// What has happened.
#[derive(Debug)]
pub enum News {
    /// Figures, as of now.
    Figures(Box<Figures>),
    /// Streams on their way.
    Streams(Vec<Stream>),
    /// What went wrong; the figures stay as they were.
    Problem(String),
}

/// Figures for what is looked at.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Figures {
    /// When they were asked for, in seconds.
    pub second: i64,
    /// What they answer.
    pub wants: Wants,
    pub total: Sums,
    pub today: Sums,
    pub last_hour: Sums,
    /// This month, with how many of its seconds have passed and how many it has.
    pub month: Sums,
    pub month_passed: (i64, i64),
    /// By hour or day, oldest first.
    pub series: Vec<Sums>,
    /// By the view's dimension.
    pub rows: Vec<Sums>,
    /// The days of the calendar that have calls, and the first of them, with its weekday from Monday.
    pub days: Vec<(i64, Sums)>,
    /// Days that the calendar begins before today.
    pub first_day: i64,
    pub budgets: Vec<Standing>,
    pub calls: Vec<Value>,
}

/// What is wanted, for the thread that asks.
pub struct Wanted(Arc<(Mutex<Wants>, Condvar)>);

impl Wanted {
    /// Asks for this at once, and from now on.
    pub fn set(&self, wants: Wants) {
        *self.0.0.lock().unwrap_or_else(PoisonError::into_inner) = wants;
        self.0.1.notify_one();
    }
}

/// Starts to ask. It ends when nobody listens any more.
pub fn start(source: Source, zone: NamedZone, wants: Wants, news: Sender<News>) -> Wanted {
    let wanted = Arc::new((Mutex::new(wants), Condvar::new()));
    let shared = wanted.clone();
    std::thread::spawn(move || {
        loop {
            let wants = shared.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let told = match figures(&source, &zone, &wants) {
                Ok(figures) => News::Figures(Box::new(figures)),
                Err(failure) => News::Problem(failure.to_string()),
            };
            if news.send(told).is_err() {
                return;
            }
            let guard = shared.0.lock().unwrap_or_else(PoisonError::into_inner);
            if *guard == wants {
                drop(shared.1.wait_timeout(guard, EVERY));
            }
        }
    });
    Wanted(wanted)
}

fn figures(source: &Source, zone: &NamedZone, wants: &Wants) -> Result<Figures, Failure> {
    let now = SystemClock.now();
    let ask = |range: TimeRange, interval: Interval, by: Option<&str>| -> Result<Report, Failure> {
        source.usage(&Asked { range, interval, by, filters: &wants.filters }, zone)
    };
    let days = |days: u32| question::last_days(days, &zone.zone, now).map_err(Failure::new);
    let since =
        |seconds: i64| TimeRange { from: Timestamp::from_second(now.as_second() - seconds).ok(), to: None };
    let (range, interval) = match wants.range {
        Range::Hour => (since(3_600), Interval::None),
        Range::Today => (days(1)?, Interval::Hour),
        Range::Week => (days(7)?, Interval::Day),
        Range::Month => (days(30)?, Interval::Day),
        Range::Quarter => (days(90)?, Interval::Day),
    };
    let series = ask(range, interval, None)?;
    let today = if wants.range == Range::Today {
        series.total.clone()
    } else {
        ask(days(1)?, Interval::None, None)?.total
    };
    let mut found = Figures {
        second: now.as_second(),
        wants: wants.clone(),
        total: series.total,
        series: series.rows,
        today,
        budgets: source.budgets()?,
        ..Figures::default()
    };
    match wants.view {
        View::Overview => {
            let (month, passed) = month(zone, now);
            found.month = ask(month, Interval::None, None)?.total;
            found.month_passed = passed;
            found.last_hour = ask(since(3_600), Interval::None, None)?.total;
            found.calls = source.calls(20, &wants.filters)?;
        }
        View::Models => found.rows = ask(range, Interval::None, Some("model"))?.rows,
        View::Users => found.rows = ask(range, Interval::None, Some(wants.by))?.rows,
        View::Calls => found.calls = source.calls(CALLS, &wants.filters)?,
        View::Calendar => {
            let weekday = i64::from(zone.zone.to_datetime(now).weekday().to_monday_zero_offset());
            // Whole weeks, the last of which has today.
            found.first_day = i64::from(CALENDAR_DAYS) - 7 + weekday;
            let back = u32::try_from(found.first_day + 1).unwrap_or(CALENDAR_DAYS);
            let rows = ask(days(back)?, Interval::Day, None)?.rows;
            let start = zone.zone.to_datetime(now).date();
            found.days = rows
                .into_iter()
                .filter_map(|row| {
                    let date = zone.zone.to_datetime(row.bucket?).date();
                    let ago = start.since(date).ok()?.get_days();
                    Some((found.first_day - i64::from(ago), row))
                })
                .collect();
        }
    }
    Ok(found)
}

/// This month so far, and how many of its seconds have passed of how many.
fn month(zone: &NamedZone, now: Timestamp) -> (TimeRange, (i64, i64)) {
    use tollbook_types::Period;
    let (from, to) = (Period::MONTH.start(now, &zone.zone), Period::MONTH.end(now, &zone.zone));
    let passed = (now.as_second() - from.as_second(), to.as_second() - from.as_second());
    (TimeRange { from: Some(from), to: Some(to) }, passed)
}
