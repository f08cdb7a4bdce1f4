//! A response as tonic sends it: a stream of encoded messages.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use eyepiece_hubble::proto::Encoded;
use tonic::Status;
use tonic::codegen::tokio_stream::Stream;

use super::chunk::Chunk;
use super::scan::{Progress, Scan};
use crate::serve::grpc::shutting_down;
use crate::support::shutdown;

/// The messages of a response. It reads from the ring only when it is polled.
pub struct MessageStream {
    state: State,
    bytes: Bytes,
    /// Lengths of the messages in `bytes`, the first one last.
    lengths: Vec<u32>,
}

enum State {
    Scanning(Box<Scan>),
    /// Waits for new entries, due losses, or a permit.
    Waiting(Pin<Box<dyn Future<Output = Box<Scan>> + Send>>),
    Ended(Option<Status>),
}

impl MessageStream {
    /// Returns the messages of a scan.
    pub fn new(scan: Scan) -> Self {
        Self { state: State::Scanning(Box::new(scan)), bytes: Bytes::new(), lengths: Vec::new() }
    }

    fn fill(&mut self, mut scan: Box<Scan>) {
        if scan.observer.stop.borrow().is_some() {
            self.state = State::Ended(Some(shutting_down()));
            return;
        }
        if !scan.take_permit() {
            self.state = State::Waiting(Box::pin(wait_for_permit(scan)));
            return;
        }
        let mut chunk = Chunk::new(std::mem::take(&mut self.lengths));
        let progress = scan.fill(&mut chunk);
        (self.bytes, self.lengths) = chunk.into_parts();
        self.state = match progress {
            Progress::More => State::Scanning(scan),
            Progress::SliceOver => State::Waiting(Box::pin(wait_for_permit(scan))),
            Progress::Idle => State::Waiting(Box::pin(wait_for_entries(scan))),
            Progress::Ended => State::Ended(None),
        };
    }
}

impl Stream for MessageStream {
    type Item = Result<Encoded, Status>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        loop {
            if let Some(length) = this.lengths.pop() {
                return Poll::Ready(Some(Ok(Encoded(this.bytes.split_to(length as usize)))));
            }
            match std::mem::replace(&mut this.state, State::Ended(None)) {
                State::Scanning(scan) => this.fill(scan),
                State::Waiting(mut waiting) => match waiting.as_mut().poll(cx) {
                    Poll::Ready(scan) => this.state = State::Scanning(scan),
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

/// Waits for the permit of the next slice.
async fn wait_for_permit(mut scan: Box<Scan>) -> Box<Scan> {
    let mut stop = scan.observer.stop.clone();
    // Returns only with a permit or at a shutdown.
    let stopped = async move {
        if stop.wait_for(Option::is_some).await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    let acquire = scan.observer.scans.clone().acquire(Arc::clone(&scan.connection));
    let permit = tokio::select! {
        permit = acquire => permit,
        () = stopped => None,
    };
    scan.permit = permit;
    scan
}

/// Waits for new entries, due losses, or a shutdown.
async fn wait_for_entries(mut scan: Box<Scan>) -> Box<Scan> {
    let position = scan.reader.position();
    let due = scan.overruns.due().map(|due| Duration::from_nanos(due.saturating_sub((scan.observer.now)())));
    let mut stop = scan.observer.stop.clone();
    tokio::select! {
        () = scan.follower.wait_beyond(position) => {}
        () = tokio::time::sleep(due.unwrap_or_default()), if due.is_some() => {}
        _ = shutdown::requested(&mut stop) => {}
    }
    scan
}
