//! Flows, receivers over gRPC and HTTP, and the sum of our numbers.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use eyepiece::export::otlp::counters::ExportCounters;
use eyepiece::export::otlp::delivery::Transport;
use eyepiece::export::otlp::logs;
use eyepiece::export::otlp::logs::LogsConfig;
use eyepiece::export::otlp::queue::LogSink;
use eyepiece::export::otlp::resource::Resource;
use eyepiece::support::backoff::BackoffRange;
use eyepiece::support::shutdown;
use eyepiece::support::telemetry::Telemetry;
use eyepiece_config::{Export, Otlp, Protocol, Signal};
use eyepiece_flow::flow::{EventType, Flow, L4, Layer, TcpFlags, Verdict};
use eyepiece_flow::lookup::NoLookup;
use eyepiece_flow::record::{Batch, Observed};
use eyepiece_tests::sample;
use opentelemetry_proto::tonic::collector::logs::v1::logs_service_server::{LogsService, LogsServiceServer};
use opentelemetry_proto::tonic::collector::logs::v1::{
    ExportLogsPartialSuccess, ExportLogsServiceRequest, ExportLogsServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tonic::codec::CompressionEncoding;
use tonic::transport::{Server, ServerTlsConfig};
use tonic::{Request, Response, Status};

/// Long enough for a machine with other things to do; nothing waits this long when all is well.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(60);

/// A flow whose uuid carries a number.
pub(crate) fn flow(number: u32) -> Flow {
    let mut flow = Flow::empty(EventType { kind: 4, subtype: 0 });
    flow.time = 1_700_000_000_000_000_000 + u64::from(number);
    flow.uuid[..4].copy_from_slice(&number.to_be_bytes());
    flow.verdict = Verdict::Forwarded;
    flow.observation_point = Some(0);
    flow.is_reply = Some(false);
    flow.last_layer = Layer::L4;
    flow.ip = Some(sample::ip([10, 0, 0, 1], [10, 0, 0, 2]));
    flow.l4 = L4::Tcp { source_port: 40_000, destination_port: 80, flags: TcpFlags(TcpFlags::SYN) };
    flow
}

pub(crate) fn batch(numbers: std::ops::Range<u32>) -> Batch {
    Batch::new(numbers.map(flow).map(Observed::Flow).collect())
}

pub(crate) fn attribute<'a>(record: &'a LogRecord, name: &str) -> Option<&'a Value> {
    let mut found = record.attributes.iter().filter(|attribute| attribute.key == name);
    let value = found.next()?.value.as_ref()?.value.as_ref();
    assert!(found.next().is_none(), "{name} is there twice");
    value
}

pub(crate) fn records(request: &ExportLogsServiceRequest) -> impl Iterator<Item = &LogRecord> {
    request.resource_logs.iter().flat_map(|resource| &resource.scope_logs).flat_map(|scope| &scope.log_records)
}

/// The numbers of all flows in requests, in order.
pub(crate) fn numbers(requests: &[ExportLogsServiceRequest]) -> Vec<u32> {
    let number = |record: &LogRecord| match attribute(record, "log.record.uid") {
        Some(Value::StringValue(uid)) => u32::from_str_radix(&uid[..8], 16).unwrap(),
        other => panic!("no uid: {other:?}"),
    };
    let mut numbers: Vec<_> = requests.iter().flat_map(records).map(number).collect();
    numbers.sort_unstable();
    numbers
}

/// The answer of a receiver.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    Ok,
    Refuse(Status),
    Partial(i64),
    Hang,
}

/// The state of receivers: accepted requests, and the answers that they send before they accept everything.
#[derive(Clone, Default)]
pub(crate) struct Received {
    pub(crate) requests: Arc<Mutex<Vec<ExportLogsServiceRequest>>>,
    pub(crate) answers: Arc<Mutex<VecDeque<Answer>>>,
    pub(crate) metadata: Arc<Mutex<Vec<tonic::metadata::MetadataMap>>>,
}

impl Received {
    pub(crate) fn answering(answers: impl IntoIterator<Item = Answer>) -> Self {
        Self { answers: Arc::new(Mutex::new(answers.into_iter().collect())), ..Self::default() }
    }

    pub(crate) fn numbers(&self) -> Vec<u32> {
        numbers(&self.requests.lock().unwrap())
    }
}

