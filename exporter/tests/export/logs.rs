//! Log records over gRPC: delivery, refusals, retries, and a receiver that is away or hangs.

use std::time::Duration;

use bytes::Bytes;
use eyepiece::export::otlp::client::Client;
use eyepiece::export::otlp::logs::LogsConfig;
use eyepiece_config::{Compression, Protocol, Secret, Signal};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use prost::Message as _;
use tonic::{Code, Status};

use crate::support::{
    Answer, Received, Running, TIMEOUT, attribute, batch, config, eventually, grpc, records, settings, sums,
};

fn client(url: String) -> Client {
    Client::new(&settings(url, Protocol::Grpc), Signal::Logs).unwrap()
}

async fn start(config: &LogsConfig, answers: impl IntoIterator<Item = Answer>) -> (Received, Running) {
    let received = Received::answering(answers);
    let (address, _) = grpc(&received, "127.0.0.1:0", None).await;
    (received, Running::start(config, client(format!("http://{address}"))))
}

#[tokio::test]
async fn records_arrive_once() {
    let (received, running) = start(&config(), []).await;
    for start in [0, 100, 200] {
        assert_eq!(running.sink.try_send(batch(start..start + 100)), 100);
    }
    let counters = running.end(TIMEOUT).await;
    assert_eq!(received.numbers(), (0..300).collect::<Vec<_>>());
    assert_eq!(sums(&counters), (300, [0; 5]));
    assert_eq!(counters.requests_ok.get(), 30);
    let requests = received.requests.lock().unwrap();
    assert!(requests.iter().all(|request| (1..=10).contains(&records(request).count())));
    let resource = requests[0].resource_logs[0].resource.as_ref().unwrap();
    assert!(resource.attributes.iter().any(|attribute| attribute.key == "deployment"));
    let record = records(&requests[0]).next().unwrap();
    assert_eq!(attribute(record, "source.port"), Some(&Value::IntValue(40_000)));
}

