//! Flags before environment before file; every mistake at once.

use crate::program::{Place, ran};

#[test]
fn every_mistake_is_reported_at_once_with_exit_code_78() {
    let place = Place::new();
    place.file(
        "tollbook.toml",
        "[server]\nlissten = \"x\"\ntime_zone = \"Mars/Phobos\"\n[store]\ndurability = \"ful\"\n",
    );
    for args in [&["usage"][..], &["config", "check"], &["verify"]] {
        let told = place.run(args).code(78);
        assert!(told.err.contains("error: tollbook.toml:2:1: unknown key \"lissten\""), "{}", told.err);
        assert!(told.err.contains("tollbook.toml:3:13: "), "{}", told.err);
        assert!(told.err.contains("tollbook.toml:5:14: "), "{}", told.err);
    }
}

#[test]
fn flags_count_before_environment_before_file() {
    let place = Place::new();
    place.file("tollbook.toml", "[server]\ndata_dir = \"from-file\"\ntime_zone = \"Europe/Berlin\"\n");
    let dir = |command: &mut assert_cmd::Command| -> String {
        let printed: serde_json::Value = serde_json::from_str(&ran(command).ok().out).unwrap();
        printed["server"]["data_dir"].as_str().unwrap().to_owned()
    };
    assert_eq!(dir(&mut place.command(&["config", "print", "--json"])), "from-file");
    assert_eq!(
        dir(place.command(&["config", "print", "--json"]).env("TOLLBOOK_DATA_DIR", "from-env")),
        "from-env"
    );
    let both = &["config", "print", "--json", "--data-dir", "from-flag"];
    assert_eq!(dir(place.command(both).env("TOLLBOOK_DATA_DIR", "from-env")), "from-flag");
    let printed = place.run(&["config", "print"]).ok().out;
    assert!(
        printed.contains("time_zone = \"Europe/Berlin\"") && printed.contains("# tollbook.toml:3:1"),
        "{printed}"
    );
    let other = place.file("other.toml", "[server]\ndata_dir = \"elsewhere\"\n");
    assert!(place.run(&["config", "print", "--config", &other]).ok().out.contains("elsewhere"));
    place.run(&["config", "check", "--config", "nowhere.toml"]).code(78);
}

#[test]
fn what_the_server_would_not_start_with_is_found_by_the_check() {
    let place = Place::new();
    place.file(
        "tollbook.toml",
        "[[channels]]\nname = \"ops\"\nkind = \"webhook\"\n[[channels]]\nname = \"mail\"\nkind = \"email\"\n\
         to = [\"a@example.com\"]\nsmtp_host = \"mail.example.com\"\nfrom = \"t@example.com\"\n\
         smtp_password = { env = \"NO_SUCH_SECRET\" }\n[[prices]]\nfile = \"own.toml\"\n\
         [gateway.upstreams.house]\ndialect = \"openai\"\n",
    );
    let check = place.run(&["config", "check"]).code(78).err;
    for part in ["url", "NO_SUCH_SECRET", "own.toml: there is no such file", "house"] {
        assert!(check.contains(part), "{part}: {check}");
    }
}

#[test]
fn price_files_that_are_wrong_are_configuration_too() {
    let place = Place::new();
    place.file("tollbook.toml", "[[prices]]\nfile = \"own.toml\"\n");
    assert!(place.run(&["config", "check"]).code(78).err.contains("own.toml: there is no such file"));
    place.file("own.toml", "[[price]]\nmodel = \"x\"\ninput = \"-1\"\n");
    assert!(place.run(&["config", "check"]).code(78).err.contains("own.toml:3:"));
}
