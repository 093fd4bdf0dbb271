//! `GET /api/v1/live`: what happens, as it happens, over a web socket.
//!
//! The [`Hub`] reads along in the books and puts each change into the queue of every socket whose
//! caller may see it and asked for it. A socket that is read too slowly loses calls, never more
//! memory than its queue has, and is told which.

mod flights;
mod hub;
mod message;
mod socket;

pub use flights::{Flights, Running};
pub(crate) use hub::Hub;

use crate::access::{Caller, READERS, Session};
use crate::code::Code;
use crate::doc::{self, Doc, Tag};
use crate::params::{Params, invalid};
use crate::problem::Problem;
use crate::routes::{Route, route};
use crate::shared::Shared;
use axum::Extension;
use axum::extract::State;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::response::Response;
use http::{Method, Uri};
use socket::Watch;
use std::sync::Arc;
use tollbook_types::Role;

/// The subprotocol that is spoken.
const PROTOCOL: &str = "tollbook";
/// The largest message of a client that is read at all: it has nothing to say.
const INCOMING_BYTES_MAX: usize = 1_024;
/// Bytes that wait for a client's connection beyond what is being written.
const OUTGOING_BYTES_MAX: usize = 4 * 1024 * 1024;

/// What its route is grouped by.
const TAG: Tag = Tag { name: "live", about: "What happens, as it happens." };

/// Its routes.
pub(crate) fn routes() -> Vec<Route> {
    let watching = Doc::new(TAG, "Watch calls as they happen")
        .about("A web socket, asked for with an upgrade of HTTP/1.1. A browser offers the subprotocols `tollbook` and `tollbook.key.KEY`.")
        .query("after", "Go on after this `seq` of a message.", doc::whole(0, u64::MAX))
        .query("tz", "The IANA zone of today.", doc::text())
        .dimensions()
        .gives(101, "The socket. Its messages are JSON objects with a `type`.", [])
        .refuses(&[Code::ParameterInvalid, Code::WebsocketExpected, Code::Busy]);
    vec![route(Method::GET, "/api/v1/live", READERS, watch, watching)]
}

/// Opens a socket.
pub(crate) async fn watch(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    session: Option<Extension<Session>>,
    uri: Uri,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Problem> {
    let mut params = Params::of(&uri)?;
    let after = match params.take("after")? {
        None => None,
        Some(text) => match text.parse() {
            Ok(after) if after <= shared.ledger.status().applied => Some(after),
            _ => return Err(invalid("after is the `seq` of a message that came from this server")),
        },
    };
    let zone = params.zone(&shared.options.zone)?;
    let filters = params.filters(&caller.scope())?;
    let upgrade = upgrade.map_err(|_| {
        let detail = "this is a web socket: ask for it with an HTTP/1.1 upgrade, version 13";
        Problem::new(Code::WebsocketExpected, detail)
    })?;
    let hears_alerts = caller.0.may(Role::Admin) || caller.0.may(Role::Viewer);
    let Some(listener) = shared.hub.listen(&caller.0.id, filters, hears_alerts) else {
        let detail = "too many sockets are open, in all or with this key; close one, or try again later";
        let problem = Problem::new(Code::Busy, detail);
        return Err(Problem { retry_after_s: Some(10), ..problem });
    };
    let watch =
        Watch::new(shared, (caller, session.map(|Extension(session)| session)), zone, listener, after);
    Ok(upgrade
        .protocols([PROTOCOL])
        .max_message_size(INCOMING_BYTES_MAX)
        .max_frame_size(INCOMING_BYTES_MAX)
        .max_write_buffer_size(OUTGOING_BYTES_MAX)
        .on_upgrade(|socket| watch.run(socket)))
}
