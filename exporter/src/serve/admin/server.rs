//! The admin endpoint's HTTP server.
//!
//! It has a thread and a runtime of its own, so that it answers while the data path is busy. A client occupies a
//! bounded buffer for a bounded time.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::Serialize;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, oneshot};

use super::host;
use super::ready::Ready;
use crate::support::accept::AcceptRetry;
use crate::support::capabilities::{self, Capabilities};
use crate::support::lookup::Lookup;
use crate::support::socket_owner;
use crate::support::status::Status;

/// Connections at the same time; further ones wait in the kernel's queue. Probes and people need a handful.
const MAX_CONNECTIONS: usize = 64;
/// Bytes of a request's head: hyper's minimum, and far above what a probe sends.
const MAX_HEAD_BYTES: usize = 8 * 1024;
/// Headers of a request at most.
const MAX_HEADERS: usize = 64;
/// Time for a request's head, against clients that send slowly.
const HEAD_TIMEOUT: Duration = Duration::from_secs(2);
/// Time for a whole connection, against clients that do not read.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(10);

/// The configuration of the admin endpoint.
#[derive(Clone, Debug)]
pub struct Config {
    /// `admin.listen`; port 0 selects a free one.
    pub listen: SocketAddr,
    /// `admin.hosts`: allowed names in a request's `Host`, beside IP addresses and `localhost`.
    pub hosts: Vec<String>,
}

/// The longest text that /lookup looks for.
const MAX_QUERY: usize = 512;

/// The documents that the endpoint serves. Called on the admin thread, once per request.
pub trait Documents: Send + Sync + 'static {
    /// The current status.
    fn status(&self) -> Status;

    /// Returns the entries of an address or a name.
    fn lookup(&self, query: &str) -> Lookup {
        Lookup { query: query.to_owned(), ..Lookup::default() }
    }
}

impl<F: Fn() -> Status + Send + Sync + 'static> Documents for F {
    fn status(&self) -> Status {
        self()
    }
}

/// The error of building the admin endpoint.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages name the fields")]
pub enum AdminError {
    /// The address is in use, not of this machine, or not permitted.
    #[error("admin.listen: cannot listen on {listen}: {source}{owner}; use another address, or \"\" for none")]
    Bind {
        /// The address.
        listen: SocketAddr,
        /// The process that holds the address, after a colon; empty if it is not in use.
        owner: String,
        /// The kernel's error.
        source: io::Error,
    },
    /// The thread or its runtime could not be started.
    #[error("cannot start the admin thread: {source}")]
    Start { source: io::Error },
}

/// The running admin endpoint; stops on drop.
#[derive(Debug)]
pub struct Admin {
    /// The bound address.
    pub addr: SocketAddr,
    /// `Some` until the drop.
    task: Option<JoinHandle<()>>,
    stop: Option<oneshot::Sender<Infallible>>,
}

/// A bound address; clients wait in the kernel's queue until it is served.
#[derive(Debug)]
pub struct Bound {
    addr: SocketAddr,
    listener: std::net::TcpListener,
    hosts: Vec<String>,
}

impl Config {
    /// Binds the address.
    ///
    /// # Errors
    /// The address cannot be bound.
    pub fn bind(self) -> Result<Bound, AdminError> {
        let Self { listen, hosts } = self;
        let bound = std::net::TcpListener::bind(listen).and_then(|listener| {
            listener.set_nonblocking(true)?;
            Ok(Bound { addr: listener.local_addr()?, listener, hosts })
        });
        bound.map_err(|source| AdminError::Bind {
            listen,
            owner: socket_owner::describe_conflict(&source, listen),
            source,
        })
    }

    /// Binds the address and serves it.
    ///
    /// # Errors
    /// The address cannot be bound, or the thread cannot be started.
    pub fn build(self, ready: Ready, documents: impl Documents) -> Result<Admin, AdminError> {
        self.bind()?.serve(ready, documents)
    }
}

impl Bound {
    /// Serves the address.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub fn serve(self, ready: Ready, documents: impl Documents) -> Result<Admin, AdminError> {
        let Self { addr, listener, hosts } = self;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|source| AdminError::Start { source })?;
        let listener = {
            let _guard = runtime.enter();
            TcpListener::from_std(listener).map_err(|source| AdminError::Start { source })?
        };
        let (stop, stopped) = oneshot::channel();
        let shared = Arc::new(AdminState { ready, documents: Box::new(documents), hosts });
        let work = move || {
            capabilities::keep(Capabilities::NONE);
            runtime.block_on(async {
                tokio::select! {
                    () = accept(&listener, addr, &shared) => {}
                    // Ends when the sender is dropped.
                    _ = stopped => {}
                }
            });
            runtime.shutdown_background();
        };
        let task = std::thread::Builder::new().name("admin".to_owned()).spawn(work);
        let task = task.map_err(|source| AdminError::Start { source })?;
        Ok(Admin { addr, task: Some(task), stop: Some(stop) })
    }
}

