//! Requests of a connection to the routes: a place and a time for each, the version's header on every answer.

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::{HeaderName, HeaderValue, Request, Response};
use hyper::body::Incoming;
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;
use tonic::Status;
use tonic::body::Body;
use tonic::service::Routes;
use tower_service::Service as _;

use super::body::{Answer, Held};
use super::counters::{Counters, Present};
use super::deadline;
use super::reason::Reason;
use super::request::{Asked, Budget, Taken};
use crate::support::shutdown::Stop;

/// What tells clients our version: the CLI warns where its own is older.
pub const VERSION_HEADER: &str = "hubble-server-version";

/// Who asks; an extension of each request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Client {
    /// By a unix socket; the process, where the kernel tells.
    Unix(Option<i32>),
    /// By TCP.
    Tcp(SocketAddr),
}

impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(Some(pid)) => write!(f, "process {pid}"),
            Self::Unix(None) => f.write_str("a process"),
            Self::Tcp(address) => address.fmt(f),
        }
    }
}

/// What requests of one connection queue in for work that takes long: one at a time, so that no client has more of it by
/// asking more often. An extension of each request.
#[derive(Clone, Debug)]
pub struct Lane(pub Arc<Semaphore>);

impl Default for Lane {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(1)))
    }
}

/// Places of requests that are being answered.
#[derive(Clone, Debug)]
pub(super) struct Places {
    tcp: Arc<Semaphore>,
    unix: Arc<Semaphore>,
    each: usize,
}

impl Places {
    /// So many for each kind of connection.
    pub(super) fn new(each: usize) -> Self {
        let places = || Arc::new(Semaphore::new(each));
        Self { tcp: places(), unix: places(), each }
    }

    fn of(&self, client: &Client) -> &Arc<Semaphore> {
        match client {
            Client::Tcp(_) => &self.tcp,
            Client::Unix(_) => &self.unix,
        }
    }

    /// Returns when all of them are free.
    pub(super) async fn free(&self) {
        let each = u32::try_from(self.each).unwrap_or(u32::MAX);
        for places in [&self.tcp, &self.unix] {
            // They are never closed.
            drop(places.acquire_many(each).await);
        }
    }
}

/// What all connections share.
pub(super) struct Shared {
    pub(super) routes: Routes,
    pub(super) version: HeaderValue,
    pub(super) places: Places,
    /// What requests of all connections may take while they come in.
    pub(super) budget: Budget,
    /// How long one may take until it is there.
    pub(super) request_time: Duration,
    pub(super) counters: Counters,
    pub(super) stop: Stop,
}

/// Requests of one connection that are being answered; each clone but the first is one.
#[derive(Debug)]
pub(super) struct Busy {
    state: Arc<State>,
}

#[derive(Debug)]
struct State {
    requests: AtomicUsize,
    /// When the last one ended.
    since: watch::Sender<Instant>,
}

/// Whether a connection has requests, for who looks.
#[derive(Clone, Debug)]
pub(super) struct Idleness {
    state: Arc<State>,
}

impl Idleness {
    pub(super) fn new() -> Self {
        Self { state: Arc::new(State { requests: AtomicUsize::new(0), since: watch::Sender::new(Instant::now()) }) }
    }

    /// How long there has been no request; none while there is one.
    pub(super) fn idle_for(&self) -> Option<Duration> {
        (self.state.requests.load(Ordering::Acquire) == 0).then(|| self.state.since.borrow().elapsed())
    }

    fn busy(&self) -> Busy {
        self.state.requests.fetch_add(1, Ordering::AcqRel);
        Busy { state: Arc::clone(&self.state) }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.state.since.send_replace(Instant::now());
        self.state.requests.fetch_sub(1, Ordering::AcqRel);
    }
}

/// The service of one connection.
pub(super) struct Service {
    pub(super) shared: Arc<Shared>,
    pub(super) client: Client,
    pub(super) idleness: Idleness,
    pub(super) lane: Lane,
    pub(super) budget: Budget,
}

type Answering = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

impl hyper::service::Service<Request<Incoming>> for Service {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answering;

    fn call(&self, mut request: Request<Incoming>) -> Answering {
        let shared = Arc::clone(&self.shared);
        shared.counters.requests.add(1);
        let place = Arc::clone(shared.places.of(&self.client)).try_acquire_owned();
        let busy = self.idleness.busy();
        let taken = Taken::new(self.budget.clone());
        let extensions = request.extensions_mut();
        extensions.insert(self.client.clone());
        extensions.insert(self.lane.clone());
        extensions.insert(taken.clone());
        let mut late = deadline::late(request.headers(), shared.stop.clone());
        let request = request.map(|body| Asked::new(body, taken, shared.request_time, shared.counters.clone()));
        Box::pin(async move {
            let mut response = match place {
                Ok(place) => {
                    let held = Held { place, present: Present::new(&shared.counters.streams), busy };
                    // Routes are always ready: each clone is a table.
                    let mut routes = shared.routes.clone();
                    tokio::select! {
                        answered = routes.call(request) => answered
                            .unwrap_or_else(|never| match never {})
                            .map(|inner| Body::new(Answer::new(inner, held, late))),
                        status = &mut late => status.into_http(),
                    }
                }
                Err(_) => {
                    shared.counters.refused(Reason::TooManyStreams);
                    Status::resource_exhausted("too many requests are being answered; try again later").into_http()
                }
            };
            response.headers_mut().insert(HeaderName::from_static(VERSION_HEADER), shared.version.clone());
            Ok(response)
        })
    }
}
