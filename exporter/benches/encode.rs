//! The cost of a log record, encoded, and sent to a receiver in this process; compared with OpenTelemetry's SDK.
//!
//! CPU time is the whole process' without the receiver's thread, a delivered record.

#[allow(dead_code, reason = "each bench uses a part")]
mod measured;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use eyepiece::export::otlp::client::Client;
use eyepiece::export::otlp::encode::{FlowEncoder, Pushed, RequestBuilder};
use eyepiece::export::otlp::logs;
use eyepiece::export::otlp::logs::LogsConfig;
use eyepiece::export::otlp::resource::Resource;
use eyepiece::metadata::{LinkTables, NameSnapshot};
use eyepiece::support::shutdown;
use eyepiece::support::task_thread::spawn_thread;
use eyepiece::support::telemetry::Telemetry;
use eyepiece_config::{Compression, Otlp, Signal};
use eyepiece_flow::flow::{End, Flow};
use eyepiece_flow::interner::Symbols;
use eyepiece_flow::lookup::{BatchNames, NameLookup};
use eyepiece_flow::record::{Batch, Observed};
use eyepiece_semconv::attribute as name;
use eyepiece_wire::Hook;
use nix::time::{ClockId, clock_gettime};
use opentelemetry::InstrumentationScope;
use opentelemetry::logs::{AnyValue, LogRecord as _, Logger as _, LoggerProvider as _, Severity};
use opentelemetry_otlp::WithExportConfig as _;
use opentelemetry_proto::tonic::collector::logs::v1::logs_service_server::{LogsService, LogsServiceServer};
use opentelemetry_proto::tonic::collector::logs::v1::{ExportLogsServiceRequest, ExportLogsServiceResponse};
use opentelemetry_proto::transform::common::tonic::ResourceAttributesWithSchema;
use opentelemetry_proto::transform::logs::tonic::group_logs_by_resource_and_scope;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::logs::{
    BatchConfigBuilder, BatchLogProcessor, LogBatch, LogProcessor, SdkLogRecord, SdkLogger, SdkLoggerProvider,
};
use prost::Message as _;
use tonic::codec::CompressionEncoding;
use tonic::{Request, Response, Status};

use eyepiece_tests::bench_report::{Goal, goal, heading, row};
use eyepiece_tests::sample;
use measured::Micro;

/// Flows of a request.
const BATCH: usize = 2048;
/// Runs of each way to send, in turns; the best is shown.
const RUNS: usize = 3;

struct Interfaces;

impl NameLookup for Interfaces {
    fn interface(&self, _: u32, out: &mut String) {
        out.push_str("veth0a1b2c3");
    }
}

/// TCP over IPv4 with all that our own datapath knows: 23 attributes.
fn flows(names: &mut LinkTables) -> Vec<Flow> {
    let ends = [names.intern("veth0a1b2c3"), names.intern("world")];
    let flow = |number: usize| {
        let mut flow = sample::established(number);
        flow.cpu = 1;
        flow.source = End { name: ends[0], ..End::default() };
        flow.destination = End { name: ends[1], ..End::default() };
        flow.traffic = Some(sample::traffic(Hook::FromEndpoint, (17, 0), (12, 17_000 + number as u64)));
        flow
    };
    (0..BATCH).map(flow).collect()
}

/// The same record by the SDK's interface.
fn sdk_record(logger: &SdkLogger, flow: &Flow) {
    let mut record = logger.create_log_record();
    record.set_event_name("hubble.flow");
    record.set_timestamp(SystemTime::UNIX_EPOCH + Duration::from_nanos(flow.time));
    record.set_observed_timestamp(SystemTime::UNIX_EPOCH + Duration::from_nanos(flow.time));
    record.set_severity_number(Severity::Info);
    record.set_severity_text("INFO");
    let (Some(ip), Some((source_port, destination_port)), Some(traffic)) = (&flow.ip, flow.l4.ports(), &flow.traffic)
    else {
        return;
    };
    let (source, destination) = (ip.source.to_string(), ip.destination.to_string());
    record.set_body(AnyValue::from(format!(
        "{source}:{source_port} (veth0a1b2c3) -> {destination}:{destination_port} (world) to-endpoint {} (TCP Flags: ACK, PSH)",
        flow.verdict.name(),
    )));
    record.add_attribute(name::LOG_RECORD_UID, format!("{:032x}", u128::from_be_bytes(flow.uuid)));
    record.add_attribute(name::HUBBLE_VERDICT, flow.verdict.name());
    record.add_attribute(name::HUBBLE_EVENT_TYPE, "Trace");
    record.add_attribute(name::HUBBLE_EVENT_SUBTYPE, "to-endpoint");
    record.add_attribute(name::HUBBLE_OBSERVATION_POINT, "to-endpoint");
    record.add_attribute(name::HUBBLE_TRACE_REASON, "established");
    record.add_attribute(name::HUBBLE_TRAFFIC_DIRECTION, "ingress");
    record.add_attribute(name::HUBBLE_IS_REPLY, flow.is_reply.unwrap_or_default());
    record.add_attribute(name::HUBBLE_SUMMARY, "TCP Flags: ACK, PSH".to_owned());
    record.add_attribute(name::HUBBLE_FLOW_PACKETS, traffic.packets.cast_signed());
    record.add_attribute(name::HUBBLE_FLOW_BYTES, traffic.bytes.cast_signed());
    record.add_attribute(name::NETWORK_TYPE, "ipv4");
    record.add_attribute(name::SOURCE_ADDRESS, source);
    record.add_attribute(name::DESTINATION_ADDRESS, destination);
    record.add_attribute(name::HUBBLE_SOURCE_NAME, "veth0a1b2c3".to_owned());
    record.add_attribute(name::HUBBLE_DESTINATION_NAME, "world".to_owned());
    record.add_attribute(name::NETWORK_TRANSPORT, "tcp");
    record.add_attribute(name::SOURCE_PORT, i64::from(source_port));
    record.add_attribute(name::DESTINATION_PORT, i64::from(destination_port));
    record.add_attribute(name::HUBBLE_TCP_FLAGS, AnyValue::ListAny(Box::new(vec!["ACK".into(), "PSH".into()])));
    record.add_attribute(name::NETWORK_INTERFACE_NAME, "veth0a1b2c3".to_owned());
    record.add_attribute(name::HUBBLE_INTERFACE_INDEX, i64::from(flow.ifindex));
    record.add_attribute(name::HUBBLE_CPU, i64::from(flow.cpu));
    logger.emit(record);
}

