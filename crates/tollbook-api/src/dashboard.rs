//! The dashboard: pages without data, for everybody, and the files that they are made of. What they
//! show comes by the routes of the API, for whoever has signed in.
//!
//! The build embeds the files ([`FILES`]); without npm there are none, and the pages say so. It must
//! never know what a page shows.

use crate::access::Access;
use crate::doc::{Content, Doc, Tag};
use crate::etag;
use crate::problem::Problem;
use crate::routes::{Route, route};
use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use data_encoding::BASE64;
use http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG,
    REFERRER_POLICY, VARY, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use std::sync::LazyLock;
use tollbook_types::Digest;

include!(concat!(env!("OUT_DIR"), "/dashboard.rs"));

/// A file of the dashboard.
pub struct File {
    /// Its path below the build's address.
    path: &'static str,
    media: &'static str,
    plain: &'static [u8],
    gzip: &'static [u8],
}

/// What its routes are grouped by.
pub const TAG: Tag = Tag { name: "dashboard", about: "Pages for people, without data, and their files." };

/// The pages, all of which are one: what each shows is the browser's to find.
const PATHS: &[(&str, &str)] = &[
    ("/", "The overview"),
    ("/explore", "What is spent, by anything"),
    ("/calls", "The calls"),
    ("/budgets", "Budgets and alerts"),
    ("/keys", "Keys and members"),
    ("/prices", "Prices"),
    ("/settings", "Settings"),
    ("/token-usage", "What tokens are used for"),
    ("/admin/agent-metrics", "What agents use"),
];

/// What stands on a page where the dashboard is not built in.
const ABSENT: &str = "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>Tollbook</title></head>\
    <body><h1>Tollbook</h1><p>This binary was built without its dashboard: npm could not install its libraries \
    then. Everything else works. To get it, where npm and its registry can be reached:</p>\
    <pre>(cd web &amp;&amp; npm ci --ignore-scripts &amp;&amp; touch package.json)\ncargo build --release</pre></body></html>";

/// Its routes.
pub fn routes() -> Vec<Route> {
    let page = |summary| {
        let doc = Doc::new(TAG, summary).header("if-none-match", "The `etag` of the page at hand.");
        let doc = doc.gives(200, "The page.", [Content::text("text/html")]);
        doc.gives(304, "Still the page that has this `etag`.", [])
    };
    let get = |path, doc| route(Method::GET, path, Access::Anyone, show, doc);
    let mut routes: Vec<Route> = PATHS.iter().map(|(path, summary)| get(path, page(summary))).collect();
    routes.push(get("/calls/{id}", page("One call").path("id", "The call's id.")));
    let widget = page("One's own usage, to embed")
        .about("Any site may show it in a frame; it shows what the key in its fragment (`#key=`) sees.");
    routes.push(route(Method::GET, "/widget", Access::Anyone, show_widget, widget));
    let file = |summary| {
        let kinds = ["text/javascript", "text/css", "image/svg+xml", "text/plain"];
        let doc = Doc::new(TAG, summary).path("build", "The build's name, as pages have it.");
        let doc = doc.gives(200, "The file; it never changes.", kinds.map(Content::text));
        doc.refuses(&[crate::Code::NotFound])
    };
    let top = file("A file of the dashboard").path("file", "Its name.");
    let below =
        file("A file of the dashboard, in a folder").path("folder", "Its folder.").path("file", "Its name.");
    routes.push(route(Method::GET, "/assets/{build}/{file}", Access::Anyone, top_file, top));
    routes.push(route(Method::GET, "/assets/{build}/{folder}/{file}", Access::Anyone, file_below, below));
    routes
}

/// The address of a file, where the dashboard is built in.
pub fn address(path: &str) -> Option<String> {
    FILES.iter().any(|file| file.path == path).then(|| format!("/assets/{BUILD}/{path}"))
}

async fn show(headers: HeaderMap) -> Response {
    shell(&headers)
}

/// The page that all pages are.
pub fn shell(headers: &HeaderMap) -> Response {
    static PAGE: LazyLock<Page> = LazyLock::new(|| Page::new("index", "'none'"));
    PAGE.answer(headers)
}