#[tonic::async_trait]
impl LogsService for Received {
    async fn export(
        &self,
        request: Request<ExportLogsServiceRequest>,
    ) -> Result<Response<ExportLogsServiceResponse>, Status> {
        self.metadata.lock().unwrap().push(request.metadata().clone());
        let answer = self.answers.lock().unwrap().pop_front().unwrap_or(Answer::Ok);
        let mut response = ExportLogsServiceResponse::default();
        match answer {
            Answer::Refuse(status) => return Err(status),
            Answer::Hang => std::future::pending().await,
            Answer::Partial(rejected_log_records) => {
                let error_message = "some were bad".to_owned();
                response.partial_success = Some(ExportLogsPartialSuccess { rejected_log_records, error_message });
            }
            Answer::Ok => {}
        }
        self.requests.lock().unwrap().push(request.into_inner());
        Ok(Response::new(response))
    }
}

/// A gRPC receiver with tonic's usual limit of 4 MiB.
pub(crate) async fn grpc(
    received: &Received,
    address: &str,
    tls: Option<ServerTlsConfig>,
) -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind(address).await.unwrap();
    let address = listener.local_addr().unwrap();
    let service = LogsServiceServer::new(received.clone()).accept_compressed(CompressionEncoding::Gzip);
    let mut server = Server::builder();
    if let Some(tls) = tls {
        server = server.tls_config(tls).unwrap();
    }
    let incoming = tokio_stream::wrappers::TcpListenerStream::new(listener);
    let task = tokio::spawn(async move { server.add_service(service).serve_with_incoming(incoming).await.unwrap() });
    (address, task)
}

pub(crate) fn settings(endpoint: String, protocol: Protocol) -> Export {
    signal_settings(endpoint, protocol, Signal::Logs)
}

pub(crate) fn signal_settings(endpoint: String, protocol: Protocol, signal: Signal) -> Export {
    Otlp { endpoint, protocol, ..Otlp::default() }.export(signal)
}

/// Small and quick.
pub(crate) fn config() -> LogsConfig {
    LogsConfig {
        capacity: 1000,
        max_records: 10,
        flush_delay: Duration::from_millis(5),
        in_flight: 2,
        backoff: BackoffRange { initial: Duration::from_millis(5), max: Duration::from_millis(20) },
        ..LogsConfig::default()
    }
}

pub(crate) fn resource() -> Resource {
    Resource::new("host", "instance", [("deployment".to_owned(), "test".to_owned())], None)
}

/// An exporter that runs.
pub(crate) struct Running {
    pub(crate) sink: LogSink,
    pub(crate) counters: ExportCounters,
    pub(crate) stop: watch::Sender<Option<Instant>>,
    pub(crate) task: JoinHandle<()>,
}

impl Running {
    pub(crate) fn start(config: &LogsConfig, transport: impl Transport) -> Self {
        let telemetry = Telemetry::default();
        let names = Arc::new(NoLookup);
        let (sink, exporter) = logs::build(config, &resource(), names, transport, &telemetry);
        let (stop, receiver) = shutdown::channel();
        let task = tokio::spawn(exporter.run(receiver));
        Self { sink, counters: ExportCounters::new(&telemetry, Signal::Logs), stop, task }
    }

    /// Ends it, draining for at most `time`.
    pub(crate) async fn end(self, time: Duration) -> ExportCounters {
        self.stop.send_replace(Some(Instant::now() + time));
        self.task.await.unwrap();
        self.counters
    }
}

/// Delivered, and dropped by reason in the order queue_full, rejected, partial_success, too_large, shutdown.
pub(crate) fn sums(counters: &ExportCounters) -> (u64, [u64; 5]) {
    let dropped =
        [&counters.queue_full, &counters.rejected, &counters.partial_success, &counters.too_large, &counters.shutdown];
    assert_eq!((counters.closed.get(), counters.queue_depth.get()), (0, 0));
    (counters.delivered.get(), dropped.map(eyepiece::support::telemetry::Number::get))
}

/// Waits for a condition that others bring about.
pub(crate) async fn eventually(mut condition: impl FnMut() -> bool) {
    let is_so = || condition().then_some(());
    eyepiece_tests::eventually_async(TIMEOUT, "waited in vain", is_so).await.unwrap();
}