#[tokio::test]
async fn few_records_leave_after_delay() {
    let (received, running) = start(&LogsConfig { max_records: 1000, ..config() }, []).await;
    running.sink.try_send(batch(0..3));
    eventually(|| received.numbers().len() == 3).await;
    assert_eq!(sums(&running.end(TIMEOUT).await).0, 3);
    assert_eq!(received.requests.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn empty_batch_makes_no_request() {
    let (received, running) = start(&config(), []).await;
    assert_eq!(running.sink.try_send(batch(0..0)), 0);
    tokio::time::sleep(Duration::from_millis(30)).await;
    assert_eq!(sums(&running.end(TIMEOUT).await), (0, [0; 5]));
    assert!(received.metadata.lock().unwrap().is_empty());
}

#[tokio::test]
async fn headers_and_gzip() {
    let received = Received::default();
    let (address, _) = grpc(&received, "127.0.0.1:0", None).await;
    let mut settings = settings(format!("http://{address}"), Protocol::Grpc);
    settings.headers.insert("authorization".into(), Secret::new("Basic s3cret"));
    settings.headers.insert("x-tenant".into(), Secret::new("t"));
    settings.compression = Compression::Gzip;
    let client = Client::new(&settings, Signal::Logs).unwrap();
    assert!(!format!("{client:?}").contains("s3cret"));
    let running = Running::start(&config(), client);
    running.sink.try_send(batch(0..25));
    assert_eq!(sums(&running.end(TIMEOUT).await), (25, [0; 5]));
    assert_eq!(received.numbers(), (0..25).collect::<Vec<_>>());
    let metadata = received.metadata.lock().unwrap();
    for (name, value) in [("authorization", "Basic s3cret"), ("x-tenant", "t"), ("grpc-encoding", "gzip")] {
        assert!(metadata.iter().all(|metadata| metadata.get(name).unwrap() == value), "{name}");
    }
    let agent = metadata[0].get("user-agent").unwrap().to_str().unwrap();
    assert!(agent.starts_with("eyepiece/"), "{agent}");
}

/// `google.rpc.Status` with a `RetryInfo` of so many milliseconds.
fn retry_info(code: Code, milliseconds: u8) -> Status {
    // Any { type_url = 1, value = 2: RetryInfo { retry_delay = 1: Duration { nanos = 2 } } } by hand.
    let mut nanos = vec![0x10];
    prost::encoding::encode_varint(u64::from(milliseconds) * 1_000_000, &mut nanos);
    let field = |tag: u8, bytes: &[u8]| [&[tag, u8::try_from(bytes.len()).unwrap()], bytes].concat();
    let any = [field(0x0a, b"type.googleapis.com/google.rpc.RetryInfo"), field(0x12, &field(0x0a, &nanos))].concat();
    Status::with_details(code, "busy", Bytes::from(field(0x1a, &any)))
}

#[tokio::test]
async fn refusals_and_retries_by_code() {
    let status = |code| Answer::Refuse(Status::new(code, "no"));
    for (answer, delivered) in [
        (status(Code::InvalidArgument), false),
        (status(Code::Unauthenticated), false),
        (status(Code::PermissionDenied), false),
        (status(Code::Unimplemented), false),
        (status(Code::Internal), false),
        (status(Code::Unknown), false),
        (status(Code::ResourceExhausted), false),
        (Answer::Refuse(retry_info(Code::ResourceExhausted, 3)), true),
        (Answer::Refuse(retry_info(Code::InvalidArgument, 3)), false),
        (status(Code::Cancelled), true),
        (status(Code::DeadlineExceeded), true),
        (status(Code::Aborted), true),
        (status(Code::OutOfRange), true),
        (status(Code::Unavailable), true),
        (status(Code::DataLoss), true),
    ] {
        let (received, running) = start(&LogsConfig { in_flight: 1, ..config() }, [answer.clone()]).await;
        running.sink.try_send(batch(0..15));
        let counters = running.end(TIMEOUT).await;
        let (expected, retried) = if delivered { ((15, [0; 5]), 1) } else { ((5, [0, 10, 0, 0, 0]), 0) };
        assert_eq!(sums(&counters), expected, "{answer:?}");
        assert_eq!(counters.requests_retried.get(), retried, "{answer:?}");
        assert_eq!(received.numbers().len() as u64, expected.0, "{answer:?}");
    }
}

#[tokio::test]
async fn partial_success_is_counted_not_retried() {
    for (rejected, counted) in [(0, 0), (3, 3), (10, 10), (99, 10), (-1, 0)] {
        let (received, running) = start(&LogsConfig { in_flight: 1, ..config() }, [Answer::Partial(rejected)]).await;
        running.sink.try_send(batch(0..15));
        let counters = running.end(TIMEOUT).await;
        assert_eq!(sums(&counters), (15 - counted, [0, 0, counted, 0, 0]), "{rejected}");
        assert_eq!(received.metadata.lock().unwrap().len(), 2, "no request is repeated");
    }
}

#[tokio::test]
async fn late_receiver_gets_everything() {
    // An address without a listener.
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let running = Running::start(&config(), client(format!("http://{address}")));
    assert_eq!(running.sink.try_send(batch(0..50)), 50);
    let counters = running.counters.clone();
    eventually(|| counters.requests_retried.get() >= 3).await;
    let received = Received::default();
    grpc(&received, &address.to_string(), None).await;
    eventually(|| counters.delivered.get() == 50).await;
    assert_eq!(sums(&running.end(TIMEOUT).await), (50, [0; 5]));
    assert_eq!(received.numbers(), (0..50).collect::<Vec<_>>());
}

#[tokio::test]
async fn returning_receiver_misses_nothing() {
    let received = Received::default();
    let (address, server) = grpc(&received, "127.0.0.1:0", None).await;
    let running = Running::start(&config(), client(format!("http://{address}")));
    let counters = running.counters.clone();
    running.sink.try_send(batch(0..50));
    eventually(|| counters.delivered.get() == 50).await;
    server.abort();
    assert!(server.await.unwrap_err().is_cancelled());
    // Connections that the server left behind close with their tasks; new records find no server.
    received.answers.lock().unwrap().extend(vec![Answer::Refuse(Status::unavailable("leaving")); 4]);
    running.sink.try_send(batch(50..100));
    eventually(|| counters.requests_retried.get() >= 2).await;
    received.answers.lock().unwrap().clear();
    grpc(&received, &address.to_string(), None).await;
    eventually(|| counters.delivered.get() == 100).await;
    assert_eq!(sums(&running.end(TIMEOUT).await), (100, [0; 5]));
    assert_eq!(received.numbers(), (0..100).collect::<Vec<_>>());
}

#[tokio::test]
async fn hanging_receiver_loses_counted_records() {
    let received = Received::answering(vec![Answer::Hang; 1000]);
    let (address, _) = grpc(&received, "127.0.0.1:0", None).await;
    let mut settings = settings(format!("http://{address}"), Protocol::Grpc);
    settings.timeout = Duration::from_millis(20);
    let client = Client::new(&settings, Signal::Logs).unwrap();
    let running = Running::start(&LogsConfig { capacity: 50, ..config() }, client);
    let counters = running.counters.clone();
    for start in 0..20 {
        running.sink.try_send(batch(start * 10..start * 10 + 10));
    }
    eventually(|| counters.requests_retried.get() >= 4).await;
    assert!(counters.queue_full.get() > 0);
    let counters = running.end(Duration::from_millis(50)).await;
    let (delivered, dropped) = sums(&counters);
    assert_eq!((delivered, dropped[0] + dropped[4]), (0, 200), "{dropped:?}");
    assert!(dropped[4] > 0);
}

#[tokio::test]
async fn attempt_after_hang_delivers() {
    let received = Received::answering([Answer::Hang, Answer::Hang]);
    let (address, _) = grpc(&received, "127.0.0.1:0", None).await;
    let mut settings = settings(format!("http://{address}"), Protocol::Grpc);
    settings.timeout = Duration::from_millis(100);
    let client = Client::new(&settings, Signal::Logs).unwrap();
    let running = Running::start(&config(), client);
    running.sink.try_send(batch(0..20));
    let counters = running.counters.clone();
    eventually(|| counters.delivered.get() == 20).await;
    assert_eq!(sums(&running.end(TIMEOUT).await), (20, [0; 5]));
}

#[tokio::test]
async fn requests_stay_below_four_mebibytes() {
    use eyepiece::export::otlp::logs;
    use eyepiece::export::otlp::logs::{MAX_BYTES, MAX_RECORDS};
    let received = Received::default();
    let (address, _) = grpc(&received, "127.0.0.1:0", None).await;
    let mut links = eyepiece::metadata::LinkTables::new(&eyepiece_flow::interner::Symbols::default());
    let huge = links.intern(&"x".repeat(600 * 1024));
    let beyond = links.intern(&"y".repeat(2 * 1024 * 1024));
    let telemetry = eyepiece::support::telemetry::Telemetry::default();
    let config = LogsConfig { max_records: MAX_RECORDS, max_bytes: usize::MAX, ..config() };
    let names = std::sync::Arc::new(eyepiece_flow::lookup::NoLookup);
    let client = client(format!("http://{address}"));
    let (sink, exporter) = logs::build(&config, &crate::support::resource(), names, client, &telemetry);
    let (stop, receiver) = eyepiece::support::shutdown::channel();
    let task = tokio::spawn(exporter.run(receiver));
    let mut flows = batch(0..20).to_vec();
    for (index, observed) in flows.iter_mut().enumerate() {
        let eyepiece_flow::record::Observed::Flow(flow) = observed else { panic!("{observed:?}") };
        // In the attribute and in the body: 1.2 MiB a record, and 4 MiB for those that can't be sent.
        flow.source.name = if index % 5 == 4 { beyond } else { huge };
    }
    let batch_names = std::sync::Arc::new(eyepiece::metadata::NameSnapshot::from(links));
    sink.try_send(eyepiece_flow::record::Batch::with_names(flows, batch_names));
    stop.send_replace(Some(tokio::time::Instant::now() + TIMEOUT));
    task.await.unwrap();
    let counters = eyepiece::export::otlp::counters::ExportCounters::new(&telemetry, Signal::Logs);
    assert_eq!(sums(&counters), (16, [0, 0, 0, 4, 0]));
    assert_eq!(received.numbers().len(), 16);
    for request in received.requests.lock().unwrap().iter() {
        assert!((1..=MAX_BYTES).contains(&request.encoded_len()));
    }
}
