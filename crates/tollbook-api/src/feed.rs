//! What becomes visible in the books, on its way to those who read along: metrics, sockets.
//!
//! One thread follows the ledger and tells every reader in turn. It must never hold the ledger
//! itself, which ends only when nobody does.

use std::sync::Arc;
use tollbook_ledger::{Change, Follower, News, Skipped};

/// Changes that wait for the thread before it is told that it missed some.
pub const CHANGES_MAX: usize = 32_768;

/// Reads along. What it is told came in journal order, each change once; it must not wait.
pub trait Reader: Send + Sync {
    /// Changes that every query sees now.
    fn changed(&self, changes: &[Change]);

    /// Changes that came too fast to be told.
    fn skipped(&self, skipped: Skipped);
}

/// Starts the thread. It ends when the ledger closes.
pub fn start(follower: Follower, readers: Vec<Arc<dyn Reader>>) -> std::io::Result<()> {
    let tell = move || {
        while let Some(news) = follower.next() {
            match news {
                News::Changes(changes) => readers.iter().for_each(|reader| reader.changed(&changes)),
                News::Skipped(skipped) => {
                    let Skipped { changes, first, last } = skipped;
                    tracing::warn!(changes, first, last, "live figures miss changes: they came too fast");
                    readers.iter().for_each(|reader| reader.skipped(skipped));
                }
            }
        }
    };
    std::thread::Builder::new().name("feed".to_owned()).spawn(tell).map(drop)
}
