//! Answers served again for the very same request: in memory, bounded by bytes, by age, and by
//! what was used last.
//!
//! What may be kept is decided elsewhere, and so is what time it is: this must never read a clock.

use bytes::Bytes;
use http::HeaderMap;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tollbook_types::{CacheHit, Timestamp};

/// Longest body that is kept.
pub const BODY_BYTES_MAX: usize = 1 << 20;
/// A shard has at least this much room, so that a few large answers do not push out all others.
const SHARD_BYTES_MIN: u64 = 8 << 20;
const SHARDS_MAX: u64 = 16;
/// What an entry takes beside its headers and body, roughly.
const ENTRY_BYTES: u64 = 512;

/// Request headers on which an answer depends.
const VARYING: &[&str] = &[
    "accept",
    "accept-encoding",
    "anthropic-beta",
    "anthropic-version",
    "content-type",
    "openai-beta",
    "openai-organization",
    "openai-project",
];

/// A request's whole identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CacheKey([u8; 32]);

impl CacheKey {
    /// The key of a request: equal only for the same upstream, path and query, project, body, and
    /// headers that an answer depends on. `credential` is the caller's own provider key, where it
    /// passes: whoever has another may not see what this one got.
    pub fn of(
        upstream: &str,
        path_and_query: &str,
        project: Option<&str>,
        credential: Option<&[u8]>,
        headers: &HeaderMap,
        body: &[u8],
    ) -> CacheKey {
        let mut digest = Sha256::new();
        // Lengths keep parts apart, and what is absent from what is empty.
        let mut part = |bytes: Option<&[u8]>| {
            let length = bytes.map_or(u64::MAX, |bytes| bytes.len() as u64);
            digest.update(length.to_be_bytes());
            digest.update(bytes.unwrap_or_default());
        };
        part(Some(upstream.as_bytes()));
        part(Some(path_and_query.as_bytes()));
        part(project.map(str::as_bytes));
        part(credential);
        for name in VARYING {
            for value in headers.get_all(*name) {
                part(Some(value.as_bytes()));
            }
            part(None);
        }
        part(Some(body));
        CacheKey(digest.finalize().into())
    }

    fn number(self) -> u64 {
        let [a, b, c, d, e, f, g, h, ..] = self.0;
        u64::from_be_bytes([a, b, c, d, e, f, g, h])
    }
}

/// An answer that is kept: a complete one of status 200.
#[derive(Clone, Debug)]
pub struct Cached {
    /// The provider's headers that are sent again.
    pub headers: HeaderMap,
    /// The body as the provider sent it.
    pub body: Bytes,
    /// The model that answered.
    pub model: String,
    /// What serving it again saves.
    pub hit: CacheHit,
}

impl Cached {
    fn bytes(&self) -> u64 {
        let headers: usize = self.headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
        ENTRY_BYTES + (headers + self.model.len() + self.body.len()) as u64
    }
}

/// What the cache did so far, and what it holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheStats {
    /// Requests that were answered from it.
    pub hits: u64,
    /// Requests that were not.
    pub misses: u64,
    /// Answers that went to make room.
    pub evictions: u64,
    /// Answers in it.
    pub entries: u64,
    /// Bytes of them.
    pub bytes: u64,
}

/// The cache. It is shared by all threads; each request locks one of a few shards, shortly.
#[derive(Debug)]
pub struct Cache {
    shards: Box<[Mutex<Shard>]>,
    shard_bytes_max: u64,
    hits: AtomicU64,
    misses: AtomicU64,
    evictions: AtomicU64,
}

#[derive(Debug, Default)]
struct Shard {
    entries: HashMap<CacheKey, Entry>,
    /// Keys by when they were used last.
    used: BTreeMap<u64, CacheKey>,
    uses: u64,
    bytes: u64,
}

#[derive(Debug)]
struct Entry {
    cached: Arc<Cached>,
    expires_at: Timestamp,
    used: u64,
    bytes: u64,
}

impl Cache {
    /// A cache that holds at most so many bytes.
    pub fn new(bytes_max: u64) -> Cache {
        let shards = (bytes_max / SHARD_BYTES_MIN).clamp(1, SHARDS_MAX);
        Cache {
            shards: (0..shards).map(|_| Mutex::default()).collect(),
            shard_bytes_max: bytes_max / shards,
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
            evictions: AtomicU64::new(0),
        }
    }

    /// The answer to a request, unless it is too old at this instant.
    pub fn get(&self, key: &CacheKey, now: Timestamp) -> Option<Arc<Cached>> {
        let found = self.shard(key).get(key, now);
        let count = if found.is_some() { &self.hits } else { &self.misses };
        count.fetch_add(1, Ordering::Relaxed);
        found
    }

    /// Keeps an answer until it expires or has to make room. One that is too long is not kept.
    pub fn put(&self, key: CacheKey, cached: Cached, expires_at: Timestamp) {
        let bytes = cached.bytes();
        if cached.body.len() > BODY_BYTES_MAX || bytes > self.shard_bytes_max {
            return;
        }
        let mut shard = self.shard(&key);
        shard.remove(&key);
        let mut evicted = 0;
        while shard.bytes + bytes > self.shard_bytes_max {
            let Some((_, oldest)) = shard.used.first_key_value() else { break };
            let oldest = *oldest;
            shard.remove(&oldest);
            evicted += 1;
        }
        shard.insert(key, cached, expires_at, bytes);
        self.evictions.fetch_add(evicted, Ordering::Relaxed);
    }

    /// What it did and holds.
    pub fn stats(&self) -> CacheStats {
        let mut stats = CacheStats {
            hits: self.hits.load(Ordering::Relaxed),
            misses: self.misses.load(Ordering::Relaxed),
            evictions: self.evictions.load(Ordering::Relaxed),
            ..CacheStats::default()
        };
        for shard in &self.shards {
            let shard = locked(shard);
            stats.entries += shard.entries.len() as u64;
            stats.bytes += shard.bytes;
        }
        stats
    }

