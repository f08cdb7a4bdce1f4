//! Filters without CEL ask an L3/L4 flow whatever they want and allocate nothing: counted by this program's allocator.

use std::hint::black_box;
use std::net::IpAddr;

use eyepiece_flow::flow::{Direction, EVENT_TRACE, End, EventType, Flow, Ip, L4, TcpFlags, Verdict};
use eyepiece_flow::lookup::NoLookup;
use eyepiece_flow::metadata::{EndMetadata, Metadata, Service, Workload};
use eyepiece_flow::record::Observed;
use eyepiece_hubble::filter::{Context, Filters, no_clock};
use eyepiece_hubble::node::Node;
use eyepiece_hubble::proto::flow::{
    EventTypeFilter, FlowFilter, NetworkInterface, TcpFlags as Flags, Workload as WorkloadFilter,
};

use crate::counting;

/// Allocations that a call makes.
fn count<T>(call: impl FnOnce() -> T) -> usize {
    let before = counting::allocations();
    black_box(call());
    counting::allocations() - before
}

fn flow(metadata: Option<Metadata>) -> Observed {
    let ip = |text: &str| text.parse::<IpAddr>().expect("an address");
    Observed::Flow(Flow {
        uuid: [7; 16],
        verdict: Verdict::Forwarded,
        ip: Some(Ip {
            source: ip("10.0.0.1"),
            source_translated: Some(ip("10.0.0.9")),
            destination: ip("10.0.0.2"),
            version: 4,
        }),
        l4: L4::Tcp { source_port: 40_000, destination_port: 80, flags: TcpFlags(TcpFlags::SYN) },
        source: End { identity: 2, ..End::default() },
        destination: End { identity: 1, ..End::default() },
        direction: Direction::Egress,
        is_reply: Some(false),
        ifindex: 3,
        ip_trace_id: 5,
        metadata: metadata.map(Box::new),
        ..Flow::empty(EventType { kind: EVENT_TRACE, subtype: 3 })
    })
}

fn metadata() -> Metadata {
    let end = || EndMetadata {
        cluster_name: "kind".to_owned(),
        namespace: "default".to_owned(),
        pod_name: "web-1".to_owned(),
        labels: vec!["k8s:app=web".to_owned(), "k8s:io.kubernetes.pod.namespace=default".to_owned()],
        workloads: vec![Workload { name: "web".to_owned(), kind: "Deployment".to_owned() }],
    };
    let service = || Some(Service { name: "web".to_owned(), namespace: "default".to_owned() });
    Metadata {
        node_name: "kind/node-1".to_owned(),
        node_labels: vec!["os=linux".to_owned()],
        source: end(),
        destination: end(),
        source_names: vec!["www.example.com".to_owned()],
        destination_names: vec!["www.example.com".to_owned()],
        source_service: service(),
        destination_service: service(),
        interface_name: "eth0".to_owned(),
        trace_id: "4bf92f3577b34da6a3ce929d0e0e4736".to_owned(),
        ..Metadata::default()
    }
}

