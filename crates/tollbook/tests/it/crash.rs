//! Killed in the middle of an import: what was answered is there, once.

use crate::program::Place;
use std::collections::HashSet;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

const KILLS: usize = 10;
const EVENTS: usize = 20_000;

#[test]
fn what_was_answered_survives_a_kill_and_nothing_counts_twice() {
    let place = Place::new();
    let lines: String = (0..EVENTS)
        .map(|nth| {
            format!(
                "{{\"id\":\"call-{nth}\",\"occurred_at\":\"2026-11-16T08:00:00Z\",\"provider\":\"openai\",\
                 \"model\":\"gpt-5-mini\",\"usage\":{{\"input_tokens\":{nth},\"output_tokens\":1}}}}\n"
            )
        })
        .collect();
    let file = place.file("many.jsonl", lines);
    let mut acknowledged: HashSet<String> = HashSet::new();
    for kill in 0..KILLS {
        let mut importer = place
            .process(&["import", "jsonl", &file, "--json"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut answers = BufReader::new(importer.stdout.take().unwrap()).lines();
        // Each run gets a little further before it is killed.
        let until = 1 + kill * (EVENTS / KILLS / 2);
        for answer in answers.by_ref().take(until) {
            note(&answer.unwrap(), &mut acknowledged);
        }
        importer.kill().unwrap();
        // What it had still written before it died was answered, too.
        for answer in answers.map_while(Result::ok) {
            if answer.ends_with('}') {
                note(&answer, &mut acknowledged);
            }
        }
        importer.wait().unwrap();
        let recorded = place.json(&["usage", "--all"])["total"]["calls"].as_u64().unwrap();
        assert!(recorded >= acknowledged.len() as u64, "kill {kill}: {recorded} of {}", acknowledged.len());
        let ids: Vec<String> = place
            .run(&["export", "--format", "jsonl"])
            .ok()
            .json_lines()
            .iter()
            .map(|call| call["id"].as_str().unwrap().to_owned())
            .collect();
        let distinct: HashSet<&String> = ids.iter().collect();
        assert_eq!(distinct.len(), ids.len(), "kill {kill}: something counts twice");
        let missing: Vec<&String> = acknowledged.iter().filter(|id| !distinct.contains(id)).collect();
        assert!(missing.is_empty(), "kill {kill}: {} of {} are lost", missing.len(), acknowledged.len());
        place.run(&["verify"]).ok();
    }
    assert!(!acknowledged.is_empty());
    place.run(&["import", "jsonl", &file]).ok();
    assert_eq!(place.json(&["usage", "--all"])["total"]["calls"], EVENTS as u64);
    place.run(&["verify"]).ok();
}

fn note(answer: &str, acknowledged: &mut HashSet<String>) {
    let answer: serde_json::Value = serde_json::from_str(answer).unwrap();
    assert!(answer["result"] == "accepted" || answer["result"] == "duplicate", "{answer}");
    acknowledged.insert(answer["id"].as_str().unwrap().to_owned());
}
