//! One client of the monitor socket: writes its queue to it until the client closes or a shutdown ends.

use std::io;
use std::time::Duration;

use eyepiece_flow::gob::encode::PAYLOAD_DESCRIPTOR;
use tokio::io::Interest;
use tokio::net::UnixStream;
use tokio::time::{sleep, timeout};

use super::agent::Listener;
use super::chunk::Piece;
use super::fanout::record_lost;
use super::queue::QueueItem;
use crate::support::shutdown;
use crate::support::shutdown::Stop;
use crate::support::telemetry::Number;

/// Interval of checks whether a client that closed its sending side has gone: without events nothing else shows it.
const CLOSE_CHECK: Duration = Duration::from_secs(1);
/// Bytes of one read from the client. Its data is discarded, so that a client that writes does not block.
const DISCARD_BYTES: usize = 4096;
/// Pause after each such read: it limits a client that only writes to 40 KB a second.
const DISCARD_PAUSE: Duration = Duration::from_millis(100);

/// The reason for a connection's end.
#[derive(Debug)]
pub enum ConnectionEnd {
    /// The client closed it.
    PeerClosed,
    /// A shutdown, after the queue was written.
    Drained,
    /// The deadline of a shutdown, before the queue was written.
    Deadline,
    /// The client took no byte for too long.
    Stalled,
    /// The socket failed.
    Failed(io::Error),
}

impl ConnectionEnd {
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

/// Writes to a client; nothing before the first event.
pub struct Connection<'a> {
    stream: &'a UnixStream,
    /// Time after which a client that takes no byte is disconnected.
    stall: Duration,
    /// Bytes before the next payloads: the descriptor, reports of losses.
    head: Vec<u8>,
    sent: &'a Number,
    in_flight: Option<InFlight>,
}

/// Payloads that are being written.
struct InFlight {
    piece: Piece,
    /// Bytes that are written.
    written: usize,
    /// Payloads that are written completely.
    whole: usize,
}

impl<'a> Connection<'a> {
    /// Returns a connection without written bytes; `sent` counts completely written payloads.
    pub fn new(stream: &'a UnixStream, stall: Duration, sent: &'a Number) -> Self {
        Self { stream, stall, head: PAYLOAD_DESCRIPTOR.to_vec(), sent, in_flight: None }
    }

    /// Payloads of the last write that are not written completely.
    pub fn in_flight(&self) -> usize {
        self.in_flight.as_ref().map_or(0, |current| current.piece.payloads() - current.whole)
    }

    /// Writes the listener's queue until the connection ends.
    pub async fn run(&mut self, listener: &Listener, mut stop: Stop) -> ConnectionEnd {
        let (closed, deadline) = (closed(self.stream), shutdown::deadline_passed(stop.clone()));
        tokio::pin!(closed, deadline);
        let mut is_finishing = false;
        loop {
            let item = tokio::select! {
                item = listener.next() => item,
                ended = &mut closed => return ended,
                () = &mut deadline => return ConnectionEnd::Deadline,
                _ = shutdown::requested(&mut stop), if !is_finishing => {
                    is_finishing = true;
                    listener.finish();
                    continue;
                }
            };
            let Some(item) = item else { return ConnectionEnd::Drained };
            tokio::select! {
                written = self.write(item) => if let Err(ended) = written {
                    return ended;
                },
                () = &mut deadline => return ConnectionEnd::Deadline,
            }
        }
    }

    /// Writes an item; if the future is dropped, [`Connection::in_flight`] has the number of missing payloads.
    async fn write(&mut self, item: QueueItem) -> Result<(), ConnectionEnd> {
        if item.lost > 0 {
            record_lost(&mut self.head, None, item.lost);
        }
        self.in_flight = item.piece.map(|piece| InFlight { piece, written: 0, whole: 0 });
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

/// Waits until the client takes bytes; returns their number.
async fn write_some(stream: &UnixStream, stall: Duration, bytes: &[u8]) -> Result<usize, ConnectionEnd> {
    loop {
        match timeout(stall, stream.writable()).await {
            Err(_) => return Err(ConnectionEnd::Stalled),
            Ok(ready) => ready.map_err(ConnectionEnd::of)?,
        }
        match stream.try_write(bytes) {
            Ok(written) => return Ok(written),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(ConnectionEnd::of(error)),
        }
    }
}

/// Returns when the client has closed; discards its bytes.
async fn closed(stream: &UnixStream) -> ConnectionEnd {
    let mut discarded = [0; DISCARD_BYTES];
    loop {
        // A closed client is noticed at once, even with unread data.
        let ready = match stream.readable().await {
            Ok(()) => stream.ready(Interest::READABLE | Interest::WRITABLE).await,
            Err(error) => Err(error),
        };
        match ready {
            Ok(ready) if ready.is_write_closed() => return ConnectionEnd::PeerClosed,
            Ok(_) => {}
            Err(error) => return ConnectionEnd::of(error),
        }
        match stream.try_read(&mut discarded) {
            // The client closed its sending side; it may still read (`socat`, `nc` with an empty standard input).
            Ok(0) => break,
            Ok(_) => sleep(DISCARD_PAUSE).await,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return ConnectionEnd::of(error),
        }
    }
    loop {
        match stream.ready(Interest::READABLE | Interest::WRITABLE).await {
            Ok(ready) if ready.is_write_closed() => return ConnectionEnd::PeerClosed,
            Ok(_) => sleep(CLOSE_CHECK).await,
            Err(error) => return ConnectionEnd::of(error),
        }
    }
}
