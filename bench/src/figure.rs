//! Samples, figures and the table they are printed in.

use std::io::Write;
use std::time::{Duration, Instant};

/// Measurements of one thing, one a round.
#[derive(Clone, Debug, Default)]
pub struct Samples(pub Vec<f64>);

impl Samples {
    /// Adds one.
    pub fn add(&mut self, value: f64) {
        self.0.push(value);
    }

    /// The middle one, or the mean of the two in the middle.
    pub fn median(&self) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        match sorted.len() {
            0 => f64::NAN,
            odd if odd % 2 == 1 => sorted[odd / 2],
            even => (sorted[even / 2 - 1] + sorted[even / 2]) / 2.0,
        }
    }

    /// The smallest.
    pub fn min(&self) -> f64 {
        self.0.iter().copied().fold(f64::INFINITY, f64::min)
    }

    /// The largest.
    pub fn max(&self) -> f64 {
        self.0.iter().copied().fold(f64::NEG_INFINITY, f64::max)
    }

    /// This over that, round by round.
    pub fn over(&self, that: &Samples) -> Samples {
        Samples(self.0.iter().zip(&that.0).map(|(this, that)| this / that).collect())
    }

    /// `median (min–max)` with so many decimals and a unit.
    pub fn text(&self, decimals: usize, unit: &str) -> String {
        format!("{:.decimals$}{unit} ({:.decimals$}–{:.decimals$})", self.median(), self.min(), self.max())
    }
}

/// What a figure must be, and what it should be.
#[derive(Clone, Copy, Debug)]
pub enum Aim {
    /// At least.
    AtLeast { bar: f64, goal: f64 },
    /// At most.
    AtMost { bar: f64, goal: f64 },
    /// It is only told.
    Told,
}

impl Aim {
    fn verdict(self, value: f64) -> &'static str {
        let (in_bar, in_goal) = match self {
            Aim::Told => return "",
            Aim::AtLeast { bar, goal } => (value >= bar, value >= goal),
            Aim::AtMost { bar, goal } => (value <= bar, value <= goal),
        };
        match (in_bar, in_goal) {
            (_, true) => " ✔ goal",
            (true, false) => " ✔ bar",
            _ => " ✘ misses the bar",
        }
    }

    fn texts(self, unit: &str) -> (String, String) {
        match self {
            Aim::Told => ("–".to_owned(), "–".to_owned()),
            Aim::AtLeast { bar, goal } => (format!("≥ {bar}{unit}"), format!("≥ {goal}{unit}")),
            Aim::AtMost { bar, goal } => (format!("≤ {bar}{unit}"), format!("≤ {goal}{unit}")),
        }
    }
}

/// The table of a run.
#[derive(Debug, Default)]
pub struct Table(Vec<[String; 6]>);

impl Table {
    /// Adds a figure. `more` stands behind the measured value.
    pub fn add(&mut self, what: &str, aim: Aim, unit: &str, samples: &Samples, more: &str, baseline: &str) {
        let decimals = match samples.median().abs() {
            100.0.. => 0,
            10.0.. => 1,
            _ => 2,
        };
        let (bar, goal) = aim.texts(unit);
        let more = if more.is_empty() { String::new() } else { format!("; {more}") };
        let measured = samples.text(decimals, unit) + aim.verdict(samples.median()) + &more;
        let rounds = samples.0.len().to_string();
        say(&format!("  {what}: {measured} [{baseline}]"));
        self.0.push([what.to_owned(), bar, goal, measured, baseline.to_owned(), rounds]);
    }

    /// Prints everything so far, as Markdown.
    pub fn print(&self) {
        let mut out = String::from(
            "\n| what | bar | goal | measured | baseline | rounds |\n|---|---|---|---|---|---|\n",
        );
        for row in &self.0 {
            out.push_str(&format!("| {} |\n", row.join(" | ")));
        }
        let _ = std::io::stdout().write_all(out.as_bytes());
    }
}

/// Says something on the way.
pub fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Prints a line of the result.
pub fn put(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// How long some work takes, and what it gives.
pub fn timed<T>(work: impl FnOnce() -> T) -> (Duration, T) {
    let start = Instant::now();
    let done = work();
    (start.elapsed(), done)
}

/// Nanoseconds of this thread's processor time that one of `count` pieces of work takes: what else
/// the machine does at the time counts little.
pub fn nanos_each(count: usize, work: impl FnOnce()) -> f64 {
    let start = thread_nanos();
    work();
    (thread_nanos() - start) as f64 / count as f64
}

/// Processor time of this thread.
pub fn thread_nanos() -> i64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    now.tv_sec * 1_000_000_000 + now.tv_nsec
}

/// A number with separators.
pub fn grouped(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
