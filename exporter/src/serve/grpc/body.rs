//! An answer's body: counted while it lives, and ended in order when its time runs out.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::sync::OwnedSemaphorePermit;
use tonic::Status;
use tonic::body::Body;

use super::counters::Present;
use super::deadline::Late;
use super::service::Busy;

/// A body that is being sent.
pub(super) struct Answer {
    inner: Body,
    late: Late,
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
    pub(super) fn new(inner: Body, held: Held, late: Late) -> Self {
        Self { inner, late, is_over: false, _held: held }
    }
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        // First: a stream that always has something would never get to it.
        if let Poll::Ready(status) = self.late.as_mut().poll(cx) {
            self.is_over = true;
            return Poll::Ready(Some(Ok(Frame::trailers(trailers(&status)))));
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
fn trailers(status: &Status) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    if let Err(error) = status.add_header(&mut trailers) {
        tracing::debug!(%error, "a status that is no header");
    }
    trailers
}
