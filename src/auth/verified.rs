//! The secrets that this process has verified, by their SHA-256, with what they open.
//!
//! argon2 runs once per secret and process. What a secret opens is read again when it is older than
//! [`FRESH_MS`] or when this process changed something: a revoked token dies everywhere within that
//! time and here at once.

use std::sync::atomic::{AtomicU64, Ordering};

use quick_cache::sync::Cache;

/// How long a remembered state counts, in milliseconds.
pub const FRESH_MS: i64 = 5_000;

/// Most secrets remembered.
const CAPACITY: usize = 100_000;

/// Remembered secrets; `A` is what one opens.
pub struct Verified<A: Clone> {
    entries: Cache<[u8; 32], Entry<A>>,
    generation: AtomicU64,
}

#[derive(Clone)]
struct Entry<A> {
    access: A,
    read_at: i64,
    generation: u64,
}

/// A remembered secret.
pub enum Remembered<A> {
    /// Verified, and the state was read a moment ago.
    Fresh(A),
    /// Verified; the state must be read again.
    Stale(A),
}

impl<A: Clone> Default for Verified<A> {
    fn default() -> Self {
        Self { entries: Cache::new(CAPACITY), generation: AtomicU64::new(0) }
    }
}

impl<A: Clone> Verified<A> {
    pub fn get(&self, digest: &[u8; 32], now: i64) -> Option<Remembered<A>> {
        let entry = self.entries.get(digest)?;
        // A clock that was set back says nothing about how long ago that was.
        let fresh = (0..FRESH_MS).contains(&(now - entry.read_at))
            && entry.generation == self.generation.load(Ordering::Acquire);
        Some(if fresh { Remembered::Fresh(entry.access) } else { Remembered::Stale(entry.access) })
    }

    /// The generation to pass to [`Verified::put`]: read it before reading the state.
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    pub fn put(&self, digest: [u8; 32], access: A, now: i64, generation: u64) {
        self.entries.insert(digest, Entry { access, read_at: now, generation });
    }

    pub fn forget(&self, digest: &[u8; 32]) {
        self.entries.remove(digest);
    }

    /// Every state is read again before it is used next.
    pub fn expire_all(&self) {
        self.generation.fetch_add(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn state_is_stale_after_five_seconds_and_after_a_change() {
        let verified = Verified::default();
        let digest = [1; 32];
        verified.put(digest, "a", 0, verified.generation());
        assert!(matches!(verified.get(&digest, 4_999), Some(Remembered::Fresh("a"))));
        assert!(matches!(verified.get(&digest, 5_000), Some(Remembered::Stale("a"))));
        assert!(matches!(verified.get(&digest, -1), Some(Remembered::Stale("a"))));
        verified.put(digest, "b", 5_000, verified.generation());
        verified.expire_all();
        assert!(matches!(verified.get(&digest, 5_001), Some(Remembered::Stale("b"))));
        verified.forget(&digest);
        assert!(verified.get(&digest, 5_001).is_none());
    }
}
