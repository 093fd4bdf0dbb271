//! The routes, who may use each, and what stands around all of them: the request's id, problems,
//! panics, counts.

use crate::access::{Access, gate};
use crate::code::Code;
use crate::doc::Doc;
use crate::problem::Problem;
use crate::shared::Shared;
use crate::{
    admit, alerts, audit, budgets, calls, channels, dashboard, demo, events, export, keys, limits, live,
    members, metrics, openapi, otlp, own_prices, prices, privacy, probes, rate_limits, rerate, seeds,
    session, settle, stats, usage,
};
use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::handler::Handler;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, MethodRouter, on};
use http::{HeaderMap, HeaderValue, Method, Uri};
use serde_json::Value;
use std::sync::Arc;

/// The header that carries a request's id, both ways.
const REQUEST_ID: &str = "x-request-id";
/// A longer id of the caller's own is not taken over.
const REQUEST_ID_BYTES_MAX: usize = 128;

/// A request's id, among its extensions.
#[derive(Clone, Debug)]
pub struct RequestId(pub String);

/// A route as others see it.
#[derive(Clone, Debug)]
pub struct Listed {
    /// Its method.
    pub method: Method,
    /// Its path, with parameters in braces.
    pub path: &'static str,
    /// Who may use it.
    pub access: Access,
}

/// A route: what it is, who may use it, what it says of itself, and what answers.
pub struct Route {
    listed: Listed,
    doc: Doc,
    handler: MethodRouter<Arc<Shared>>,
}

/// Everything that there is: each module has its own routes.
fn all() -> Vec<Route> {
    let modules = [
        events::routes,
        otlp::routes,
        calls::routes,
        usage::routes,
        stats::routes,
        export::routes,
        keys::routes,
        prices::routes,
        own_prices::routes,
        rerate::routes,
        settle::routes,
        privacy::routes,
        demo::routes,
        members::routes,
        session::routes,
        audit::routes,
        probes::routes,
        metrics::routes,
        live::routes,
        openapi::routes,
        budgets::routes,
        admit::routes,
        channels::routes,
        alerts::routes,
        limits::routes,
        rate_limits::routes,
        seeds::routes,
        dashboard::routes,
    ];
    modules.into_iter().flat_map(|routes| routes()).collect()
}

/// A route. None can be without a word on who may use it and what it takes and gives.
pub fn route<T: 'static>(
    method: Method,
    path: &'static str,
    access: Access,
    handler: impl Handler<T, Arc<Shared>>,
    doc: Doc,
) -> Route {
    let filter = match method {
        Method::POST => MethodFilter::POST,
        Method::PUT => MethodFilter::PUT,
        Method::PATCH => MethodFilter::PATCH,
        Method::DELETE => MethodFilter::DELETE,
        _ => MethodFilter::GET,
    };
    Route { listed: Listed { method, path, access }, doc, handler: on(filter, handler) }
}

/// The routes without their handlers.
pub fn listed() -> Vec<Listed> {
    all().into_iter().map(|route| route.listed).collect()
}

/// The document of all routes.
pub fn document() -> Value {
    let all = all();
    openapi::document(all.iter().map(|route| (&route.listed, &route.doc)))
}

/// All routes over what they share.
pub fn router(shared: Arc<Shared>) -> Router {
    let mut router = Router::new();
    for Route { listed, handler, .. } in all() {
        let guard = from_fn_with_state((shared.clone(), listed.access), gate);
        router = router.route(listed.path, handler.route_layer(guard));
    }
    router
        .fallback(nothing)
        .method_not_allowed_fallback(async || {
            let detail = "this path knows other methods; the header `allow` names them";
            Problem::new(Code::MethodNotAllowed, detail)
        })
        .layer(from_fn_with_state(shared.clone(), surround))
        .with_state(shared)
}

/// What stands where nothing is: people get the page, which says so and leads on.
async fn nothing(method: Method, uri: Uri, headers: HeaderMap) -> Response {
    let accept = headers.get(http::header::ACCEPT).and_then(|accept| accept.to_str().ok());
    let is_person = accept.is_some_and(|accept| accept.contains("text/html"));
    if method == Method::GET && is_person && !uri.path().starts_with("/api/") {
        let mut page = dashboard::shell(&HeaderMap::new());
        *page.status_mut() = http::StatusCode::NOT_FOUND;
        return page;
    }
    Problem::not_found("there is nothing at this path").into_response()
}

/// Gives a request its id, keeps a panic from its neighbours, writes problems out, and counts.
async fn surround(State(shared): State<Arc<Shared>>, mut request: Request, next: Next) -> Response {
    let method = request.method().clone();
    let path = request.extensions().get::<MatchedPath>().cloned();
    let id = request_id(request.headers());
    request.extensions_mut().insert(RequestId(id.clone()));
    // On a task of its own: a panic ends only that, and what is being written is written to its end
    // even when the caller leaves.
    let mut response = match tokio::spawn(next.run(request)).await {
        Ok(response) => response,
        Err(error) => {
            tracing::error!(request_id = id, "a handler failed: {error}");
            Problem::internal().into_response()
        }
    };
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        let allow = response.headers_mut().remove(http::header::ALLOW);
        response = problem.answer(&id);
        response.headers_mut().extend(allow.map(|allow| (http::header::ALLOW, allow)));
        let status = problem.code.status();
        if status.is_server_error() {
            tracing::warn!(request_id = id, status = status.as_u16(), "{}", problem.code.name());
        }
    }
    let path = path.as_ref().map_or("other", MatchedPath::as_str);
    shared.counts.answered(&method, path, response.status());
    if let Ok(id) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response
}

/// The caller's own id for the request where it is a plain word, else a new one.
fn request_id(headers: &HeaderMap) -> String {
    let told = headers.get(REQUEST_ID).and_then(|id| id.to_str().ok());
    let is_plain = |id: &&str| {
        let is_word = |c: char| c.is_ascii_alphanumeric() || "-_.:".contains(c);
        !id.is_empty() && id.len() <= REQUEST_ID_BYTES_MAX && id.chars().all(is_word)
    };
    match told.filter(is_plain) {
        Some(id) => id.to_owned(),
        None => format!("req_{}", uuid::Uuid::now_v7().simple()),
    }
}
