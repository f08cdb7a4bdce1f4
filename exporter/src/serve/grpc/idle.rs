//! The time that a connection has been without a request.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::time::Instant;

use crate::support::lock::lock;

#[derive(Debug)]
struct State {
    requests: usize,
    /// The end of the last request.
    since: Instant,
}

/// The idle time of one connection; clones share it.
#[derive(Clone, Debug)]
pub(super) struct Idleness(Arc<Mutex<State>>);

/// A request of the connection in progress; ends on drop.
#[derive(Debug)]
pub(super) struct InFlight(Idleness);

impl Idleness {
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(State { requests: 0, since: Instant::now() })))
    }

    /// Returns how long the connection has had no request; `None` while it has one.
    pub(super) fn idle_for(&self) -> Option<Duration> {
        let state = self.state();
        (state.requests == 0).then(|| state.since.elapsed())
    }

    /// Counts a request until the guard is dropped.
    pub(super) fn begin_request(&self) -> InFlight {
        self.state().requests += 1;
        InFlight(self.clone())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.0)
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.requests -= 1;
        state.since = Instant::now();
    }
}
