//! Reading `tollbook.toml`. Every problem is reported, with its place and what was probably meant.

use super::{
    Config, NamedZone, Origin, Set, alerts, beside, budgets, capture, channels, gateway, rate_limits,
    summaries, value,
};
use std::ops::Range;
use std::path::Path;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Every key that is understood, by section.
const KEYS: &[(&str, &[&str])] = &[
    (
        "server",
        &[
            "data_dir",
            "time_zone",
            "listen",
            "open_metrics",
            "metrics_compat",
            "tls_cert",
            "tls_key",
            "public_url",
        ],
    ),
    ("store", &["durability"]),
    ("journal", &["segment_mib"]),
    ("retention", &["entries_days", "raw_days"]),
    ("capture", capture::KEYS),
    ("prices", &["file"]),
    ("gateway", gateway::KEYS),
    ("gateway.upstreams", gateway::UPSTREAM_KEYS),
    ("budgets", budgets::KEYS),
    ("rate_limits", rate_limits::KEYS),
    ("channels", channels::KEYS),
    ("alerts", alerts::KEYS),
    ("summaries", summaries::KEYS),
];

/// Sections that are lists, and what is said where one is written otherwise.
const LISTS: &[(&str, &str)] = &[
    ("prices", "prices are written as [[prices]], each with a file"),
    ("budgets", "budgets are written as [[budgets]], each with a name"),
    ("rate_limits", "rate limits are written as [[rate_limits]], each with a name"),
    ("channels", "channels are written as [[channels]], each with a name"),
    ("alerts", "rules are written as [[alerts]], each with a kind"),
    ("summaries", "summaries are written as [[summaries]], each with an every"),
];

/// Reads a file's text into the configuration.
pub fn read(config: &mut Config, path: &Path, text: &str, problems: &mut Vec<String>) {
    let mut reader = Reader { path, text, found: Vec::new() };
    sections(&mut reader, config);
    let mut found = reader.found;
    found.sort();
    problems.extend(found.into_iter().map(|(_, problem)| problem));
}

fn sections(reader: &mut Reader<'_>, config: &mut Config) {
    let (root, errors) = DeTable::parse_recoverable(reader.text);
    for error in &errors {
        reader.problem(error.span().unwrap_or(0..0), error.message());
    }
    if !errors.is_empty() {
        return;
    }
    for (name, found) in root.get_ref() {
        match (name.get_ref().as_ref(), found.get_ref()) {
            (section, found) if LISTS.iter().any(|(list, _)| *list == section) => {
                items(reader, config, section, found, name.span());
            }
            ("capture", _) => {
                if let Some(table) = reader.table("capture", found) {
                    capture::read(reader, &mut config.capture, table);
                }
            }
            ("gateway", _) => {
                if let Some(table) = reader.table("gateway", found) {
                    gateway::read(reader, &mut config.gateway, table);
                }
            }
            (section, _) if KEYS.iter().any(|(known, _)| *known == section) => {
                if let Some(table) = reader.table(section, found) {
                    values(reader, config, section, table);
                }
            }
            (section, _) => {
                let known = KEYS.iter().map(|(section, _)| *section).filter(|name| !name.contains('.'));
                reader.unknown(name.span(), &format!("section {section:?}"), section, known);
            }
        }
    }
}

/// The sections that stand once for each thing that they are about.
fn items(
    reader: &mut Reader<'_>,
    config: &mut Config,
    section: &str,
    found: &DeValue<'_>,
    place: Range<usize>,
) {
    let DeValue::Array(tables) = found else {
        let about = LISTS.iter().find(|(list, _)| *list == section).map_or("", |(_, about)| about);
        reader.problem(place, about);
        return;
    };
    for table in tables.iter() {
        let Some(table) = reader.table(section, table) else { continue };
        let origin = reader.origin(place.clone());
        match section {
            "prices" => prices(reader, config, table, place.clone()),
            "budgets" => config.budgets.push(Set { value: budgets::read(reader, table), origin }),
            "rate_limits" => config.rate_limits.push(Set { value: rate_limits::read(reader, table), origin }),
            "channels" => config.channels.push(channels::read(reader, table, origin)),
            "alerts" => config.alerts.push(Set { value: alerts::read(reader, table), origin }),
            _ => config.summaries.push(Set { value: summaries::read(reader, table), origin }),
        }
    }
}

