//! One connection: its handshakes in time, its requests, its end.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::{Instant, sleep_until, timeout_at};
use tokio_rustls::TlsAcceptor;

use super::limits::{CONNECTION_WINDOW, Limits, SEND_BUFFER, STREAM_WINDOW};
use super::reason::{Reason, tls_cause};
use super::reload::Current;
use super::service::{Client, Idleness, Lane, Service, Shared};
use super::sniff::{Beginning, Sniffed};
use crate::support::shutdown;

/// How a connection that was served came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// It was never served.
    Refused(Reason),
    /// The client closed it.
    PeerClosed,
    /// It had no request for long.
    Idle,
    /// The client did not say that it is there.
    Unanswered,
    /// It broke HTTP/2's rules, or broke off.
    Failed,
    /// We leave, and its requests have ended.
    Drained,
    /// We leave, and the time was over.
    Deadline,
}

impl Ended {
    /// The reason in telemetry; none where it was never served.
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

/// A client that has come in.
pub(super) enum Incoming {
    Unix(UnixStream),
    Tcp(TcpStream, Option<Current>),
}

impl Incoming {
    /// Serves it to its end.
    pub(super) async fn serve(self, client: Client, limits: &Limits, shared: Arc<Shared>) -> Ended {
        let handshake = Instant::now() + limits.handshake;
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
                    _ = shutdown::requested(&mut stop) => return Ended::Refused(Reason::ClosedEarly),
                };
                match accepted {
                    Err(_) => Ended::Refused(Reason::HandshakeTimeout),
                    Ok(Err(error)) => {
                        tracing::debug!(%client, %error, "no TLS");
                        Ended::Refused(Reason::of_handshake(&error))
                    }
                    Ok(Ok(stream)) => serve(stream, handshake, client, limits, shared).await,
                }
            }
        }
    }
}

async fn serve<S>(stream: S, handshake: Instant, client: Client, limits: &Limits, shared: Arc<Shared>) -> Ended
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (stream, beginning) = Sniffed::new(stream);
    let idleness = Idleness::new();
    let mut stop = shared.stop.clone();
    let late = shutdown::deadline_passed(stop.clone());
    let budget = shared.budget.share(limits.request_bytes_per_connection);
    let service = Service { shared, client: client.clone(), idleness: idleness.clone(), lane: Lane::default(), budget };
    let connection = builder(limits).serve_connection(TokioIo::new(stream), service);
    let (preface, look) = (sleep_until(handshake), sleep_until(Instant::now() + limits.idle));
    tokio::pin!(connection, late, preface, look);
    let mut leaving = None;
    let mut is_begun = false;
    loop {
        tokio::select! {
            result = &mut connection => return ended(result, leaving, &beginning, &client),
            () = &mut late => return Ended::Deadline,
            _ = shutdown::requested(&mut stop), if leaving != Some(Ended::Drained) => {
                leaving = Some(Ended::Drained);
                if !beginning.is_over() {
                    return Ended::Refused(Reason::ClosedEarly);
                }
                connection.as_mut().graceful_shutdown();
            }
            () = &mut preface, if !is_begun => {
                is_begun = true;
                if !beginning.is_over() {
                    return Ended::Refused(Reason::HandshakeTimeout);
                }
            }
            () = &mut look => {
                // A client that was told to go and does not answer is gone with its pings.
                let left = match idleness.idle_for() {
                    Some(idle) if idle >= limits.idle && leaving.is_none() => {
                        leaving = Some(Ended::Idle);
                        connection.as_mut().graceful_shutdown();
                        limits.idle
                    }
                    Some(idle) => limits.idle.saturating_sub(idle).max(LEAST_LOOK),
                    None => limits.idle,
                };
                look.as_mut().reset(Instant::now() + left);
            }
        }
    }
}

/// The least time between two looks at whether a connection is idle.
const LEAST_LOOK: Duration = Duration::from_millis(100);

fn builder(limits: &Limits) -> http2::Builder<TokioExecutor> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.streams_per_connection)
        .max_header_list_size(limits.headers)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .initial_stream_window_size(STREAM_WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        .keep_alive_interval(limits.ping)
        .keep_alive_timeout(limits.pong);
    builder
}

fn ended(result: hyper::Result<()>, leaving: Option<Ended>, beginning: &Beginning, client: &Client) -> Ended {
    let Err(error) = result else {
        return match leaving {
            Some(ended) => ended,
            None if beginning.is_over() => Ended::PeerClosed,
            None => Ended::Refused(Reason::of_beginning(&beginning.bytes())),
        };
    };
    tracing::debug!(%client, error = ?error, "a connection failed");
    match tls_cause(&error) {
        Some(reason) => Ended::Refused(reason),
        None if !beginning.is_over() => Ended::Refused(Reason::of_beginning(&beginning.bytes())),
        None if error.is_timeout() => Ended::Unanswered,
        None if is_closed(&error) => leaving.unwrap_or(Ended::PeerClosed),
        None => leaving.unwrap_or(Ended::Failed),
    }
}

/// Whether the client just went: with or without a word, that is no fault.
fn is_closed(error: &hyper::Error) -> bool {
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        let kind = error.downcast_ref::<io::Error>().map(io::Error::kind);
        if matches!(
            kind,
            Some(
                io::ErrorKind::UnexpectedEof
                    | io::ErrorKind::ConnectionReset
                    | io::ErrorKind::BrokenPipe
                    | io::ErrorKind::NotConnected
            )
        ) {
            return true;
        }
        cause = error.source();
    }
    false
}
