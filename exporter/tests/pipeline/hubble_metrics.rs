//! Counts 4,000 flows as Hubble's own handlers did, and compares with what they exposed.
//!
//! `vectors/filters/flows.jsonl.gz` are flows as protobuf JSON, `vectors/metrics/1.prom.gz` is the exposition of
//! Cilium 1.20.2's handlers after these flows, with `drop flow tcp` among them and without contexts.

use std::borrow::Cow;
use std::collections::BTreeMap;

use eyepiece::pipeline::metrics::{Aggregation, Config, Contexts, DropReasonNames, MetricContexts, Naming, resolve};
use eyepiece_hubble::decode;
use eyepiece_hubble::json;
use eyepiece_hubble::proto::flow as proto;
use eyepiece_tests::reference::vectors;
use eyepiece_wire::InterfaceKind;

struct NoNames;

impl DropReasonNames for NoNames {
    fn reason(&self, reason: u32) -> Cow<'_, str> {
        reason.to_string().into()
    }
}

/// Hubble's `hubble_…_total{…} value` lines of the metrics that we have.
fn expected() -> BTreeMap<String, u64> {
    let text = vectors::text("metrics/1.prom.gz");
    let ours = ["hubble_drop_total{", "hubble_flows_processed_total{", "hubble_tcp_flags_total{"];
    text.lines()
        .filter(|line| ours.iter().any(|metric| line.starts_with(metric)))
        .map(|line| {
            let (series, value) = line.rsplit_once(' ').expect("a value");
            (series.to_owned(), value.parse().expect("a number"))
        })
        .collect()
}

#[test]
fn metrics_equal_hubbles() {
    let none = Contexts::default();
    let contexts = MetricContexts { drop: none.clone(), flows: none.clone(), tcp: none.clone(), io: none };
    let mut aggregation = Aggregation::new(Config { contexts, ..Config::default() }, 0);
    let mut flows = 0;
    for line in vectors::text("filters/flows.jsonl.gz").lines() {
        let message: proto::Flow = json::read(line, true).expect("a flow");
        aggregation.count(&decode::flow(message, Box::default()), InterfaceKind::Other);
        flows += 1;
    }
    assert_eq!(flows, 4000);
    let mut counted = BTreeMap::new();
    for metric in resolve(&aggregation.snapshot(1), &NoNames, Naming::Hubble) {
        for series in metric.series {
            let mut labels: Vec<String> =
                series.attributes.iter().map(|(name, value)| format!("{name}=\"{value}\"")).collect();
            labels.sort();
            let name = metric.name.replace('.', "_");
            counted.insert(format!("{name}_total{{{}}}", labels.join(",")), series.value);
        }
    }
    let expected = expected();
    assert!(expected.len() > 500, "{}", expected.len());
    assert_eq!(counted, expected);
}
