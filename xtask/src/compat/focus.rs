//! The validator of FOCUS, over what the program exports. It ends well whatever it finds: what failed
//! stands in its report.

use super::process::{bounded, text};
use super::stand::Place;
use crate::root;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

const IMPORT_TIME: Duration = Duration::from_secs(60);
const CHECK_TIME: Duration = Duration::from_secs(120);
/// What the books have of what the specification makes optional.
const CRITERIA: &str = "ACCOUNT_NAMING_SUPPORTED,SUB_ACCOUNT_SUPPORTED,MULTIPLE_SUB_ACCOUNT_TYPES_SUPPORTED,\
    MULTIPLE_BILLING_ACCOUNT_TYPES_SUPPORTED,NEGOTIATED_PRICING_SUPPORTED,PUBLIC_PRICE_LIST_SUPPORTED,\
    UNIT_PRICING_SUPPORTED,USAGE_MEASUREMENT_SUPPORTED,MULTIPLE_PRICING_CATEGORIES_SUPPORTED,TAGGING_SUPPORTED,\
    PRICING_BILLING_CURRENCY_DIFFERENCES_SUPPORTED,VIRTUAL_CURRENCY_SUPPORTED";
/// A rule that fails for every sheet: of this and its sister, one wants an invoice in each row and the other none.
const CONTRADICTED: &str = "InvoiceId-C-005-C";

/// Exports the examples, and lets the validator at this interpreter look at them.
pub fn check(python: &Path, place: &Place) -> Result<String, String> {
    let at = place.root.join("focus");
    let _ = std::fs::remove_dir_all(&at);
    std::fs::create_dir_all(&at).map_err(text)?;
    let example = |name: &str| root().join("examples").join(name).display().to_string();
    let sheet = at.join("focus.csv");
    let sheet_name = sheet.display().to_string();
    for args in [
        &["import", "jsonl", &example("events.jsonl")][..],
        &["import", "responses", &example("responses.jsonl")],
        &["export", "--format", "focus", "--output", &sheet_name],
    ] {
        bounded(place.tollbook().args(args).current_dir(&at), IMPORT_TIME)?;
    }
    let ask = "import focus_validator, pathlib; print(pathlib.Path(focus_validator.__file__).parent.parent)";
    let packages = bounded(Command::new(python).args(["-c", ask]), CHECK_TIME)?;
    let mut command = Command::new(python.with_file_name("focus-validator"));
    command.args(["--data-file", &sheet_name, "--validate-version", "1.2", "--block-download"]);
    command.args(["--applicability-criteria", CRITERIA]);
    // It looks for a file of its own below the directory that it runs in.
    let report = bounded(command.current_dir(packages.trim()), CHECK_TIME)?;
    let total = report
        .lines()
        .find(|line| line.starts_with("Total:"))
        .ok_or_else(|| format!("no total: {report}"))?;
    let failed: Vec<&str> =
        report.lines().filter(|line| line.contains('❌') && !line.contains(CONTRADICTED)).collect();
    if !failed.is_empty() {
        return Err(format!("{total}\n{}", failed.join("\n")));
    }
    let rows = std::fs::read_to_string(&sheet).map_err(text)?.lines().count().saturating_sub(1);
    Ok(format!("{rows} rows; {total}; {CONTRADICTED} fails for everybody"))
}
