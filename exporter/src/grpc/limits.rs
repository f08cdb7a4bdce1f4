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
    /// Requests that are answered at the same time, over all connections. Each follower reads the whole ring.
    pub streams: usize,
    /// The same over one connection: what gRPC servers usually allow.
    pub streams_per_connection: u32,
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
            streams: 4096,
            streams_per_connection: 100,
            handshake: Duration::from_secs(10),
            headers: 16 << 10,
            ping: Duration::from_secs(60),
            pong: Duration::from_secs(20),
            idle: Duration::from_secs(30 * 60),
        }
    }
}
