//! A server that a test answers for, call by call, and a reader of the source under test.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bytes::Bytes;
use eyepiece::client::config::{ClientConfig, TlsConfig};
use eyepiece::services::observer::observer_server::{Observer, ObserverServer};
use eyepiece::source::Source as _;
use eyepiece::source::hubble;
use eyepiece::source::hubble::{Config, Controls, Hubble, Probing};
use eyepiece::support::telemetry::Telemetry;
use eyepiece_flow::event::Event;
use eyepiece_flow::record::Observed;
use eyepiece_hubble::proto::flow::{AgentEvent, LostEvent};
use eyepiece_hubble::proto::observer::{
    GetAgentEventsRequest, GetAgentEventsResponse, GetDebugEventsRequest, GetFlowsRequest, GetFlowsResponse,
    GetNamespacesRequest, GetNamespacesResponse, GetNodesRequest, GetNodesResponse, ServerStatusRequest,
    ServerStatusResponse, get_flows_response,
};
use eyepiece_hubble::proto::relay::{NodeState, NodeStatusEvent};
use eyepiece_hubble::proto::{Encoded, flow};
use prost::Message as _;
use prost_types::Timestamp;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::transport::{Server as Transport, ServerTlsConfig};
use tonic::{Request, Response, Status};

/// Timeout of expected events; only a failure takes that long.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(60);
/// Time of the flow 0, s since the Unix epoch.
const START: i64 = 1_700_000_000;

type Answer = mpsc::Sender<Result<Encoded, Status>>;
type Answers = ReceiverStream<Result<Encoded, Status>>;

/// A call of flows: the request, and the sender of its answer, whose drop ends the stream.
pub(crate) struct Call {
    pub(crate) request: GetFlowsRequest,
    pub(crate) answer: Answer,
}

impl Call {
    /// Sends a message.
    pub(crate) fn send(&self, message: Bytes) {
        self.answer.blocking_send(Ok(Encoded(message))).expect("the source reads");
    }

    /// Sends flows of these numbers.
    pub(crate) fn flows(&self, numbers: impl IntoIterator<Item = u64>) {
        numbers.into_iter().for_each(|number| self.send(flow("node", number)));
    }

    /// Sends flows up to this number from a thread, and returns it once the client takes none for this long.
    pub(crate) fn send_until_full(self, flows: u64, still: Duration) -> JoinHandle<Self> {
        let sent = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&sent);
        let sender = std::thread::spawn(move || {
            for number in 0..flows {
                self.flows([number]);
                counted.fetch_add(1, Ordering::Relaxed);
            }
            self
        });
        // No event marks a full connection, only a wait of this length without progress.
        let (mut before, mut since) = (0, Instant::now());
        while before == 0 || since.elapsed() < still {
            std::thread::sleep(Duration::from_millis(50));
            let now = sent.load(Ordering::Relaxed);
            if now != before {
                (before, since) = (now, Instant::now());
            }
        }
        assert!(before < flows, "all were taken without a reader");
        sender
    }

    /// Ends the stream with an error.
    pub(crate) fn fail(self, status: Status) {
        self.answer.blocking_send(Err(status)).expect("the source reads");
    }

    /// From when on it asks, as the number of a flow.
    pub(crate) fn since(&self) -> Option<i64> {
        self.request.since.as_ref().map(|since| since.seconds - START)
    }
}

