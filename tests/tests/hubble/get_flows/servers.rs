//! Our observer and Cilium's, each with its own gRPC server, and clients of both.

use std::sync::Arc;

use eyepiece::serve::observer::namespaces::Namespaces;
use eyepiece::serve::observer::ring::{Ring, Writer};
use eyepiece::serve::observer::service::ObserverService;
use eyepiece::serve::observer::{Deps, Observer};
use eyepiece::services::observer::observer_client::ObserverClient;
use eyepiece::services::observer::observer_server::ObserverServer;
use eyepiece::support::clock::unix_now;
use eyepiece::support::shutdown;
use eyepiece::support::telemetry::Telemetry;
use eyepiece_flow::lookup::NoLookup;
use eyepiece_flow::record::Batch;
use eyepiece_hubble::node::Node;
use eyepiece_hubble::proto::observer::{
    GetAgentEventsRequest, GetDebugEventsRequest, GetFlowsRequest, GetFlowsResponse, ServerStatusRequest,
    ServerStatusResponse,
};
use eyepiece_tests::harness::observer::{ObserveServer, Options};
use prost::Message as _;
use prost_types::Timestamp;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Code, Streaming};

use super::events::{HIDDEN, Item};

/// An answer, or the code and the text of the refusal.
pub(crate) type Answer = Result<Vec<GetFlowsResponse>, (Code, String)>;

/// Our observer with its gRPC server.
pub(crate) struct Ours {
    writer: Writer,
    address: String,
    client: ObserverClient<Channel>,
    stop: tokio::sync::watch::Sender<Option<tokio::time::Instant>>,
}

