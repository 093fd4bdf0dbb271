//! Every bound in one place, with how they relate.

/// Events in one ingest request.
pub const BATCH_EVENTS_MAX: usize = 1_000;
/// Events in one commit of the writer.
pub const GROUP_EVENTS_MAX: usize = 1_000;
/// How long a group may wait for company.
pub const GROUP_LINGER_MS: u64 = 20;
/// Submissions waiting for the writer.
pub const QUEUE_GROUPS_MAX: usize = 64;
/// One line of an imported file.
pub const LINE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Nesting of a JSON text.
pub const JSON_DEPTH_MAX: usize = 64;
/// What the values of one event may take in memory beside their texts: some 130,000 numbers.
pub const JSON_TREE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Unknown members of one object that are told; beyond it the object is another thing altogether.
pub const UNKNOWN_MEMBERS_MAX: usize = 64;
/// The raw usage object that is kept beside a call.
pub const RAW_USAGE_BYTES_MAX: usize = 16 * 1024;
/// One JSON value that a push parser holds while it reads an answer.
pub const CAPTURE_BYTES_MAX: usize = 256 * 1024;
/// The words of a prompt, or of an answer, that are kept where capture is on.
pub const CAPTURED_BYTES_MAX: usize = 32 * 1024;
/// Beyond them so much is read, so that no half of a secret stands at the end.
pub const CAPTURED_MARGIN_BYTES: usize = 1024;
/// Words that wait to be redacted and written; what finds no room is not kept.
pub const CAPTURED_BYTES_WAITING_MAX: usize = 64 * 1024 * 1024;
/// Patterns of one's own that are taken out of captured words.
pub const REDACT_PATTERNS_MAX: usize = 64;
/// One of them.
pub const REDACT_PATTERN_BYTES_MAX: usize = 512;
/// One AWS event-stream frame.
pub const AWS_FRAME_BYTES_MAX: usize = 16 * 1024 * 1024;
/// An event's id, in bytes.
pub const ID_BYTES_MAX: usize = 255;
/// A provider, model or attribution value, in bytes.
pub const NAME_BYTES_MAX: usize = 256;
/// Tags on one event.
pub const TAGS_MAX: usize = 64;
/// `metadata`, as JSON text.
pub const METADATA_BYTES_MAX: usize = 4 * 1024;
/// An attribute of a span or log record that is read.
pub const ATTRIBUTE_BYTES_MAX: usize = 16 * 1024;
/// A body of telemetry, decoded too: prompts travel in it, though they are not read.
pub const TELEMETRY_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Bodies of telemetry in memory at once.
pub const TELEMETRY_BYTES_AT_ONCE_MAX: usize = 2 * TELEMETRY_BYTES_MAX;
/// Spans or log records in one body.
pub const TELEMETRY_ITEMS_MAX: usize = 65_536;
/// Spans remembered, to know the calls above calls.
pub const SPANS_REMEMBERED_MAX: usize = 65_536;
/// An error text kept with a call.
pub const ERROR_BYTES_MAX: usize = 1_024;
/// Legs of one call.
pub const LEGS_MAX: usize = 64;
/// Flags of one call.
pub const FLAGS_MAX: usize = 16;
/// A token count or other quantity: beyond it a figure is taken for damage.
pub const QUANTITY_MAX: u64 = 1_000_000_000_000_000;
/// One journal record.
pub const RECORD_BYTES_MAX: usize = 1024 * 1024;
/// One journal segment, unless configured.
pub const SEGMENT_BYTES: u64 = 64 * 1024 * 1024;
/// Age at which an applied segment goes.
pub const SEGMENT_AGE_DAYS: i64 = 30;
/// Bytes of applied segments that are kept.
pub const JOURNAL_BYTES_MAX: u64 = 8 * 1024 * 1024 * 1024;
/// Raw entries that one query may read where no rollup serves it.
pub const RAW_ROWS_MAX: u64 = 20_000_000;
/// How long a server works at one question: whoever asks for more waits for nothing.
pub const QUESTION_SECONDS_MAX: u64 = 20;
/// Raw entries that a server reads for one question: some three seconds of work.
pub const QUESTION_ROWS_MAX: u64 = 750_000;
/// Rows of one answer in groups: some 30 MB of JSON.
pub const ANSWER_ROWS_MAX: usize = 50_000;
/// Entries that one question for percentiles, persons and sessions may read: it holds some 100 bytes
/// of each.
pub const STATS_ROWS_MAX: u64 = 2_000_000;

const _: () = assert!(BATCH_EVENTS_MAX <= GROUP_EVENTS_MAX, "a batch fits one commit");
const _: () = assert!(RAW_USAGE_BYTES_MAX <= CAPTURE_BYTES_MAX, "what is kept fits what is held");
const _: () = assert!(
    RAW_USAGE_BYTES_MAX * 2 + METADATA_BYTES_MAX + TAGS_MAX * NAME_BYTES_MAX * 2 * 6 + LEGS_MAX * 4_096
        < RECORD_BYTES_MAX,
    "an event fits a record"
);
