//! Who asks, and whether they may.

use crate::backoff::Attempt;
use crate::code::Code;
use crate::problem::Problem;
use crate::routes::RequestId;
use crate::session;
use crate::shared::Shared;
use axum::extract::{ConnectInfo, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, header};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use tollbook_ledger::{Actor, By, keys};
use tollbook_store::{Dimension, Filter};
use tollbook_types::{Attribution, Key, Role, Timestamp};

/// Headers that a key may come in, beside `authorization: Bearer`.
const KEY_HEADERS: [&str; 2] = ["x-tollbook-key", "x-api-key"];

/// What stands before a key among the subprotocols of a web socket: a browser can set no header of
/// its own there.
pub const KEY_PROTOCOL: &str = "tollbook.key.";

/// Who may use a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Everybody, without a key.
    Anyone,
    /// As viewers; without a key only from this machine, and only when that is configured.
    Metrics,
    /// Keys with one of these roles, and admins.
    Roles(&'static [Role]),
}

/// Who reads the books: viewers all of them, members what is theirs.
pub const READERS: Access = Access::Roles(&[Role::Viewer, Role::Member]);
/// Who tells of calls.
pub const SENDERS: Access = Access::Roles(&[Role::Ingest]);
/// Admins alone.
pub const ADMINS: Access = Access::Roles(&[]);
/// Whoever has a key.
pub const KEY_HOLDERS: Access = Access::Roles(Role::ALL);

impl Access {
    /// The roles that may, an admin's last; nothing where no role is needed.
    pub fn roles(self) -> Vec<Role> {
        let roles: &[Role] = match self {
            Access::Anyone => return Vec::new(),
            Access::Metrics => &[Role::Viewer],
            Access::Roles(roles) => roles,
        };
        let others = roles.iter().copied().filter(|role| *role != Role::Admin);
        others.chain([Role::Admin]).collect()
    }

    /// Why a request may not come through to the route.
    pub fn refusals(self) -> &'static [Code] {
        match self {
            Access::Anyone => &[],
            _ => &[
                Code::TwoKeys,
                Code::KeyMissing,
                Code::InvalidKey,
                Code::SessionEnded,
                Code::CsrfInvalid,
                Code::Forbidden,
                Code::TooManyAttempts,
            ],
        }
    }
}

/// Whose request it is. A route that needs a key always has one of these among its extensions.
#[derive(Clone, Debug)]
pub struct Caller(pub Arc<Key>);

/// What of the books a caller sees.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    /// Only this project's calls.
    pub project: Option<String>,
    /// Only this user's calls.
    pub user: Option<String>,
}

impl Caller {
    /// What the caller sees: an admin everything, others what their key is bound to.
    pub fn scope(&self) -> Scope {
        let key = &self.0;
        if key.may(Role::Admin) {
            return Scope::default();
        }
        Scope { project: key.binding.project.clone(), user: key.binding.user.clone() }
    }
}

impl Scope {
    /// Conditions that no call outside of it meets.
    pub fn filters(&self) -> impl Iterator<Item = Filter> {
        let project = self.project.clone().map(|project| Filter::is(Dimension::Project, project));
        let user = self.user.clone().map(|user| Filter::is(Dimension::User, user));
        project.into_iter().chain(user)
    }

    /// Whether a call on this account is in it.
    pub fn admits(&self, attribution: &Attribution) -> bool {
        let is = |wanted: &Option<String>, found: &Option<String>| wanted.is_none() || wanted == found;
        is(&self.project, &attribution.project) && is(&self.user, &attribution.user)
    }
}

/// Where a request comes from. Every request has one of these among its extensions.
#[derive(Clone, Debug)]
pub struct Whence {
    /// The request's id.
    pub request_id: Option<String>,
    /// The address at the other end of the connection.
    pub address: Option<IpAddr>,
}

impl Whence {
    fn of(request: &Request) -> Whence {
        let extensions = request.extensions();
        Whence {
            request_id: extensions.get::<RequestId>().map(|id| id.0.clone()),
            address: extensions.get::<ConnectInfo<SocketAddr>>().map(|peer| peer.0.ip()),
        }
    }

    /// The address in words.
    pub fn from(&self) -> Option<String> {
        self.address.map(|address| address.to_string())
    }
}

/// The session that a request came with, among its extensions.
#[derive(Clone)]
pub struct Session {
    /// Its text.
    pub text: String,
    /// When it ends at the latest.
    pub expires_at: Timestamp,
}

/// Lets a request through to its route, or refuses it. What is let through knows its [`Caller`], its
/// [`Session`] if it came with one, and for the audit log [`By`] whom it is.
pub async fn gate(
    State((shared, access)): State<(Arc<Shared>, Access)>,
    mut request: Request,
    next: Next,
) -> Response {
    let whence = Whence::of(&request);
    match admit(&shared, access, &request, &whence) {
        Ok(admitted) => {
            let extensions = request.extensions_mut();
            if let Some((caller, session)) = admitted {
                let actor = Actor::of(&caller.0);
                let (request_id, from) = (whence.request_id.clone(), whence.from());
                extensions.insert(By { actor, request_id, from });
                extensions.insert(caller);
                if let Some(session) = session {
                    extensions.insert(session);
                }
            }
            extensions.insert(whence);
            next.run(request).await
        }
        Err(problem) => problem.into_response(),
    }
}