impl Drop for Admin {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(task) = self.task.take()
            && task.join().is_err()
        {
            tracing::error!("the admin thread panicked");
        }
    }
}

struct AdminState {
    ready: Ready,
    documents: Box<dyn Documents>,
    hosts: Vec<String>,
}

async fn accept(listener: &TcpListener, addr: SocketAddr, shared: &Arc<AdminState>) {
    let mut retry = AcceptRetry::new("admin", &addr);
    let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    // The semaphore is never closed.
    while let Ok(slot) = Arc::clone(&slots).acquire_owned().await {
        let (stream, _) = retry.next(|| listener.accept()).await;
        let shared = Arc::clone(shared);
        tokio::spawn(async move {
            serve(stream, shared).await;
            drop(slot);
        });
    }
}

async fn serve(stream: TcpStream, shared: Arc<AdminState>) {
    let service = service_fn(|request| {
        let response = respond(&request, &shared);
        async move { Ok::<_, Infallible>(response) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(MAX_HEAD_BYTES)
        .max_headers(MAX_HEADERS)
        // One request per connection: an idle client occupies no slot.
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    match tokio::time::timeout(CONNECTION_TIMEOUT, connection).await {
        Ok(Ok(())) => {}
        // Usually caused by the client.
        Ok(Err(error)) => tracing::debug!(%error, "an admin connection failed"),
        Err(_) => tracing::debug!(timeout = ?CONNECTION_TIMEOUT, "an admin connection took too long"),
    }
}

fn respond(request: &Request<Incoming>, shared: &AdminState) -> Response<Full<Bytes>> {
    match host::check(request.uri(), request.version(), request.headers(), &shared.hosts) {
        Ok(()) => {}
        Err(StatusCode::BAD_REQUEST) => return text(StatusCode::BAD_REQUEST, "invalid Host: expected one\n"),
        Err(code) => return text(code, "invalid Host: expected an IP address, localhost or a name of admin.hosts\n"),
    }
    let known = matches!(request.uri().path(), "/healthz" | "/readyz" | "/status" | "/lookup");
    match (request.method(), request.uri().path()) {
        (&Method::GET | &Method::HEAD, "/healthz") => text(StatusCode::OK, "ok\n"),
        (&Method::GET | &Method::HEAD, "/readyz") => match shared.ready.why_not() {
            None => text(StatusCode::OK, "ready\n"),
            Some(why) => text(StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {why}\n")),
        },
        (&Method::GET | &Method::HEAD, "/status") => {
            json(&Status { ready: shared.ready.get(), ..shared.documents.status() })
        }
        (&Method::GET | &Method::HEAD, "/lookup") => match query(request.uri()) {
            Some(query) => json(&shared.documents.lookup(&query)),
            None => text(StatusCode::BAD_REQUEST, "invalid query: expected /lookup?q=ADDRESS or /lookup?q=NAME\n"),
        },
        _ if known => {
            let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "invalid method: expected GET or HEAD\n");
            response.headers_mut().insert(header::ALLOW, header::HeaderValue::from_static("GET, HEAD"));
            response
        }
        _ => text(StatusCode::NOT_FOUND, "invalid path: expected /healthz, /readyz, /status or /lookup\n"),
    }
}

/// The value of `q`.
fn query(uri: &http::Uri) -> Option<String> {
    let mut pairs = form_urlencoded::parse(uri.query()?.as_bytes());
    let (_, value) = pairs.find(|(name, _)| name == "q")?;
    (!value.is_empty() && value.len() <= MAX_QUERY).then(|| value.into_owned())
}

fn json(document: &impl Serialize) -> Response<Full<Bytes>> {
    match serde_json::to_vec(document) {
        Ok(body) => response(StatusCode::OK, "application/json", body.into()),
        Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
    }
}

fn text(code: StatusCode, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    response(code, "text/plain; charset=utf-8", body.into())
}

fn response(code: StatusCode, kind: &'static str, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = code;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(kind));
    response.headers_mut().insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::{Ipv4Addr, TcpStream};
    use std::sync::Arc;
    use std::sync::Mutex;

    use super::{Config, Ready, Status};
    use crate::support::capabilities::Capabilities;

    #[test]
    fn admin_thread_has_no_capabilities() {
        let held = Arc::new(Mutex::new(None));
        let seen = Arc::clone(&held);
        let status = move || {
            let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
            *seen.lock().unwrap() = Capabilities::of_status(&status, "CapPrm");
            Status::default()
        };
        let config = Config { listen: (Ipv4Addr::LOCALHOST, 0).into(), hosts: Vec::new() };
        let admin = config.build(Ready::default(), status).unwrap();
        let mut stream = TcpStream::connect(admin.addr).unwrap();
        stream.write_all(b"GET /status HTTP/1.0\r\n\r\n").unwrap();
        stream.read_to_end(&mut Vec::new()).unwrap();
        assert_eq!(*held.lock().unwrap(), Some(Capabilities::NONE));
    }
}