fn values(reader: &mut Reader<'_>, config: &mut Config, section: &str, table: &DeTable<'_>) {
    for (key, found) in table {
        let origin = reader.origin(key.span());
        let place = found.span();
        match (section, key.get_ref().as_ref()) {
            ("server", "data_dir") => {
                if let Some(text) = reader.text(found) {
                    config.data_dir = Set { value: beside(reader.path, &text), origin };
                }
            }
            ("server", "time_zone") => {
                if let Some(value) =
                    reader.text(found).and_then(|text| reader.checked(place, NamedZone::find(&text)))
                {
                    config.time_zone = Set { value, origin };
                }
            }
            ("server", "listen") => {
                if let Some(value) =
                    reader.text(found).and_then(|text| reader.checked(place, value::address(&text)))
                {
                    config.listen = Set { value, origin };
                }
            }
            ("server", "open_metrics") => {
                if let Some(value) = reader.truth(found) {
                    config.open_metrics = Set { value, origin };
                }
            }
            ("server", "metrics_compat") => {
                let words = reader.words(found, &["seeds"]);
                config.seeds_metrics = words.contains(&"seeds");
            }
            ("server", "tls_cert") => {
                config.tls_cert = reader.text(found).map(|text| beside(reader.path, &text));
            }
            ("server", "tls_key") => {
                config.tls_key = reader.text(found).map(|text| beside(reader.path, &text));
            }
            ("server", "public_url") => {
                let named = reader.text(found).map(|text| value::public_url(&text));
                config.public_url = named.and_then(|named| reader.checked(place, named));
            }
            ("store", "durability") => {
                let named = reader.text(found).map(|text| value::durability(&text));
                if let Some(value) = named.and_then(|named| reader.checked(place, named)) {
                    config.durability = Set { value, origin };
                }
            }
            ("journal", "segment_mib") => {
                if let Some(value) =
                    reader.whole(found).and_then(|n| reader.checked(place, value::segment_mib(n)))
                {
                    config.segment_bytes = Set { value, origin };
                }
            }
            ("retention", name @ ("entries_days" | "raw_days")) => {
                if let Some(days) =
                    reader.whole(found).and_then(|n| reader.checked(place, value::retention_days(n)))
                {
                    let set =
                        if name == "raw_days" { &mut config.raw_days } else { &mut config.entries_days };
                    *set = Set { value: Some(days), origin };
                }
            }
            (_, other) => reader.unknown_key(section, other, key.span()),
        }
    }
}

fn prices(reader: &mut Reader<'_>, config: &mut Config, table: &DeTable<'_>, place: Range<usize>) {
    let mut has_file = false;
    for (key, found) in table {
        match key.get_ref().as_ref() {
            "file" => {
                has_file = true;
                if let Some(text) = reader.text(found) {
                    let origin = reader.origin(key.span());
                    config.prices.push(Set { value: beside(reader.path, &text), origin });
                }
            }
            other => reader.unknown_key("prices", other, key.span()),
        }
    }
    if !has_file {
        reader.problem(place, "[[prices]] needs a file");
    }
}

/// The text that is read, and what is wrong with it.
pub(super) struct Reader<'a> {
    pub(super) path: &'a Path,
    text: &'a str,
    /// Problems by the place that they are at.
    found: Vec<(usize, String)>,
}

impl Reader<'_> {
    fn place(&self, span: &Range<usize>) -> String {
        let before = self.text.get(..span.start).unwrap_or(self.text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
        format!("{}:{line}:{column}", self.path.display())
    }

    pub(super) fn origin(&self, span: Range<usize>) -> Origin {
        Origin::File(self.place(&span))
    }

    pub(super) fn problem(&mut self, span: Range<usize>, what: &str) {
        self.found.push((span.start, format!("{}: {what}", self.place(&span))));
    }

    pub(super) fn unknown<'k>(
        &mut self,
        span: Range<usize>,
        what: &str,
        word: &str,
        known: impl Iterator<Item = &'k str>,
    ) {
        let known: Vec<&str> = known.collect();
        let near = nearest(word, &known);
        let advice = match near {
            Some(meant) => format!("did you mean {meant:?}?"),
            None => format!("there are {}", known.join(", ")),
        };
        self.problem(span, &format!("unknown {what}: {advice}"));
    }

    pub(super) fn unknown_key(&mut self, section: &str, key: &str, span: Range<usize>) {
        let known = KEYS.iter().find(|(name, _)| *name == section).map_or(&[][..], |(_, keys)| keys);
        self.unknown(span, &format!("key {key:?} in [{section}]"), key, known.iter().copied());
    }

    pub(super) fn table<'t, 'i>(
        &mut self,
        section: &str,
        found: &'t Spanned<DeValue<'i>>,
    ) -> Option<&'t DeTable<'i>> {
        match found.get_ref() {
            DeValue::Table(table) => Some(table),
            _ => {
                self.problem(found.span(), &format!("{section} is a section: write [{section}]"));
                None
            }
        }
    }

    pub(super) fn text(&mut self, found: &Spanned<DeValue<'_>>) -> Option<String> {
        match found.get_ref() {
            DeValue::String(text) if !text.is_empty() => return Some(text.clone().into_owned()),
            DeValue::String(_) => self.problem(found.span(), "it is empty"),
            _ => self.problem(found.span(), "it must be a text in quotes"),
        }
        None
    }

    pub(super) fn whole(&mut self, found: &Spanned<DeValue<'_>>) -> Option<u64> {
        let number = match found.get_ref() {
            DeValue::Integer(number) => u64::from_str_radix(number.as_str(), number.radix()).ok(),
            _ => None,
        };
        if number.is_none() {
            self.problem(found.span(), "it must be a whole number, not below 0");
        }
        number
    }

    pub(super) fn truth(&mut self, found: &Spanned<DeValue<'_>>) -> Option<bool> {
        if let DeValue::Boolean(truth) = found.get_ref() {
            return Some(*truth);
        }
        self.problem(found.span(), "it must be true or false");
        None
    }

    /// The words of a list, of which there are these.
    pub(super) fn words<'k>(&mut self, found: &Spanned<DeValue<'_>>, known: &[&'k str]) -> Vec<&'k str> {
        let DeValue::Array(items) = found.get_ref() else {
            self.problem(found.span(), "it must be a list of words: [\"…\"]");
            return Vec::new();
        };
        let mut words = Vec::new();
        for item in items.iter() {
            let Some(text) = self.text(item) else { continue };
            match known.iter().find(|word| **word == text) {
                Some(word) => words.push(*word),
                None => self.unknown(item.span(), &format!("word {text:?}"), &text, known.iter().copied()),
            }
        }
        words
    }

    pub(super) fn checked<T>(&mut self, span: Range<usize>, value: Result<T, String>) -> Option<T> {
        value.map_err(|problem| self.problem(span, &problem)).ok()
    }
}

