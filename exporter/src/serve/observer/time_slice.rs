//! Bounds how long one response occupies a thread of the server.
//!
//! Filters make an entry cost some nanoseconds or some milliseconds, so a slice is measured in time. A response that
//! has used up its slice waits for a permit for the next one. Responses with filters need a permit for their first
//! slice, and those with expensive filters for each. All of them share one permit, so that one of the server's threads
//! stays free for cheap requests.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use eyepiece_hubble::filter::Filters;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::coop;

/// Length of a slice: too short to be noticed, and a thousand times the cost of switching to another task.
const SLICE: Duration = Duration::from_millis(1);
/// Weight of the entries ([`Filters::weight`]) between two reads of the clock: some microseconds.
const CHECK_WEIGHT: usize = 1024;
/// Entries between two reads of the clock at most, for filters without weight.
const MAX_CHECK_ENTRIES: usize = 64;
/// Slices that need a permit and run at the same time.
const PERMITS: usize = 1;

/// A running slice.
#[derive(Debug)]
pub(super) struct TimeSlice {
    end: Instant,
    check_interval: usize,
    until_check: usize,
    is_over: bool,
}

impl TimeSlice {
    /// Starts a slice for a response with these filters.
    pub(super) fn start(filters: &Filters) -> Self {
        let check_interval = check_interval(filters);
        Self { end: Instant::now() + SLICE, check_interval, until_check: check_interval, is_over: false }
    }

    /// Counts an entry that was examined. Only this ends a slice, so that each slice makes progress.
    pub(super) fn spend(&mut self) {
        self.until_check -= 1;
        if self.until_check == 0 {
            self.until_check = self.check_interval;
            self.is_over = Instant::now() >= self.end;
        }
    }

    pub(super) const fn is_over(&self) -> bool {
        self.is_over
    }
}

fn check_interval(filters: &Filters) -> usize {
    (CHECK_WEIGHT / filters.weight().max(1)).clamp(1, MAX_CHECK_ENTRIES)
}

/// Returns whether one entry may cost so much that every slice needs a permit.
pub(super) fn is_expensive(filters: &Filters) -> bool {
    check_interval(filters) == 1
}

/// Hands out permits for slices: responses of one connection queue first among themselves, then with other connections.
/// The limit of requests in progress bounds both queues.
#[derive(Clone, Debug)]
pub(super) struct ScanLimiter(Arc<Semaphore>);

impl Default for ScanLimiter {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(PERMITS)))
    }
}

/// The permit for a slice, returned on drop: of the connection, and of the limiter.
pub(super) type ScanPermit = (OwnedSemaphorePermit, OwnedSemaphorePermit);

impl ScanLimiter {
    /// Returns a permit if no other response has it or waits for it; `connection` is the connection's queue.
    pub(super) fn try_acquire(&self, connection: &Arc<Semaphore>) -> Option<ScanPermit> {
        let first = Arc::clone(connection).try_acquire_owned().ok()?;
        Some((first, Arc::clone(&self.0).try_acquire_owned().ok()?))
    }

    /// Waits for a permit.
    pub(super) async fn acquire(self, connection: Arc<Semaphore>) -> Option<ScanPermit> {
        yield_thread().await;
        // The semaphores are never closed.
        let first = connection.acquire_owned().await.ok()?;
        Some((first, self.0.acquire_owned().await.ok()?))
    }
}

/// Yields the thread to other tasks. `yield_now` does not suffice: hyper's sender takes what is ready and polls again
/// within the same poll of its task. Exhausting the task's cooperative budget ends that poll.
async fn yield_thread() {
    let mut has_waited = false;
    poll_fn(|cx| {
        // More than any task's budget, which is a u8; an unconstrained task gets through.
        let most = if has_waited { 1 } else { usize::from(u8::MAX) + 1 };
        for _ in 0..most {
            match coop::poll_proceed(cx) {
                Poll::Ready(proceed) => proceed.made_progress(),
                Poll::Pending => {
                    has_waited = true;
                    return Poll::Pending;
                }
            }
        }
        Poll::Ready(())
    })
    .await;
}
