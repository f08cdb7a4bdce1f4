//! One client of the monitor socket: what its queue holds is written to it, until it or we are gone.

use std::io;
use std::time::Duration;

use eyepiece_flow::gob::encode::PAYLOAD_DESCRIPTOR;
use tokio::io::Interest;
use tokio::net::UnixStream;
use tokio::time::{sleep, timeout};

use super::agent::Listener;
use super::chunk::Piece;
use super::fanout::record_lost;
use super::queue::Next;
use crate::support::shutdown;
use crate::support::shutdown::Stop;
use crate::support::telemetry::Number;

/// How often a client that has closed only its sending side is looked at: nothing else tells of its end while there
/// are no events.
const LOOK: Duration = Duration::from_secs(1);
/// Bytes that are read at once of what a client says, which nobody listens to: it is read at all so that a client that
/// says something is not stuck with it.
const IGNORED: usize = 4096;
/// Pause after each such read: one that does nothing but write, 40 KB a second, costs nothing worth mentioning, and
/// soon waits itself.
const IGNORED_PAUSE: Duration = Duration::from_millis(100);

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
    in_flight: Option<InFlight>,
}

/// Payloads that are being written.
struct InFlight {
    piece: Piece,
    /// Bytes of it that are.
    written: usize,
    /// Payloads whose every byte is.
    whole: usize,
}

impl<'a> Connection<'a> {
    /// A connection on which nothing has been written; counts payloads that were.
    pub fn new(stream: &'a UnixStream, stall: Duration, sent: &'a Number) -> Self {
        Self { stream, stall, head: PAYLOAD_DESCRIPTOR.to_vec(), sent, in_flight: None }
    }

    /// Payloads of the last write that are not written to their last byte.
    pub fn in_flight(&self) -> usize {
        self.in_flight.as_ref().map_or(0, |current| current.piece.payloads() - current.whole)
    }

    /// Writes what the listener gets until it ends.
    pub async fn run(&mut self, listener: &Listener, mut stop: Stop) -> Ended {
        let (closed, late) = (closed(self.stream), shutdown::deadline_passed(stop.clone()));
        tokio::pin!(closed, late);
        let mut is_finishing = false;
        loop {
            let next = tokio::select! {
                next = listener.next() => next,
                ended = &mut closed => return ended,
                () = &mut late => return Ended::Deadline,
                _ = shutdown::requested(&mut stop), if !is_finishing => {
                    is_finishing = true;
                    listener.finish();
                    continue;
                }
            };
            let Some(next) = next else { return Ended::Drained };
            tokio::select! {
                written = self.write(next) => if let Err(ended) = written {
                    return ended;
                },
                () = &mut late => return Ended::Deadline,
            }
        }
    }

    /// Writes what comes next; where it is given up in between, [`Connection::in_flight`] knows what is missing.
    async fn write(&mut self, next: Next) -> Result<(), Ended> {
        if next.lost > 0 {
            record_lost(&mut self.head, None, next.lost);
        }
        self.in_flight = next.piece.map(|piece| InFlight { piece, written: 0, whole: 0 });
        let (stream, stall) = (self.stream, self.stall);
        let head = std::mem::take(&mut self.head);
        let mut rest = &head[..];
        while !rest.is_empty() {
            rest = &rest[write_some(stream, stall, rest).await?..];
        }
        if let Some(current) = &mut self.in_flight {
            while current.written < current.piece.bytes().len() {
                current.written += write_some(stream, stall, &current.piece.bytes()[current.written..]).await?;
                let whole = current.piece.whole(current.written);
                self.sent.add((whole - current.whole) as u64);
                current.whole = whole;
            }
        }
        self.in_flight = None;
        Ok(())
    }
}

/// Writes as much as the client takes at once; waits for it where it takes nothing.
async fn write_some(stream: &UnixStream, stall: Duration, bytes: &[u8]) -> Result<usize, Ended> {
    loop {
        match timeout(stall, stream.writable()).await {
            Err(_) => return Err(Ended::Stalled),
            Ok(ready) => ready.map_err(Ended::of)?,
        }
        match stream.try_write(bytes) {
            Ok(written) => return Ok(written),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(Ended::of(error)),
        }
    }
}

/// Returns when the client is gone. What it says is read, slowly, and forgotten.
async fn closed(stream: &UnixStream) -> Ended {
    let mut ignored = [0; IGNORED];
    loop {
        // One that has left is seen at once, however much of what it said is still to be read.
        let ready = match stream.readable().await {
            Ok(()) => stream.ready(Interest::READABLE | Interest::WRITABLE).await,
            Err(error) => Err(error),
        };
        match ready {
            Ok(ready) if ready.is_write_closed() => return Ended::PeerClosed,
            Ok(_) => {}
            Err(error) => return Ended::of(error),
        }
        match stream.try_read(&mut ignored) {
            // It says nothing more; it may still listen (`socat`, `nc` with an empty standard input).
            Ok(0) => break,
            Ok(_) => sleep(IGNORED_PAUSE).await,
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
