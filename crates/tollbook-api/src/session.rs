//! Signing in: `/api/v1/session` for the dashboard, `/welcome` for people with a link.
//!
//! A session's text is in a cookie that no script reads. Whatever changes something and comes by
//! cookie must also say, in a header, a token that follows from the session's text: a page of
//! another site can make a browser send the first, not the second.

use crate::access::{Access, Caller, KEY_HOLDERS, Session, Whence, key_of};
use crate::backoff::Attempt;
use crate::body;
use crate::code::{self, Code};
use crate::dashboard;
use crate::doc::{self, Content, Doc};
use crate::members::TAG;
use crate::object::Object;
use crate::problem::Problem;
use crate::routes::{Route, route};
use crate::shared::Shared;
use crate::wire::{SessionView, SignInView};
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use std::sync::Arc;
use subtle::ConstantTimeEq;
use tollbook_ledger::{SESSION_SECONDS, keys};
use tollbook_types::{Digest, Key};

/// The cookie with a session's text.
const COOKIE: &str = "tollbook_session";
/// The header with the token.
const CSRF: &str = "x-tollbook-csrf";
/// A page takes nothing from anywhere, and sends its form to nobody else.
const POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// Its routes.
pub fn routes() -> Vec<Route> {
    let beginning = Doc::new(TAG, "Sign in")
        .about("With a key or a one-time link; the session comes as the cookie `tollbook_session`.")
        .takes([Content::json::<SignInView>()])
        .gives(200, "Who signed in.", [Content::json::<SessionView>()])
        .refuses(&[Code::InvalidKey, Code::LinkInvalid, Code::CsrfInvalid, Code::TooManyAttempts])
        .refuses(code::BODY)
        .refuses(code::JSON)
        .refuses(code::MEMBERS)
        .refuses(code::WRITE);
    let showing = Doc::new(TAG, "Who am I").gives(200, "Who asks.", [Content::json::<SessionView>()]);
    let ending = Doc::new(TAG, "Sign out")
        .about("Ends the session that the request came with; a key's request changes nothing.")
        .gives(204, "It has ended.", [])
        .refuses(code::WRITE);
    let html = || [Content::text("text/html")];
    let asking = Doc::new(TAG, "Open a sign-in link")
        .about(
            "Shows a page with a button. Opening it does not use the link up: mail programs look into links. \
             Without a link, the dashboard's page for the first call.",
        )
        .query("once", "The link's text.", doc::text())
        .header("if-none-match", "Without a link: the `etag` of the page at hand.")
        .gives(200, "The page.", html())
        .gives(304, "Still the page that has this `etag`.", [])
        .gives(410, "The link is not whole.", html());
    let entering = Doc::new(TAG, "Use a sign-in link")
        .about("What the page's button sends.")
        .takes([Content::any("application/x-www-form-urlencoded")])
        .gives(303, "Signed in: on to the dashboard.", [])
        .gives(410, "The link is not known, was used, or has ended.", html())
        .refuses(&[Code::CsrfInvalid, Code::TooManyAttempts])
        .refuses(code::BODY)
        .refuses(code::WRITE);
    vec![
        route(Method::POST, "/api/v1/session", Access::Anyone, begin, beginning),
        route(Method::GET, "/api/v1/session", KEY_HOLDERS, show, showing),
        route(Method::DELETE, "/api/v1/session", KEY_HOLDERS, end, ending),
        route(Method::GET, "/welcome", Access::Anyone, ask, asking),
        route(Method::POST, "/welcome", Access::Anyone, enter, entering),
    ]
}

/// The session's text that a request came with.
pub fn cookie(headers: &HeaderMap) -> Option<&str> {
    let values = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = values.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == COOKIE).map(|(_, text)| text)
}

/// The token that goes with a session: nobody makes it who has not the session's text.
fn csrf_token(text: &str) -> String {
    Digest::of(format!("csrf {text}").as_bytes()).to_string()
}

/// Refuses what another site may have had a browser send.
pub fn check_csrf(shared: &Shared, text: &str, headers: &HeaderMap, uri: &Uri) -> Result<(), Problem> {
    check_origin(shared, headers, uri)?;
    let told = headers.get(CSRF).map_or(&b""[..], HeaderValue::as_bytes);
    if bool::from(csrf_token(text).as_bytes().ct_eq(told)) {
        return Ok(());
    }
    let detail = "what changes something in a session needs the header x-tollbook-csrf; \
                  GET /api/v1/session tells its value";
    Err(Problem::new(Code::CsrfInvalid, detail))
}

/// Where a browser says which site a request comes from, it must be this one.
pub fn check_origin(shared: &Shared, headers: &HeaderMap, uri: &Uri) -> Result<(), Problem> {
    let Some(origin) = headers.get(header::ORIGIN) else { return Ok(()) };
    let origin = origin.to_str().ok().and_then(|origin| origin.split_once("://"));
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let host = uri.authority().map(|authority| authority.as_str()).or(host);
    let known = [host, shared.options.public_host.as_deref()];
    let is_ours = |theirs: &str| known.iter().flatten().any(|ours| theirs.eq_ignore_ascii_case(ours));
    match origin {
        Some((_, theirs)) if is_ours(theirs) => Ok(()),
        _ => Err(Problem::new(Code::CsrfInvalid, "the request comes from a page of another site")),
    }
}

fn set_cookie(shared: &Shared, text: &str, seconds: u64) -> (HeaderName, String) {
    let secure = if shared.options.secure_cookies { "; Secure" } else { "" };
    // Lax: who follows a link to the dashboard from elsewhere is signed in still.
    let value = format!("{COOKIE}={text}; Path=/; HttpOnly; SameSite=Lax; Max-Age={seconds}{secure}");
    (header::SET_COOKIE, value)
}

