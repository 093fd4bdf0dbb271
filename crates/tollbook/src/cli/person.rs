//! `tollbook held` and `tollbook erase`

use clap::Args;

#[derive(Args, Debug)]
pub struct HeldArgs {
    /// Whom: user=ID
    #[arg(value_name = "user=ID", value_parser = user)]
    pub user: String,
    /// Only what is of this project
    #[arg(long, value_name = "NAME")]
    pub project: Option<String>,
}

#[derive(Args, Debug)]
pub struct EraseArgs {
    /// Whom: user=ID
    #[arg(value_name = "user=ID", value_parser = user)]
    pub user: String,
    /// Only in this project
    #[arg(long, value_name = "NAME")]
    pub project: Option<String>,
    /// Why, for those who read the books later; kept without the name
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
    /// Do it; without this, say what would be done
    #[arg(long)]
    pub yes: bool,
}

/// Nothing but a user can be meant, and nobody shall be erased by a slip.
fn user(text: &str) -> Result<String, String> {
    match text.strip_prefix("user=") {
        Some(user) if !user.is_empty() => Ok(user.to_owned()),
        _ => Err("write user=ID, the `user` of the person's calls".to_owned()),
    }
}
