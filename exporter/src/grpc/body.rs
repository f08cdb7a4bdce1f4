//! An answer's body: counted while it lives, and ended in order when a shutdown's time runs out.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, sleep_until};
use tonic::body::Body;
use tonic::{Code, Status};

use super::counters::Present;
use super::service::Busy;
use crate::stop::{self, Stop};

/// The part of a shutdown's time that streams have to end by themselves; in the rest the clients hear that they ended.
const OWN_SHARE: u32 = 2;

/// A body that is being sent.
pub(super) struct Answer {
    inner: Body,
    late: Pin<Box<dyn Future<Output = ()> + Send>>,
    is_over: bool,
    _held: Held,
}

/// What an answer holds while it lives.
#[expect(dead_code, reason = "their drops are what they are for")]
pub(super) struct Held {
    pub(super) place: OwnedSemaphorePermit,
    pub(super) present: Present,
    pub(super) busy: Busy,
}

impl Answer {
    pub(super) fn new(inner: Body, held: Held, stop: Stop) -> Self {
        Self { inner, late: Box::pin(late(stop)), is_over: false, _held: held }
    }
}

/// Returns when streams that have not ended by themselves are to be ended.
async fn late(mut stop: Stop) {
    let deadline = stop::requested(&mut stop).await;
    let left = deadline.saturating_duration_since(Instant::now());
    sleep_until(deadline - left / OWN_SHARE).await;
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        // First: a stream that always has something would never get to it.
        if self.late.as_mut().poll(cx).is_ready() {
            self.is_over = true;
            return Poll::Ready(Some(Ok(Frame::trailers(leaving()))));
        }
        let polled = Pin::new(&mut self.inner).poll_frame(cx);
        if let Poll::Ready(None) = polled {
            self.is_over = true;
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.is_over || self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// How a stream ends that we end.
fn leaving() -> HeaderMap {
    let status = Status::new(Code::Unavailable, "the server is shutting down");
    let mut trailers = HeaderMap::new();
    if let Err(error) = status.add_header(&mut trailers) {
        tracing::debug!(%error, "a status that is no header");
    }
    trailers
}
