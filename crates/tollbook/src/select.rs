//! From an id on the command line to one call.

use crate::cli::CallIdArgs;
use crate::failure::Failure;
use tollbook_store::{Store, StoredCall};

/// The one call with an id; where several have it, project and source decide.
pub fn call(store: &dyn Store, args: &CallIdArgs) -> Result<StoredCall, Failure> {
    let mut found = store.calls_by_id(&args.id)?;
    if found.is_empty() {
        return Err(Failure::new(format!("no call has the id {:?}", args.id))
            .hint("`tollbook calls --all` lists calls with their ids"));
    }
    found.retain(|call| is_meant(call, args));
    match found.len() {
        1 => Ok(found.swap_remove(0)),
        0 => Err(Failure::new(format!("no call with the id {:?} has that project and source", args.id))),
        many => {
            let mut failure = Failure::new(format!("{many} calls have the id {:?}", args.id));
            for call in &found {
                let event = &call.entry.event;
                let project = call.corrected().attribution.project;
                failure.hints.push(format!(
                    "--source {}{}: {} {} at {}",
                    event.source,
                    project.map_or(String::new(), |project| format!(" --project {project}")),
                    event.provider,
                    event.model,
                    event.occurred_at
                ));
            }
            Err(failure)
        }
    }
}

fn is_meant(call: &StoredCall, args: &CallIdArgs) -> bool {
    let own = call.entry.event.identity();
    let identities = std::iter::once(&own).chain(call.joined.iter().map(|(identity, _)| identity));
    identities.filter(|identity| identity.id == args.id).any(|identity| {
        args.project.as_ref().is_none_or(|project| identity.project.as_ref() == Some(project))
            && args.source.as_ref().is_none_or(|source| identity.source == *source)
    })
}
