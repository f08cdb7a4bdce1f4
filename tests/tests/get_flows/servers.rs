//! Our observer and Cilium's, each behind its own gRPC server, and clients of both.

use std::sync::Arc;

use eyepiece::names::NoNames;
use eyepiece::observed::Batch;
use eyepiece::observer::namespaces::Namespaces;
use eyepiece::observer::node::Node;
use eyepiece::observer::ring::{Ring, Writer};
use eyepiece::observer::service::ObserverService;
use eyepiece::observer::{Observer, Parts};
use eyepiece::proto::observer::observer_client::ObserverClient;
use eyepiece::proto::observer::observer_server::ObserverServer;
use eyepiece::proto::observer::{GetFlowsRequest, GetFlowsResponse, ServerStatusRequest, ServerStatusResponse};
use eyepiece::source::datapath::clock::unix_now;
use eyepiece::stop;
use eyepiece::telemetry::Telemetry;
use eyepiece_tests::harness::observer::{ObserveServer, Options};
use prost::Message as _;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::{Channel, Server};
use tonic::{Code, Streaming};

use super::events::{FLOW, Item};

/// An answer, or the code and the text of the refusal.
pub(crate) type Answer = Result<Vec<GetFlowsResponse>, (Code, String)>;

pub(crate) struct Servers {
    pub(crate) writer: Writer,
    pub(crate) ciliums: ObserveServer,
    clients: [ObserverClient<Channel>; 2],
    stop: tokio::sync::watch::Sender<Option<tokio::time::Instant>>,
}

impl Servers {
    pub(crate) async fn start(capacity: u32) -> Self {
        let (ring, writer) = Ring::new(capacity);
        let (stop, stopped) = stop::channel();
        tokio::spawn(Arc::clone(&ring).wake_followers());
        let observer = Observer::new(Parts {
            ring,
            namespaces: Namespaces::default(),
            node: Node { name: "node".to_owned(), cluster: String::new() },
            names: Arc::new(NoNames),
            telemetry: Telemetry::default(),
            stop: stopped,
            now: unix_now,
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let service = ObserverServer::new(ObserverService(observer));
        tokio::spawn(Server::builder().add_service(service).serve_with_incoming(TcpListenerStream::new(listener)));
        let ciliums = ObserveServer::start(&Options { capacity, ..Options::default() }).expect("Cilium's server");
        let ours = connect(&address.to_string()).await;
        let theirs = connect(ciliums.address()).await;
        Self { writer, ciliums, clients: [ours, theirs], stop }
    }

    /// Feeds both; ours in batches of several sizes.
    pub(crate) fn feed(&mut self, items: &[Item]) {
        let mut left = items;
        for size in [1, 3, 64, 7].into_iter().cycle() {
            let (now, later) = left.split_at(size.min(left.len()));
            if now.is_empty() {
                break;
            }
            self.writer.write(Batch::new(now.iter().map(|item| item.observed()).collect()));
            left = later;
        }
        for item in items {
            self.ciliums.event(&item.export().encode_to_vec()).expect("fed");
        }
        self.ciliums.settle().expect("settled");
    }

    /// Writes what Cilium's ring hides.
    pub(crate) fn hide(&mut self) {
        let hidden = Item { kind: FLOW, number: u64::from(u32::MAX), time: super::events::START };
        self.ciliums.event(&hidden.export().encode_to_vec()).expect("fed");
        self.ciliums.settle().expect("settled");
    }

    /// What each answers, ours first.
    pub(crate) async fn answers(&mut self, request: &GetFlowsRequest) -> [Answer; 2] {
        let [ours, theirs] = &mut self.clients;
        [answer(ours, request).await, answer(theirs, request).await]
    }

    /// A stream of each, ours first.
    pub(crate) async fn streams(&mut self, request: &GetFlowsRequest) -> [Streaming<GetFlowsResponse>; 2] {
        let [ours, theirs] = &mut self.clients;
        [
            ours.get_flows(request.clone()).await.expect("a stream").into_inner(),
            theirs.get_flows(request.clone()).await.expect("a stream").into_inner(),
        ]
    }

    pub(crate) async fn statuses(&mut self) -> [ServerStatusResponse; 2] {
        let [ours, theirs] = &mut self.clients;
        let ours = ours.server_status(ServerStatusRequest {}).await.expect("a status").into_inner();
        [ours, theirs.server_status(ServerStatusRequest {}).await.expect("a status").into_inner()]
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        self.stop.send_replace(Some(tokio::time::Instant::now()));
    }
}

async fn connect(address: &str) -> ObserverClient<Channel> {
    ObserverClient::connect(format!("http://{address}")).await.expect("a connection")
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