/// One filter of each field that a flow of packets can meet; all match the flow with metadata.
fn filters() -> Vec<FlowFilter> {
    let texts = |entries: &[&str]| entries.iter().map(|&entry| entry.to_owned()).collect::<Vec<_>>();
    let empty = FlowFilter::default;
    let workload = || vec![WorkloadFilter { name: "web".to_owned(), kind: String::new() }];
    vec![
        empty(),
        FlowFilter { uuid: texts(&["07070707-0707-0707-0707-070707070707"]), ..empty() },
        FlowFilter { verdict: vec![1], traffic_direction: vec![2], ip_version: vec![1], ..empty() },
        FlowFilter { reply: vec![false], encrypted: vec![false], ip_trace_id: vec![5], ..empty() },
        FlowFilter { event_type: vec![EventTypeFilter { r#type: 4, match_sub_type: true, sub_type: 3 }], ..empty() },
        FlowFilter { protocol: texts(&["tcp"]), tcp_flags: vec![Flags { syn: true, ..Flags::default() }], ..empty() },
        FlowFilter { source_identity: vec![2], destination_identity: vec![1], ..empty() },
        FlowFilter { source_ip: texts(&["10.0.0.1"]), destination_ip: texts(&["10.0.0.0/8", "fd00::/8"]), ..empty() },
        FlowFilter { source_ip_xlated: texts(&["10.0.0.9"]), ..empty() },
        FlowFilter { source_port: texts(&["40000"]), destination_port: texts(&["80"]), ..empty() },
        FlowFilter { source_pod: texts(&["default/web"]), destination_pod: texts(&["/web-"]), ..empty() },
        FlowFilter { source_service: texts(&["web"]), destination_service: texts(&["default/"]), ..empty() },
        FlowFilter { source_workload: workload(), destination_workload: workload(), ..empty() },
        FlowFilter { source_cluster_name: texts(&["kind"]), destination_cluster_name: texts(&["kind"]), ..empty() },
        FlowFilter { source_fqdn: texts(&["*.example.com"]), destination_fqdn: texts(&["www.example.com"]), ..empty() },
        FlowFilter {
            source_label: texts(&["k8s:app in (web, db)"]),
            destination_label: texts(&["!missing,io.kubernetes.pod.namespace=default"]),
            ..empty()
        },
        FlowFilter { node_labels: texts(&["os=linux"]), node_name: texts(&["kind/node-*", "kind/node-1"]), ..empty() },
        FlowFilter { trace_id: texts(&["4bf92f3577b34da6a3ce929d0e0e4736"]), ..empty() },
        FlowFilter { interface: vec![NetworkInterface { index: 3, name: "eth0".to_owned() }], ..empty() },
    ]
}

#[test]
fn matching_does_not_allocate() {
    let node = Node { name: "node-1".to_owned(), cluster: "kind".to_owned() };
    let context = Context { node: &node, names: &NoLookup, clock: no_clock };
    let (bare, enriched) = (flow(None), flow(Some(metadata())));
    for filter in filters() {
        let compiled = Filters::compile(std::slice::from_ref(&filter), &[]).expect("a filter");
        // A pattern's matcher makes itself room the first time that a thread uses it.
        assert!(compiled.matches(&enriched, &context), "{filter:?}");
        compiled.matches(&bare, &context);
        assert_eq!(count(|| compiled.matches(black_box(&enriched), &context)), 0, "{filter:?}");
        assert_eq!(count(|| compiled.matches(black_box(&bare), &context)), 0, "{filter:?}");
    }
    let all = Filters::compile(&[], &filters()[1..]).expect("filters");
    assert_eq!(count(|| all.matches(black_box(&bare), &context)), 0);
    let none = Filters::compile(&[], &[]).expect("no filters");
    assert!(none.is_empty() && none.matches(&bare, &context));
}

#[test]
fn filter_takes_ten_thousand_addresses() {
    let node = Node::default();
    let context = Context { node: &node, names: &NoLookup, clock: no_clock };
    let mut source_ip: Vec<_> =
        (0..10_000u32).map(|at| IpAddr::from((0x0b00_0000 + at).to_be_bytes()).to_string()).collect();
    let without = Filters::compile(&[FlowFilter { source_ip: source_ip.clone(), ..FlowFilter::default() }], &[]);
    source_ip.push("10.0.0.1".to_owned());
    let with = Filters::compile(&[FlowFilter { source_ip, ..FlowFilter::default() }], &[]);
    assert!(!without.expect("a filter").matches(&flow(None), &context));
    assert!(with.expect("a filter").matches(&flow(None), &context));
}

#[test]
fn filters_of_request_are_bounded() {
    let many = vec![FlowFilter::default(); 10_001];
    let error = Filters::compile(&many[..5000], &many[..5001]).expect_err("too many");
    assert_eq!((error.field, error.value.as_str()), ("blacklist", "10001"));
    assert!(Filters::compile(&many[..5000], &many[..5000]).is_ok());
    let verdict = FlowFilter { verdict: vec![1; 60_000], ..FlowFilter::default() };
    assert!(Filters::compile(std::slice::from_ref(&verdict), &[]).is_ok());
    assert_eq!(Filters::compile(&[verdict.clone(), verdict], &[]).expect_err("too many").field, "verdict");
    let long = FlowFilter { http_method: vec!["a".repeat(5 << 20)], ..FlowFilter::default() };
    let error = Filters::compile(&[long], &[]).expect_err("too long").to_string();
    assert!(error.contains("bytes of patterns") && error.len() < 500, "{error}");
}
