//! Telling followers what has become visible: every entry and every adjustment once, in journal
//! order, from when they began to follow.
//!
//! The writer tells after the store has applied a group, and waits for nobody: what a slow follower
//! has no room for is left out, and it is told so in its place. It must never know who follows.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use tollbook_store::{Op, StoredCall};
use tollbook_types::{Digest, Entry, Seq};

/// A change that every query sees.
#[derive(Clone, Debug)]
pub enum Change {
    /// A new entry, with its rating.
    Entry {
        /// Its position.
        seq: Seq,
        /// The digest of its record.
        digest: Digest,
        /// The entry.
        entry: Arc<Entry>,
    },
    /// A later state of an entry.
    Adjustment {
        /// The position of the record that it follows from.
        seq: Seq,
        /// The call, with its adjustments up to this one at least.
        call: Arc<StoredCall>,
        /// Which of them this is: its version.
        version: u32,
    },
}

impl Change {
    /// The position of its record.
    pub fn seq(&self) -> Seq {
        match self {
            Change::Entry { seq, .. } | Change::Adjustment { seq, .. } => *seq,
        }
    }
}

/// What a follower is told.
#[derive(Clone, Debug)]
pub enum News {
    /// Changes, in journal order.
    Changes(Vec<Change>),
    /// Changes that the follower was too slow for.
    Skipped(Skipped),
}

/// Changes that were left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// How many.
    pub changes: u64,
    /// The position of the first.
    pub first: Seq,
    /// The position of the last.
    pub last: Seq,
}

/// Reads what becomes visible. Dropped, it follows no more.
#[derive(Debug)]
pub struct Follower(Arc<Queue>);

impl Follower {
    /// Waits for the next news. `None` once the ledger has closed and everything has been told.
    pub fn next(&self) -> Option<News> {
        let mut waiting = self.0.lock();
        loop {
            if let Some(news) = waiting.news.pop_front() {
                if let News::Changes(changes) = &news {
                    waiting.changes -= changes.len();
                }
                return Some(news);
            }
            if waiting.is_closed {
                return None;
            }
            waiting = self.0.filled.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// What a follower has not taken yet.
#[derive(Debug)]
struct Queue {
    waiting: Mutex<Waiting>,
    filled: Condvar,
    /// Changes that it holds at most.
    max: usize,
}

#[derive(Debug, Default)]
struct Waiting {
    news: VecDeque<News>,
    /// Changes among them.
    changes: usize,
    is_closed: bool,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A group is told as a whole or not at all.
    fn tell(&self, changes: Vec<Change>) {
        let (Some(first), Some(last)) = (changes.first().map(Change::seq), changes.last().map(Change::seq))
        else {
            return;
        };
        let mut waiting = self.lock();
        if waiting.changes + changes.len() <= self.max {
            waiting.changes += changes.len();
            waiting.news.push_back(News::Changes(changes));
        } else {
            let more = changes.len() as u64;
            match waiting.news.back_mut() {
                Some(News::Skipped(skipped)) => {
                    skipped.changes += more;
                    skipped.last = last;
                }
                _ => waiting.news.push_back(News::Skipped(Skipped { changes: more, first, last })),
            }
        }
        drop(waiting);
        self.filled.notify_all();
    }

    fn close(&self) {
        self.lock().is_closed = true;
        self.filled.notify_all();
    }
}

/// The followers there are.
#[derive(Debug, Default)]
pub(crate) struct Feed(Mutex<Vec<Weak<Queue>>>);

impl Feed {
    /// A further follower, for which so many changes are held at most.
    pub fn follow(&self, changes_max: usize) -> Follower {
        let queue = Queue { waiting: Mutex::default(), filled: Condvar::new(), max: changes_max };
        let queue = Arc::new(queue);
        self.lock().push(Arc::downgrade(&queue));
        Follower(queue)
    }

    /// Tells what a group changed; `calls` are the calls that it adjusted, as they are after it.
    pub fn tell(&self, ops: Vec<Op>, calls: HashMap<Seq, StoredCall>) {
        let mut followers = self.lock();
        followers.retain(|queue| queue.strong_count() > 0);
        if followers.is_empty() {
            return;
        }
        let calls = calls.into_iter().map(|(seq, call)| (seq, Arc::new(call))).collect();
        let changes: Vec<Change> = ops.into_iter().filter_map(|op| change(op, &calls)).collect();
        for queue in followers.iter().filter_map(Weak::upgrade) {
            queue.tell(changes.clone());
        }
    }

    /// Nothing more will be told.
    pub fn close(&self) {
        self.lock().drain(..).filter_map(|queue| queue.upgrade()).for_each(|queue| queue.close());
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Weak<Queue>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn change(op: Op, calls: &HashMap<Seq, Arc<StoredCall>>) -> Option<Change> {
    match op {
        Op::Entry { seq, digest, entry } => Some(Change::Entry { seq, digest, entry }),
        Op::Adjust { seq, adjustment, .. } => {
            let call = calls.get(&adjustment.entry)?.clone();
            Some(Change::Adjustment { seq, call, version: adjustment.version })
        }
        _ => None,
    }
}
