//! One writes, others read beside it.

use crate::program::{Place, example};
use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;
use std::sync::mpsc;
use std::thread;

#[test]
fn a_second_writer_is_refused_by_name_and_readers_are_not() {
    let place = Place::with_examples();
    let mut writer = place
        .process(&["import", "jsonl", "-", "--json"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // It has the lock once it answers: a batch is answered when it is full.
    let mut stdin = writer.stdin.take().unwrap();
    let mut answers = BufReader::new(writer.stdout.take().unwrap());
    let (end, until) = mpsc::channel::<()>();
    let feeder = thread::spawn(move || {
        for nth in 0..4_000 {
            let event = format!(
                "{{\"id\":\"beside-{nth}\",\"provider\":\"openai\",\"model\":\"gpt-4o\",\"usage\":{{\"input_tokens\":1,\"output_tokens\":1}}}}\n"
            );
            stdin.write_all(event.as_bytes()).unwrap();
        }
        let _ = until.recv();
    });
    let mut first = String::new();
    answers.read_line(&mut first).unwrap();
    assert!(first.contains("accepted"), "{first}");

    let refused = place.run(&["import", "jsonl", &example("events.jsonl")]).code(1);
    assert!(refused.err.contains(&format!("in use by process {}", writer.id())), "{}", refused.err);
    assert!(refused.err.contains("hint: "), "{}", refused.err);
    assert!(place.json(&["usage", "--all"])["total"]["calls"].as_u64().unwrap() >= 1_022);
    place.run(&["calls", "-n", "3"]).ok();
    place.run(&["explain", "book-1"]).ok();
    place.run(&["backup", "beside.db"]).ok();

    drop(end);
    let rest = answers.lines().count();
    feeder.join().unwrap();
    assert!(writer.wait().unwrap().success());
    assert_eq!(rest, 3_999);
    assert_eq!(place.json(&["usage", "--all"])["total"]["calls"], 4_022);
    place.run(&["verify"]).ok();
}
