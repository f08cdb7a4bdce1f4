//! A Hubble server with scripted answers, which keeps the requests.

use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use eyepiece::services::observer::observer_server::{Observer, ObserverServer};
use eyepiece::services::peer::peer_server::{Peer, PeerServer};
use eyepiece_hubble::proto::observer::{
    GetAgentEventsRequest, GetAgentEventsResponse, GetDebugEventsRequest, GetDebugEventsResponse, GetFlowsRequest,
    GetFlowsResponse, GetNamespacesRequest, GetNamespacesResponse, GetNodesRequest, GetNodesResponse,
    ServerStatusRequest, ServerStatusResponse,
};
use eyepiece_hubble::proto::peer::{ChangeNotification, NotifyRequest};
use eyepiece_hubble::proto::{Encoded, flow};
use prost::Message;
use tempfile::TempDir;
use tokio::net::{TcpListener, UnixListener};
use tokio::runtime::Runtime;
use tokio_stream::wrappers::{TcpListenerStream, UnixListenerStream};
use tokio_stream::{Stream, StreamExt as _};
use tonic::transport::server::Router;
use tonic::transport::{Server as Transport, ServerTlsConfig};
use tonic::{Request, Response, Status};

/// The end of a stream, after its messages.
#[derive(Clone, Default)]
pub(crate) enum StreamEnd {
    /// The end.
    #[default]
    End,
    /// Nothing, for ever.
    Wait,
    /// The same again, for ever.
    Again,
    /// An error.
    Fail(Status),
}

/// The answers.
#[derive(Clone, Default)]
pub(crate) struct Answers {
    pub(crate) flows: Vec<GetFlowsResponse>,
    pub(crate) then: StreamEnd,
    pub(crate) agent: Vec<GetAgentEventsResponse>,
    pub(crate) debug: Vec<GetDebugEventsResponse>,
    /// `None` is a node, which knows no others.
    pub(crate) nodes: Option<GetNodesResponse>,
    pub(crate) namespaces: GetNamespacesResponse,
    pub(crate) status: ServerStatusResponse,
    pub(crate) peers: Vec<ChangeNotification>,
    pub(crate) is_sick: bool,
}

/// The received requests.
#[derive(Default)]
pub(crate) struct ReceivedRequests {
    pub(crate) flows: Vec<GetFlowsRequest>,
    pub(crate) agent: Vec<GetAgentEventsRequest>,
    pub(crate) debug: Vec<GetDebugEventsRequest>,
    /// The header `authorization` of calls that had it.
    pub(crate) authorization: Vec<String>,
}

struct Service {
    answers: Answers,
    asked: Arc<Mutex<ReceivedRequests>>,
}

type Messages = Pin<Box<dyn Stream<Item = Result<Encoded, Status>> + Send>>;

impl Service {
    fn stream<M: Message + Clone + Send + 'static>(&self, messages: &[M]) -> Response<Messages> {
        let encoded: Vec<_> = messages.iter().map(|message| Ok(Encoded(message.encode_to_vec().into()))).collect();
        let first = tokio_stream::iter(encoded.clone());
        Response::new(match self.answers.then.clone() {
            StreamEnd::End => Box::pin(first),
            StreamEnd::Wait => Box::pin(first.chain(tokio_stream::pending())),
            StreamEnd::Again => Box::pin(tokio_stream::iter(std::iter::repeat(encoded).flatten())),
            StreamEnd::Fail(status) => Box::pin(first.chain(tokio_stream::once(Err(status)))),
        })
    }

    fn note<T>(&self, request: Request<T>, note: impl FnOnce(&mut ReceivedRequests, T)) {
        let mut asked = self.asked.lock().unwrap();
        if let Some(value) = request.metadata().get("authorization") {
            asked.authorization.push(value.to_str().unwrap().to_owned());
        }
        note(&mut asked, request.into_inner());
    }
}

#[tonic::async_trait]
impl Observer for Service {
    type GetFlowsStream = Messages;
    type GetAgentEventsStream = Messages;
    type GetDebugEventsStream = Messages;

    async fn get_flows(&self, request: Request<Encoded>) -> Result<Response<Messages>, Status> {
        let request = request.map(|encoded| GetFlowsRequest::decode(encoded.0).expect("a request"));
        self.note(request, |asked, request| asked.flows.push(request));
        let mut response = self.stream(&self.answers.flows);
        response.metadata_mut().insert("hubble-server-version", "1.20.2+gtest".parse().unwrap());
        Ok(response)
    }

