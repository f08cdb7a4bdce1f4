//! The gRPC service `observer.Observer`.

use std::sync::Arc;

use eyepiece_hubble::layout::Layout;
use eyepiece_hubble::proto::Encoded;
use eyepiece_hubble::proto::observer::{
    GetAgentEventsRequest, GetDebugEventsRequest, GetNamespacesRequest, GetNamespacesResponse, GetNodesRequest,
    GetNodesResponse, Namespace, ServerStatusRequest, ServerStatusResponse,
};
use eyepiece_hubble::query::Query;
use eyepiece_hubble::request::{self, RequestError};
use tokio::sync::Semaphore;
use tonic::{Request, Response, Status};

use super::Observer;
use super::compile_pool::NotDone;
use super::stream::{Messages, Stream, leaving};
use crate::serve::grpc::{Client, Lane, Taken};
use crate::services::observer::observer_server::Observer as Service;

/// What clients compare their own version with: they warn where ours has a lower minor number. It is the release of
/// Cilium whose API this is.
pub const HUBBLE_VERSION: &str = "1.20.2";
/// What stands for the revision in versions: who serves it.
pub const REVISION: &str = concat!("geyepiece-", env!("CARGO_PKG_VERSION"));

/// The service around an observer.
#[derive(Clone, Debug)]
pub struct ObserverService(pub Arc<Observer>);

impl ObserverService {
    fn answer(
        &self,
        lane: Arc<Semaphore>,
        taken: Option<Taken>,
        request: Result<(Query, Layout), RequestError>,
    ) -> Result<Response<Messages>, Status> {
        let (query, layout) = request.map_err(|error| Status::new(error.grpc_code().into(), error.message()))?;
        if taken.as_ref().is_some_and(|taken| !taken.grow_to(query.filters.size())) {
            self.0.too_large.add(1);
            return Err(Status::resource_exhausted("filters of all requests take too many bytes; try again later"));
        }
        Ok(Response::new(Messages::new(Stream::new(Arc::clone(&self.0), query, layout, lane, taken))))
    }
}

/// What long work of a request queues in; one of its own where no connection is known.
fn lane<T>(request: &Request<T>) -> Arc<Semaphore> {
    let lane = request.extensions().get::<Lane>().cloned().unwrap_or_default();
    lane.0
}

#[tonic::async_trait]
impl Service for ObserverService {
    type GetFlowsStream = Messages;
    type GetAgentEventsStream = Messages;
    type GetDebugEventsStream = Messages;

    async fn get_flows(&self, request: Request<Encoded>) -> Result<Response<Messages>, Status> {
        let lane = lane(&request);
        // As long as the message or its filters are there, they count as a request that comes in.
        let taken = request.extensions().get::<Taken>().cloned();
        let taken_while_compiling = taken.clone();
        let client = request.extensions().get::<Client>().cloned();
        let Encoded(encoded) = request.into_inner();
        let observer = Arc::clone(&self.0);
        let is_quick = request::is_quick(&encoded);
        let compile = move || {
            let compiled = request::decode(&encoded).and_then(|request| request::flows(&observer.masks, &request));
            drop((encoded, taken_while_compiling));
            compiled
        };
        let compiled = if is_quick {
            compile()
        } else {
            self.0.compiling.run(client.as_ref(), compile).await.map_err(|why| match why {
                NotDone::Busy => {
                    Status::resource_exhausted("filters of other requests are being compiled; try again later")
                }
                NotDone::Ended => leaving(),
            })?
        };
        self.answer(lane, taken, compiled)
    }

    async fn get_agent_events(&self, request: Request<GetAgentEventsRequest>) -> Result<Response<Messages>, Status> {
        self.answer(lane(&request), None, request::agent_events(request.get_ref()))
    }

    async fn get_debug_events(&self, request: Request<GetDebugEventsRequest>) -> Result<Response<Messages>, Status> {
        self.answer(lane(&request), None, request::debug_events(request.get_ref()))
    }

    async fn get_nodes(&self, _: Request<GetNodesRequest>) -> Result<Response<GetNodesResponse>, Status> {
        // One node knows of no other: a relay asks them all.
        Err(Status::unimplemented("GetNodes not implemented"))
    }

    async fn get_namespaces(
        &self,
        _: Request<GetNamespacesRequest>,
    ) -> Result<Response<GetNamespacesResponse>, Status> {
        let namespaces = self.0.namespaces.list((self.0.now)()).into_iter();
        let namespaces = namespaces.map(|seen| Namespace { cluster: seen.cluster, namespace: seen.name }).collect();
        Ok(Response::new(GetNamespacesResponse { namespaces }))
    }

    async fn server_status(&self, _: Request<ServerStatusRequest>) -> Result<Response<ServerStatusResponse>, Status> {
        let numbers = self.0.numbers();
        Ok(Response::new(ServerStatusResponse {
            num_flows: numbers.entries,
            max_flows: numbers.capacity,
            seen_flows: numbers.flows,
            uptime_ns: numbers.uptime,
            version: format!("cilium v{HUBBLE_VERSION}+{REVISION}"),
            flows_rate: numbers.rate,
            ..ServerStatusResponse::default()
        }))
    }
}
