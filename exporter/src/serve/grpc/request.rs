//! A request's body while it comes in: in time, and within the bytes that all of them may have.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Sleep, sleep};
use tonic::Status;

use super::counters::Counters;
use super::reason::Reason;

/// Bytes that each request may have beside all budgets, as many as there are places: who wants little gets it, whatever
/// others send. Most requests have some hundred.
const SMALL: usize = 4 << 10;

/// Bytes that requests may take together, from the first one until they are read and their message is gone.
#[derive(Clone, Debug)]
pub(super) struct Budget(Arc<Account>);

#[derive(Debug)]
struct Account {
    left: AtomicUsize,
    /// That of all connections, where this is one's.
    all: Option<Budget>,
}

impl Budget {
    pub(super) fn new(bytes: usize) -> Self {
        Self(Arc::new(Account { left: AtomicUsize::new(bytes), all: None }))
    }

    /// A connection's share.
    pub(super) fn share(&self, bytes: usize) -> Self {
        Self(Arc::new(Account { left: AtomicUsize::new(bytes), all: Some(self.clone()) }))
    }

    fn take(&self, bytes: usize) -> bool {
        let take = |left: usize| left.checked_sub(bytes);
        if self.0.left.fetch_update(Ordering::AcqRel, Ordering::Acquire, take).is_err() {
            return false;
        }
        let is_taken = self.0.all.as_ref().is_none_or(|all| all.take(bytes));
        if !is_taken {
            self.0.left.fetch_add(bytes, Ordering::AcqRel);
        }
        is_taken
    }

    fn give_back(&self, bytes: usize) {
        self.0.left.fetch_add(bytes, Ordering::AcqRel);
        if let Some(all) = &self.0.all {
            all.give_back(bytes);
        }
    }
}

/// What one request has taken of the budgets, given back with the last clone: the body has one, and an extension of the
/// request another, which whoever keeps the message keeps.
#[derive(Clone, Debug)]
pub struct Taken(Arc<Part>);

#[derive(Debug)]
struct Part {
    budget: Budget,
    bytes: AtomicUsize,
}

impl Taken {
    pub(super) fn new(budget: Budget) -> Self {
        Self(Arc::new(Part { budget, bytes: AtomicUsize::new(0) }))
    }

    /// Whether there is room for more; one body alone adds to it, and then what it became.
    fn add(&self, bytes: usize) -> bool {
        let before = self.0.bytes.load(Ordering::Acquire);
        let after = before.saturating_add(bytes);
        // What is beyond the beginning that is free.
        let more = after.saturating_sub(SMALL) - before.saturating_sub(SMALL);
        let is_taken = self.0.budget.take(more);
        if is_taken {
            self.0.bytes.store(after, Ordering::Release);
        }
        is_taken
    }

    /// Takes more where that is less than what the message has become; returns whether there is room for it. The message
    /// is whole then, so that its body adds nothing.
    pub(crate) fn grow_to(&self, bytes: usize) -> bool {
        self.add(bytes.saturating_sub(self.0.bytes.load(Ordering::Acquire)))
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        self.budget.give_back(self.bytes.get_mut().saturating_sub(SMALL));
    }
}

/// A body that is being received.
pub(super) struct Asked {
    inner: Incoming,
    taken: Taken,
    time: Duration,
    late: Pin<Box<Sleep>>,
    counters: Counters,
    is_over: bool,
}

impl Asked {
    /// A body that has to be there in time.
    pub(super) fn new(inner: Incoming, taken: Taken, time: Duration, counters: Counters) -> Self {
        Self { inner, taken, time, late: Box::pin(sleep(time)), counters, is_over: false }
    }

    fn refuse(&mut self, reason: Reason, status: Status) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        self.is_over = true;
        self.counters.refused(reason);
        Poll::Ready(Some(Err(status)))
    }
}

impl HttpBody for Asked {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        match Pin::new(&mut self.inner).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                let bytes = frame.data_ref().map_or(0, Bytes::len);
                if self.taken.add(bytes) {
                    return Poll::Ready(Some(Ok(frame)));
                }
                let status = Status::resource_exhausted("too many bytes of requests are on their way; try again later");
                self.refuse(Reason::TooManyBytes, status)
            }
            Poll::Ready(end) => {
                self.is_over = end.is_none();
                Poll::Ready(end.map(|result| result.map_err(|error| Status::from_error(error.into()))))
            }
            Poll::Pending => {
                std::task::ready!(self.late.as_mut().poll(cx));
                let status = format!("the request was not there within {:?}", self.time);
                self.refuse(Reason::RequestTimeout, Status::deadline_exceeded(status))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.is_over || self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::{Budget, SMALL, Taken};

    #[test]
    fn what_is_taken_is_given_back() {
        let all = Budget::new(100);
        let (one, other) = (all.share(80), all.share(80));
        let (first, second) = (Taken::new(one.clone()), Taken::new(one));
        assert!(first.add(SMALL), "free");
        assert!(first.add(60) && !first.add(21) && first.add(20), "the connection's share");
        assert!(second.add(SMALL) && !second.add(1));
        let third = Taken::new(other);
        assert!(third.add(SMALL + 20) && !third.add(1), "that of all");
        let kept = first.clone();
        drop(first);
        assert!(!third.add(1));
        drop(kept);
        assert!(third.add(60) && !third.add(1), "its own share");
        assert!(second.add(20) && !second.add(1));
    }

    #[test]
    fn message_that_grows_takes_the_difference() {
        let all = Budget::new(100);
        let taken = Taken::new(all.share(100));
        assert!(taken.add(SMALL + 60) && taken.grow_to(10) && taken.grow_to(SMALL + 100));
        assert!(!taken.grow_to(SMALL + 101) && !taken.add(1), "there is no more");
        drop(taken);
        assert!(Taken::new(all).grow_to(SMALL + 100), "it was given back");
    }
}
