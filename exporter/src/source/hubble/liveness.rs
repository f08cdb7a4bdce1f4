//! Detects a server that no longer answers: behind a network that drops packets a connection ends without notice.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::client::hubble::Connection;

/// The probes of a silent server: calls, because Go's servers end a connection that pings more than every 5 minutes.
#[derive(Clone, Copy, Debug)]
pub struct Probing {
    /// The interval between checks of the streams; without a message since the last check, the server is probed.
    pub interval: Duration,
    /// Timeout of the answer.
    pub timeout: Duration,
}

impl Default for Probing {
    fn default() -> Self {
        // A dead server is detected after 50 to 80 s.
        Self { interval: Duration::from_secs(30), timeout: Duration::from_secs(20) }
    }
}

/// Messages of a connection's streams.
#[derive(Debug, Default)]
pub(super) struct Activity {
    received: AtomicU64,
    forwarded: AtomicU64,
}

/// Messages received, and messages passed on.
type MessageCounts = (u64, u64);

impl Activity {
    /// Counts a received message.
    pub(super) fn received(&self) {
        self.received.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a message that was passed on.
    pub(super) fn forwarded(&self) {
        self.forwarded.fetch_add(1, Ordering::Relaxed);
    }

    fn counts(&self) -> MessageCounts {
        (self.received.load(Ordering::Relaxed), self.forwarded.load(Ordering::Relaxed))
    }
}

/// Returns when the server no longer answers.
pub(super) async fn until_silent(connection: &Connection, activity: &Activity, probing: Probing) {
    let mut before = activity.counts();
    loop {
        tokio::time::sleep(probing.interval).await;
        let counts = activity.counts();
        // A message that is not passed on yet means that we are slow: unread bytes may block an answer.
        let is_silent = counts == before && counts.0 == counts.1;
        if is_silent && !connection.answers_within(probing.timeout).await && activity.counts() == counts {
            return;
        }
        before = activity.counts();
    }
}
