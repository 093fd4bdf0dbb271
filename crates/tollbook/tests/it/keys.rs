//! `tollbook key …` on books that nobody serves.

use crate::program::Place;

#[test]
fn a_key_is_made_listed_given_another_text_and_ended() {
    let place = Place::new();
    let made = place.json(&[
        "key",
        "create",
        "ci",
        "--role",
        "ingest",
        "--project",
        "web",
        "--tag",
        "team=ops",
        "--expires",
        "2126-01-01T00:00:00Z",
    ]);
    let (id, text) = (made["id"].as_str().unwrap(), made["key"].as_str().unwrap());
    assert!(text.starts_with("tb_") && text.len() == 55);
    let plain = place.run(&["key", "create", "plain"]).ok();
    assert!(plain.out.starts_with("tb_") && plain.out.trim_end().len() == 55, "{}", plain.out);
    assert!(plain.err.contains("gateway+ingest"));

    let keys = place.json(&["key", "list"]);
    let listed = &keys["data"][0];
    assert_eq!((&listed["name"], &listed["role"]), (&"ci".into(), &"ingest".into()));
    assert_eq!((&listed["project"], &listed["tags"]["team"]), (&"web".into(), &"ops".into()));
    assert!(listed.get("key").is_none() && listed.get("hash").is_none());
    let table = place.run(&["key", "list"]).ok();
    assert!(table.out.contains(id) && !table.out.contains(text));

    let rotated = place.run(&["key", "rotate", id]).ok();
    assert_ne!(rotated.out.trim_end(), text);
    place.run(&["key", "revoke", id]).ok();
    assert!(place.json(&["key", "list"])["data"][0]["revoked_at"].is_string());
    assert!(place.run(&["key", "rotate", id]).code(1).err.contains("no such key"));
    place.run(&["verify"]).ok();
}

#[test]
fn what_makes_no_sense_is_refused() {
    let place = Place::new();
    let cases: &[(&[&str], i32, &str)] = &[
        (&["key", "create", "a", "--role", "root"], 2, "a role is one of admin, member"),
        (&["key", "create", "a", "--role", "member"], 1, "names its user"),
        (&["key", "create", ""], 1, "1 to 256 bytes"),
        (&["key", "create", "a", "--tag", "team"], 2, "is no tag"),
        (&["key", "create", "a", "--expires", "soon"], 2, "--expires"),
        (&["key", "revoke", "key_none"], 1, "no such key"),
        (&["key", "revoke", "../events"], 2, "an id looks like"),
    ];
    for (args, code, words) in cases {
        let ran = place.run(args).code(*code);
        assert!(ran.err.contains(words), "{args:?}: {}", ran.err);
    }
    assert_eq!(place.json(&["key", "list"])["data"].as_array().map(Vec::len), Some(0));
}