fn resource() -> Resource {
    Resource::new("host", "instance", [], None)
}

/// Keeps records, to encode them in one go.
#[derive(Clone, Debug, Default)]
struct Keep(Arc<Mutex<Vec<(SdkLogRecord, InstrumentationScope)>>>);

impl LogProcessor for Keep {
    fn emit(&self, data: &mut SdkLogRecord, scope: &InstrumentationScope) {
        self.0.lock().expect("one thread").push((data.clone(), scope.clone()));
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }
}

fn encode() {
    let mut micro = Micro::new("encode");
    let mut links = LinkTables::new(&Symbols::default());
    let flows = flows(&mut links);
    let names: Arc<dyn BatchNames> = Arc::new(NameSnapshot::from(links));
    let mut encoder = FlowEncoder::new(Arc::new(Interfaces));
    encoder.enter(Some(&names));
    let mut builder = RequestBuilder::new(&resource(), BATCH, usize::MAX);
    let ours = micro.measure("eyepiece", BATCH, || {
        for flow in &flows {
            assert_eq!(builder.push(&mut encoder, flow, flow.time), Pushed::Added);
        }
        builder.finish()
    });
    let keep = Keep::default();
    let resource = resource().sdk();
    let attributes = ResourceAttributesWithSchema::from(&resource);
    let provider = SdkLoggerProvider::builder().with_log_processor(keep.clone()).with_resource(resource).build();
    let logger = provider.logger("eyepiece");
    let theirs = micro.measure("OpenTelemetry's SDK", BATCH, || {
        for flow in &flows {
            sdk_record(&logger, flow);
        }
        let records = std::mem::take(&mut *keep.0.lock().expect("one thread"));
        let references: Vec<_> = records.iter().map(|(record, scope)| (record, scope)).collect();
        let resource_logs = group_logs_by_resource_and_scope(&LogBatch::new(&references), &attributes);
        ExportLogsServiceRequest { resource_logs }.encode_to_vec()
    });
    heading("log record, 23 attributes, encoded", &["ns a record", "x SDK"]);
    if let (Some(ours), Some(theirs)) = (ours, theirs) {
        row("eyepiece", &[ours.best, ours.best / theirs.best]);
        row("OpenTelemetry's SDK", &[theirs.best, 1.0]);
    }
}

/// Counts records, on a separate thread, to measure its CPU time apart.
#[derive(Clone, Default)]
struct Sink {
    records: Arc<AtomicU64>,
    cpu: Arc<AtomicU64>,
}

#[tonic::async_trait]
impl LogsService for Sink {
    async fn export(
        &self,
        request: Request<ExportLogsServiceRequest>,
    ) -> Result<Response<ExportLogsServiceResponse>, Status> {
        let request = request.into_inner();
        let scopes = request.resource_logs.iter().flat_map(|resource| &resource.scope_logs);
        let records: usize = scopes.map(|scope| scope.log_records.len()).sum();
        drop(request);
        self.records.fetch_add(records as u64, Ordering::SeqCst);
        self.cpu.store(cpu(ClockId::CLOCK_THREAD_CPUTIME_ID), Ordering::SeqCst);
        Ok(Response::new(ExportLogsServiceResponse::default()))
    }
}