const NO_STORE: (HeaderName, &str) = (header::CACHE_CONTROL, "no-store");

/// Signs in.
async fn begin(
    State(shared): State<Arc<Shared>>,
    Extension(whence): Extension<Whence>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    check_origin(&shared, &headers, &uri)?;
    let bytes = body::read(&headers, body).await?;
    let mut reader = Object::read(&bytes)?;
    let (key, link) = (reader.text("key"), reader.text("link"));
    if key.is_some() == link.is_some() {
        reader.fault("key", Code::FieldInvalid, "either a key or a link has to be there");
    }
    reader.finish()?;
    let (text, key) = match (key, link) {
        (Some(text), _) => {
            let key = key_of(&shared, &text, whence.address)?;
            let holder = key.clone();
            (shared.write(move |ledger| Ok(ledger.begin_session(&holder)?)).await?, (*key).clone())
        }
        (None, link) => {
            let found = redeem(&shared, whence, link.unwrap_or_default()).await?;
            found.ok_or_else(|| {
                Problem::new(Code::LinkInvalid, "the link is not known, was used, or has ended")
            })?
        }
    };
    let session = shared.ledger.session(&text).map(|signed_in| signed_in.expires_at);
    let zone = &shared.options.zone.name;
    let view = SessionView {
        expires_at: session,
        csrf_token: Some(csrf_token(&text)),
        ..SessionView::of(&key, zone)
    };
    Ok(([set_cookie(&shared, &text, SESSION_SECONDS)], [NO_STORE], Json(view)).into_response())
}

/// Uses a link up, unless whoever sends it has to wait.
async fn redeem(shared: &Shared, whence: Whence, link: String) -> Result<Option<(String, Key)>, Problem> {
    let now = shared.clock.now();
    let attempt = Attempt::new(whence.address, &link);
    // As with keys: nobody guesses a link, and a good one passes whatever others did.
    let from = whence.from();
    let found = shared.write(move |ledger| Ok(ledger.redeem_link(whence.request_id, from, &link)?)).await?;
    if found.is_none() {
        if let Some(seconds) = shared.backoff.wait_s(attempt, now) {
            return Err(Problem::too_many_attempts(seconds));
        }
        shared.backoff.failed(attempt, now);
    }
    Ok(found)
}

/// Tells who asks.
async fn show(
    State(shared): State<Arc<Shared>>,
    Extension(Caller(key)): Extension<Caller>,
    session: Option<Extension<Session>>,
) -> impl IntoResponse {
    let mut view = SessionView::of(&key, &shared.options.zone.name);
    if let Some(Extension(session)) = session {
        view.expires_at = Some(session.expires_at);
        view.csrf_token = Some(csrf_token(&session.text));
    }
    ([NO_STORE], Json(view))
}

/// Signs out.
async fn end(
    State(shared): State<Arc<Shared>>,
    session: Option<Extension<Session>>,
) -> Result<impl IntoResponse, Problem> {
    if let Some(Extension(session)) = session {
        shared.write(move |ledger| Ok(ledger.end_session(&session.text)?)).await?;
    }
    Ok((StatusCode::NO_CONTENT, [set_cookie(&shared, "", 0)]))
}

/// Shows the page of a link. Its text is looked at only to see that the page is safe to write.
async fn ask(uri: Uri, headers: HeaderMap) -> Response {
    let query = uri.query().unwrap_or_default();
    if !query.split('&').any(|pair| pair.starts_with("once")) {
        return dashboard::shell(&headers);
    }
    match once(query) {
        Some(text) => page(
            StatusCode::OK,
            &format!(
                "<p>This link signs you in, once.</p><form method=\"post\" action=\"/welcome\">\
                 <input type=\"hidden\" name=\"once\" value=\"{text}\"><button>Sign in</button></form>"
            ),
        ),
        None => page(StatusCode::GONE, "<p>This link is not whole: copy all of it.</p>"),
    }
}

/// Signs in whoever pressed the button.
async fn enter(
    State(shared): State<Arc<Shared>>,
    Extension(whence): Extension<Whence>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    check_origin(&shared, &headers, &uri)?;
    let bytes = body::read(&headers, body).await?;
    let link = std::str::from_utf8(&bytes).ok().and_then(once).unwrap_or_default().to_owned();
    let Some((text, _)) = redeem(&shared, whence, link).await? else {
        let gone = "<p>This link was used, or has ended. Ask for another: \
                    <code>tollbook member link</code> makes one.</p>";
        return Ok(page(StatusCode::GONE, gone));
    };
    let onwards = [set_cookie(&shared, &text, SESSION_SECONDS), (header::LOCATION, "/".to_owned())];
    Ok((StatusCode::SEE_OTHER, [NO_STORE], onwards).into_response())
}

/// The link's text among pairs; nothing but what this server may have made is one.
fn once(pairs: &str) -> Option<&str> {
    let text = pairs.split('&').find_map(|pair| pair.strip_prefix("once="))?;
    keys::is_made(text).then_some(text)
}

fn page(status: StatusCode, body: &str) -> Response {
    let link = |path: &str, rel: &str| {
        let address = dashboard::address(path);
        address.map_or(String::new(), |address| format!("<link rel=\"{rel}\" href=\"{address}\">"))
    };
    let style = link("style.css", "stylesheet") + &link("icon.svg", "icon");
    let text = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>Tollbook</title>{style}</head>\
         <body><main class=\"door\"><h1>Tollbook</h1>{body}</main></body></html>"
    );
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        NO_STORE,
        (header::CONTENT_SECURITY_POLICY, POLICY),
        // The address holds the link's text: it goes to nobody else, and a form still says where it is from.
        (header::REFERRER_POLICY, "same-origin"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (status, headers, text).into_response()
}