/// A response with a flow, a second behind the one before; of an unknown field, too.
pub(crate) fn flow(node: &str, number: u64) -> Bytes {
    let time = Some(Timestamp { seconds: START + number as i64, nanos: 0 });
    let hex = format!("{:032x}", u128::from(number) << 8 | u128::from(node.as_bytes()[0]));
    let uuid = [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-");
    let event_type = Some(flow::CiliumEventType { r#type: 4, sub_type: 0 });
    let flow = flow::Flow { time, uuid, node_name: node.to_owned(), verdict: 1, event_type, ..Default::default() };
    let mut bytes = flow.encode_to_vec();
    // Field 77,777 with the text "new".
    bytes.extend([0x8a, 0xfd, 0x25, 3, b'n', b'e', b'w']);
    let mut response = vec![0x0a];
    prost::encoding::encode_varint(bytes.len() as u64, &mut response);
    response.extend(bytes);
    GetFlowsResponse { node_name: node.to_owned(), time, response_types: None }.encode(&mut response).expect("room");
    response.into()
}

/// A response with a loss of the server's ring.
pub(crate) fn lost(number: u64, count: u64) -> Bytes {
    let time = Some(Timestamp { seconds: START + number as i64, nanos: 0 });
    let event = LostEvent { source: 3, num_events_lost: count, ..LostEvent::default() };
    let response_types = Some(get_flows_response::ResponseTypes::LostEvents(event));
    GetFlowsResponse { node_name: "node".to_owned(), time, response_types }.encode_to_vec().into()
}

/// A response of a relay about its nodes.
pub(crate) fn nodes(state: NodeState, names: &[&str]) -> Bytes {
    let node_names = names.iter().map(|&name| name.to_owned()).collect();
    let event = NodeStatusEvent { state_change: state.into(), node_names, message: "as it is".to_owned() };
    let response_types = Some(get_flows_response::ResponseTypes::NodeStatus(event));
    GetFlowsResponse { response_types, ..GetFlowsResponse::default() }.encode_to_vec().into()
}

/// A response with an event of the agent.
pub(crate) fn agent(number: u64) -> Bytes {
    let time = Some(Timestamp { seconds: START + number as i64, nanos: 0 });
    let event = AgentEvent { r#type: 9, ..AgentEvent::default() };
    let node_name = "node".to_owned();
    GetAgentEventsResponse { node_name, time, agent_event: Some(event) }.encode_to_vec().into()
}

struct Service {
    flows: mpsc::UnboundedSender<Call>,
    agent: Option<mpsc::UnboundedSender<Answer>>,
}

#[tonic::async_trait]
impl Observer for Service {
    type GetFlowsStream = Answers;
    type GetAgentEventsStream = Answers;
    type GetDebugEventsStream = Answers;

    async fn get_flows(&self, request: Request<Encoded>) -> Result<Response<Answers>, Status> {
        let request = request.map(|encoded| GetFlowsRequest::decode(encoded.0).expect("a request"));
        let (answer, answers) = mpsc::channel(1);
        self.flows.send(Call { request: request.into_inner(), answer }).map_err(|_| Status::unavailable("over"))?;
        Ok(Response::new(ReceiverStream::new(answers)))
    }

    async fn get_agent_events(&self, _: Request<GetAgentEventsRequest>) -> Result<Response<Answers>, Status> {
        let Some(agent) = &self.agent else { return Err(Status::unimplemented("not of a relay")) };
        let (answer, answers) = mpsc::channel(1);
        agent.send(answer).map_err(|_| Status::unavailable("over"))?;
        Ok(Response::new(ReceiverStream::new(answers)))
    }

    async fn get_debug_events(&self, _: Request<GetDebugEventsRequest>) -> Result<Response<Answers>, Status> {
        Err(Status::unimplemented("not of a relay"))
    }

    async fn get_nodes(&self, _: Request<GetNodesRequest>) -> Result<Response<GetNodesResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn get_namespaces(
        &self,
        _: Request<GetNamespacesRequest>,
    ) -> Result<Response<GetNamespacesResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn server_status(&self, _: Request<ServerStatusRequest>) -> Result<Response<ServerStatusResponse>, Status> {
        Err(Status::unimplemented(""))
    }
}

/// A server; dropped, it is gone with its connections.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    calls: mpsc::UnboundedReceiver<Call>,
    agent_calls: mpsc::UnboundedReceiver<Answer>,
    runtime: Option<Runtime>,
}

impl Server {
    /// Without events of the agent, as a relay.
    pub(crate) fn start() -> Self {
        Self::start_at("127.0.0.1:0", false, None)
    }

    pub(crate) fn start_at(address: &str, has_agent: bool, tls: Option<ServerTlsConfig>) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("threads");
        let (flows, calls) = mpsc::unbounded_channel();
        let (agent, agent_calls) = mpsc::unbounded_channel();
        let listener = runtime.block_on(TcpListener::bind(address)).expect("a port");
        let address = listener.local_addr().expect("an address");
        let service = ObserverServer::new(Service { flows, agent: has_agent.then_some(agent) });
        let mut transport = Transport::builder();
        if let Some(tls) = tls {
            transport = transport.tls_config(tls).expect("TLS");
        }
        let router = transport.add_service(service);
        runtime.spawn(router.serve_with_incoming(TcpListenerStream::new(listener)));
        Self { address, calls, agent_calls, runtime: Some(runtime) }
    }

    /// The next call of flows.
    pub(crate) fn call(&mut self) -> Call {
        next(&mut self.calls, self.runtime.as_ref().expect("it runs"))
    }

    /// The next call of agent events.
    pub(crate) fn agent_call(&mut self) -> Answer {
        next(&mut self.agent_calls, self.runtime.as_ref().expect("it runs"))
    }
}

/// A server, a reader of it, and the reader's first call.
pub(crate) fn connected() -> (Server, Reader, Call) {
    let mut server = Server::start();
    let reader = Reader::start(&server.address.to_string());
    let call = server.call();
    (server, reader, call)
}

fn next<T>(calls: &mut mpsc::UnboundedReceiver<T>, runtime: &Runtime) -> T {
    let call = runtime.block_on(async { tokio::time::timeout(TIMEOUT, calls.recv()).await });
    call.expect("no call arrives").expect("the server is gone")
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(TIMEOUT);
        }
    }
}

