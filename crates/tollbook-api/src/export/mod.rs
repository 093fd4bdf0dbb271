//! `GET /api/v1/export`: calls as a file for other programs, sent while it is read, without a bound on
//! their number. The command line writes the same with [`write`].

mod csv;
mod focus;
#[cfg(feature = "parquet")]
mod parquet;
mod table;
mod write;

pub use write::{Calls, Failed, Format, each_call, write};

use crate::access::{Caller, READERS};
use crate::calls::TAG;
use crate::code::{self, Code};
use crate::doc::{self, Content, Doc};
use crate::params::{Params, invalid};
use crate::problem::Problem;
use crate::question;
use crate::routes::{Route, route};
use crate::shared::Shared;
use crate::stream::{self, Cut, Sink};
use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::{HeaderMap, HeaderValue, Method, Uri, header};
use std::sync::Arc;

const CSV: &str = "text/csv";
const PARQUET: &str = "application/vnd.apache.parquet";

/// Its routes.
pub(crate) fn routes() -> Vec<Route> {
    let formats = Format::WORDS.map(|(word, _)| word);
    let exporting = Doc::new(TAG, "Export calls")
        .about(
            "Every call as corrected, however many there are, sent while they are read: an answer that breaks off \
             is not whole. Tables have a line for each leg; texts that a spreadsheet would run get an apostrophe in \
             front. FOCUS sums them by day, project, provider, model, meter, price and tags.",
        )
        .query("format", "What it is written as, `csv` unless said.", doc::words(&formats))
        .query("from", "The first day or instant, or `7d`; all time unless said.", doc::text())
        .query("to", "The last day, or the first instant after.", doc::text())
        .query("tz", "The IANA zone of `from` and `to`.", doc::text())
        .header("accept-encoding", "`gzip`: compressed, where the format is not compressed itself.")
        .dimensions()
        .gives(200, "The file.", [CSV, stream::JSON_LINES, PARQUET].map(Content::any))
        .refuses(&[Code::ParameterInvalid, Code::FormatUnavailable])
        .refuses(code::READ);
    vec![route(Method::GET, "/api/v1/export", READERS, export, exporting)]
}

/// Sends calls as a file.
async fn export(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, Problem> {
    let mut params = Params::of(&uri)?;
    let format = params.word("format", &Format::WORDS)?.unwrap_or(Format::Csv);
    let zone = params.zone(&shared.options.zone)?.zone;
    let (from, to) = (params.take("from")?, params.take("to")?);
    let now = shared.clock.now();
    let range = question::range(from.as_deref(), to.as_deref(), &zone, now).map_err(invalid)?;
    let filters = params.filters(&caller.scope())?;
    if !format.is_built() {
        let detail =
            "this build cannot write Parquet: take csv or jsonl, or build it with the feature `parquet`";
        return Err(Problem::new(Code::FormatUnavailable, detail));
    }
    let is_zipped = format != Format::Parquet && takes_gzip(&headers);
    let turn = shared.stream_turn().await?;
    let store = shared.ledger.store().clone();
    let mut response = stream::answer(turn, media(format), move |sink| {
        let calls = Calls { store: store.as_ref(), range, filters: &filters };
        send(format, &calls, is_zipped, sink)
    });
    let name =
        format!("attachment; filename=\"{}\"", file_name(format, &now.to_zoned(zone).date().to_string()));
    if let Ok(name) = HeaderValue::from_str(&name) {
        response.headers_mut().insert(header::CONTENT_DISPOSITION, name);
    }
    response.headers_mut().insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    if is_zipped {
        response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    Ok(response)
}

fn send(format: Format, calls: &Calls<'_>, is_zipped: bool, sink: &mut Sink) -> Result<(), Cut> {
    if is_zipped {
        let mut zipped = GzEncoder::new(sink, Compression::default());
        write(format, calls, &mut zipped)?;
        zipped.finish()?;
    } else {
        write(format, calls, sink)?;
    }
    Ok(())
}

impl From<Failed> for Cut {
    fn from(failed: Failed) -> Cut {
        match failed {
            Failed::Store(error) => error.into(),
            Failed::Write(error) => error.into(),
            Failed::Value(detail) => Cut::Failed(detail),
        }
    }
}

fn media(format: Format) -> &'static str {
    match format {
        Format::Csv | Format::Focus => "text/csv; charset=utf-8; header=present",
        Format::JsonLines => stream::JSON_LINES,
        Format::Parquet => PARQUET,
    }
}

fn file_name(format: Format, day: &str) -> String {
    match format {
        Format::Csv => format!("tollbook-calls-{day}.csv"),
        Format::JsonLines => format!("tollbook-calls-{day}.jsonl"),
        Format::Parquet => format!("tollbook-calls-{day}.parquet"),
        Format::Focus => format!("tollbook-focus-{day}.csv"),
    }
}

/// Whether the caller names gzip, and not with a weight of nothing.
fn takes_gzip(headers: &HeaderMap) -> bool {
    let told = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    told.flat_map(|value| value.split(',')).any(|coding| {
        let mut parts = coding.split(';').map(str::trim);
        let is_gzip = parts.next().is_some_and(|name| name.eq_ignore_ascii_case("gzip"));
        is_gzip && !parts.any(|part| matches!(part, "q=0" | "q=0.0" | "q=0.00" | "q=0.000"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_is_for_who_asks_for_it() {
        for (told, wanted) in [
            ("gzip", true),
            ("br, GZIP;q=0.5", true),
            ("gzip; q=0", false),
            ("gzip;q=0.000, deflate", false),
            ("identity", false),
            ("*", false),
            ("x-gzipped", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static(told));
            assert_eq!(takes_gzip(&headers), wanted, "{told}");
        }
        assert!(!takes_gzip(&HeaderMap::new()));
    }
}
