//! Journal lines after damage: a line is either exactly what was written, or no record.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tollbook_ledger::journal::record;

fuzz_target!(|data: &[u8]| {
    if let Some(line) = record::read(data) {
        let mut again = Vec::new();
        record::write(&mut again, line.kind, line.seq, line.body);
        again.pop();
        assert_eq!(again, data);
        let _ = line.parse();
    }
    let _ = record::next_start(data, record::START);
});
