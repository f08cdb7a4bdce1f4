//! One connection: its handshakes, its requests, its end.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::{Instant, sleep_until, timeout_at};
use tokio_rustls::TlsAcceptor;

use super::extensions::{Client, ConnectionQueue};
use super::idle::Idleness;
use super::limits::{CONNECTION_WINDOW, Limits, SEND_BUFFER, STREAM_WINDOW};
use super::preface::{Preface, PrefaceStream};
use super::refusal::{RefusalReason, tls_cause};
use super::service::{ServerState, Service};
use crate::serve::tls::CurrentTls;
use crate::support::error_chain::causes;
use crate::support::shutdown;

/// The end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ConnectionEnd {
    /// It was never served.
    Refused(RefusalReason),
    /// The client closed it.
    PeerClosed,
    /// It had no request for [`Limits::idle_timeout`].
    Idle,
    /// The client did not answer a ping.
    Unanswered,
    /// A violation of HTTP/2, or an interruption.
    Failed,
    /// A shutdown, after its last request.
    Drained,
    /// The deadline of a shutdown.
    Deadline,
}

impl ConnectionEnd {
    /// The reason in telemetry; `None` if it was never served.
    pub(super) const fn reason(self) -> Option<&'static str> {
        match self {
            Self::Refused(_) => None,
            Self::PeerClosed => Some("peer_closed"),
            Self::Idle => Some("idle"),
            Self::Unanswered => Some("ping_unanswered"),
            Self::Failed => Some("failed"),
            Self::Drained => Some("shutdown"),
            Self::Deadline => Some("shutdown_deadline"),
        }
    }
}

/// An accepted connection.
pub(super) enum Incoming {
    Unix(UnixStream),
    Tcp(TcpStream, Option<CurrentTls>),
}

impl Incoming {
    /// Serves the connection until it ends.
    pub(super) async fn serve(self, client: Client, limits: &Limits, shared: Arc<ServerState>) -> ConnectionEnd {
        let handshake = Instant::now() + limits.handshake_timeout;
        match self {
            Self::Unix(stream) => serve(stream, handshake, client, limits, shared).await,
            Self::Tcp(stream, tls) => {
                if let Err(error) = stream.set_nodelay(true) {
                    tracing::debug!(%error, "cannot set TCP_NODELAY");
                }
                let Some(tls) = tls else { return serve(stream, handshake, client, limits, shared).await };
                let config = Arc::clone(&tls.borrow());
                let mut stop = shared.stop.clone();
                let accepted = tokio::select! {
                    accepted = timeout_at(handshake, TlsAcceptor::from(config).accept(stream)) => accepted,
                    _ = shutdown::requested(&mut stop) => return ConnectionEnd::Refused(RefusalReason::ClosedEarly),
                };
                match accepted {
                    Err(_) => ConnectionEnd::Refused(RefusalReason::HandshakeTimeout),
                    Ok(Err(error)) => {
                        tracing::debug!(%client, %error, "TLS handshake failed");
                        ConnectionEnd::Refused(RefusalReason::of_handshake(&error))
                    }
                    Ok(Ok(stream)) => serve(stream, handshake, client, limits, shared).await,
                }
            }
        }
    }
}

async fn serve(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    handshake: Instant,
    client: Client,
    limits: &Limits,
    shared: Arc<ServerState>,
) -> ConnectionEnd {
    let (stream, preface) = PrefaceStream::new(stream);
    let idleness = Idleness::new();
    let mut stop = shared.stop.clone();
    let deadline = shutdown::deadline_passed(stop.clone());
    let budget = shared.budget.child(limits.request_bytes_per_connection);
    let queue = ConnectionQueue::default();
    let service = Service { shared, client: client.clone(), idleness: idleness.clone(), queue, budget };
    let connection = builder(limits).serve_connection(TokioIo::new(stream), service);
    let (handshake_end, idle_check) = (sleep_until(handshake), sleep_until(Instant::now() + limits.idle_timeout));
    tokio::pin!(connection, deadline, handshake_end, idle_check);
    let mut closing = None;
    let mut is_handshake_checked = false;
    loop {
        tokio::select! {
            result = &mut connection => return end_of(result, closing, &preface, &client),
            () = &mut deadline => return ConnectionEnd::Deadline,
            _ = shutdown::requested(&mut stop), if closing != Some(ConnectionEnd::Drained) => {
                closing = Some(ConnectionEnd::Drained);
                if !preface.is_complete() {
                    return ConnectionEnd::Refused(RefusalReason::ClosedEarly);
                }
                connection.as_mut().graceful_shutdown();
            }
            () = &mut handshake_end, if !is_handshake_checked => {
                is_handshake_checked = true;
                if !preface.is_complete() {
                    return ConnectionEnd::Refused(RefusalReason::HandshakeTimeout);
                }
            }
            () = &mut idle_check => {
                let idle = idleness.idle_for();
                if closing.is_none() && idle.is_some_and(|idle| idle >= limits.idle_timeout) {
                    // A client that ignores GOAWAY and is gone is noticed by its pings.
                    closing = Some(ConnectionEnd::Idle);
                    connection.as_mut().graceful_shutdown();
                }
                let left = limits.idle_timeout.saturating_sub(idle.unwrap_or_default());
                idle_check.as_mut().reset(Instant::now() + left.max(MIN_IDLE_CHECK));
            }
        }
    }
}

/// The shortest time between two checks whether a connection is idle.
const MIN_IDLE_CHECK: Duration = Duration::from_millis(100);

fn builder(limits: &Limits) -> http2::Builder<TokioExecutor> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.streams_per_connection)
        .max_header_list_size(limits.header_bytes)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .initial_stream_window_size(STREAM_WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        .keep_alive_interval(limits.ping_interval)
        .keep_alive_timeout(limits.ping_timeout);
    builder
}

fn end_of(
    result: hyper::Result<()>,
    closing: Option<ConnectionEnd>,
    preface: &Preface,
    client: &Client,
) -> ConnectionEnd {
    let Err(error) = result else {
        return match closing {
            Some(ended) => ended,
            None if preface.is_complete() => ConnectionEnd::PeerClosed,
            None => ConnectionEnd::Refused(RefusalReason::of_first_bytes(&preface.first_bytes())),
        };
    };
    tracing::debug!(%client, error = ?error, "a gRPC connection failed");
    match tls_cause(&error) {
        Some(reason) => ConnectionEnd::Refused(reason),
        None if !preface.is_complete() => ConnectionEnd::Refused(RefusalReason::of_first_bytes(&preface.first_bytes())),
        None if error.is_timeout() => ConnectionEnd::Unanswered,
        None if is_closed(&error) => closing.unwrap_or(ConnectionEnd::PeerClosed),
        None => closing.unwrap_or(ConnectionEnd::Failed),
    }
}

/// Returns whether the client closed the connection, orderly or not.
fn is_closed(error: &hyper::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionReset, NotConnected, UnexpectedEof};
    causes(error)
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|error| matches!(error.kind(), UnexpectedEof | ConnectionReset | BrokenPipe | NotConnected))
}