type Admitted = Option<(Caller, Option<Session>)>;

fn admit(
    shared: &Arc<Shared>,
    access: Access,
    request: &Request,
    whence: &Whence,
) -> Result<Admitted, Problem> {
    match access {
        // A good key may be there; a bad one does no harm.
        Access::Anyone => return Ok(caller(shared, request, whence).ok().flatten()),
        Access::Metrics if shared.options.open_metrics && is_local(request) => return Ok(None),
        Access::Metrics | Access::Roles(_) => {}
    }
    let Some((caller, session)) = caller(shared, request, whence)? else {
        let detail = "a key is needed: send it as `authorization: Bearer tb_…`";
        return Err(Problem::new(Code::KeyMissing, detail));
    };
    let roles = access.roles();
    if !roles.iter().any(|role| caller.0.may(*role)) {
        let names: Vec<&str> = roles.iter().map(|role| role.name()).collect();
        let detail = format!("this needs a key with the role {}", names.join(" or "));
        return Err(Problem::new(Code::Forbidden, detail));
    }
    Ok(Some((caller, session)))
}

fn is_local(request: &Request) -> bool {
    request.extensions().get::<ConnectInfo<SocketAddr>>().is_some_and(|peer| peer.0.ip().is_loopback())
}

/// Who asks: by a key if one was sent, else by a session.
fn caller(shared: &Arc<Shared>, request: &Request, whence: &Whence) -> Result<Admitted, Problem> {
    match presented(request.headers())? {
        Some(text) => Ok(Some((Caller(key_of(shared, text, whence.address)?), None))),
        None => by_session(shared, request),
    }
}

/// The key's text that was sent, if one was.
fn presented(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let mut presented: Option<&str> = None;
    let bearers = headers.get_all(header::AUTHORIZATION).iter().map(|value| {
        let (scheme, text) = value.to_str().ok()?.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| text.trim())
    });
    let others = KEY_HEADERS.iter().flat_map(|name| headers.get_all(*name)).map(|value| value.to_str().ok());
    let protocols = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).iter();
    let offered = protocols.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
    let offered = offered.filter_map(|name| name.trim().strip_prefix(KEY_PROTOCOL)).map(Some);
    for text in bearers.chain(others).chain(offered) {
        let text = text.ok_or_else(invalid)?;
        if presented.is_some_and(|known| known != text) {
            return Err(Problem::new(Code::TwoKeys, "two different keys were sent; send one"));
        }
        presented = Some(text);
    }
    Ok(presented)
}

/// The key with this text; who fails too often has to wait.
pub fn key_of(shared: &Shared, text: &str, address: Option<IpAddr>) -> Result<Arc<Key>, Problem> {
    let now = shared.clock.now();
    let found = shared.ledger.keys().find(text, now);
    if keys::is_made(text)
        && let Some(key) = found
    {
        return Ok(key);
    }
    let attempt = Attempt::new(address, text);
    if let Some(seconds) = shared.backoff.wait_s(attempt, now) {
        return Err(Problem::too_many_attempts(seconds));
    }
    match found {
        Some(key) => {
            shared.backoff.opened(attempt, now);
            Ok(key)
        }
        None => {
            shared.backoff.failed(attempt, now);
            Err(invalid())
        }
    }
}

fn invalid() -> Problem {
    Problem::new(Code::InvalidKey, "the key is not known, has been revoked, or has expired")
}

fn by_session(shared: &Arc<Shared>, request: &Request) -> Result<Admitted, Problem> {
    let (headers, uri) = (request.headers(), request.uri());
    let Some(text) = session::cookie(headers) else { return Ok(None) };
    let Some(signed_in) = shared.ledger.session(text) else {
        return Err(Problem::new(Code::SessionEnded, "the session has ended; sign in again"));
    };
    if !request.method().is_safe() {
        session::check_csrf(shared, text, headers, uri)?;
    } else if headers.contains_key(header::UPGRADE) {
        // A socket can be opened from any page, and what comes through it can be read there.
        session::check_origin(shared, headers, uri)?;
    }
    if signed_in.is_due {
        note(shared.clone(), text.to_owned());
    }
    let session = Session { text: text.to_owned(), expires_at: signed_in.expires_at };
    Ok(Some((Caller(signed_in.key), Some(session))))
}

/// Has it written down, beside the request, that a session is in use.
fn note(shared: Arc<Shared>, text: String) {
    tokio::spawn(async move {
        if let Err(problem) = shared.write(move |ledger| Ok(ledger.note_session(&text)?)).await {
            tracing::warn!("a session's use could not be written down: {}", problem.code.name());
        }
    });
}
