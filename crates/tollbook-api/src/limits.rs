//! `GET /api/v1/limits`: every limit that applies to a call, or may apply to calls of a key.

use crate::access::{Access, Caller};
use crate::calls::Wanted;
use crate::code::{self, Code};
use crate::doc::{self, Content, Doc, Tag};
use crate::params::{Params, invalid};
use crate::problem::Problem;
use crate::routes::{Route, route};
use crate::shared::Shared;
use crate::wire::LimitsView;
use axum::extract::State;
use axum::{Extension, Json};
use http::{Method, Uri};
use std::sync::Arc;
use tollbook_types::Role;

/// Who reads limits: those who read all the books.
const READERS: Access = Access::Roles(&[Role::Viewer]);
/// What its routes are grouped by.
const TAG: Tag = Tag { name: "budgets", about: "Limits on what calls may use, and asking first." };

/// Its routes.
pub fn routes() -> Vec<Route> {
    let explaining = Doc::new(TAG, "Explain which limits apply")
        .about("To a call that was made, or to calls of a key: one of `call` and `key` has to be there.")
        .query("call", "The id that a call was recorded under.", doc::text())
        .query("project", "Of which project, where several calls have the id.", doc::text())
        .query("source", "Where it came in, where several calls have the id.", doc::text())
        .query("key", "A key's id: `key_…`.", doc::text())
        .gives(200, "Every limit, where it is defined and where it stands.", [Content::json::<LimitsView>()])
        .refuses(&[Code::ParameterInvalid, Code::NotFound, Code::AmbiguousId])
        .refuses(code::READ);
    vec![route(Method::GET, "/api/v1/limits", READERS, limits, explaining)]
}

async fn limits(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    uri: Uri,
) -> Result<Json<LimitsView>, Problem> {
    let mut params = Params::of(&uri)?;
    let (call, key) = (params.take("call")?, params.take("key")?);
    let (project, source) = (params.take("project")?, params.take("source")?);
    if !params.is_empty() {
        return Err(invalid("the parameters here are call, project, source and key"));
    }
    let limits = match (call, key) {
        (Some(id), None) => {
            let wanted = Wanted { id, project, source, scope: caller.scope() };
            let found = shared.read(move |store| wanted.find(store)).await??;
            shared.write(move |ledger| Ok(LimitsView::of_call(ledger, &found))).await?
        }
        (None, Some(id)) => {
            let unknown = || Problem::not_found("there is no such key");
            let of_key = move |ledger: &tollbook_ledger::Ledger| {
                let key = ledger.keys().get(&id).cloned().ok_or_else(unknown)?;
                Ok(LimitsView::of_key(ledger, &key))
            };
            shared.write(of_key).await?
        }
        _ => return Err(invalid("one of call and key has to be there, and only one")),
    };
    Ok(Json(limits))
}
