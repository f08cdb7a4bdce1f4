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
use super::compile_pool::CompileError;
use super::stream::{MessageStream, Scan};
use crate::serve::grpc::{Client, ConnectionQueue, ReservedBytes, shutting_down};
use crate::services::observer::observer_server::Observer as Service;

/// The release of Cilium whose API this is. Clients warn if its minor version is lower than their own.
pub const HUBBLE_VERSION: &str = "1.20.2";
/// The revision in versions: it names this program.
pub const REVISION: &str = concat!("geyepiece-", env!("CARGO_PKG_VERSION"));

/// The service of an observer.
#[derive(Clone, Debug)]
pub struct ObserverService(pub Arc<Observer>);

impl ObserverService {
    fn respond(
        &self,
        connection: Arc<Semaphore>,
        reserved: Option<ReservedBytes>,
        request: Result<(Query, Layout), RequestError>,
    ) -> Result<Response<MessageStream>, Status> {
        let (query, layout) = request.map_err(|error| Status::new(error.grpc_code().into(), error.message()))?;
        if reserved.as_ref().is_some_and(|reserved| !reserved.grow_to(query.filters.size())) {
            self.0.too_large.add(1);
            return Err(Status::resource_exhausted("filters of all requests have too many bytes; try again later"));
        }
        let scan = Scan::new(Arc::clone(&self.0), query, layout, connection, reserved);
        Ok(Response::new(MessageStream::new(scan)))
    }
}

/// The queue of the request's connection; a new one if the transport set none.
fn connection_queue<T>(request: &Request<T>) -> Arc<Semaphore> {
    request.extensions().get::<ConnectionQueue>().cloned().unwrap_or_default().0
}

#[tonic::async_trait]
impl Service for ObserverService {
    type GetFlowsStream = MessageStream;
    type GetAgentEventsStream = MessageStream;
    type GetDebugEventsStream = MessageStream;

    async fn get_flows(&self, request: Request<Encoded>) -> Result<Response<MessageStream>, Status> {
        let connection = connection_queue(&request);
        // Held as long as the message or its filters.
        let reserved = request.extensions().get::<ReservedBytes>().cloned();
        let reserved_while_compiling = reserved.clone();
        let client = request.extensions().get::<Client>().cloned();
        let Encoded(encoded) = request.into_inner();
        let observer = Arc::clone(&self.0);
        let is_quick = request::is_quick(&encoded);
        let compile = move || {
            let compiled = request::decode(&encoded).and_then(|request| request::flows(&observer.masks, &request));
            drop((encoded, reserved_while_compiling));
            compiled
        };
        let compiled = if is_quick {
            compile()
        } else {
            self.0.compile_pool.run(client.as_ref(), compile).await.map_err(|error| match error {
                CompileError::Busy => {
                    Status::resource_exhausted("filters of other requests are being compiled; try again later")
                }
                CompileError::Stopped => shutting_down(),
            })?
        };
        self.respond(connection, reserved, compiled)
    }

    async fn get_agent_events(
        &self,
        request: Request<GetAgentEventsRequest>,
    ) -> Result<Response<MessageStream>, Status> {
        self.respond(connection_queue(&request), None, request::agent_events(request.get_ref()))
    }

    async fn get_debug_events(
        &self,
        request: Request<GetDebugEventsRequest>,
    ) -> Result<Response<MessageStream>, Status> {
        self.respond(connection_queue(&request), None, request::debug_events(request.get_ref()))
    }

    async fn get_nodes(&self, _: Request<GetNodesRequest>) -> Result<Response<GetNodesResponse>, Status> {
        // Only a relay knows all nodes.
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
        let metrics = self.0.metrics();
        Ok(Response::new(ServerStatusResponse {
            num_flows: metrics.entries,
            max_flows: metrics.capacity,
            seen_flows: metrics.flows,
            uptime_ns: metrics.uptime,
            version: format!("cilium v{HUBBLE_VERSION}+{REVISION}"),
            flows_rate: metrics.rate,
            ..ServerStatusResponse::default()
        }))
    }
}
