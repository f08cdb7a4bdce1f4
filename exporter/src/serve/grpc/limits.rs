//! How much clients may take, each with its reason.

use std::time::Duration;

/// Bytes of one request's message; larger ones are answered with OUT_OF_RANGE. What gRPC takes by default: the largest
/// request of ours, filters of a thousand pods, has a tenth of it. For each service's `max_decoding_message_size`.
pub const MESSAGE: usize = 4 << 20;

/// Bytes of a connection's requests that may be on their way before they are read: a tenth of a message is no hindrance.
pub(super) const CONNECTION_WINDOW: u32 = 256 << 10;
/// The same of one request: HTTP/2's default.
pub(super) const STREAM_WINDOW: u32 = 65_535;
/// Bytes of answers that wait for a client, in each stream. What it does not take stays in the ring.
pub(super) const SEND_BUFFER: usize = 64 << 10;
/// Pause after a failed accept (no file descriptors left), so that it does not spin.
pub(super) const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What clients may take; tests have smaller ones.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Connections to all IP addresses together. A relay has one or two, a CLI one.
    pub tcp_connections: usize,
    /// Connections to all unix sockets together: of their own, so that the network never locks this machine out.
    pub unix_connections: usize,
    /// Requests that are answered at the same time, over all connections of a kind: those of unix sockets have places of
    /// their own as well. Each follower reads the whole ring.
    pub streams: usize,
    /// The same over one connection: what gRPC servers usually allow.
    pub streams_per_connection: u32,
    /// Bytes of all requests that are not read yet and of compiled filters of those that are answered, beside the first
    /// 4 KiB of each; the message that a request becomes takes a multiple while it is compiled.
    pub request_bytes: usize,
    /// The same of one connection: two of the largest messages, so that nobody has all of it.
    pub request_bytes_per_connection: usize,
    /// How long a request may take from its headers to its end. One has to be there as a whole before it is answered; a
    /// client of reflection, which may ask one thing after the other, has as long for all it asks.
    pub request: Duration,
    /// How long a client may take until its first HTTP/2 frame, TLS included.
    pub handshake: Duration,
    /// Bytes of a request's headers: gRPC's default, 16 KiB with HTTP/2's overhead for each.
    pub headers: u32,
    /// How often a client is asked whether it is there. Middleboxes forget idle connections after minutes.
    pub ping: Duration,
    /// How long it may take to say so.
    pub pong: Duration,
    /// How long a connection may be without a request; it is told to go, and comes again when it has one.
    pub idle: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            tcp_connections: 2048,
            unix_connections: 2048,
            streams: 2048,
            streams_per_connection: 100,
            request_bytes: 32 << 20,
            request_bytes_per_connection: 2 * (MESSAGE + (4 << 10)),
            request: Duration::from_secs(10),
            handshake: Duration::from_secs(10),
            headers: 16 << 10,
            ping: Duration::from_secs(60),
            pong: Duration::from_secs(20),
            idle: Duration::from_secs(30 * 60),
        }
    }
}
