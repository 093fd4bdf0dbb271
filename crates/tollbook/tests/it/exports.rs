//! Calls in files for other programs.

use crate::program::Place;
use tollbook_types::Money;

/// No file but the books is left in the directory.
fn has_no_file(place: &Place) -> bool {
    let entries = std::fs::read_dir(place.path()).unwrap();
    entries.map(|entry| entry.unwrap().file_name()).all(|name| name == "tollbook-data")
}

#[test]
fn focus_costs_what_usage_says() {
    let place = Place::with_examples();
    place.run(&["export", "--format", "focus", "-o", "focus.csv"]).ok();
    let text = std::fs::read_to_string(place.path().join("focus.csv")).unwrap();
    assert_eq!(place.run(&["export", "--format", "focus"]).ok().out, text);
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let billed = reader.headers().unwrap().iter().position(|name| name == "BilledCost").unwrap();
    let costs = reader.records().map(|line| line.unwrap()[billed].parse::<Money>().unwrap());
    let total = &place.json(&["usage", "--all"])["total"];
    assert_eq!(total["cost_usd"], Money::checked_sum(costs).unwrap().to_string());
}

#[cfg(not(feature = "parquet"))]
#[test]
fn a_build_without_parquet_says_so() {
    let place = Place::with_examples();
    for args in [&["-o", "calls.parquet"][..], &[]] {
        let ran = place.run(&[&["export", "--format", "parquet"], args].concat()).code(2);
        assert!(ran.err.contains("error: this build has no Parquet\n"), "{}", ran.err);
        assert!(ran.err.contains("hint: build with `--features parquet`\n"), "{}", ran.err);
        assert!(ran.out.is_empty() && has_no_file(&place));
    }
}

#[cfg(feature = "parquet")]
mod parquet_file {
    use super::has_no_file;
    use crate::program::Place;
    use parquet::basic::Compression;
    use parquet::data_type::Decimal;
    use parquet::file::reader::{FileReader, SerializedFileReader};
    use parquet::record::{Field, Row};
    use std::fs::File;
    use tollbook_types::{Money, Timestamp};

    fn exported(place: &Place) -> SerializedFileReader<File> {
        place.run(&["export", "--format", "parquet", "-o", "calls.parquet"]).ok();
        SerializedFileReader::new(File::open(place.path().join("calls.parquet")).unwrap()).unwrap()
    }

    fn rows(reader: &SerializedFileReader<File>) -> Vec<Row> {
        reader.get_row_iter(None).unwrap().map(Result::unwrap).collect()
    }

    fn money(amount: &Decimal) -> Money {
        assert_eq!((amount.precision(), amount.scale()), (38, 12));
        Money::from_picos(i128::from_be_bytes(amount.data().try_into().unwrap()))
    }

    fn values<'a>(rows: &'a [Row], name: &'a str) -> impl Iterator<Item = &'a Field> {
        rows.iter().map(move |row| row.get_column_iter().find(|(column, _)| *column == name).unwrap().1)
    }

    fn sum(rows: &[Row], name: &str) -> u64 {
        let number = |field: &Field| match field {
            Field::ULong(n) => *n,
            Field::Null => 0,
            other => panic!("{name} is {other:?}"),
        };
        values(rows, name).map(number).sum()
    }

    fn sum_money(rows: &[Row], name: &str) -> Money {
        let amount = |field: &Field| match field {
            Field::Decimal(amount) => money(amount),
            Field::Null => Money::ZERO,
            other => panic!("{name} is {other:?}"),
        };
        Money::checked_sum(values(rows, name).map(amount)).unwrap()
    }

    #[test]
    fn sums_are_those_of_usage() {
        let place = Place::with_examples();
        let rows = rows(&exported(&place));
        let total = &place.json(&["usage", "--all"])["total"];
        for name in ["calls", "input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens"] {
            assert_eq!(total[name], sum(&rows, name), "{name}");
        }
        assert_eq!(total["total_tokens"], sum(&rows, "total_tokens"));
        for name in ["cost_usd", "input_cost_usd", "output_cost_usd", "other_cost_usd"] {
            assert_eq!(total[name], sum_money(&rows, name).to_string(), "{name}");
        }
        assert!(sum(&rows, "calls") > 0 && sum_money(&rows, "cost_usd") > Money::ZERO);
    }

    #[test]
    fn every_cell_is_that_of_csv() {
        let place = Place::with_examples();
        let rows = rows(&exported(&place));
        let text = place.run(&["export"]).ok().out;
        let mut csv = csv::Reader::from_reader(text.as_bytes());
        let names = csv.headers().unwrap().clone();
        let lines: Vec<csv::StringRecord> = csv.records().map(Result::unwrap).collect();
        assert_eq!(rows.len(), lines.len());
        for (row, line) in rows.iter().zip(&lines) {
            assert!(row.get_column_iter().map(|(name, _)| name.as_str()).eq(&names));
            for ((name, field), cell) in row.get_column_iter().zip(line) {
                let shown = match field {
                    Field::Null => String::new(),
                    Field::Str(text) => text.clone(),
                    Field::ULong(n) => n.to_string(),
                    Field::TimestampMicros(at) => Timestamp::from_microsecond(*at).unwrap().to_string(),
                    Field::Decimal(amount) => money(amount).to_string(),
                    other => panic!("{name} is {other:?}"),
                };
                assert_eq!(shown, cell, "{name}");
            }
        }
        let unpriced = values(&rows, "cost_usd").filter(|cost| **cost == Field::Null).count();
        assert!(unpriced > 0, "a call without a price has no cost, not 0");
    }

    #[test]
    fn every_column_is_compressed_and_texts_are_not_changed() {
        let place = Place::new();
        let call = r#"{"id":"=1+1","occurred_at":"2026-11-16T08:00:00.000001Z","provider":"openai","model":"gpt-5-mini","usage":{"input_tokens":3,"output_tokens":2}}"#;
        let file = place.file("events.jsonl", call);
        place.run(&["import", "jsonl", &file]).ok();
        let reader = exported(&place);
        let group = reader.metadata().row_group(0);
        for column in group.columns() {
            assert!(matches!(column.compression(), Compression::ZSTD(_)), "{}", column.column_path());
        }
        let rows = rows(&reader);
        assert_eq!(values(&rows, "id").next(), Some(&Field::Str("=1+1".to_owned())));
        let at: Timestamp = "2026-11-16T08:00:00.000001Z".parse().unwrap();
        assert_eq!(values(&rows, "occurred_at").next(), Some(&Field::TimestampMicros(at.as_microsecond())));
    }

    #[test]
    fn it_goes_to_a_file_and_nothing_is_left_of_one_that_failed() {
        let place = Place::with_examples();
        let ran = place.run(&["export", "--format", "parquet"]).code(2);
        assert!(ran.err.contains("error: Parquet needs a file\n"), "{}", ran.err);
        assert!(ran.out.is_empty() && has_no_file(&place));
        std::fs::create_dir(place.path().join("calls.parquet")).unwrap();
        place.run(&["export", "--format", "parquet", "-o", "calls.parquet"]).code(1);
        std::fs::remove_dir(place.path().join("calls.parquet")).unwrap();
        assert!(has_no_file(&place));
        exported(&place);
        assert!(!place.path().join("calls.parquet.unfinished").exists());
    }
}
