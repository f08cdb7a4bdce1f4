//! Passes a connection's requests to the routes: each takes a slot and gets a deadline and the version header.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, HeaderValue, Request, Response};
use hyper::body::Incoming;
use tokio::sync::Semaphore;
use tonic::Status;
use tonic::body::Body;
use tonic::service::Routes;
use tower_service::Service as _;

use super::calls::Call;
use super::deadline;
use super::extensions::{Client, ConnectionQueue};
use super::idle::Idleness;
use super::metrics::{GaugeGuard, ServerMetrics};
use super::refusal::RefusalReason;
use super::request_body::{LimitedBody, ReservedBytes};
use super::response_body::{RequestGuards, ResponseBody};
use crate::services::VERSION_HEADER;
use crate::support::byte_budget::ByteBudget;
use crate::support::shutdown::Stop;

/// Bounds the requests in progress, separately for TCP and unix sockets.
#[derive(Clone, Debug)]
pub(super) struct RequestSlots {
    tcp: Arc<Semaphore>,
    unix: Arc<Semaphore>,
    each: usize,
}

impl RequestSlots {
    /// `each` slots for either kind of connection.
    pub(super) fn new(each: usize) -> Self {
        let slots = || Arc::new(Semaphore::new(each));
        Self { tcp: slots(), unix: slots(), each }
    }

    fn of(&self, client: &Client) -> &Arc<Semaphore> {
        match client {
            Client::Tcp(_) => &self.tcp,
            Client::Unix { .. } => &self.unix,
        }
    }

    /// Returns when all slots are free.
    pub(super) async fn all_free(&self) {
        let each = u32::try_from(self.each).unwrap_or(u32::MAX);
        for slots in [&self.tcp, &self.unix] {
            // An error would mean a closed semaphore: these are never closed.
            drop(slots.acquire_many(each).await);
        }
    }
}

/// The state that all connections share.
pub(super) struct ServerState {
    pub(super) routes: Routes,
    pub(super) version: HeaderValue,
    pub(super) slots: RequestSlots,
    /// Bytes of the requests of all connections.
    pub(super) budget: ByteBudget,
    /// Time for a request's body to arrive.
    pub(super) request_timeout: Duration,
    pub(super) metrics: ServerMetrics,
    pub(super) stop: Stop,
}

/// The service of one connection.
pub(super) struct Service {
    pub(super) shared: Arc<ServerState>,
    pub(super) client: Client,
    pub(super) idleness: Idleness,
    pub(super) queue: ConnectionQueue,
    pub(super) budget: ByteBudget,
}

type ResponseFuture = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

impl hyper::service::Service<Request<Incoming>> for Service {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = ResponseFuture;

    fn call(&self, mut request: Request<Incoming>) -> ResponseFuture {
        let shared = Arc::clone(&self.shared);
        shared.metrics.requests.add(1);
        let call = shared.metrics.calls.find(request.uri().path()).map(Call::new);
        let slot = Arc::clone(shared.slots.of(&self.client)).try_acquire_owned();
        let in_flight = self.idleness.begin_request();
        let reserved = ReservedBytes::new(&self.budget);
        let extensions = request.extensions_mut();
        extensions.insert(self.client.clone());
        extensions.insert(self.queue.clone());
        extensions.insert(reserved.clone());
        let mut deadline = deadline::of_request(request.headers(), shared.stop.clone());
        let (timeout, metrics, of_body) = (shared.request_timeout, shared.metrics.clone(), call.clone());
        let request = request.map(|body| LimitedBody::new(body, reserved, timeout, metrics, of_body));
        Box::pin(async move {
            let mut response = match slot {
                Ok(slot) => {
                    let gauge = GaugeGuard::new(&shared.metrics.streams);
                    let guards = RequestGuards { slot, gauge, in_flight };
                    // Cheap to clone, and always ready.
                    let mut routes = shared.routes.clone();
                    tokio::select! {
                        response = routes.call(request) => response
                            .unwrap_or_else(|never| match never {})
                            .map(|inner| Body::new(ResponseBody::new(inner, guards, deadline, call.clone()))),
                        status = &mut deadline => status.into_http(),
                    }
                }
                Err(_) => {
                    shared.metrics.count_refused(RefusalReason::TooManyStreams);
                    Status::resource_exhausted("too many requests are in progress; try again later").into_http()
                }
            };
            if let Some(call) = &call {
                call.end_by(response.headers());
            }
            response.headers_mut().insert(HeaderName::from_static(VERSION_HEADER), shared.version.clone());
            Ok(response)
        })
    }
}
