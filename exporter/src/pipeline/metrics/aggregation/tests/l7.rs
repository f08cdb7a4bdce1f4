//! Metrics of layer 7: exemplars, reused slots, labels of records, exchanged ends.

use eyepiece_config::{Handler, Naming};
use eyepiece_flow::flow::{Direction, EVENT_L7, EventType, Flow, Ip};
use eyepiece_flow::l7::{Dns, Http, L7, L7Kind, L7Record};
use eyepiece_wire::InterfaceKind;

use super::contexts::Machine;
use crate::pipeline::metrics::aggregation::{Aggregation, Config};
use crate::pipeline::metrics::{Attributes, Context, Handlers, HistogramValue, Resolved, SeriesValue, resolve};

const MS: u64 = 1_000_000;

fn aggregation(line: &str, max_series: usize) -> Aggregation {
    let listed: Vec<Handler> = vec![line.parse().expect(line)];
    let handlers = Handlers::of(&listed, &Context::absent(), &Context::absent());
    let idle_expiry = std::time::Duration::from_nanos(super::IDLE);
    Aggregation::new(Config { handlers, max_series, idle_expiry, ..Config::default() }, 0)
}

fn flow(l7: L7) -> Flow {
    let mut flow = Flow::empty(EventType { kind: EVENT_L7, subtype: 0 });
    flow.direction = Direction::Ingress;
    let (source, destination) = ([10, 0, 0, 1].into(), [10, 0, 0, 2].into());
    flow.ip = Some(Ip { source, source_translated: None, destination, version: 4 });
    flow.l7 = Some(Box::new(l7));
    flow
}

fn http(kind: L7Kind, method: &str, latency_ns: u64, trace: u8) -> Flow {
    let (method, protocol) = (method.to_owned(), "HTTP/1.1".to_owned());
    let record = L7Record::Http(Http { code: 200, method, protocol, ..Http::default() });
    flow(L7 { kind, latency_ns, record, trace_id: [trace; 16], ..L7::default() })
}

fn count(aggregation: &mut Aggregation, flow: &Flow, now: u64) {
    aggregation.arrive(now);
    aggregation.count(flow, InterfaceKind::Other);
}

/// The series of Hubble's metric of this name: labels and values.
fn series(aggregation: &Aggregation, name: &str) -> Vec<(String, SeriesValue)> {
    let metrics = resolve(&aggregation.snapshot(900), &Machine, Naming::Hubble);
    let metric = metrics.into_iter().find(|metric: &Resolved| metric.name == name);
    let text = |attributes: &Attributes| {
        attributes.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ")
    };
    let all = metric.into_iter().flat_map(|metric| metric.series);
    all.map(|series| (text(&series.attributes), series.value)).collect()
}

fn histogram(aggregation: &Aggregation) -> Vec<(String, HistogramValue)> {
    let of = |value| match value {
        SeriesValue::Histogram(histogram) => *histogram,
        SeriesValue::Sum(..) => panic!("a histogram"),
    };
    series(aggregation, "hubble.http_request_duration").into_iter().map(|(text, value)| (text, of(value))).collect()
}