/// An event that the source has passed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    /// The number of a flow.
    Flow(u64),
    Agent,
    Lost(u64),
    Undecodable(Vec<u8>),
}

/// The source under test, and what it has handed over.
pub(crate) struct Reader {
    pub(crate) telemetry: Telemetry,
    pub(crate) controls: Controls,
    pub(crate) seen: Vec<Seen>,
    source: Hubble,
    _runtime: Runtime,
}

impl Reader {
    pub(crate) fn start(address: &str) -> Self {
        Self::start_with(address, None)
    }

    pub(crate) fn start_with(address: &str, tls: Option<TlsConfig>) -> Self {
        Self::start_probing(address, tls, Probing::default())
    }

    pub(crate) fn start_probing(address: &str, tls: Option<TlsConfig>, probing: Probing) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("threads");
        let telemetry = Telemetry::default();
        let client = ClientConfig { tls, ..ClientConfig::default() };
        let config = Config { address: address.parse().expect("an address"), client };
        let (source, controls) = hubble::build(config, runtime.handle().clone(), &telemetry).expect("a source");
        let mut source = source.probing(probing);
        source.start().expect("start");
        Self { telemetry, controls, seen: Vec::new(), source, _runtime: runtime }
    }

    /// One read of the source.
    pub(crate) fn read(&mut self, timeout: Duration) -> usize {
        let seen = &mut self.seen;
        let mut take = |event: &Event<'_>| {
            seen.push(match event {
                Event::Observed(handover) => match *handover.take().expect("it is taken once") {
                    Observed::Flow(flow) => {
                        let metadata = flow.metadata.expect("they come along");
                        assert!(metadata.encoded.ends_with(b"new"), "unknown fields are kept");
                        let number = u128::from_be_bytes(flow.uuid) >> 8;
                        assert_eq!(flow.time, (START as u64 + number as u64) * 1_000_000_000);
                        Seen::Flow(number as u64)
                    }
                    Observed::Agent(_) => Seen::Agent,
                    Observed::Lost(lost) => Seen::Lost(lost.count),
                    other => panic!("{other:?}"),
                },
                Event::Undecodable(message) => Seen::Undecodable(message.data.to_vec()),
                other => panic!("{other:?}"),
            });
        };
        self.source.read(timeout, &mut take).expect("read")
    }

    /// Reads until something is so.
    pub(crate) fn until(&mut self, what: &str, mut is_so: impl FnMut(&Self) -> bool) {
        let found = eyepiece_tests::until(TIMEOUT, what, || {
            let found = is_so(self).then_some(());
            if found.is_none() {
                self.read(Duration::from_millis(20));
            }
            found
        });
        found.unwrap_or_else(|error| panic!("{error}: {:?}, {:?}", self.seen, self.controls.view.get()));
    }

    /// Reads until `count` events have arrived, then takes them.
    pub(crate) fn take(&mut self, count: usize) -> Vec<Seen> {
        self.until(&format!("{count} events"), |reader| reader.seen.len() >= count);
        std::mem::take(&mut self.seen)
    }

    /// Takes flows of these numbers, in order and nothing else.
    pub(crate) fn expect(&mut self, numbers: impl IntoIterator<Item = u64>) {
        let expected: Vec<_> = numbers.into_iter().map(Seen::Flow).collect();
        assert_eq!(self.take(expected.len()), expected);
    }

    /// Reads until there is no connection for this reason.
    pub(crate) fn until_reason(&mut self, reason: &str) {
        self.until(reason, |reader| reader.controls.view.get().reason == Some(reason));
    }

    /// The value of a number whose reason is this.
    pub(crate) fn number(&self, name: &str, reason: Option<&str>) -> u64 {
        let samples = self.telemetry.samples();
        let is_it = |attributes: &[(&str, String)]| {
            reason.is_none_or(|reason| attributes.iter().any(|(_, value)| value == reason))
        };
        let wanted = samples.iter().filter(|sample| sample.key.name == name && is_it(&sample.key.attributes));
        wanted.map(|sample| sample.value).sum()
    }

    pub(crate) fn gaps(&self) -> u64 {
        self.number("eyepiece.source.gaps", None)
    }

    pub(crate) fn stop(&mut self) {
        self.source.stop();
    }

    pub(crate) fn restart(&mut self) {
        self.source.start().expect("start");
    }
}