    fn shard(&self, key: &CacheKey) -> MutexGuard<'_, Shard> {
        // There is at least one, and a remainder of so few fits.
        let at = key.number() % self.shards.len() as u64;
        locked(&self.shards[at as usize])
    }
}

/// A shard is whole between any two of its operations, whatever its last holder did.
fn locked(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shard {
    fn get(&mut self, key: &CacheKey, now: Timestamp) -> Option<Arc<Cached>> {
        if self.entries.get(key)?.expires_at <= now {
            self.remove(key);
            return None;
        }
        self.uses += 1;
        let entry = self.entries.get_mut(key)?;
        self.used.remove(&entry.used);
        self.used.insert(self.uses, *key);
        entry.used = self.uses;
        Some(Arc::clone(&entry.cached))
    }

    fn insert(&mut self, key: CacheKey, cached: Cached, expires_at: Timestamp, bytes: u64) {
        self.uses += 1;
        self.used.insert(self.uses, key);
        self.bytes += bytes;
        let entry = Entry { cached: Arc::new(cached), expires_at, used: self.uses, bytes };
        self.entries.insert(key, entry);
    }

    fn remove(&mut self, key: &CacheKey) {
        if let Some(entry) = self.entries.remove(key) {
            self.used.remove(&entry.used);
            self.bytes -= entry.bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use tollbook_types::Money;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    fn answer(bytes: usize) -> Cached {
        Cached {
            headers: HeaderMap::new(),
            body: Bytes::from(vec![b'x'; bytes]),
            model: "m".to_owned(),
            hit: CacheHit { saved: Money::ZERO, saved_tokens: 7 },
        }
    }

    fn key(n: u32) -> CacheKey {
        CacheKey::of("u", "/p", None, None, &HeaderMap::new(), &n.to_be_bytes())
    }

    #[test]
    fn every_part_of_a_request_tells_it_apart() {
        let mut headers = HeaderMap::new();
        headers.insert("anthropic-version", HeaderValue::from_static("2023-06-01"));
        let none = HeaderMap::new();
        let mut keys = vec![
            CacheKey::of("u", "/p", None, None, &none, b"body"),
            CacheKey::of("up", "/", None, None, &none, b"body"),
            CacheKey::of("u", "/p", Some(""), None, &none, b"body"),
            CacheKey::of("u", "/p", Some("x"), None, &none, b"body"),
            CacheKey::of("u", "/p", None, Some(b"x"), &none, b"body"),
            CacheKey::of("u", "/p", None, None, &headers, b"body"),
            CacheKey::of("u", "/p", None, None, &none, b"bodY"),
        ];
        let same = CacheKey::of("u", "/p", None, None, &none, b"body");
        assert_eq!(keys[0], same);
        headers.insert("x-request-id", HeaderValue::from_static("1"));
        assert_eq!(keys[5], CacheKey::of("u", "/p", None, None, &headers, b"body"));
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), 7);
    }

    #[test]
    fn an_answer_is_served_until_it_expires() {
        let cache = Cache::new(1 << 20);
        assert!(cache.get(&key(1), at(0)).is_none());
        cache.put(key(1), answer(10), at(60));
        for (second, served) in [(0, true), (59, true), (60, false), (0, false)] {
            assert_eq!(cache.get(&key(1), at(second)).is_some(), served, "at {second}");
        }
        let stats = CacheStats { hits: 2, misses: 3, ..CacheStats::default() };
        assert_eq!(cache.stats(), stats, "an expired answer gives its bytes back");
    }

    #[test]
    fn room_is_made_by_what_was_used_longest_ago() {
        let one = answer(1_000).bytes();
        let cache = Cache::new(one * 3);
        for n in 0..3 {
            cache.put(key(n), answer(1_000), at(60));
        }
        assert!(cache.get(&key(0), at(0)).is_some());
        cache.put(key(3), answer(1_000), at(60));
        let held: Vec<bool> = (0..4).map(|n| cache.get(&key(n), at(0)).is_some()).collect();
        assert_eq!(held, [true, false, true, true]);
        cache.put(key(3), answer(500), at(60));
        let stats = cache.stats();
        assert_eq!((stats.entries, stats.evictions, stats.bytes), (3, 1, one * 3 - 500));
        cache.put(key(9), answer(5_000), at(60));
        assert!(cache.get(&key(9), at(0)).is_none(), "what does not fit is not kept");
        assert_eq!(cache.stats().entries, 3, "and pushes nothing out");
    }

    #[test]
    fn it_never_holds_more_than_it_may() {
        let bytes_max = 40 << 20;
        let cache = Cache::new(bytes_max);
        assert!(cache.shards.len() > 1);
        std::thread::scope(|scope| {
            for thread in 0..4_u32 {
                let cache = &cache;
                scope.spawn(move || {
                    for n in 0..300 {
                        let size = (n as usize * 7_919 + thread as usize) % (BODY_BYTES_MAX + 10);
                        cache.put(key(thread * 1_000 + n), answer(size), at(60));
                        cache.get(&key(n), at(0));
                        assert!(cache.stats().bytes <= bytes_max);
                    }
                });
            }
        });
        let stats = cache.stats();
        assert!(stats.entries > 10 && stats.evictions > 10, "{stats:?}");
        for shard in &cache.shards {
            let shard = locked(shard);
            let bytes: u64 = shard.entries.values().map(|entry| entry.bytes).sum();
            assert_eq!((shard.bytes, shard.used.len()), (bytes, shard.entries.len()));
        }
    }
}