/// The known word that was probably meant.
pub fn nearest<'k>(word: &str, known: &[&'k str]) -> Option<&'k str> {
    let lower = word.to_lowercase();
    let scored = known.iter().map(|known| (strsim::osa_distance(&lower, known), *known));
    scored
        .filter(|(distance, known)| *distance <= 1 + known.chars().count() / 3)
        .min()
        .map(|(_, known)| known)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &str) -> Vec<String> {
        let mut problems = Vec::new();
        read(&mut Config::default(), Path::new("t.toml"), text, &mut problems);
        problems
    }

    #[test]
    fn all_mistakes_are_reported_at_once_with_their_places() {
        let text = "[server]\ndata_dri = \"x\"\nlissten = \"y\"\nlisten = \"z\"\ntime_zone = \"Mars/Phobos\"\n\
                    metrics_compat = [\"sedes\"]\n[journal]\nsegment_mib = -5\n[store]\ndurability = 1\n[retension]\ndays = 3\n[[prices]]\n";
        assert_eq!(
            problems(text),
            [
                "t.toml:2:1: unknown key \"data_dri\" in [server]: did you mean \"data_dir\"?",
                "t.toml:3:1: unknown key \"lissten\" in [server]: did you mean \"listen\"?",
                "t.toml:4:10: \"z\" is no address with a port, such as 127.0.0.1:4680",
                "t.toml:5:13: there is no time zone \"Mars/Phobos\"; zones are named like Europe/Berlin",
                "t.toml:6:19: unknown word \"sedes\": did you mean \"seeds\"?",
                "t.toml:8:15: it must be a whole number, not below 0",
                "t.toml:10:14: it must be a text in quotes",
                "t.toml:11:2: unknown section \"retension\": did you mean \"retention\"?",
                "t.toml:13:3: [[prices]] needs a file",
            ]
        );
    }

    #[test]
    fn bad_toml_is_named_with_line_and_column() {
        let found = problems("[server\n");
        assert!(found[0].starts_with("t.toml:1:8: "), "{found:?}");
        assert!(problems("a = 1\na = 2\n")[0].starts_with("t.toml:2:1: "));
    }

    #[test]
    fn paths_are_meant_from_where_the_file_is() {
        let (mut config, mut problems) = (Config::default(), Vec::new());
        let text = "[server]\ndata_dir = \"books\"\n[[prices]]\nfile = \"my.toml\"\n[retention]\nentries_days = 90\nraw_days = 30\n";
        read(&mut config, Path::new("/etc/tollbook/tollbook.toml"), text, &mut problems);
        assert!(problems.is_empty(), "{problems:?}");
        assert_eq!(config.data_dir.value, Path::new("/etc/tollbook/books"));
        assert_eq!(config.data_dir.origin.to_string(), "/etc/tollbook/tollbook.toml:2:1");
        assert_eq!(config.prices[0].value, Path::new("/etc/tollbook/my.toml"));
        assert_eq!((config.entries_days.value, config.raw_days.value), (Some(90), Some(30)));
    }

    #[test]
    fn every_key_is_documented() {
        let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/config.md");
        let text = std::fs::read_to_string(page).unwrap();
        for (section, keys) in KEYS {
            for key in *keys {
                let name = if *section == "prices" {
                    format!("[[{section}]] {key}")
                } else {
                    format!("[{section}] {key}")
                };
                assert!(text.contains(&format!("`{name}`")), "{name} is not in docs/reference/config.md");
            }
        }
    }
}
