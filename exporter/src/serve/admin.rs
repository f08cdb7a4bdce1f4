//! The admin endpoint: /healthz, /readyz and /status over HTTP/1.1, on a thread of its own.
//!
//! Its own small runtime keeps it answering while the data path is busy. Whoever connects can hold no more than a
//! bounded buffer for a bounded time.

mod host;
mod ready;
pub(crate) mod report;
pub mod status;

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
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, oneshot};

use crate::support::socket_owner;

pub use ready::Ready;
pub use status::{
    ConnectionStatus, ExampleStatus, ExportStatus, HookStatus, InterfacesStatus, NodeStatus, PrivilegesStatus,
    SampleStatus, Status, ThreadsStatus,
};

/// Connections served at once; further ones wait in the kernel's queue. Probes and people need a handful.
const MAX_CONNECTIONS: usize = 64;
/// Bytes of a request's head: the smallest that hyper takes, and far above what a probe sends.
const MAX_HEAD: usize = 8 * 1024;
/// Headers of a request.
const MAX_HEADERS: usize = 64;
/// Time to send a request's head: a client that drips bytes is cut off.
const HEAD_TIME: Duration = Duration::from_secs(2);
/// Time for a whole connection: a client that does not read is cut off.
const CONNECTION_TIME: Duration = Duration::from_secs(10);
/// Pause after a failed accept (no file descriptors left), so that it does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Where the admin endpoint listens, and by which names it is asked.
#[derive(Clone, Debug)]
pub struct Config {
    /// `admin.listen`; port 0 takes a free one.
    pub listen: SocketAddr,
    /// `admin.hosts`: names in a request's `Host`, beside IP addresses and `localhost`.
    pub hosts: Vec<String>,
}

/// Who knows how the program does. Called on the admin thread, once for each request of /status.
pub trait StatusSource: Send + Sync + 'static {
    /// How it does now.
    fn status(&self) -> Status;
}

impl<F: Fn() -> Status + Send + Sync + 'static> StatusSource for F {
    fn status(&self) -> Status {
        self()
    }
}

/// Why the admin endpoint could not be built.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// The address is in use, not of this machine, or not permitted.
    #[error("admin.listen: cannot listen on {listen}: {source}{owner}; use another address, or \"\" for none")]
    Bind {
        /// The address.
        listen: SocketAddr,
        /// The process that has it, behind a colon; empty where it is not in use.
        owner: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// No thread or no runtime could be made.
    #[error("admin: cannot start its thread: {source}")]
    Start {
        /// What the system said.
        source: io::Error,
    },
}

/// The admin endpoint at work; dropping it ends it.
#[derive(Debug)]
pub struct Admin {
    /// Where it listens.
    pub addr: SocketAddr,
    /// Its thread, until it is ended.
    task: Option<JoinHandle<()>>,
    stop: Option<oneshot::Sender<Infallible>>,
}

/// An address that is ours; whoever connects waits until it is served.
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
    /// It can't be bound.
    pub fn bind(self) -> Result<Bound, AdminError> {
        let Self { listen, hosts } = self;
        let bound = std::net::TcpListener::bind(listen).and_then(|listener| {
            listener.set_nonblocking(true)?;
            Ok(Bound { addr: listener.local_addr()?, listener, hosts })
        });
        bound.map_err(|source| AdminError::Bind { listen, owner: socket_owner::behind(&source, listen), source })
    }

    /// Binds the address and serves it.
    ///
    /// # Errors
    /// The address can't be bound, or no thread be started.
    pub fn build(self, ready: Ready, source: impl StatusSource) -> Result<Admin, AdminError> {
        self.bind()?.serve(ready, source)
    }
}

impl Bound {
    /// Serves it.
    ///
    /// # Errors
    /// No thread can be started.
    pub fn serve(self, ready: Ready, source: impl StatusSource) -> Result<Admin, AdminError> {
        let Self { addr, listener, hosts } = self;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|source| AdminError::Start { source })?;
        let listener = {
            let _guard = runtime.enter();
            TcpListener::from_std(listener).map_err(|source| AdminError::Start { source })?
        };
        let (stop, stopped) = oneshot::channel();
        let shared = Arc::new(Shared { ready, source: Box::new(source), hosts });
        let work = move || {
            runtime.block_on(async {
                tokio::select! {
                    () = accept(&listener, &shared) => {}
                    // The sender never sends: it is dropped.
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

struct Shared {
    ready: Ready,
    source: Box<dyn StatusSource>,
    hosts: Vec<String>,
}

async fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    // The semaphore is never closed.
    while let Ok(place) = Arc::clone(&places).acquire_owned().await {
        match listener.accept().await {
            Ok((stream, _)) => {
                let shared = Arc::clone(shared);
                tokio::spawn(async move {
                    serve(stream, shared).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "admin: cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn serve(stream: TcpStream, shared: Arc<Shared>) {
    let service = service_fn(|request| {
        let response = answer(&request, &shared);
        async move { Ok::<_, Infallible>(response) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .max_buf_size(MAX_HEAD)
        .max_headers(MAX_HEADERS)
        // One request a connection: nobody holds a place for longer than its answer takes.
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    match tokio::time::timeout(CONNECTION_TIME, connection).await {
        Ok(Ok(())) => {}
        // What a client sends or breaks off is its own affair: worth a word only to who looks for it.
        Ok(Err(error)) => tracing::debug!(%error, "admin: a connection failed"),
        Err(_) => tracing::debug!("admin: a connection took too long"),
    }
}

fn answer(request: &Request<Incoming>, shared: &Shared) -> Response<Full<Bytes>> {
    match host::check(request.uri(), request.version(), request.headers(), &shared.hosts) {
        Ok(()) => {}
        Err(StatusCode::BAD_REQUEST) => return text(StatusCode::BAD_REQUEST, "a request has one Host\n"),
        Err(code) => return text(code, "Host is no IP address, not localhost, and not in admin.hosts\n"),
    }
    let known = matches!(request.uri().path(), "/healthz" | "/readyz" | "/status");
    match (request.method(), request.uri().path()) {
        (&Method::GET | &Method::HEAD, "/healthz") => text(StatusCode::OK, "ok\n"),
        (&Method::GET | &Method::HEAD, "/readyz") => match shared.ready.why_not() {
            None => text(StatusCode::OK, "ready\n"),
            Some(why) => text(StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {why}\n")),
        },
        (&Method::GET | &Method::HEAD, "/status") => status(shared),
        _ if known => {
            let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n");
            response.headers_mut().insert(header::ALLOW, header::HeaderValue::from_static("GET, HEAD"));
            response
        }
        _ => text(StatusCode::NOT_FOUND, "known here: /healthz, /readyz, /status\n"),
    }
}

fn status(shared: &Shared) -> Response<Full<Bytes>> {
    let status = Status { ready: shared.ready.get(), ..shared.source.status() };
    match serde_json::to_vec(&status) {
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
