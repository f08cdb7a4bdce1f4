//! How followers hear of new entries: the writer wakes one task at most, and that one the followers.
//!
//! With a thousand followers the writer has no more to do than with one. The task rests between two rounds, the longer
//! the more followers there are: each of them then finds more at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{Notify, watch};

use super::Ring;

/// Rest between two rounds for each follower: what waking one costs, several times over.
const REST: Duration = Duration::from_micros(20);
/// The longest rest: nobody watches flows with a finer clock.
const LONGEST_REST: Duration = Duration::from_millis(50);

#[derive(Debug, Default)]
pub(super) struct Bell {
    /// Somebody waits for the next entry.
    is_awaited: AtomicBool,
    followers: AtomicUsize,
    ringing: Notify,
    rounds: watch::Sender<()>,
}

impl Bell {
    /// New entries are there. One atomic load where nobody waits.
    pub(super) fn ring(&self) {
        // Sequentially consistent with `Followers::changed`: either it sees the entry, or this sees it waiting.
        if self.is_awaited.load(Ordering::SeqCst) && self.is_awaited.swap(false, Ordering::SeqCst) {
            self.ringing.notify_one();
        }
    }
}

/// One follower's ear.
#[derive(Debug)]
pub struct Followers {
    ring: Arc<Ring>,
    rounds: watch::Receiver<()>,
}

impl Followers {
    pub(super) fn new(ring: Arc<Ring>) -> Self {
        ring.bell.followers.fetch_add(1, Ordering::Relaxed);
        let rounds = ring.bell.rounds.subscribe();
        Self { ring, rounds }
    }

    /// Waits until there is an entry behind a position.
    pub async fn changed(&mut self, position: u64) {
        loop {
            self.rounds.borrow_and_update();
            self.ring.bell.is_awaited.store(true, Ordering::SeqCst);
            if self.ring.end.load(Ordering::SeqCst) > position {
                return;
            }
            // The sender lives in the ring that is held here.
            self.rounds.changed().await.unwrap_or_default();
        }
    }
}

impl Drop for Followers {
    fn drop(&mut self) {
        self.ring.bell.followers.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Ring {
    /// Wakes followers when there is something new; never ends. Without this task nobody is woken.
    pub async fn wake_followers(self: Arc<Self>) {
        loop {
            self.bell.ringing.notified().await;
            self.bell.rounds.send_replace(());
            let followers = u32::try_from(self.bell.followers.load(Ordering::Relaxed)).unwrap_or(u32::MAX);
            tokio::time::sleep(REST.saturating_mul(followers).min(LONGEST_REST)).await;
        }
    }
}