impl Sink {
    fn start(&self) -> SocketAddr {
        let service = LogsServiceServer::new(self.clone()).accept_compressed(CompressionEncoding::Gzip);
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback");
        listener.set_nonblocking(true).expect("a socket");
        let address = listener.local_addr().expect("a socket");
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).expect("a socket");
                let incoming = tokio_stream::wrappers::TcpListenerStream::new(listener);
                tonic::transport::Server::builder().add_service(service).serve_with_incoming(incoming).await
            })
        });
        address
    }

    fn wait(&self, records: u64) {
        let end = std::time::Instant::now() + Duration::from_secs(120);
        while self.records.load(Ordering::SeqCst) < records {
            assert!(std::time::Instant::now() < end, "the receiver did not get what was sent");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// CPU time of this process without the receiver's, ns.
    fn others_cpu(&self) -> u64 {
        cpu(ClockId::CLOCK_PROCESS_CPUTIME_ID) - self.cpu.load(Ordering::SeqCst)
    }
}

fn cpu(clock: ClockId) -> u64 {
    let time = Duration::from(clock_gettime(clock).expect("a clock of this process"));
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// Sends batches, a warm-up first, and returns CPU time per record and records per second.
fn measure(sink: &Sink, batches: u64, mut send: impl FnMut(u64)) -> (f64, f64) {
    let warm_up = 20;
    for batch in 1..=warm_up {
        send(batch * BATCH as u64);
    }
    sink.wait(warm_up * BATCH as u64);
    let (start_cpu, start) = (sink.others_cpu(), std::time::Instant::now());
    for batch in 1..=batches {
        send((warm_up + batch) * BATCH as u64);
    }
    let records = batches * BATCH as u64;
    sink.wait(warm_up * BATCH as u64 + records);
    let seconds = start.elapsed().as_secs_f64();
    ((sink.others_cpu() - start_cpu) as f64 / records as f64, records as f64 / seconds)
}

fn ours(compression: Compression, max_records: usize) -> (f64, f64) {
    let sink = Sink::default();
    let url = format!("http://{}", sink.start());
    let settings = Otlp { endpoint: url, compression, ..Otlp::default() }.export(Signal::Logs);
    let client = Client::new(&settings, Signal::Logs).expect("good settings");
    let mut links = LinkTables::new(&Symbols::default());
    let flows = flows(&mut links).into_iter().map(Observed::Flow).collect();
    let batch = Batch::with_names(flows, Arc::new(NameSnapshot::from(links)));
    let (telemetry, names) = (Telemetry::default(), Arc::new(Interfaces));
    let config = LogsConfig { max_records, ..LogsConfig::default() };
    let (queue, exporter) = logs::build(&config, &resource(), names, client, &telemetry);
    let (_stop, receiver) = shutdown::channel();
    let _done = spawn_thread("otlp-logs", || exporter.run(receiver)).expect("a thread");
    measure(&sink, 200, |_| {
        while queue.depth() > config.capacity / 2 {
            std::thread::sleep(Duration::from_millis(1));
        }
        assert_eq!(queue.try_send(batch.clone()), BATCH);
    })
}

fn sdk() -> (f64, f64) {
    let sink = Sink::default();
    let url = format!("http://{}", sink.start());
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
    let guard = runtime.enter();
    let exporter =
        opentelemetry_otlp::LogExporter::builder().with_tonic().with_endpoint(url).build().expect("an exporter");
    let config = BatchConfigBuilder::default().with_max_queue_size(4 * BATCH).with_max_export_batch_size(BATCH).build();
    let processor = BatchLogProcessor::builder(exporter).with_batch_config(config).build();
    let provider = SdkLoggerProvider::builder().with_log_processor(processor).with_resource(resource().sdk()).build();
    drop(guard);
    let logger = provider.logger("eyepiece");
    let flows = flows(&mut LinkTables::new(&Symbols::default()));
    measure(&sink, 60, |records| {
        for flow in &flows {
            sdk_record(&logger, flow);
        }
        // Its queue drops what comes too fast: wait for this batch before the next.
        provider.force_flush().expect("a receiver that takes everything");
        sink.wait(records);
    })
}

fn main() {
    encode();
    heading("log record, sent over gRPC to a receiver on this machine", &["ns CPU", "x SDK", "records/s"]);
    let requests = [512, 2048, 8192];
    let worst = (f64::INFINITY, 0.0);
    let (mut plain, mut gzip, mut theirs) = ([worst; 3], worst, worst);
    let best = |a: (f64, f64), b: (f64, f64)| (a.0.min(b.0), a.1.max(b.1));
    for _ in 0..RUNS {
        for (figures, records) in plain.iter_mut().zip(requests) {
            *figures = best(*figures, ours(Compression::None, records));
        }
        gzip = best(gzip, ours(Compression::Gzip, 2048));
        theirs = best(theirs, sdk());
    }
    let line = |name: &str, (ns, rate): (f64, f64)| row(name, &[ns, ns / theirs.0, rate]);
    for (figures, records) in plain.into_iter().zip(requests) {
        line(&format!("eyepiece, {records} records a request"), figures);
    }
    line("eyepiece, gzip, 2048 a request", gzip);
    line("opentelemetry-otlp, 2048 a request", theirs);
    let used = plain[1].0;
    goal("log record, CPU including sending, 2048 a request", used, "ns", Goal::AtMost(1500.0));
    println!("  (eyepiece sends at most {} records a request)", LogsConfig::default().max_records);
}
