//! A figure for Prometheus, as text of the exposition format 0.0.4.
//!
//! Values are written without a float: counts are whole numbers, durations and amounts decimal text,
//! so what is shown is what was counted.

use std::fmt::{Display, Write};
use tollbook_types::Money;

/// What kind of figure it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// A figure with its labelled values.
#[derive(Clone, Debug)]
pub struct Family {
    name: &'static str,
    help: &'static str,
    kind: Kind,
    /// Suffix of the name, labels as text, value.
    lines: Vec<(&'static str, String, String)>,
}

impl Family {
    /// A number that only goes up; its name ends in `_total`.
    pub fn counter(name: &'static str, help: &'static str) -> Family {
        Family { name, help, kind: Kind::Counter, lines: Vec::new() }
    }

    /// A number that goes up and down.
    pub fn gauge(name: &'static str, help: &'static str) -> Family {
        Family { name, help, kind: Kind::Gauge, lines: Vec::new() }
    }

    /// Observations by how large they are; its name ends in their unit.
    pub fn histogram(name: &'static str, help: &'static str) -> Family {
        Family { name, help, kind: Kind::Histogram, lines: Vec::new() }
    }

    /// Adds a count.
    #[must_use]
    pub fn with(self, labels: &[(&str, &str)], value: u64) -> Family {
        self.line(labels, value)
    }

    /// Adds an amount in US dollars.
    #[must_use]
    pub fn with_usd(self, labels: &[(&str, &str)], amount: Money) -> Family {
        self.line(labels, amount)
    }

    /// Adds a time, given in microseconds, as seconds.
    #[must_use]
    pub fn with_seconds(self, labels: &[(&str, &str)], micros: u64) -> Family {
        self.line(labels, seconds(micros))
    }

    fn line(mut self, labels: &[(&str, &str)], value: impl Display) -> Family {
        self.lines.push(("", labels_text(labels, None), value.to_string()));
        self
    }

    /// Adds durations: how many fell into each bucket alone (one more than there are bounds: the last
    /// is without an end), and the sum of all.
    #[must_use]
    pub fn observed(
        self,
        labels: &[(&str, &str)],
        bounds_micros: &[u64],
        counts: &[u64],
        sum_micros: u64,
    ) -> Family {
        let ends = bounds_micros.iter().map(|micros| seconds(*micros)).collect();
        self.buckets(labels, ends, counts, seconds(sum_micros))
    }

    /// Adds amounts in US dollars, as [`Family::observed`] does durations.
    #[must_use]
    pub fn observed_usd(
        self,
        labels: &[(&str, &str)],
        bounds: &[Money],
        counts: &[u64],
        sum: Money,
    ) -> Family {
        let ends = bounds.iter().map(Money::to_string).collect();
        self.buckets(labels, ends, counts, sum.to_string())
    }

    fn buckets(mut self, labels: &[(&str, &str)], ends: Vec<String>, counts: &[u64], sum: String) -> Family {
        let mut below = 0_u64;
        for (end, count) in ends.into_iter().chain(["+Inf".to_owned()]).zip(counts) {
            below = below.saturating_add(*count);
            self.lines.push(("_bucket", labels_text(labels, Some(&end)), below.to_string()));
        }
        self.lines.push(("_sum", labels_text(labels, None), sum));
        self.lines.push(("_count", labels_text(labels, None), below.to_string()));
        self
    }

    /// Writes it out: what it is, then its values. One without any is left out.
    pub(super) fn write(&self, text: &mut String) {
        if self.lines.is_empty() {
            return;
        }
        let kind = match self.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        // Writing into a text cannot fail.
        let _ = writeln!(text, "# HELP {0} {1}\n# TYPE {0} {kind}", self.name, self.help);
        for (suffix, labels, value) in &self.lines {
            let _ = writeln!(text, "{}{suffix}{labels} {value}", self.name);
        }
    }
}

fn labels_text(labels: &[(&str, &str)], end: Option<&str>) -> String {
    let escaped = |value: &str| value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    let end = end.map(|end| ("le", end));
    let parts: Vec<String> = labels
        .iter()
        .copied()
        .chain(end)
        .map(|(name, value)| format!("{name}=\"{}\"", escaped(value)))
        .collect();
    if parts.is_empty() { String::new() } else { format!("{{{}}}", parts.join(",")) }
}

/// Microseconds as seconds, in decimal.
fn seconds(micros: u64) -> String {
    let text = format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_what_prometheus_reads() {
        let mut text = String::new();
        Family::counter("tollbook_x_total", "X.").with(&[("a", "1\"\\\n")], 7).with(&[], 8).write(&mut text);
        Family::counter("tollbook_none_total", "Nothing was counted.").write(&mut text);
        Family::gauge("tollbook_z_usd", "Z.").with_usd(&[], Money::from_picos(-1)).write(&mut text);
        Family::histogram("tollbook_y_seconds", "Y.")
            .observed(&[("b", "c")], &[25, 1_000_000], &[1, 2, 3], 1_500_001)
            .write(&mut text);
        let bound = Money::from_picos(1_000_000_000);
        let histogram = Family::histogram("tollbook_w_usd", "W.");
        histogram.observed_usd(&[], &[bound], &[1, 0], Money::from_picos(7)).write(&mut text);
        let wanted = "# HELP tollbook_x_total X.\n# TYPE tollbook_x_total counter\n\
            tollbook_x_total{a=\"1\\\"\\\\\\n\"} 7\ntollbook_x_total 8\n\
            # HELP tollbook_z_usd Z.\n# TYPE tollbook_z_usd gauge\ntollbook_z_usd -0.000000000001\n\
            # HELP tollbook_y_seconds Y.\n# TYPE tollbook_y_seconds histogram\n\
            tollbook_y_seconds_bucket{b=\"c\",le=\"0.000025\"} 1\n\
            tollbook_y_seconds_bucket{b=\"c\",le=\"1\"} 3\n\
            tollbook_y_seconds_bucket{b=\"c\",le=\"+Inf\"} 6\n\
            tollbook_y_seconds_sum{b=\"c\"} 1.500001\ntollbook_y_seconds_count{b=\"c\"} 6\n\
            # HELP tollbook_w_usd W.\n# TYPE tollbook_w_usd histogram\n\
            tollbook_w_usd_bucket{le=\"0.001\"} 1\ntollbook_w_usd_bucket{le=\"+Inf\"} 1\n\
            tollbook_w_usd_sum 0.000000000007\ntollbook_w_usd_count 1\n";
        assert_eq!(text, wanted);
        assert_eq!((seconds(0), seconds(10_000_000)), ("0".to_owned(), "10".to_owned()));
    }
}
