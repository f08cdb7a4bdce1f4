//! A connection to docker's socket for each request, which ends when it has carried too many bytes.

use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use bollard::BollardRequest;
use bollard::errors::Error;
use http::{HeaderValue, Response, Uri, header};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::UnixStream;
use tokio::task::JoinSet;

use crate::support::lock::lock;

/// How many bytes an answer may have; an endless one, until [`ReadBudget::renew`].
#[derive(Clone, Debug)]
pub(super) struct ReadBudget(Arc<Budget>);

#[derive(Debug)]
struct Budget {
    limit: u64,
    left: AtomicU64,
    is_exceeded: AtomicBool,
}

impl ReadBudget {
    pub(super) fn new(limit: u64) -> Self {
        Self(Arc::new(Budget { limit, left: AtomicU64::new(limit), is_exceeded: AtomicBool::new(false) }))
    }

    pub(super) fn limit(&self) -> u64 {
        self.0.limit
    }

    /// Allows as many bytes as at the start.
    pub(super) fn renew(&self) {
        self.0.left.store(self.0.limit, Ordering::Relaxed);
    }

    pub(super) fn is_exceeded(&self) -> bool {
        self.0.is_exceeded.load(Ordering::Relaxed)
    }

    fn take(&self, bytes: u64) -> io::Result<()> {
        // The one connection of the budget reads in one task at a time.
        let Some(left) = self.0.left.load(Ordering::Relaxed).checked_sub(bytes) else {
            self.0.is_exceeded.store(true, Ordering::Relaxed);
            return Err(io::ErrorKind::FileTooLarge.into());
        };
        self.0.left.store(left, Ordering::Relaxed);
        Ok(())
    }
}

/// The running connections; they end with the last clone.
#[derive(Clone, Debug, Default)]
pub(super) struct Connections(Arc<Mutex<JoinSet<()>>>);

impl Connections {
    fn spawn(&self, connection: impl Future<Output = hyper::Result<()>> + Send + 'static) {
        let mut running = lock(&self.0);
        while running.try_join_next().is_some() {}
        // Its error reaches the request, too.
        running.spawn(async move { drop(connection.await) });
    }
}

/// Sends a request by a new connection, and returns the answer's head.
pub(super) async fn send(
    path: PathBuf,
    budget: ReadBudget,
    connections: Connections,
    mut request: BollardRequest,
) -> Result<Response<Incoming>, Error> {
    let stream = UnixStream::connect(path).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(BudgetedStream { stream, budget })).await?;
    connections.spawn(connection);
    // The client asks a host; a server behind a socket expects the path alone.
    let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
    *request.uri_mut() = target.parse::<Uri>()?;
    request.headers_mut().insert(header::HOST, HeaderValue::from_static("docker"));
    Ok(sender.send_request(request).await?)
}

/// A stream that fails when its budget is spent.
struct BudgetedStream {
    stream: UnixStream,
    budget: ReadBudget,
}

impl AsyncRead for BudgetedStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        match Pin::new(&mut self.stream).poll_read(cx, buffer) {
            Poll::Ready(Ok(())) => Poll::Ready(self.budget.take((buffer.filled().len() - before) as u64)),
            other => other,
        }
    }
}

impl AsyncWrite for BudgetedStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
