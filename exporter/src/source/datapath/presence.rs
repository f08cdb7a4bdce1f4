//! Who is there for the kernel programs to count: interfaces with hooks, namespaces whose drops are ours.
//!
//! The attacher tells who arrives and leaves, the sweeper removes what the kernel still keeps of those that are gone. An
//! index or an inode may be given away again at any time: whoever has arrived is never taken for gone.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long after its end something may still be counted for: far longer than any program that was running then.
pub const GRACE: Duration = Duration::from_secs(2);

/// Indices of interfaces, or inodes of namespaces; cloning shares them.
#[derive(Clone, Debug, Default)]
pub struct Presence(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    present: HashSet<u32>,
    /// Those that left within [`GRACE`], with when.
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
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on programs count for it. To be called before they can.
    pub fn arrive(&self, id: u32) {
        self.state().present.insert(id);
    }

    /// No program that starts from now on counts for it. Of one that is not there it is without effect.
    pub fn leave(&self, id: u32, now: Instant) {
        let mut state = self.state();
        if state.present.remove(&id) {
            state.left.insert(id, now);
        }
    }

    /// Whether no program counts for it any more.
    pub fn is_gone(&self, id: u32, now: Instant) -> bool {
        self.state().is_gone(id, now)
    }

    /// Does something that must not meet a program that counts for `id`: only if it is gone, and it cannot arrive
    /// meanwhile.
    pub fn if_gone<T>(&self, id: u32, now: Instant, work: impl FnOnce() -> T) -> Option<T> {
        let state = self.state();
        state.is_gone(id, now).then(work)
    }

    /// All that may be counted for now. Forgets when the others left.
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
    fn gone_after_the_grace_and_not_before() {
        let (presence, start) = (Presence::default(), Instant::now());
        assert!(presence.is_gone(7, start), "never seen");
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
    fn who_has_the_number_again_is_there() {
        let (presence, start) = (Presence::default(), Instant::now());
        presence.arrive(7);
        presence.leave(7, start);
        presence.arrive(7);
        assert!(!presence.is_gone(7, start + GRACE * 9));
        presence.leave(7, start + GRACE * 9);
        presence.leave(7, start);
        assert!(!presence.is_gone(7, start + GRACE * 9), "the first end does not count, nor does one without a start");
    }

    #[test]
    fn ends_are_forgotten() {
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