#[test]
fn latest_traces_are_exemplars() {
    let mut aggregation = aggregation("http:exemplars=true", 10);
    count(&mut aggregation, &http(L7Kind::Request, "GET", 0, 1), 100);
    for (latency, trace) in [(3 * MS, 2), (4 * MS, 3), (7 * MS, 4), (8 * MS, 0)] {
        count(&mut aggregation, &http(L7Kind::Response, "GET", latency, trace), 200);
    }
    let requests = series(&aggregation, "hubble.http_requests");
    let [(labels, SeriesValue::Sum(1, Some(exemplar)))] = &requests[..] else { panic!("{requests:?}") };
    assert_eq!(labels, "method=GET protocol=HTTP/1.1 reporter=server");
    assert_eq!((&*exemplar.trace_id, exemplar.value, exemplar.time), (&*"01".repeat(16), 1.0, 100));
    let durations = histogram(&aggregation);
    let [(labels, durations)] = &durations[..] else { panic!("{durations:?}") };
    assert_eq!((labels.as_str(), durations.sum_ns), ("method=GET reporter=server", 22 * MS));
    assert_eq!(durations.buckets[..3], [2, 2, 0]);
    let ids =
        durations.exemplars.each_ref().map(|exemplar| exemplar.as_ref().map(|exemplar| exemplar.trace_id.as_ref()));
    assert_eq!(
        ids[..3],
        [Some(&*"03".repeat(16)), Some(&*"04".repeat(16)), None],
        "of a flow without trace there is none"
    );
    let mut without = self::aggregation("http", 10);
    count(&mut without, &http(L7Kind::Response, "GET", MS, 1), 100);
    assert!(histogram(&without)[0].1.exemplars.iter().all(Option::is_none));
}

#[test]
fn reused_slot_starts_without_durations() {
    let mut aggregation = aggregation("http:exemplars=true", 1);
    count(&mut aggregation, &http(L7Kind::Response, "GET", 3 * MS, 1), 100);
    // Beyond the limit.
    count(&mut aggregation, &http(L7Kind::Response, "PUT", 3 * MS, 1), 100);
    assert_eq!(histogram(&aggregation).len(), 2);
    aggregation.expire(101 + super::IDLE);
    assert_eq!(histogram(&aggregation), []);
    count(&mut aggregation, &http(L7Kind::Response, "PUT", 7 * MS, 0), 5000);
    let durations = histogram(&aggregation);
    let [(labels, durations)] = &durations[..] else { panic!("{durations:?}") };
    assert_eq!((labels.as_str(), durations.sum_ns), ("method=PUT reporter=server", 7 * MS));
    assert_eq!(durations.buckets[..3], [0, 1, 0]);
    assert!(durations.exemplars.iter().all(Option::is_none), "{durations:?}");
}

#[test]
fn record_labels_name_ends() {
    let mut aggregation = aggregation("dns:query;sourceContext=identity;destinationContext=app|reserved-identity", 10);
    let record = L7Record::Dns(Dns { query: "a.b.".to_owned(), qtypes: vec![1, 28], ..Dns::default() });
    let source_labels = vec!["k8s:app=web".to_owned(), "k8s:tier=front".to_owned()];
    let mut flow = flow(L7 { source_labels, record, ..L7::default() });
    flow.destination.identity = 2;
    count(&mut aggregation, &flow, 100);
    let expected = "source=k8s:app=web,k8s:tier=front destination=reserved:world rcode= qtypes=A,AAAA ips_returned=0 \
                    query=a.b.";
    assert_eq!(series(&aggregation, "hubble.dns_queries"), [(expected.to_owned(), SeriesValue::Sum(1, None))]);
}

#[test]
fn second_http_exchanges_ends() {
    for (line, expected) in [
        ("httpV2:sourceContext=ip;destinationContext=reserved-identity", "source=reserved:world destination=10.0.0.1"),
        // The context of one end gives the value of the other one's label.
        ("httpV2:sourceContext=ip", "source="),
        ("httpV2:destinationContext=ip;labelsContext=source_ip", "source_ip=10.0.0.2 destination="),
    ] {
        let mut aggregation = aggregation(line, 10);
        let mut response = http(L7Kind::Response, "GET", MS, 0);
        response.destination.identity = 2;
        count(&mut aggregation, &response, 100);
        count(&mut aggregation, &http(L7Kind::Request, "GET", 0, 0), 100);
        let expected = format!("{expected} method=GET protocol=HTTP/1.1 status=200 reporter=server");
        let found = series(&aggregation, "hubble.http_requests");
        assert_eq!(found, [(expected, SeriesValue::Sum(1, None))], "{line}");
        assert_eq!(series(&aggregation, "hubble.http_responses"), []);
    }
}
