//! The subjects of the kernel's counts: interfaces with hooks, namespaces whose drops are reported.
//!
//! The attacher adds and removes entries; the sweeper deletes the kernel's rest of removed ones. An index or an inode
//! may be reused at any time: an entry that was added again is present.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use crate::support::lock::lock;

/// The time after its removal in which an entry may still be counted for: far longer than any program runs.
pub const GRACE: Duration = Duration::from_secs(2);

/// Indices of interfaces, or inodes of namespaces; cloning shares them.
#[derive(Clone, Debug, Default)]
pub struct Presence(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    present: HashSet<u32>,
    /// Entries that left within [`GRACE`], with the time.
    left: HashMap<u32, Instant>,
}

impl State {
    fn is_gone(&self, id: u32, now: Instant) -> bool {
        let lingers = |left: &Instant| now.saturating_duration_since(*left) < GRACE;
        !self.present.contains(&id) && !self.left.get(&id).is_some_and(lingers)
    }
}

impl Presence {
    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.0)
    }

    /// Adds an entry. Call it before programs can count for it.
    pub fn arrive(&self, id: u32) {
        self.state().present.insert(id);
    }

    /// Removes an entry when no new program counts for it; without effect if it is absent.
    pub fn leave(&self, id: u32, now: Instant) {
        let mut state = self.state();
        if state.present.remove(&id) {
            state.left.insert(id, now);
        }
    }

    /// Returns whether no program counts for it any more.
    pub fn is_gone(&self, id: u32, now: Instant) -> bool {
        self.state().is_gone(id, now)
    }

    /// Runs `work` only if `id` is gone; it cannot arrive meanwhile.
    pub fn if_gone<T>(&self, id: u32, now: Instant, work: impl FnOnce() -> T) -> Option<T> {
        let state = self.state();
        state.is_gone(id, now).then(work)
    }

    /// All entries that may be counted for now. Removes expired ones.
    pub fn all(&self, now: Instant) -> HashSet<u32> {
        let mut state = self.state();
        state.left.retain(|_, left| now.saturating_duration_since(*left) < GRACE);
        state.present.iter().chain(state.left.keys()).copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::time::{Duration, Instant};

    use super::{GRACE, Presence};

    #[test]
    fn entry_is_gone_after_grace() {
        let (presence, start) = (Presence::default(), Instant::now());
        assert!(presence.is_gone(7, start), "never added");
        presence.arrive(7);
        assert!(!presence.is_gone(7, start + GRACE * 9));
        presence.leave(7, start);
        let last = start + GRACE - Duration::from_nanos(1);
        assert!(!presence.is_gone(7, last));
        assert_eq!(presence.if_gone(7, last, || ()), None);
        assert!(presence.is_gone(7, start + GRACE));
        assert_eq!(presence.if_gone(7, start + GRACE, || 1), Some(1));
    }

    #[test]
    fn reused_id_is_present() {
        let (presence, start) = (Presence::default(), Instant::now());
        presence.arrive(7);
        presence.leave(7, start);
        presence.arrive(7);
        assert!(!presence.is_gone(7, start + GRACE * 9));
        presence.leave(7, start + GRACE * 9);
        presence.leave(7, start);
        assert!(
            !presence.is_gone(7, start + GRACE * 9),
            "neither the first removal counts, nor one of an absent entry"
        );
    }

    #[test]
    fn expired_removals_are_dropped() {
        let (presence, start) = (Presence::default(), Instant::now());
        for id in 0..100 {
            presence.arrive(id);
            presence.leave(id, start);
        }
        presence.arrive(100);
        assert_eq!(presence.all(start).len(), 101);
        assert_eq!(presence.all(start + GRACE), HashSet::from([100]));
        assert!(presence.state().left.is_empty());
    }
}
