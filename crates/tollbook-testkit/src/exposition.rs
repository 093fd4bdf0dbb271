//! A strict reader of Prometheus's text format 0.0.4: what it takes, every scraper takes.
//!
//! It also holds figures to the conventions for their names and labels.

use std::collections::{BTreeMap, BTreeSet};

/// Labels by name.
pub type Labels = BTreeMap<String, String>;

/// A whole scrape.
#[derive(Clone, Debug, Default)]
pub struct Scrape {
    /// Kinds of figures by name.
    pub kinds: BTreeMap<String, String>,
    /// Values, as they were written, by name and labels.
    pub samples: BTreeMap<(String, Labels), String>,
}

impl Scrape {
    /// Reads one; the error names the line.
    pub fn read(text: &str) -> Result<Scrape, String> {
        let mut reader = Reader::default();
        if !text.is_empty() && !text.ends_with('\n') {
            return Err("the last line has no end".to_owned());
        }
        for (at, line) in text.lines().enumerate() {
            reader.line(line).map_err(|wrong| format!("line {}: {wrong}: {line}", at + 1))?;
        }
        for (name, kind) in reader.scrape.kinds.iter().filter(|(_, kind)| *kind == "histogram") {
            reader.scrape.histogram(name).map_err(|wrong| format!("{kind} {name}: {wrong}"))?;
        }
        Ok(reader.scrape)
    }

    /// The names under which something can be asked for.
    pub fn names(&self) -> BTreeSet<&str> {
        self.samples.keys().map(|(name, _)| name.as_str()).collect()
    }

    /// The value with exactly these labels.
    pub fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<&str> {
        let labels = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        self.samples.get(&(name.to_owned(), labels)).map(String::as_str)
    }

    /// The sum of whole numbers under a name, over all labels that have these among them.
    pub fn sum(&self, name: &str, with: &[(&str, &str)]) -> u64 {
        let has = |labels: &Labels| {
            with.iter().all(|(name, value)| labels.get(*name).is_some_and(|found| found == value))
        };
        let samples = self.samples.iter().filter(|((found, labels), _)| found == name && has(labels));
        samples.filter_map(|(_, value)| value.parse::<u64>().ok()).sum()
    }

    fn histogram(&self, name: &str) -> Result<(), String> {
        let mut buckets: BTreeMap<Labels, Vec<(String, u64)>> = BTreeMap::new();
        for ((_, labels), value) in
            self.samples.iter().filter(|((found, _), _)| *found == format!("{name}_bucket"))
        {
            let mut labels = labels.clone();
            let end = labels.remove("le").ok_or("a bucket without le")?;
            let count = value.parse().map_err(|_| "a count is no whole number")?;
            buckets.entry(labels).or_default().push((end, count));
        }
        for (labels, mut buckets) in buckets {
            buckets.sort_by(|one, other| order(&one.0).cmp(&order(&other.0)));
            if !buckets.windows(2).all(|pair| pair[0].1 <= pair[1].1) {
                return Err(format!("{labels:?}: buckets go down"));
            }
            let count = self.samples.get(&(format!("{name}_count"), labels.clone()));
            let last = buckets.last().filter(|(end, _)| end == "+Inf").map(|(_, count)| count.to_string());
            if last.is_none()
                || last.as_ref() != count
                || !self.samples.contains_key(&(format!("{name}_sum"), labels))
            {
                return Err("the last bucket, count and sum do not fit".to_owned());
            }
        }
        Ok(())
    }
}

/// Ends of buckets by size: digits before the point, then as text.
fn order(end: &str) -> (bool, usize, &str) {
    (end == "+Inf", end.split('.').next().map_or(0, str::len), end)
}

#[derive(Default)]
struct Reader {
    scrape: Scrape,
    /// The family that is being read: its name, once its kind was told, and its labels' names.
    helped: String,
    family: String,
    names: Option<Vec<String>>,
}

impl Reader {
    fn line(&mut self, line: &str) -> Result<(), &'static str> {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').ok_or("no help")?;
            if help.is_empty() || self.scrape.kinds.contains_key(name) || !is_name(name) {
                return Err("an empty help, a second one, or no name");
            }
            name.clone_into(&mut self.helped);
            return Ok(());
        }
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').ok_or("no kind")?;
            if name != self.helped || !["counter", "gauge", "histogram"].contains(&kind) {
                return Err("a type without its help, or none that there is");
            }
            if (kind == "counter") != name.ends_with("_total") && name != "openai_cost_total" {
                return Err("counters, and only they, end in _total");
            }
            name.clone_into(&mut self.family);
            self.names = None;
            self.scrape.kinds.insert(name.to_owned(), kind.to_owned());
            return Ok(());
        }
        self.sample(line)
    }

    fn sample(&mut self, line: &str) -> Result<(), &'static str> {
        let end = line.find(['{', ' ']).ok_or("no value")?;
        let (name, rest) = line.split_at(end);
        let kind = self.scrape.kinds.get(&self.family).ok_or("a sample before its type")?;
        let suffix = name.strip_prefix(self.family.as_str()).ok_or("a sample of another family")?;
        let suffixes: &[&str] = if kind == "histogram" { &["_bucket", "_sum", "_count"] } else { &[""] };
        if !suffixes.contains(&suffix) || !is_name(name) {
            return Err("no name of this family");
        }
        let (labels, rest) = labels(rest)?;
        let mut names: Vec<String> = labels.keys().cloned().collect();
        names.retain(|name| !(name == "le" && suffix == "_bucket"));
        if self.names.get_or_insert_with(|| names.clone()) != &names {
            return Err("other labels than before");
        }
        let value = rest.strip_prefix(' ').ok_or("no blank before the value")?;
        if !is_number(value, kind == "gauge") {
            return Err("no number");
        }
        match self.scrape.samples.insert((name.to_owned(), labels), value.to_owned()) {
            None => Ok(()),
            Some(_) => Err("the same sample twice"),
        }
    }
}

