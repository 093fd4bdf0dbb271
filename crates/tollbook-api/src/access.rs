//! Who asks, and whether they may.

use crate::code::Code;
use crate::problem::Problem;
use crate::shared::Shared;
use axum::extract::{ConnectInfo, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, header};
use std::net::SocketAddr;
use std::sync::Arc;
use tollbook_store::{Dimension, Filter};
use tollbook_types::{Attribution, Key, Role};

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
            _ => &[Code::TwoKeys, Code::KeyMissing, Code::InvalidKey, Code::Forbidden],
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

/// Lets a request through to its route, or refuses it.
pub async fn gate(
    State((shared, access)): State<(Arc<Shared>, Access)>,
    mut request: Request,
    next: Next,
) -> Response {
    match admit(&shared, access, &request) {
        Ok(caller) => {
            if let Some(caller) = caller {
                request.extensions_mut().insert(caller);
            }
            next.run(request).await
        }
        Err(problem) => problem.into_response(),
    }
}

fn admit(shared: &Shared, access: Access, request: &Request) -> Result<Option<Caller>, Problem> {
    match access {
        // A good key may be there; a bad one does no harm.
        Access::Anyone => return Ok(caller(shared, request.headers()).ok().flatten()),
        Access::Metrics if shared.options.open_metrics && is_local(request) => return Ok(None),
        Access::Metrics | Access::Roles(_) => {}
    }
    let Some(caller) = caller(shared, request.headers())? else {
        let detail = "a key is needed: send it as `authorization: Bearer tb_…`";
        return Err(Problem::new(Code::KeyMissing, detail));
    };
    let roles = access.roles();
    if !roles.iter().any(|role| caller.0.may(*role)) {
        let names: Vec<&str> = roles.iter().map(|role| role.name()).collect();
        let detail = format!("this needs a key with the role {}", names.join(" or "));
        return Err(Problem::new(Code::Forbidden, detail));
    }
    Ok(Some(caller))
}

fn is_local(request: &Request) -> bool {
    request.extensions().get::<ConnectInfo<SocketAddr>>().is_some_and(|peer| peer.0.ip().is_loopback())
}

/// The key that was presented, if one was.
fn caller(shared: &Shared, headers: &HeaderMap) -> Result<Option<Caller>, Problem> {
    let invalid = || {
        let detail = "the key is not known, has been revoked, or has expired";
        Problem::new(Code::InvalidKey, detail)
    };
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
    let Some(text) = presented else { return Ok(None) };
    let key = shared.ledger.keys().find(text, shared.clock.now());
    key.map(|key| Some(Caller(key))).ok_or_else(invalid)
}
