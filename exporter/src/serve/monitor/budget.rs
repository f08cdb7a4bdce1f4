//! The memory that all listeners' queues have together: a share for each, and a pool for those who are behind.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::fanout::LISTENERS_MAX;

/// Bytes that a queue may hold whatever others do: a slow listener never takes the room of one that keeps up. It is
/// what a queue of Cilium's size, 16,384 payloads, takes of packets cut at 128 bytes.
pub const SHARE: usize = 4 << 20;
/// Bytes that all queues may hold beyond their shares: four listeners that hold as much as one may.
pub const POOL: usize = 128 << 20;
/// Bytes that all queues may hold, but for a chunk each that a bound is noticed by.
pub const TOTAL: usize = SHARE * LISTENERS_MAX + POOL;

/// What is taken of the pool; cloning shares it. One thread takes, any gives back: no lock is needed.
#[derive(Clone, Debug, Default)]
pub struct Budget(Arc<AtomicUsize>);

impl Budget {
    /// Bytes by which a queue that holds `held` may grow.
    pub(super) fn room(&self, held: usize) -> usize {
        let free = POOL.saturating_sub(self.0.load(Ordering::Relaxed));
        SHARE.saturating_sub(held) + free
    }

    /// A queue holds `now` instead of `before`.
    pub(super) fn resize(&self, before: usize, now: usize) {
        let (before, now) = (before.saturating_sub(SHARE), now.saturating_sub(SHARE));
        if now > before {
            self.0.fetch_add(now - before, Ordering::Relaxed);
        } else if before > now {
            self.0.fetch_sub(before - now, Ordering::Relaxed);
        }
    }

    /// Bytes that are taken of the pool.
    #[cfg(test)]
    pub(super) fn taken(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::{Budget, POOL, SHARE};

    #[test]
    fn only_what_is_beyond_a_share_is_taken_of_the_pool() {
        let budget = Budget::default();
        for (held, taken, room) in [
            (0, 0, SHARE + POOL),
            (SHARE - 1, 0, 1 + POOL),
            (SHARE, 0, POOL),
            (SHARE + 1, 1, POOL - 1),
            (SHARE + POOL - 1, POOL - 1, 1),
            (SHARE + POOL, POOL, 0),
            // Noticed a chunk late.
            (SHARE + POOL + 7, POOL + 7, 0),
        ] {
            budget.resize(0, held);
            assert_eq!((budget.taken(), budget.room(held)), (taken, room), "{held}");
            assert_eq!(budget.room(0), SHARE + POOL.saturating_sub(taken), "another's share stays");
            budget.resize(held, 0);
            assert_eq!(budget.taken(), 0);
        }
    }
}