impl Ours {
    pub(crate) async fn start(capacity: u32) -> Self {
        let (ring, writer) = Ring::new(capacity);
        let (stop, stopped) = shutdown::channel();
        tokio::spawn(Arc::clone(&ring).wake_followers());
        let observer = Observer::new(Deps {
            ring,
            namespaces: Namespaces::default(),
            node: Node { name: "node".to_owned(), cluster: String::new() },
            names: Arc::new(NoLookup),
            telemetry: Telemetry::default(),
            stop: stopped,
            now: unix_now,
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let service = ObserverServer::new(ObserverService(observer));
        tokio::spawn(Server::builder().add_service(service).serve_with_incoming(TcpListenerStream::new(listener)));
        let address = address.to_string();
        let client = connect(&address).await;
        Self { writer, address, client, stop }
    }

    /// In batches of several sizes.
    pub(crate) fn feed(&mut self, items: &[Item]) {
        let mut left = items;
        for size in [1, 3, 64, 7].into_iter().cycle() {
            let (now, later) = left.split_at(size.min(left.len()));
            if now.is_empty() {
                break;
            }
            self.writer.write(&Batch::new(now.iter().map(|item| item.observed()).collect()));
            left = later;
        }
    }

    /// A client with a separate connection.
    pub(crate) async fn connected(&self) -> ObserverClient<Channel> {
        connect(&self.address).await
    }

    pub(crate) async fn answer(&mut self, request: &GetFlowsRequest) -> Answer {
        answer(&mut self.client, request).await
    }

    pub(crate) async fn stream(&mut self, request: &GetFlowsRequest) -> Streaming<GetFlowsResponse> {
        self.client.get_flows(request.clone()).await.expect("a stream").into_inner()
    }

    /// Returns the times of the agent's events.
    pub(crate) async fn agent_events(&mut self, request: GetAgentEventsRequest) -> Vec<Option<Timestamp>> {
        let stream = self.client.get_agent_events(request).await.expect("a stream").into_inner();
        let responses = stream.collect::<Result<Vec<_>, _>>().await.expect("responses");
        assert!(responses.iter().all(|response| response.agent_event.is_some() && response.node_name == "node"));
        responses.into_iter().map(|response| response.time).collect()
    }

    /// Returns the times of the debug events.
    pub(crate) async fn debug_events(&mut self, request: GetDebugEventsRequest) -> Vec<Option<Timestamp>> {
        let stream = self.client.get_debug_events(request).await.expect("a stream").into_inner();
        let responses = stream.collect::<Result<Vec<_>, _>>().await.expect("responses");
        assert!(responses.iter().all(|response| response.debug_event.is_some() && response.node_name == "node"));
        responses.into_iter().map(|response| response.time).collect()
    }
}

impl Drop for Ours {
    fn drop(&mut self) {
        self.stop.send_replace(Some(tokio::time::Instant::now()));
    }
}

/// Both.
pub(crate) struct Servers {
    ours: Ours,
    ciliums: ObserveServer,
    client: ObserverClient<Channel>,
}

impl Servers {
    pub(crate) async fn start(capacity: u32) -> Self {
        let ours = Ours::start(capacity).await;
        let ciliums = ObserveServer::start(&Options { capacity, ..Options::default() }).expect("Cilium's server");
        let client = connect(ciliums.address()).await;
        Self { ours, ciliums, client }
    }

    /// Feeds both.
    pub(crate) fn feed(&mut self, items: &[Item]) {
        self.ours.feed(items);
        for item in items {
            self.ciliums.event(&item.export().encode_to_vec()).expect("fed");
        }
        self.ciliums.settle().expect("settled");
    }

    /// Writes what Cilium's ring hides.
    pub(crate) fn hide(&mut self) {
        self.ciliums.event(&HIDDEN.export().encode_to_vec()).expect("fed");
        self.ciliums.settle().expect("settled");
    }

    pub(crate) async fn ours(&mut self, request: &GetFlowsRequest) -> Answer {
        self.ours.answer(request).await
    }

    /// Returns each server's answer, ours first.
    pub(crate) async fn answers(&mut self, request: &GetFlowsRequest) -> [Answer; 2] {
        [self.ours.answer(request).await, answer(&mut self.client, request).await]
    }

    /// A stream of each, ours first.
    pub(crate) async fn streams(&mut self, request: &GetFlowsRequest) -> [Streaming<GetFlowsResponse>; 2] {
        let (ours, ciliums) = self.started(request).await;
        [ours, ciliums.await.expect("no panic")]
    }

    /// The same; Cilium's answer has no head before there is something to answer.
    pub(crate) async fn started(
        &mut self,
        request: &GetFlowsRequest,
    ) -> (Streaming<GetFlowsResponse>, JoinHandle<Streaming<GetFlowsResponse>>) {
        let ours = self.ours.stream(request).await;
        let (mut client, request) = (self.client.clone(), request.clone());
        let ciliums = async move { client.get_flows(request).await.expect("a stream").into_inner() };
        (ours, tokio::spawn(ciliums))
    }

    pub(crate) async fn statuses(&mut self) -> [ServerStatusResponse; 2] {
        let ours = self.ours.client.server_status(ServerStatusRequest {}).await.expect("a status").into_inner();
        [ours, self.client.server_status(ServerStatusRequest {}).await.expect("a status").into_inner()]
    }
}

async fn connect(address: &str) -> ObserverClient<Channel> {
    let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("an address");
    // A stalled stream with the usual 2 MiB holds more small frames than the h2 library allows.
    let endpoint = endpoint.initial_stream_window_size(65_535);
    ObserverClient::new(endpoint.connect().await.expect("a connection"))
}

async fn answer(client: &mut ObserverClient<Channel>, request: &GetFlowsRequest) -> Answer {
    let refused = |status: tonic::Status| (status.code(), status.message().to_owned());
    let mut stream = client.get_flows(request.clone()).await.map_err(refused)?.into_inner();
    let mut responses = Vec::new();
    while let Some(response) = stream.message().await.map_err(refused)? {
        responses.push(response);
    }
    Ok(responses)
}
