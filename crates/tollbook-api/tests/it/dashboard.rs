//! The dashboard's pages and files: what a browser is told of them.

use crate::matrix::Row;
use crate::rig::{Answer, Rig, request};
use axum::body::Body;
use http::Method;
use std::io::Read;

/// Who may use its routes.
pub const ROWS: &[Row] = &[
    ("GET", "/", [200; 6]),
    ("GET", "/explore", [200; 6]),
    ("GET", "/calls", [200; 6]),
    ("GET", "/calls/{id}", [200; 6]),
    ("GET", "/budgets", [200; 6]),
    ("GET", "/keys", [200; 6]),
    ("GET", "/prices", [200; 6]),
    ("GET", "/settings", [200; 6]),
    ("GET", "/token-usage", [200; 6]),
    ("GET", "/admin/agent-metrics", [200; 6]),
    ("GET", "/widget", [200; 6]),
    ("GET", "/assets/{build}/{file}", [404; 6]),
    ("GET", "/assets/{build}/{folder}/{file}", [404; 6]),
];

fn get(rig: &Rig, path: &str, headers: &[(&str, &str)]) -> Answer {
    rig.send(request(Method::GET, path, "", headers, Body::empty()))
}

/// The addresses of files in a page or a module.
fn addresses(text: &str) -> Vec<String> {
    let parts = text.split('"').filter(|part| part.starts_with("/assets/"));
    parts.map(str::to_owned).collect()
}

#[test]
fn pages_are_kept_until_they_change_and_run_nothing_of_others() {
    let rig = Rig::new();
    for path in ["/", "/welcome", "/calls/a%2Fb", "/widget"] {
        let page = get(&rig, path, &[]);
        assert_eq!(
            (page.status.as_u16(), &page.headers["content-type"]),
            (200, &"text/html; charset=utf-8".parse().unwrap())
        );
        let policy = page.headers["content-security-policy"].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'; script-src 'self' 'sha256-"), "{policy}");
        assert!(!policy.contains("unsafe") && !policy.contains("http"), "{policy}");
        assert_eq!(policy.ends_with("frame-ancestors 'none'"), path != "/widget", "{policy}");
        let tag = page.headers["etag"].to_str().unwrap();
        assert_eq!(get(&rig, path, &[("if-none-match", tag)]).status, 304, "{path}");
        assert_eq!(get(&rig, path, &[("if-none-match", "\"another\"")]).status, 200, "{path}");
        // But for the map that the policy names by its digest, nothing in the page is run.
        assert!(
            page.text().matches("<script").count()
                == page.text().matches("<script src=").count()
                    + page.text().matches("<script type=\"importmap\">").count()
                    + page.text().matches("<script type=\"module\" src=").count()
        );
        assert!(!page.text().contains("://") || !page.text().contains("src=\"http"), "{path}");
    }
}

#[test]
fn files_are_packed_and_kept_for_good() {
    let rig = Rig::new();
    let (page, widget) = (get(&rig, "/", &[]).text(), get(&rig, "/widget", &[]).text());
    let mut files = [addresses(&page), addresses(&widget)].concat();
    files.sort();
    files.dedup();
    if files.is_empty() {
        assert!(page.contains("npm ci"), "a page without the dashboard says how to get it: {page}");
        return;
    }
    for file in &files {
        let plain = get(&rig, file, &[]);
        assert_eq!(plain.status, 200, "{file}");
        assert!(!plain.headers.contains_key("content-encoding"), "{file}");
        let gzip = get(&rig, file, &[("accept-encoding", "br, gzip")]);
        assert_eq!(gzip.headers["content-encoding"], "gzip", "{file}");
        for answer in [&plain, &gzip] {
            assert_eq!(answer.headers["cache-control"], "public, max-age=31536000, immutable");
            assert_eq!(
                (&answer.headers["vary"], &answer.headers["x-content-type-options"]),
                (&"accept-encoding".parse().unwrap(), &"nosniff".parse().unwrap())
            );
        }
        let mut text = Vec::new();
        flate2::read::GzDecoder::new(&gzip.body[..]).read_to_end(&mut text).unwrap();
        assert_eq!(text, plain.body, "{file}");
    }
    let stale = files[0].replacen("/assets/", "/assets/0", 1);
    assert_eq!(get(&rig, &stale, &[]).verdict(), "404 not_found");
}
