//! Wakes followers of new entries at a bounded cost.
//!
//! The writer wakes one task at most, whatever the number of followers; that task wakes the followers. It pauses
//! between two rounds, longer with more followers, so that each follower finds more entries at once.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{Notify, watch};

/// Pause between two rounds for each follower: several times the cost of waking one.
const PAUSE_PER_FOLLOWER: Duration = Duration::from_micros(20);
/// The longest pause: too short to be noticed by a person who watches flows.
const MAX_PAUSE: Duration = Duration::from_millis(50);

/// The wake-up of a ring's followers.
#[derive(Debug, Default)]
pub(super) struct FollowerWakeup {
    /// Whether a follower waits for the next entry.
    is_awaited: AtomicBool,
    followers: AtomicUsize,
    new_entries: Notify,
    rounds: watch::Sender<()>,
}

impl FollowerWakeup {
    /// Announces new entries. Costs one atomic load if no follower waits.
    pub(super) fn notify(&self) {
        // Sequentially consistent with `Follower::wait_beyond`: either that sees the entry, or this sees it waiting.
        if self.is_awaited.load(Ordering::SeqCst) && self.is_awaited.swap(false, Ordering::SeqCst) {
            self.new_entries.notify_one();
        }
    }

    /// Requests a round at the next entry.
    pub(super) fn request(&self) {
        self.is_awaited.store(true, Ordering::SeqCst);
    }

    /// Adds a follower and returns its receiver of rounds.
    pub(super) fn subscribe(&self) -> watch::Receiver<()> {
        self.followers.fetch_add(1, Ordering::Relaxed);
        self.rounds.subscribe()
    }

    /// Removes a follower.
    pub(super) fn unsubscribe(&self) {
        self.followers.fetch_sub(1, Ordering::Relaxed);
    }

    /// Wakes followers after new entries; never returns.
    pub(super) async fn run(&self) {
        loop {
            self.new_entries.notified().await;
            self.rounds.send_replace(());
            let followers = u32::try_from(self.followers.load(Ordering::Relaxed)).unwrap_or(u32::MAX);
            tokio::time::sleep(PAUSE_PER_FOLLOWER.saturating_mul(followers).min(MAX_PAUSE)).await;
        }
    }
}
