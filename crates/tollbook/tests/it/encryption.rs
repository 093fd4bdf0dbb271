//! Encryption at rest. In a build without it a key is refused; in one with it nothing of the books
//! can be read in any file without the key, and books and keys that do not fit are refused untouched.

#[cfg(feature = "sqlcipher")]
mod sealed;

#[cfg(not(feature = "sqlcipher"))]
use crate::program::{Place, example, ran};

#[cfg(not(feature = "sqlcipher"))]
#[test]
fn a_build_without_it_refuses_a_key_and_touches_nothing() {
    let place = Place::new();
    for command in [&["usage"][..], &["import", "jsonl", &example("events.jsonl")]] {
        let mut run = place.command(command);
        let told = ran(run.env("TOLLBOOK_ENCRYPTION_KEY", "a key that is long enough")).code(78);
        assert!(told.err.contains("built without encryption"), "{}", told.err);
        assert!(!told.err.contains("long enough"), "the key is not repeated: {}", told.err);
    }
    assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 0);
}
