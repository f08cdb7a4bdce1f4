//! Waits for new entries of a ring.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::watch;

use super::buffer::Ring;

/// A reader's wait for new entries.
#[derive(Debug)]
pub struct Follower {
    ring: Arc<Ring>,
    rounds: watch::Receiver<()>,
}

impl Follower {
    /// Returns a follower of a ring. It wakes while [`Ring::wake_followers`] runs.
    pub fn new(ring: Arc<Ring>) -> Self {
        let rounds = ring.wakeup.subscribe();
        Self { ring, rounds }
    }

    /// Returns when the ring has an entry at or after a position.
    pub async fn wait_beyond(&mut self, position: u64) {
        loop {
            self.rounds.borrow_and_update();
            self.ring.wakeup.request();
            if self.ring.end.load(Ordering::SeqCst) > position {
                return;
            }
            // The sender lives as long as the ring: there is no error.
            self.rounds.changed().await.unwrap_or_default();
        }
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.ring.wakeup.unsubscribe();
    }
}
