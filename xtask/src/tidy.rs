//! Tidiness is a test: the edges between the crates, floats, file lengths, leftovers.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Who may depend on whom. Widening this table is a commit of its own, with the reason.
const EDGES: &[(&str, &[&str])] = &[
    ("tollbook-types", &[]),
    ("tollbook-faultfs", &[]),
    ("tollbook-usage", &["tollbook-types"]),
    ("tollbook-pricing", &["tollbook-types"]),
    ("tollbook-budget", &["tollbook-types"]),
    ("tollbook-notify", &["tollbook-types"]),
    ("tollbook-season", &[]),
    ("tollbook-store", &["tollbook-types"]),
    ("tollbook-sqlite", &["tollbook-store", "tollbook-types"]),
    ("tollbook-ledger", &["tollbook-budget", "tollbook-pricing", "tollbook-store", "tollbook-types"]),
    ("tollbook-gateway", &["tollbook-ledger", "tollbook-types", "tollbook-usage"]),
    (
        "tollbook-api",
        &[
            "tollbook-budget",
            "tollbook-ledger",
            "tollbook-notify",
            "tollbook-pricing",
            "tollbook-season",
            "tollbook-store",
            "tollbook-types",
            "tollbook-usage",
        ],
    ),
    ("tollbook-testkit", &["tollbook-store", "tollbook-types"]),
    (
        "tollbook",
        &[
            "tollbook-api",
            "tollbook-budget",
            "tollbook-gateway",
            "tollbook-ledger",
            "tollbook-notify",
            "tollbook-pricing",
            "tollbook-sqlite",
            "tollbook-store",
            "tollbook-types",
            "tollbook-usage",
        ],
    ),
];

/// Only tests may use these as well.
const TEST_EDGES: &[(&str, &[&str])] = &[
    ("tollbook-store", &["tollbook-testkit"]),
    ("tollbook-sqlite", &["tollbook-testkit", "tollbook-store"]),
    ("tollbook-ledger", &["tollbook-budget", "tollbook-sqlite", "tollbook-testkit", "tollbook-store"]),
    ("tollbook-gateway", &["tollbook-sqlite", "tollbook-store", "tollbook-pricing", "tollbook-testkit"]),
    ("tollbook-notify", &["tollbook-testkit"]),
    ("tollbook-api", &["tollbook-sqlite", "tollbook-testkit"]),
    ("tollbook", &["tollbook-testkit"]),
];

/// Crates in which money, time and token counts live.
const EXACT: &[&str] = &[
    "tollbook-types",
    "tollbook-usage",
    "tollbook-pricing",
    "tollbook-budget",
    "tollbook-store",
    "tollbook-ledger",
];

/// Where numbers of any kind stand in `metadata`, which is neither money nor a count.
const FLOAT_EXCEPTIONS: &[&str] =
    &["tollbook-types/src/json.rs", "tollbook-store/src/conformance/workload.rs"];

const FILE_LINES_MAX: usize = 700;

#[test]
fn edges_between_crates_are_the_allowed_ones() {
    let allowed: BTreeMap<&str, &[&str]> = EDGES.iter().copied().collect();
    let for_tests: BTreeMap<&str, &[&str]> = TEST_EDGES.iter().copied().collect();
    let mut wrong = Vec::new();
    for manifest in files(&crate::root().join("crates"), "Cargo.toml") {
        let text = read(&manifest);
        let name = text.lines().find_map(|line| line.strip_prefix("name = \"")?.strip_suffix('"'));
        let name = name.expect("a manifest has a name");
        let Some(edges) = allowed.get(name) else {
            wrong.push(format!("{name} has no row in the table"));
            continue;
        };
        let mut section = "";
        for line in text.lines() {
            if line.starts_with('[') {
                section = line;
                continue;
            }
            let dependency = line.split([' ', '.', '=']).next().unwrap_or_default();
            if !dependency.starts_with("tollbook-") {
                continue;
            }
            let in_tests = section == "[dev-dependencies]"
                && for_tests.get(name).is_some_and(|edges| edges.contains(&dependency));
            if !in_tests && !edges.contains(&dependency) {
                wrong.push(format!("{name} -> {dependency} ({section})"));
            }
        }
        if !text.contains("license.workspace = true") {
            wrong.push(format!("{name} does not take its licence from the workspace"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn exact_crates_have_no_floats() {
    let mut found = Vec::new();
    for name in EXACT {
        for file in files(&crate::root().join("crates").join(name).join("src"), ".rs") {
            if FLOAT_EXCEPTIONS.iter().any(|exception| file.ends_with(exception)) {
                continue;
            }
            for (number, line) in read(&file).lines().enumerate() {
                let code = line.split("//").next().unwrap_or_default();
                let words = code.split(|c: char| !(c.is_alphanumeric() || c == '_'));
                if words.into_iter().any(|word| word == "f32" || word == "f64") {
                    found.push(format!("{}:{}", file.display(), number + 1));
                }
            }
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn files_are_one_noun_long_and_nothing_is_left_over() {
    let markers = [concat!("to", "do!("), concat!("FIX", "ME"), concat!("XX", "X"), concat!("HA", "CK")];
    let mut found = Vec::new();
    for dir in ["crates", "xtask", "bench/src", "fuzz/targets"] {
        for file in files(&crate::root().join(dir), ".rs") {
            let text = read(&file);
            if text.lines().count() > FILE_LINES_MAX {
                found.push(format!("{} has {} lines", file.display(), text.lines().count()));
            }
            for (number, line) in text.lines().enumerate() {
                if markers.iter().any(|marker| line.contains(marker)) {
                    found.push(format!("{}:{} has a leftover", file.display(), number + 1));
                }
            }
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn every_module_says_what_it_is_for() {
    let mut silent = Vec::new();
    for file in files(&crate::root().join("crates"), ".rs") {
        if !read(&file).starts_with("//!") {
            silent.push(file);
        }
    }
    assert!(silent.is_empty(), "{silent:#?}");
}

#[test]
fn every_file_is_part_of_its_crate() {
    let mut left_out = Vec::new();
    for file in files(&crate::root().join("crates"), ".rs") {
        let is_module = file.components().any(|part| part.as_os_str() == "src" || part.as_os_str() == "it");
        let stem = |path: &Path| path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
        // A folder's own file is named where the folder is.
        let is_folder = file.ends_with("mod.rs");
        let place = if is_folder { file.parent().unwrap_or(&file) } else { &file };
        let (Some(name), Some(dir)) = (stem(place), place.parent()) else { continue };
        if !is_module || ["main", "lib"].contains(&name.as_str()) {
            continue;
        }
        let parents = ["mod.rs", "main.rs", "lib.rs"].map(|parent| dir.join(parent));
        let mut parents = parents.into_iter().chain([dir.with_extension("rs")]).filter(|path| path.is_file());
        let is_named = |text: String| text.lines().any(|line| line.ends_with(&format!("mod {name};")));
        if !parents.any(|path| is_named(read(&path))) {
            left_out.push(file);
        }
    }
    assert!(left_out.is_empty(), "no `mod` names these: {left_out:#?}");
}

/// All files below a directory whose path ends like this.
fn files(dir: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut waiting = vec![dir.to_owned()];
    while let Some(dir) = waiting.pop() {
        let Ok(entries) = std::fs::read_dir(&dir) else { continue };
        for entry in entries.flatten() {
            let path = entry.path();
            if path.is_dir() {
                if path.file_name().is_some_and(|name| name != "target") {
                    waiting.push(path);
                }
            } else if path.to_string_lossy().ends_with(ending) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
