//! Checks responses that wait for others: scans that need a permit, filters that wait to be compiled.

use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use eyepiece_flow::flow::{EventType, Flow};
use eyepiece_flow::lookup::NoLookup;
use eyepiece_flow::record::{Batch, Observed};
use eyepiece_hubble::node::Node;
use eyepiece_hubble::proto::Encoded;
use eyepiece_hubble::proto::flow::flow_filter::Experimental;
use eyepiece_hubble::proto::flow::{EventTypeFilter, FlowFilter};
use eyepiece_hubble::proto::observer::GetFlowsRequest;
use eyepiece_hubble::request::flows;
use prost::Message as _;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tonic::codegen::tokio_stream::StreamExt as _;

use super::compile_pool::{MAX_WAIT, THREADS};
use super::stream::{MessageStream, Scan};
use crate::serve::grpc::Client;
use crate::serve::observer::namespaces::Namespaces;
use crate::serve::observer::ring::{Ring, Writer};
use crate::serve::observer::service::ObserverService;
use crate::serve::observer::{Deps, Observer};
use crate::services::observer::observer_server::Observer as _;
use crate::support::shutdown;
use crate::support::telemetry::{Key, Telemetry};
use crate::support::thread_time::thread_cpu_time;

fn write(writer: &mut Writer, count: u64) {
    let flow = |time| Observed::Flow(Flow { time, ..Flow::empty(EventType { kind: 4, subtype: 0 }) });
    writer.write(&Batch::new((0..count).map(flow).collect()));
}

fn observer() -> (Arc<Observer>, Writer) {
    observer_with(Telemetry::default())
}

fn observer_with(telemetry: Telemetry) -> (Arc<Observer>, Writer) {
    let (ring, mut writer) = Ring::new(1000);
    write(&mut writer, 1);
    let (_stop, stopped) = shutdown::channel();
    let observer = Observer::new(Deps {
        ring,
        namespaces: Namespaces::default(),
        node: Node::default(),
        names: Arc::new(NoLookup),
        telemetry,
        stop: stopped,
        now: || 1_700_000_100_000_000_000,
    });
    (observer, writer)
}

fn connection_queue() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(1))
}

/// The response to a client that follows from the oldest flow on.
fn response(observer: &Arc<Observer>, filters: Vec<FlowFilter>) -> MessageStream {
    let since = Some(prost_types::Timestamp::default());
    let request = GetFlowsRequest { whitelist: filters, follow: true, since, ..GetFlowsRequest::default() };
    let (query, layout) = flows(&observer.masks, &request).unwrap();
    MessageStream::new(Scan::new(Arc::clone(observer), query, layout, connection_queue(), None))
}

fn expensive() -> FlowFilter {
    let experimental = Some(Experimental { cel_expression: vec!["true".to_owned()] });
    FlowFilter { experimental, ..FlowFilter::default() }
}