fn is_name(name: &str) -> bool {
    let is_start = name.starts_with(|c: char| c.is_ascii_lowercase());
    is_start && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

/// Digits with at most one point between them.
fn is_number(text: &str, may_be_negative: bool) -> bool {
    let text = text.strip_prefix('-').filter(|_| may_be_negative).unwrap_or(text);
    let mut parts = text.split('.');
    let is_digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    parts.by_ref().take(2).all(is_digits) && parts.next().is_none()
}

/// The labels at the beginning, and what follows them.
fn labels(text: &str) -> Result<(Labels, &str), &'static str> {
    let mut labels = Labels::new();
    let Some(mut rest) = text.strip_prefix('{') else { return Ok((labels, text)) };
    loop {
        let (name, after) = rest.split_once("=\"").ok_or("a label without a value")?;
        if !is_name(name) {
            return Err("no name of a label");
        }
        let (value, after) = quoted(after)?;
        if labels.insert(name.to_owned(), value).is_some() {
            return Err("a label twice");
        }
        match (after.strip_prefix(','), after.strip_prefix('}')) {
            (Some(after), _) => rest = after,
            (_, Some(after)) => return Ok((labels, after)),
            _ => return Err("labels without an end"),
        }
    }
}

/// A value up to its closing quote, and what follows it.
fn quoted(text: &str) -> Result<(String, &str), &'static str> {
    let (mut value, mut chars) = (String::new(), text.char_indices());
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Ok((value, &text[at + 1..])),
            '\\' => value.push(match chars.next() {
                Some((_, 'n')) => '\n',
                Some((_, c @ ('\\' | '"'))) => c,
                _ => return Err("an escape that there is not"),
            }),
            c => value.push(c),
        }
    }
    Err("a value without an end")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_right_is_taken() {
        let head = "# HELP a_total A.\n# TYPE a_total counter\n";
        let histogram = "# HELP h_seconds H.\n# TYPE h_seconds histogram\n";
        for (text, is_right) in [
            (String::new(), true),
            (format!("{head}a_total 1\n"), true),
            (format!("{head}a_total{{b=\"c\\\"\\\\\\n\"}} 1.5\na_total{{b=\"d\"}} 2\n"), true),
            (format!("{head}a_total 1"), false),
            (format!("{head}a_total 1\na_total 1\n"), false),
            (format!("{head}a_total{{b=\"c\"}} 1\na_total{{d=\"c\"}} 1\n"), false),
            (format!("{head}a_total -1\n"), false),
            (format!("{head}a_total 1e3\n"), false),
            (format!("{head}a_total NaN\n"), false),
            (format!("{head}a_total\n"), false),
            (format!("{head}a_total{{b=\"c 1\n"), false),
            (format!("{head}a_total{{b=\"\\x\"}} 1\n"), false),
            (format!("{head}b_total 1\n"), false),
            (format!("{head}{head}"), false),
            ("a_total 1\n".to_owned(), false),
            ("# HELP a A.\n# TYPE a counter\na 1\n".to_owned(), false),
            ("# HELP a_total A.\n# TYPE a_total gauge\n".to_owned(), false),
            ("# HELP a A.\n# TYPE a gauge\na -1.25\n".to_owned(), true),
            ("# TYPE a gauge\na 1\n".to_owned(), false),
            (
                format!(
                    "{histogram}h_seconds_bucket{{le=\"5\"}} 1\nh_seconds_bucket{{le=\"10\"}} 2\n\
                     h_seconds_bucket{{le=\"+Inf\"}} 2\nh_seconds_sum 7.5\nh_seconds_count 2\n"
                ),
                true,
            ),
            (
                format!(
                    "{histogram}h_seconds_bucket{{le=\"5\"}} 3\nh_seconds_bucket{{le=\"10\"}} 2\n\
                     h_seconds_bucket{{le=\"+Inf\"}} 2\nh_seconds_sum 7.5\nh_seconds_count 2\n"
                ),
                false,
            ),
            (
                format!("{histogram}h_seconds_bucket{{le=\"+Inf\"}} 2\nh_seconds_sum 1\nh_seconds_count 3\n"),
                false,
            ),
            (
                format!("{histogram}h_seconds_bucket{{le=\"5\"}} 2\nh_seconds_sum 1\nh_seconds_count 2\n"),
                false,
            ),
        ] {
            let read = Scrape::read(&text);
            assert_eq!(read.is_ok(), is_right, "{text}{read:?}");
        }
    }
}
