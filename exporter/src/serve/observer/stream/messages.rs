//! A stream as tonic takes it: one encoded message after the other.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use eyepiece_hubble::proto::Encoded;
use tonic::Status;
use tonic::codegen::tokio_stream::Stream as AsyncStream;

use super::{CHUNK, Chunk, Progress, Stream};

/// Room beyond [`CHUNK`] for the message that reaches it.
const LAST_MESSAGE: usize = 2048;

/// How answers end when we leave.
pub(in crate::serve::observer) fn leaving() -> Status {
    Status::unavailable("the server is shutting down")
}

/// The messages of an answer. It takes from the ring only when it is asked for more.
pub struct Messages {
    state: State,
    bytes: Bytes,
    /// Lengths of the messages in `bytes`, the first one last.
    lengths: Vec<u32>,
}

enum State {
    Reading(Box<Stream>),
    /// Until there is something to read, losses are due, or others have had their turns.
    Waiting(Pin<Box<dyn Future<Output = Box<Stream>> + Send>>),
    Ended(Option<Status>),
}

impl Messages {
    /// The messages of an answer.
    pub fn new(stream: Stream) -> Self {
        Self { state: State::Reading(Box::new(stream)), bytes: Bytes::new(), lengths: Vec::new() }
    }

    fn fill(&mut self, mut stream: Box<Stream>) {
        if stream.observer.stop.borrow().is_some() {
            self.state = State::Ended(Some(leaving()));
            return;
        }
        if !stream.take_right() {
            self.state = State::Waiting(Box::pin(next_turn(stream)));
            return;
        }
        self.lengths.clear();
        let mut chunk =
            Chunk { bytes: BytesMut::with_capacity(CHUNK + LAST_MESSAGE), lengths: std::mem::take(&mut self.lengths) };
        let progress = stream.fill(&mut chunk);
        self.bytes = chunk.bytes.freeze();
        self.lengths = chunk.lengths;
        self.lengths.reverse();
        self.state = match progress {
            Progress::More => State::Reading(stream),
            Progress::TurnOver => State::Waiting(Box::pin(next_turn(stream))),
            Progress::Idle => State::Waiting(Box::pin(wait(stream))),
            Progress::Ended => State::Ended(None),
        };
    }
}

impl AsyncStream for Messages {
    type Item = Result<Encoded, Status>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        loop {
            if let Some(length) = this.lengths.pop() {
                return Poll::Ready(Some(Ok(Encoded(this.bytes.split_to(length as usize)))));
            }
            match std::mem::replace(&mut this.state, State::Ended(None)) {
                State::Reading(stream) => this.fill(stream),
                State::Waiting(mut waiting) => match waiting.as_mut().poll(cx) {
                    Poll::Ready(stream) => this.state = State::Reading(stream),
                    Poll::Pending => {
                        this.state = State::Waiting(waiting);
                        return Poll::Pending;
                    }
                },
                State::Ended(status) => return Poll::Ready(status.map(Err)),
            }
        }
    }
}

/// Waits until others have had their turns.
async fn next_turn(mut stream: Box<Stream>) -> Box<Stream> {
    let mut stop = stream.observer.stop.clone();
    // With the right or with the end to come, it never comes back for nothing.
    let leaving = async move {
        if stop.wait_for(Option::is_some).await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    let next = stream.observer.turns.clone().next(Arc::clone(&stream.lane));
    let right = tokio::select! {
        right = next => right,
        () = leaving => None,
    };
    stream.right = right;
    stream
}

/// Waits until a stream has something to do again.
async fn wait(mut stream: Box<Stream>) -> Box<Stream> {
    let position = stream.reader.position();
    let due = stream.overruns.due().map(|due| Duration::from_nanos(due.saturating_sub((stream.observer.now)())));
    let mut stop = stream.observer.stop.clone();
    tokio::select! {
        () = stream.followers.changed(position) => {}
        () = tokio::time::sleep(due.unwrap_or_default()), if due.is_some() => {}
        _ = crate::support::shutdown::requested(&mut stop) => {}
    }
    stream
}
