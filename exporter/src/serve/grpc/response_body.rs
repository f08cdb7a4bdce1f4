//! A response's body: holds its request's guards, and ends with a status at the request's deadline.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::sync::OwnedSemaphorePermit;
use tonic::Status;
use tonic::body::Body;

use super::calls::{Call, MessageCounter};
use super::deadline::RequestDeadline;
use super::idle::InFlight;
use super::metrics::GaugeGuard;

/// A body that is being sent.
pub(super) struct ResponseBody {
    inner: Body,
    deadline: RequestDeadline,
    /// `None` for unknown methods.
    call: Option<Call>,
    sent: MessageCounter,
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
    pub(super) fn new(inner: Body, guards: RequestGuards, deadline: RequestDeadline, call: Option<Call>) -> Self {
        Self { inner, deadline, call, sent: MessageCounter::default(), is_over: false, _guards: guards }
    }

    fn count(&mut self, frame: &Result<Frame<Bytes>, Status>) {
        let Self { call: Some(call), sent, .. } = self else { return };
        match frame {
            Ok(frame) => {
                if let Some(data) = frame.data_ref() {
                    call.send(sent, data);
                }
                if let Some(trailers) = frame.trailers_ref() {
                    call.end_by(trailers);
                }
            }
            Err(status) => call.end(status.code()),
        }
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
            let frame = Ok(Frame::trailers(trailers(&status)));
            self.count(&frame);
            return Poll::Ready(Some(frame));
        }
        let polled = Pin::new(&mut self.inner).poll_frame(cx);
        match &polled {
            Poll::Ready(Some(frame)) => self.count(frame),
            Poll::Ready(None) => self.is_over = true,
            Poll::Pending => {}
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