    async fn get_agent_events(&self, request: Request<GetAgentEventsRequest>) -> Result<Response<Messages>, Status> {
        self.note(request, |asked, request| asked.agent.push(request));
        Ok(self.stream(&self.answers.agent))
    }

    async fn get_debug_events(&self, request: Request<GetDebugEventsRequest>) -> Result<Response<Messages>, Status> {
        self.note(request, |asked, request| asked.debug.push(request));
        Ok(self.stream(&self.answers.debug))
    }

    async fn get_nodes(&self, _: Request<GetNodesRequest>) -> Result<Response<GetNodesResponse>, Status> {
        let nodes = self.answers.nodes.clone();
        nodes.map(Response::new).ok_or_else(|| Status::unimplemented("GetNodes not implemented"))
    }

    async fn get_namespaces(
        &self,
        _: Request<GetNamespacesRequest>,
    ) -> Result<Response<GetNamespacesResponse>, Status> {
        Ok(Response::new(self.answers.namespaces.clone()))
    }

    async fn server_status(&self, _: Request<ServerStatusRequest>) -> Result<Response<ServerStatusResponse>, Status> {
        Ok(Response::new(self.answers.status.clone()))
    }
}

struct Peers(Vec<ChangeNotification>);

#[tonic::async_trait]
impl Peer for Peers {
    type NotifyStream = Pin<Box<dyn Stream<Item = Result<ChangeNotification, Status>> + Send>>;

    async fn notify(&self, _: Request<NotifyRequest>) -> Result<Response<Self::NotifyStream>, Status> {
        Ok(Response::new(Box::pin(tokio_stream::iter(self.0.clone().into_iter().map(Ok)))))
    }
}

/// A running server; it ends with this.
pub(crate) struct Server {
    pub(crate) address: String,
    pub(crate) asked: Arc<Mutex<ReceivedRequests>>,
    _folder: TempDir,
    _runtime: Runtime,
}

impl Server {
    /// On a unix socket.
    pub(crate) fn start(answers: Answers) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path: PathBuf = folder.path().join("hubble.sock");
        Self::run(answers, None, folder, Some(&path))
    }

    /// On a port of 127.0.0.1, with TLS or without.
    pub(crate) fn start_tcp(answers: Answers, tls: Option<ServerTlsConfig>) -> Self {
        Self::run(answers, tls, tempfile::tempdir().unwrap(), None)
    }

    fn run(answers: Answers, tls: Option<ServerTlsConfig>, folder: TempDir, path: Option<&Path>) -> Self {
        let runtime = Runtime::new().unwrap();
        let asked = Arc::new(Mutex::new(ReceivedRequests::default()));
        let router = router(answers, tls, &asked, &runtime);
        let address = runtime.block_on(async {
            if let Some(path) = path {
                let stream = UnixListenerStream::new(UnixListener::bind(path).unwrap());
                tokio::spawn(router.serve_with_incoming(stream));
                return format!("unix://{}", path.display());
            }
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap().to_string();
            tokio::spawn(router.serve_with_incoming(TcpListenerStream::new(listener)));
            address
        });
        Self { address, asked, _folder: folder, _runtime: runtime }
    }
}

fn router(
    answers: Answers,
    tls: Option<ServerTlsConfig>,
    asked: &Arc<Mutex<ReceivedRequests>>,
    runtime: &Runtime,
) -> Router {
    let (reporter, health) = tonic_health::server::health_reporter();
    let status =
        if answers.is_sick { tonic_health::ServingStatus::NotServing } else { tonic_health::ServingStatus::Serving };
    runtime.block_on(reporter.set_service_status(eyepiece::services::HEALTH_SERVICE, status));
    let mut builder = Transport::builder();
    if let Some(tls) = tls {
        builder = builder.tls_config(tls).unwrap();
    }
    let peers = PeerServer::new(Peers(answers.peers.clone()));
    let service = ObserverServer::new(Service { answers, asked: Arc::clone(asked) });
    builder.add_service(service).add_service(peers).add_service(health)
}

/// A flow with a summary, and nothing else.
pub(crate) fn flow(summary: &str) -> GetFlowsResponse {
    use eyepiece_hubble::proto::observer::get_flows_response::ResponseTypes;
    let flow = flow::Flow { summary: summary.to_owned(), node_name: "n1".to_owned(), ..flow::Flow::default() };
    GetFlowsResponse {
        node_name: "n1".to_owned(),
        response_types: Some(ResponseTypes::Flow(flow)),
        ..Default::default()
    }
}
