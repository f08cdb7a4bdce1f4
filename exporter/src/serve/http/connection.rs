//! One connection: the TLS handshake, one request and its answer, in bounded time.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use http::Request;
use http::request::Parts;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::places::{Displaced, Place};
use super::refusal::RefusalReason;
use super::response::Answer;
use crate::serve::tls::CurrentTls;

/// Bytes of a request's head: hyper's minimum, and far above what a probe or Prometheus sends.
const MAX_HEAD_BYTES: usize = 8 * 1024;
/// Headers of a request at most.
const MAX_HEADERS: usize = 64;
/// Time for a request's head, and before it for a TLS handshake, against clients that send slowly.
pub const HEAD_TIMEOUT: Duration = Duration::from_secs(2);
/// Time for a whole connection, against clients that do not read. It is Prometheus' default for a scrape.
pub const CONNECTION_TIMEOUT: Duration = Duration::from_secs(10);

/// Answers the requests of a server, on its thread.
pub trait Handler: Send + Sync + 'static {
    /// Returns the answer to a request, whose body is not read.
    fn respond(&self, head: Parts) -> impl Future<Output = Answer> + Send;
}

/// Serves a connection until its end.
pub(super) async fn serve<H: Handler>(
    stream: TcpStream,
    tls: Option<CurrentTls>,
    (place, displaced): (Place, Displaced),
    handler: Arc<H>,
) -> Result<(), RefusalReason> {
    let work = async {
        let Some(tls) = tls else { return answer(stream, place, handler).await };
        let config = Arc::clone(&tls.borrow());
        match timeout(HEAD_TIMEOUT, TlsAcceptor::from(config).accept(stream)).await {
            Ok(Ok(stream)) => answer(stream, place, handler).await,
            Ok(Err(error)) => {
                tracing::debug!(%error, "a TLS handshake failed");
                Err(RefusalReason::Tls)
            }
            Err(_) => Err(RefusalReason::Timeout),
        }
    };
    tokio::select! {
        ended = timeout(CONNECTION_TIMEOUT, work) => ended.unwrap_or(Err(RefusalReason::Timeout)),
        _ = displaced => Err(RefusalReason::Displaced),
    }
}

/// Reads one request and writes its answer.
async fn answer<H: Handler>(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    place: Place,
    handler: Arc<H>,
) -> Result<(), RefusalReason> {
    let service = service_fn(move |request: Request<Incoming>| {
        place.keep();
        let handler = Arc::clone(&handler);
        async move { Ok::<_, Infallible>(handler.respond(request.into_parts().0).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(MAX_HEAD_BYTES)
        .max_headers(MAX_HEADERS)
        // One request per connection: an idle client occupies no place.
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    match connection.await {
        Ok(()) => Ok(()),
        Err(error) if error.is_timeout() => Err(RefusalReason::Timeout),
        Err(error) => {
            tracing::debug!(%error, "an HTTP connection failed");
            Err(RefusalReason::Failed)
        }
    }
}
