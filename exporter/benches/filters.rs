//! The cost of matching a flow against filters that clients send.

#[allow(dead_code, reason = "each bench uses a part")]
mod measured;

use std::hint::black_box;

use eyepiece_flow::flow::{EVENT_TRACE, End, EventType, Flow, L4, TcpFlags, Verdict};
use eyepiece_flow::lookup::NoLookup;
use eyepiece_flow::metadata::{EndMetadata, Metadata};
use eyepiece_flow::record::Observed;
use eyepiece_hubble::filter::{Context, Filters, no_clock};
use eyepiece_hubble::node::Node;
use eyepiece_hubble::proto::flow::FlowFilter;
use eyepiece_hubble::proto::flow::flow_filter::Experimental;

use eyepiece_tests::bench_report::{heading, row};
use eyepiece_tests::sample;
use measured::Micro;

/// Flows of a round: more than a branch predictor learns by heart.
const FLOWS: u32 = 4096;

fn flow(at: u32) -> Observed {
    let address = |at: u32| (0x0a00_0000 + at % 5000).to_be_bytes();
    let labels = |at: u32| {
        ["k8s:app=web", "k8s:io.cilium.k8s.policy.cluster=default", "k8s:io.kubernetes.pod.namespace=default"]
            .map(|label| if at.is_multiple_of(3) { label.replace("default", "other") } else { label.to_owned() })
            .to_vec()
    };
    let end = |at: u32| EndMetadata {
        namespace: if at.is_multiple_of(2) { "default" } else { "kube-system" }.to_owned(),
        pod_name: format!("web-{at}"),
        labels: labels(at),
        ..EndMetadata::default()
    };
    let metadata = Metadata { source: end(at), destination: end(at + 1), ..Metadata::default() };
    Observed::Flow(Flow {
        verdict: if at.is_multiple_of(5) { Verdict::Dropped } else { Verdict::Forwarded },
        ip: Some(sample::ip(address(at), address(at * 7))),
        l4: L4::Tcp { source_port: 40_000, destination_port: (at % 100) as u16, flags: TcpFlags(TcpFlags::ACK) },
        source: End { identity: 2000 + at % 50, ..End::default() },
        destination: End { identity: 2, ..End::default() },
        metadata: Some(Box::new(metadata)),
        ..Flow::empty(EventType { kind: EVENT_TRACE, subtype: 0 })
    })
}

fn main() {
    let texts = |entries: &[&str]| entries.iter().map(|&entry| entry.to_owned()).collect::<Vec<_>>();
    let empty = FlowFilter::default;
    let cel = "_flow.verdict == Verdict.DROPPED && _flow.source.identity > uint(2010)".to_owned();
    let filters = [
        ("verdict", vec![FlowFilter { verdict: vec![2], ..empty() }]),
        (
            "pod, either end",
            vec![
                FlowFilter { source_pod: texts(&["default/web-1"]), ..empty() },
                FlowFilter { destination_pod: texts(&["default/web-1"]), ..empty() },
            ],
        ),
        (
            "label and port",
            vec![FlowFilter { source_label: texts(&["k8s:app=web"]), destination_port: texts(&["80"]), ..empty() }],
        ),
        (
            "label",
            vec![FlowFilter { source_label: texts(&["k8s:io.kubernetes.pod.namespace in (default, x)"]), ..empty() }],
        ),
        ("range of addresses", vec![FlowFilter { source_ip: texts(&["10.0.0.0/20", "fd00::/8"]), ..empty() }]),
        (
            "10,000 addresses",
            vec![FlowFilter {
                source_ip: (0..10_000).map(|at| format!("10.{}.{}.{}", at % 7, at / 256, at % 256)).collect(),
                ..empty()
            }],
        ),
        ("CEL", vec![FlowFilter { experimental: Some(Experimental { cel_expression: vec![cel] }), ..empty() }]),
    ];
    let flows: Vec<_> = (0..FLOWS).map(flow).collect();
    let node = Node { name: "node-1".to_owned(), cluster: String::new() };
    let context = Context { node: &node, names: &NoLookup, clock: no_clock };
    let mut micro = Micro::new("filters");
    let mut measured = Vec::new();
    for (name, filters) in filters {
        let filters = match Filters::compile(&filters, &[]) {
            Ok(filters) => filters,
            Err(error) => {
                eprintln!("{name}: {error}");
                continue;
            }
        };
        let figures = micro.measure(name, flows.len(), || {
            flows.iter().filter(|flow| filters.matches(black_box(flow), &context)).count()
        });
        measured.push((name, figures));
    }
    heading("filters", &["ns a flow, best", "mean"]);
    for (name, figures) in measured {
        if let Some(figures) = figures {
            row(name, &[figures.best, figures.mean]);
        }
    }
}