fn cheap() -> FlowFilter {
    let event_type = vec![EventTypeFilter { r#type: 4, ..EventTypeFilter::default() }];
    FlowFilter { event_type, ..FlowFilter::default() }
}

/// Time for expected progress, on a busy machine.
const TIMEOUT: Duration = Duration::from_secs(20);
/// Time after which a response without progress is blocked.
const SHORT: Duration = Duration::from_millis(100);

/// Returns whether a response has a message within some time.
async fn has_message(response: &mut MessageStream, within: Duration) -> bool {
    timeout(within, response.next()).await.is_ok_and(|message| message.is_some_and(|message| message.is_ok()))
}

#[tokio::test]
async fn first_slice_with_filters_needs_permit() {
    let (observer, _writer) = observer();
    let permit = observer.scans.clone().acquire(connection_queue()).await;
    assert!(permit.is_some());
    assert!(has_message(&mut response(&observer, Vec::new()), TIMEOUT).await, "without filters it needs none");
    let mut responses = [response(&observer, vec![expensive()]), response(&observer, vec![cheap()])];
    for response in &mut responses {
        assert!(!has_message(response, SHORT).await, "another response has the permit");
    }
    drop(permit);
    for response in &mut responses {
        assert!(has_message(response, TIMEOUT).await);
    }
}

#[tokio::test]
async fn expensive_follower_needs_permit_again() {
    let (observer, mut writer) = observer();
    let (mut expensive, mut cheap) = (response(&observer, vec![expensive()]), response(&observer, vec![cheap()]));
    for response in [&mut expensive, &mut cheap] {
        assert!(has_message(response, TIMEOUT).await && !has_message(response, SHORT).await, "there is one");
    }
    let permit = observer.scans.clone().acquire(connection_queue()).await;
    assert!(permit.is_some());
    write(&mut writer, 1);
    tokio::spawn(Arc::clone(observer.ring()).wake_followers());
    assert!(has_message(&mut cheap, TIMEOUT).await, "a cheap follower continues");
    assert!(!has_message(&mut expensive, SHORT).await, "an expensive one does not");
    drop(permit);
    assert!(has_message(&mut expensive, TIMEOUT).await);
}

/// A request with a filter, as the transport passes it.
fn request(filter: FlowFilter) -> tonic::Request<Encoded> {
    let request = GetFlowsRequest { number: 1, whitelist: vec![filter], ..GetFlowsRequest::default() };
    tonic::Request::new(Encoded(request.encode_to_vec().into()))
}

fn client(host: u8, port: u16) -> Client {
    Client::Tcp(([127, 0, 0, host], port).into())
}

/// Occupies a thread of the pool for a client until the sender is dropped.
async fn occupy(observer: &Arc<Observer>, client: Client) -> Sender<()> {
    let (end, ended) = channel::<()>();
    let (begin, begun) = tokio::sync::oneshot::channel();
    let observer = Arc::clone(observer);
    tokio::spawn(async move {
        let work = move || (begin.send(()), ended.recv());
        observer.compile_pool.run(Some(&client), work).await.map(drop)
    });
    begun.await.unwrap();
    end
}

/// A filter that is compiled by a thread of the pool.
fn pattern() -> FlowFilter {
    FlowFilter { http_path: vec!["^/index".to_owned()], ..FlowFilter::default() }
}

/// Checks that a request waits for a thread for the longest time, and is refused then.
async fn assert_exhausted(service: &ObserverService, request: tonic::Request<Encoded>) {
    let service = service.clone();
    tokio::time::pause();
    let blocked = tokio::spawn(async move { service.get_flows(request).await.map(drop) });
    tokio::task::yield_now().await;
    tokio::time::advance(MAX_WAIT * 2).await;
    assert_eq!(blocked.await.unwrap().unwrap_err().code(), tonic::Code::ResourceExhausted);
    tokio::time::resume();
}

#[tokio::test]
async fn occupied_client_blocks_no_other() {
    let (observer, _writer) = observer();
    let service = ObserverService(Arc::clone(&observer));
    let _end = occupy(&observer, client(1, 1)).await;
    let request_of = |client: Client| {
        let mut request = request(pattern());
        request.extensions_mut().insert(client);
        request
    };
    let other = timeout(TIMEOUT, service.get_flows(request_of(client(2, 1)))).await.unwrap();
    assert!(other.is_ok(), "another host");
    assert_exhausted(&service, request_of(client(1, 2))).await;
}

#[test]
fn budgets_of_filters_count_cpu_time() {
    let (observer, _writer) = observer();
    let clock = observer.context(&NoLookup).clock;
    while thread_cpu_time() == Duration::ZERO {}
    let times = [thread_cpu_time(), clock(), thread_cpu_time()];
    assert!(times.is_sorted() && times[0] > Duration::ZERO, "{times:?}");
}

#[tokio::test]
async fn full_compile_queue_answers_resource_exhausted() {
    let telemetry = Telemetry::default();
    let (observer, _writer) = observer_with(telemetry.clone());
    let service = ObserverService(Arc::clone(&observer));
    let mut ends = Vec::new();
    for host in 0..THREADS as u8 {
        ends.push(occupy(&observer, client(host, 1)).await);
    }
    assert!(service.get_flows(request(cheap())).await.is_ok(), "without patterns it needs no thread");
    assert_exhausted(&service, request(pattern())).await;
    let refused = |key: &Key| key.attributes.iter().any(|(_, value)| value == "compiling_too_long");
    assert_eq!(telemetry.samples().iter().find(|sample| refused(&sample.key)).map(|sample| sample.value), Some(1));
    drop(ends);
    assert!(timeout(TIMEOUT, service.get_flows(request(pattern()))).await.unwrap().is_ok());
}
