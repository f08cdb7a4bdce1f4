//! How long one answer may hold a thread before others have it.
//!
//! What a client asks costs some nanoseconds for an entry or some milliseconds, as its filters are. So turns are measured
//! in time. An answer that has used one up waits for the next behind all others like it; so does one with filters for
//! its first turn, and one with dear filters for each. They have one thread at most between them, and the other one is
//! there for those that need little.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use eyepiece_hubble::filter::Filters;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::coop;

/// Time of a turn: nobody notices it, and a thousand times what it costs to change to another task.
const TURN: Duration = Duration::from_millis(1);
/// Between two looks at the clock, entries by what they cost ([`Filters::weight`]): some microseconds.
const LOOK: usize = 1024;
/// Entries between two looks at the clock where they cost nothing.
const MOST_ENTRIES: usize = 64;
/// Turns at the same time of those who need more than one.
const AT_ONCE: usize = 1;

/// A turn, which begins as it is made.
#[derive(Debug)]
pub(super) struct Turn {
    end: Instant,
    every: usize,
    left: usize,
    is_over: bool,
}

impl Turn {
    /// A turn of somebody with such filters.
    pub(super) fn new(filters: &Filters) -> Self {
        let every = entries_between_looks(filters);
        Self { end: Instant::now() + TURN, every, left: every, is_over: false }
    }

    /// One more entry was looked at. Only then a turn can be over: each gets on.
    pub(super) fn spend(&mut self) {
        self.left -= 1;
        if self.left == 0 {
            self.left = self.every;
            self.is_over = Instant::now() >= self.end;
        }
    }

    pub(super) const fn is_over(&self) -> bool {
        self.is_over
    }
}

fn entries_between_looks(filters: &Filters) -> usize {
    (LOOK / filters.weight().max(1)).clamp(1, MOST_ENTRIES)
}

/// Whether one entry may cost so much that no turn begins without a right to it.
pub(super) fn is_dear(filters: &Filters) -> bool {
    entries_between_looks(filters) == 1
}

/// What turns beside those of cheap work queue for: first those of one connection, then of these the first ones. As
/// many wait as requests have places.
#[derive(Clone, Debug)]
pub(super) struct Turns(Arc<Semaphore>);

impl Default for Turns {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(AT_ONCE)))
    }
}

/// The right to a turn, given back when it is over.
pub(super) type Right = (OwnedSemaphorePermit, OwnedSemaphorePermit);

impl Turns {
    /// The next turn, where no other answer waits for it.
    pub(super) fn try_next(&self, lane: &Arc<Semaphore>) -> Option<Right> {
        let first = Arc::clone(lane).try_acquire_owned().ok()?;
        Some((first, Arc::clone(&self.0).try_acquire_owned().ok()?))
    }

    /// Waits for the next turn; `lane` is the connection's.
    pub(super) async fn next(self, lane: Arc<Semaphore>) -> Option<Right> {
        give_way().await;
        // Neither is ever closed.
        let first = lane.acquire_owned().await.ok()?;
        Some((first, self.0.acquire_owned().await.ok()?))
    }
}

/// Gives the thread back. `yield_now` would not do: who sends an answer takes what is ready and asks at once for more,
/// and so goes on in the same poll of its task. What the task may do in this one is used up instead.
async fn give_way() {
    let mut has_waited = false;
    poll_fn(|cx| {
        // More than a task ever has, which is a byte; one that has no bound gets through.
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
