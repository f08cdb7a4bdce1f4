//! One client of the monitor socket: what its queue holds is written to it, until it or we are gone.

use std::io;
use std::time::Duration;

use tokio::io::Interest;
use tokio::net::UnixStream;
use tokio::time::{sleep, timeout};

use super::agent::Listener;
use super::fanout::record_lost;
use super::queue::Next;
use crate::gob::encode::PAYLOAD_DESCRIPTOR;
use crate::stop::{self, Stop};
use crate::telemetry::Number;

/// How often a client that has closed only its sending side is looked at: nothing else tells of its end while there
/// are no events.
const LOOK: Duration = Duration::from_secs(1);
/// Bytes that are read at once of what a client says, which nobody listens to.
const IGNORED: usize = 1024;

/// Why a connection ended.
#[derive(Debug)]
pub enum Ended {
    /// The client closed it.
    PeerClosed,
    /// We leave, and all that was queued is written.
    Drained,
    /// We leave, and the time was over before all was written.
    Deadline,
    /// A write did not move for too long.
    Stalled,
    /// The socket failed.
    Failed(io::Error),
}

impl Ended {
    /// The reason in telemetry.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::PeerClosed => "peer_closed",
            Self::Drained => "shutdown",
            Self::Deadline => "shutdown_deadline",
            Self::Stalled => "write_stalled",
            Self::Failed(_) => "write_failed",
        }
    }

    fn of(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => Self::PeerClosed,
            _ => Self::Failed(error),
        }
    }
}

/// Writes to a client, each message's bytes in order. No byte before the first event.
pub struct Connection<'a> {
    stream: &'a UnixStream,
    /// How long a write may not move.
    stall: Duration,
    /// What goes before the next payloads: the descriptor, losses.
    head: Vec<u8>,
    sent: &'a Number,
    /// Payloads that are being written.
    in_flight: usize,
}

impl<'a> Connection<'a> {
    /// A connection on which nothing has been written; counts payloads that were.
    pub fn new(stream: &'a UnixStream, stall: Duration, sent: &'a Number) -> Self {
        Self { stream, stall, head: PAYLOAD_DESCRIPTOR.to_vec(), sent, in_flight: 0 }
    }

    /// Payloads that the last write did not finish.
    pub const fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Writes what the listener gets until it ends.
    pub async fn run(&mut self, listener: &Listener, mut stop: Stop) -> Ended {
        let (closed, late) = (closed(self.stream), stop::deadline_passed(stop.clone()));
        tokio::pin!(closed, late);
        let mut is_finishing = false;
        loop {
            let next = tokio::select! {
                next = listener.next() => next,
                ended = &mut closed => return ended,
                () = &mut late => return Ended::Deadline,
                _ = stop::requested(&mut stop), if !is_finishing => {
                    is_finishing = true;
                    listener.finish();
                    continue;
                }
            };
            let Some(next) = next else { return Ended::Drained };
            tokio::select! {
                written = self.write(&next) => if let Err(ended) = written {
                    return ended;
                },
                () = &mut late => return Ended::Deadline,
            }
        }
    }

    async fn write(&mut self, next: &Next) -> Result<(), Ended> {
        if next.lost > 0 {
            record_lost(&mut self.head, None, next.lost);
        }
        let (bytes, payloads) = next.piece.as_ref().map_or((&[][..], 0), |piece| (piece.bytes(), piece.payloads()));
        self.in_flight = payloads;
        let head = std::mem::take(&mut self.head);
        self.write_all(&head).await?;
        self.write_all(bytes).await?;
        self.in_flight = 0;
        self.sent.add(payloads as u64);
        Ok(())
    }

    async fn write_all(&self, mut bytes: &[u8]) -> Result<(), Ended> {
        while !bytes.is_empty() {
            match timeout(self.stall, self.stream.writable()).await {
                Err(_) => return Err(Ended::Stalled),
                Ok(ready) => ready.map_err(Ended::of)?,
            }
            match self.stream.try_write(bytes) {
                Ok(written) => bytes = &bytes[written..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(Ended::of(error)),
            }
        }
        Ok(())
    }
}

/// Returns when the client is gone. What it says is read and forgotten.
async fn closed(stream: &UnixStream) -> Ended {
    let mut ignored = [0; IGNORED];
    loop {
        if let Err(error) = stream.readable().await {
            return Ended::of(error);
        }
        match stream.try_read(&mut ignored) {
            // It says nothing more; it may still listen (`socat`, `nc` with an empty standard input).
            Ok(0) => break,
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Ended::of(error),
        }
    }
    loop {
        match stream.ready(Interest::READABLE | Interest::WRITABLE).await {
            Ok(ready) if ready.is_write_closed() => return Ended::PeerClosed,
            Ok(_) => sleep(LOOK).await,
            Err(error) => return Ended::of(error),
        }
    }
}
