//! A request's body: bounded in time, and in bytes together with all other requests.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Sleep, sleep};
use tonic::Status;

use super::calls::{Call, MessageCounter};
use super::metrics::ServerMetrics;
use super::refusal::RefusalReason;
use crate::support::byte_budget::{ByteBudget, Reservation};

/// Bytes that each request has beside all budgets, so that a small request is served whatever others send. Most
/// requests have some hundred.
const REQUEST_ALLOWANCE: usize = 4 << 10;

/// The bytes of one request, from its first frame on. The body has one clone, the request's extensions another: a
/// service keeps that for as long as it keeps the message. The last clone returns the bytes.
#[derive(Clone, Debug)]
pub struct ReservedBytes(Arc<Reservation>);

impl ReservedBytes {
    pub(super) fn new(budget: &ByteBudget) -> Self {
        Self(Arc::new(budget.reserve(REQUEST_ALLOWANCE)))
    }

    /// Raises the size to that of what the message became; returns whether the budgets have room. Call it once the body
    /// is complete: body and service must not grow the reservation at the same time.
    pub(crate) fn grow_to(&self, bytes: usize) -> bool {
        self.0.try_grow(bytes.saturating_sub(self.0.bytes()))
    }
}

/// A body that is being received.
pub(super) struct LimitedBody {
    inner: Incoming,
    reserved: ReservedBytes,
    timeout: Duration,
    deadline: Pin<Box<Sleep>>,
    metrics: ServerMetrics,
    /// `None` for unknown methods.
    call: Option<Call>,
    received: MessageCounter,
    is_over: bool,
}

impl LimitedBody {
    pub(super) fn new(
        inner: Incoming,
        reserved: ReservedBytes,
        timeout: Duration,
        metrics: ServerMetrics,
        call: Option<Call>,
    ) -> Self {
        let (deadline, received) = (Box::pin(sleep(timeout)), MessageCounter::default());
        Self { inner, reserved, timeout, deadline, metrics, call, received, is_over: false }
    }

    fn refuse(&mut self, reason: RefusalReason, status: Status) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        self.is_over = true;
        self.metrics.count_refused(reason);
        Poll::Ready(Some(Err(status)))
    }
}

impl HttpBody for LimitedBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        match Pin::new(&mut self.inner).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                let bytes = frame.data_ref().map_or(0, Bytes::len);
                if self.reserved.0.try_grow(bytes) {
                    let Self { call, received, .. } = &mut *self;
                    if let (Some(call), Some(data)) = (call, frame.data_ref()) {
                        call.receive(received, data);
                    }
                    return Poll::Ready(Some(Ok(frame)));
                }
                let status = Status::resource_exhausted("requests in transit have too many bytes; try again later");
                self.refuse(RefusalReason::TooManyBytes, status)
            }
            Poll::Ready(end) => {
                self.is_over = end.is_none();
                Poll::Ready(end.map(|result| result.map_err(|error| Status::from_error(error.into()))))
            }
            Poll::Pending => {
                std::task::ready!(self.deadline.as_mut().poll(cx));
                let status = format!("the request was not complete within {:?}", self.timeout);
                self.refuse(RefusalReason::RequestTimeout, Status::deadline_exceeded(status))
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
    use super::{REQUEST_ALLOWANCE, ReservedBytes};
    use crate::support::byte_budget::ByteBudget;

    #[test]
    fn grown_message_reserves_the_difference() {
        let budget = ByteBudget::new(100);
        let reserved = ReservedBytes::new(&budget);
        assert!(reserved.0.try_grow(REQUEST_ALLOWANCE + 60) && reserved.grow_to(10));
        assert_eq!(budget.used(), 60, "it never shrinks");
        assert!(reserved.grow_to(REQUEST_ALLOWANCE + 100) && !reserved.grow_to(REQUEST_ALLOWANCE + 101));
        let service = reserved.clone();
        drop(reserved);
        assert_eq!(budget.used(), 100, "the service keeps the message");
        drop(service);
        assert_eq!(budget.used(), 0);
    }
}
