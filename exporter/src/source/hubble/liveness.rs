//! Whether a silent server still answers: behind a network that drops what is sent it is gone without a word.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::client::hubble::Connection;

/// How a server that tells nothing is found out. By a call, for Go's servers end a connection that pings them more often
/// than every 5 minutes.
#[derive(Clone, Copy, Debug)]
pub struct Probing {
    /// How often it is looked whether anything has come; where nothing has, the server is asked.
    pub interval: Duration,
    /// How long its answer may take: a server that is busy for longer is as good as gone.
    pub timeout: Duration,
}

impl Default for Probing {
    fn default() -> Self {
        // A server that is gone is told after 50 to 80 s.
        Self { interval: Duration::from_secs(30), timeout: Duration::from_secs(20) }
    }
}

/// Content a connection's streams have told.
#[derive(Debug, Default)]
pub(super) struct Activity {
    received: AtomicU64,
    forwarded: AtomicU64,
}

/// How many messages came, and how many of them have been handed on.
type Told = (u64, u64);

impl Activity {
    /// A message has come.
    pub(super) fn received(&self) {
        self.received.fetch_add(1, Ordering::Relaxed);
    }

    /// It has been handed on.
    pub(super) fn forwarded(&self) {
        self.forwarded.fetch_add(1, Ordering::Relaxed);
    }

    fn told(&self) -> Told {
        (self.received.load(Ordering::Relaxed), self.forwarded.load(Ordering::Relaxed))
    }
}

/// Returns when the server does not answer any more.
pub(super) async fn until_silent(connection: &Connection, activity: &Activity, probing: Probing) {
    let mut before = activity.told();
    loop {
        tokio::time::sleep(probing.interval).await;
        let told = activity.told();
        // While we are slow the silence is ours: what is not read may leave no room for an answer.
        let is_silent = told == before && told.0 == told.1;
        if is_silent && !connection.answers_within(probing.timeout).await && activity.told() == told {
            return;
        }
        before = activity.told();
    }
}
