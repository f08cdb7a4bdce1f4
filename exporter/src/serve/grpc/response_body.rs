//! A response's body: holds its request's guards, and ends with a status at the request's deadline.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::sync::OwnedSemaphorePermit;
use tonic::Status;
use tonic::body::Body;

use super::deadline::RequestDeadline;
use super::idle::InFlight;
use super::metrics::GaugeGuard;

/// A body that is being sent.
pub(super) struct ResponseBody {
    inner: Body,
    deadline: RequestDeadline,
    is_over: bool,
    _guards: RequestGuards,
}

/// The resources that a request holds until its response is sent.
#[expect(dead_code, reason = "held for their drops")]
pub(super) struct RequestGuards {
    pub(super) slot: OwnedSemaphorePermit,
    pub(super) gauge: GaugeGuard,
    pub(super) in_flight: InFlight,
}

impl ResponseBody {
    pub(super) fn new(inner: Body, guards: RequestGuards, deadline: RequestDeadline) -> Self {
        Self { inner, deadline, is_over: false, _guards: guards }
    }
}

impl HttpBody for ResponseBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        // First, for a stream that is always ready.
        if let Poll::Ready(status) = self.deadline.as_mut().poll(cx) {
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

fn trailers(status: &Status) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    if let Err(error) = status.add_header(&mut trailers) {
        tracing::debug!(%error, "cannot encode a gRPC status as trailers");
    }
    trailers
}
