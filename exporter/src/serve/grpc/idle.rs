//! How long a connection has been without a request.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

#[derive(Debug)]
struct State {
    requests: AtomicUsize,
    /// When the last request ended.
    since: watch::Sender<Instant>,
}

/// The idle time of one connection; clones share it.
#[derive(Clone, Debug)]
pub(super) struct Idleness(Arc<State>);

/// A request of the connection in progress; ends on drop.
#[derive(Debug)]
pub(super) struct InFlight(Arc<State>);

impl Idleness {
    pub(super) fn new() -> Self {
        Self(Arc::new(State { requests: AtomicUsize::new(0), since: watch::Sender::new(Instant::now()) }))
    }

    /// Returns how long the connection has had no request; `None` while it has one.
    pub(super) fn idle_for(&self) -> Option<Duration> {
        (self.0.requests.load(Ordering::Acquire) == 0).then(|| self.0.since.borrow().elapsed())
    }

    /// Counts a request until the guard is dropped.
    pub(super) fn begin_request(&self) -> InFlight {
        self.0.requests.fetch_add(1, Ordering::AcqRel);
        InFlight(Arc::clone(&self.0))
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.since.send_replace(Instant::now());
        self.0.requests.fetch_sub(1, Ordering::AcqRel);
    }
}
