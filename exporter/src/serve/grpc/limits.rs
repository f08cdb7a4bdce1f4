//! Limits on what clients use, each with its reason.

use std::time::Duration;

/// Bytes of one request's message, for each service's `max_decoding_message_size`; a larger one gets OUT_OF_RANGE. It
/// is gRPC's default: the largest usual request, filters of a thousand pods, has a tenth of it.
pub const MAX_MESSAGE_BYTES: usize = 4 << 20;

/// HTTP/2 receive window of a connection, in bytes: a sixteenth of the largest message.
pub(super) const CONNECTION_WINDOW: u32 = 256 << 10;
/// HTTP/2 receive window of a request, in bytes: HTTP/2's default.
pub(super) const STREAM_WINDOW: u32 = 65_535;
/// Bytes of responses that wait for the client, in each stream. Further flows stay in the ring.
pub(super) const SEND_BUFFER: usize = 64 << 10;

/// Limits of one server; tests have smaller ones.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Connections over TCP. A relay has one or two, a CLI one.
    pub tcp_connections: usize,
    /// Connections over unix sockets: counted apart, so that remote clients never lock out local ones.
    pub unix_connections: usize,
    /// Requests in progress over TCP, and as many over unix sockets. Each follower reads the whole ring.
    pub streams: usize,
    /// Requests in progress over one connection: what gRPC servers usually allow.
    pub streams_per_connection: u32,
    /// Bytes of all unread requests and of the compiled filters of all requests in progress, beside the first 4 KiB of
    /// each. A message takes a multiple of that while its filters are compiled.
    pub request_bytes: usize,
    /// The same for one connection: two of the largest messages, so that no client takes all of it.
    pub request_bytes_per_connection: usize,
    /// Time from a request's headers to the end of its body, also for all messages of a streaming request (reflection).
    pub request_timeout: Duration,
    /// Time from the connection to the first HTTP/2 frame, TLS included.
    pub handshake_timeout: Duration,
    /// Bytes of a request's headers: gRPC's default, 16 KiB with HTTP/2's overhead for each.
    pub header_bytes: u32,
    /// Interval of HTTP/2 pings. Middleboxes drop idle connections after minutes.
    pub ping_interval: Duration,
    /// Time for the answer to a ping.
    pub ping_timeout: Duration,
    /// Time without a request after which the connection gets GOAWAY; the client reconnects for its next request.
    pub idle_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            tcp_connections: 2048,
            unix_connections: 2048,
            streams: 2048,
            streams_per_connection: 100,
            request_bytes: 32 << 20,
            request_bytes_per_connection: 2 * (MAX_MESSAGE_BYTES + (4 << 10)),
            request_timeout: Duration::from_secs(10),
            handshake_timeout: Duration::from_secs(10),
            header_bytes: 16 << 10,
            ping_interval: Duration::from_secs(60),
            ping_timeout: Duration::from_secs(20),
            idle_timeout: Duration::from_secs(30 * 60),
        }
    }
}