async fn show_widget(headers: HeaderMap) -> Response {
    static PAGE: LazyLock<Page> = LazyLock::new(|| Page::new("widget", "*"));
    PAGE.answer(&headers)
}

/// A page as it is sent.
struct Page {
    text: &'static str,
    policy: String,
    etag: String,
}

impl Page {
    /// The page with this name, which may be framed by `ancestors`.
    fn new(name: &str, ancestors: &str) -> Page {
        let found = PAGES.iter().find(|(known, _)| *known == name);
        let text = found.map_or(ABSENT, |(_, text)| text);
        let map = BASE64.encode(IMPORT_MAP_SHA256);
        let policy = format!(
            "default-src 'none'; script-src 'self' 'sha256-{map}'; style-src 'self'; img-src 'self' data:; \
             connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors {ancestors}"
        );
        Page { text, policy, etag: format!("\"{}\"", Digest::of(text.as_bytes())) }
    }

    fn answer(&'static self, headers: &HeaderMap) -> Response {
        let Ok(tag) = HeaderValue::from_str(&self.etag) else { return Problem::internal().into_response() };
        let kept = [(ETAG, tag.clone()), (CACHE_CONTROL, HeaderValue::from_static("no-cache"))];
        if etag::is_at_hand(headers, &tag) {
            return (StatusCode::NOT_MODIFIED, kept).into_response();
        }
        let more = [
            (CONTENT_TYPE, "text/html; charset=utf-8"),
            (CONTENT_SECURITY_POLICY, self.policy.as_str()),
            (REFERRER_POLICY, "same-origin"),
            (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        ];
        (kept, more, self.text).into_response()
    }
}

async fn top_file(
    Path((build, file)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    send(&build, &file, &headers)
}

async fn file_below(
    Path((build, folder, file)): Path<(String, String, String)>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    send(&build, &format!("{folder}/{file}"), &headers)
}

/// Sends a file, packed where the browser takes that. Its address names its content.
fn send(build: &str, path: &str, headers: &HeaderMap) -> Result<Response, Problem> {
    let found = FILES.iter().find(|file| build == BUILD && file.path == path);
    let file =
        found.ok_or_else(|| Problem::not_found("there is no such file in this build; load the page anew"))?;
    let always = [
        (CONTENT_TYPE, file.media),
        (CACHE_CONTROL, "public, max-age=31536000, immutable"),
        (VARY, "accept-encoding"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    let told = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    let takes_gzip = told.flat_map(|value| value.split(',')).any(|name| name.trim() == "gzip");
    Ok(match takes_gzip {
        true => (always, [(CONTENT_ENCODING, "gzip")], file.gzip).into_response(),
        false => (always, file.plain).into_response(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All scripts that a browser ever fetches, packed, with 33 KiB of libraries.
    const SCRIPTS_MAX: usize = 102 * 1024;
    /// All sheets, packed.
    const SHEETS_MAX: usize = 15 * 1024;

    #[test]
    fn the_dashboard_is_small_and_whole() {
        let scripts = FILES.iter().filter(|file| file.media.contains("javascript"));
        let sheets = FILES.iter().filter(|file| file.media.contains("css"));
        let sum = |files: &mut dyn Iterator<Item = &File>| files.map(|file| file.gzip.len()).sum::<usize>();
        let (packed, sheets) = (sum(&mut scripts.clone()), sum(&mut sheets.clone()));
        assert!(packed <= SCRIPTS_MAX && sheets <= SHEETS_MAX, "{packed} and {sheets} bytes, packed");
        // Every module that another one names is there.
        for file in scripts.filter(|file| !file.path.starts_with("vendor/")) {
            let text = std::str::from_utf8(file.plain).unwrap();
            for quoted in
                text.split(['"', '\'']).filter(|part| part.starts_with("./") || part.starts_with("../"))
            {
                let folder = file.path.rsplit_once('/').map_or("", |(folder, _)| folder);
                let path = match quoted.strip_prefix("../") {
                    Some(path) => path.to_owned(),
                    None => format!("{folder}/{}", &quoted[2..]).trim_start_matches('/').to_owned(),
                };
                assert!(FILES.iter().any(|known| known.path == path), "{}: {quoted}", file.path);
            }
        }
    }
}
