//! Counts 4,000 flows as Hubble's own handlers did, and compares with what they exposed.
//!
//! `vectors/filters/flows.jsonl.gz` are flows as protobuf JSON, `vectors/metrics/N.prom.gz` is the exposition of
//! Cilium 1.20.2's handlers after these flows, with the handlers and options of `N.config`.

use std::borrow::Cow;
use std::collections::BTreeMap;

use eyepiece::pipeline::metrics::{Aggregation, Config, Contexts, DropReasonNames, MetricContexts, Naming, resolve};
use eyepiece_config::{Handler, HandlerName};
use eyepiece_flow::flow::Flow;
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

fn flows() -> Vec<Flow> {
    let text = vectors::text("filters/flows.jsonl.gz");
    let flow = |line: &str| json::read::<proto::Flow>(line, true).expect("a flow");
    text.lines().map(|line| decode::flow(flow(line), Box::default())).collect()
}

/// The metric of a handler that we count as Hubble.
fn metric(handler: &Handler) -> Option<&'static str> {
    match handler.name? {
        HandlerName::Drop => Some("hubble_drop_total{"),
        HandlerName::Flow => Some("hubble_flows_processed_total{"),
        HandlerName::Tcp => Some("hubble_tcp_flags_total{"),
        _ => None,
    }
}

/// `hubble_…_total{…} value` lines of these metrics.
fn expected(name: &str, metrics: &[&str]) -> BTreeMap<String, u64> {
    let mut expected = BTreeMap::new();
    for line in vectors::text(&format!("metrics/{name}.prom.gz")).lines() {
        if metrics.iter().any(|metric| line.starts_with(metric)) {
            let (series, value) = line.rsplit_once(' ').expect("a value");
            // We write an IPv4-mapped address as IPv4, as Hubble does in flows of packets.
            let sum: &mut u64 = expected.entry(series.replace("::ffff:10.", "10.")).or_default();
            *sum += value.parse::<u64>().expect("a number");
        }
    }
    expected
}

/// The same lines of our own series.
fn counted(flows: &[Flow], handlers: &[Handler], metrics: &[&str]) -> BTreeMap<String, u64> {
    let none = Contexts::default();
    let mut contexts = MetricContexts { drop: none.clone(), flows: none.clone(), tcp: none.clone(), io: none };
    for handler in handlers {
        match handler.name {
            Some(HandlerName::Drop) => contexts.drop = (&handler.contexts).into(),
            Some(HandlerName::Flow) => contexts.flows = (&handler.contexts).into(),
            Some(HandlerName::Tcp) => contexts.tcp = (&handler.contexts).into(),
            _ => {}
        }
    }
    let mut aggregation = Aggregation::new(Config { contexts, max_series: 10_000, ..Config::default() }, 0);
    flows.iter().for_each(|flow| aggregation.count(flow, InterfaceKind::Other));
    let mut counted = BTreeMap::new();
    for metric in resolve(&aggregation.snapshot(1), &NoNames, Naming::Hubble) {
        let name = format!("{}_total{{", metric.name.replace('.', "_"));
        for series in metric.series.iter().filter(|_| metrics.contains(&name.as_str())) {
            let mut labels: Vec<String> =
                series.attributes.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
            labels.sort();
            let is_new = counted.insert(format!("{name}{}}}", labels.join(",")), series.value).is_none();
            assert!(is_new, "{name} {labels:?}");
        }
    }
    counted
}

/// A label's value as Prometheus writes it.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[test]
fn metrics_equal_hubbles() {
    let flows = flows();
    assert_eq!(flows.len(), 4000);
    for (name, least) in [("1", 500), ("3", 1000), ("4", 2000), ("5", 3000)] {
        let config = vectors::text(&format!("metrics/{name}.config"));
        let handlers: Vec<Handler> = config.split_whitespace().map(|line| line.parse().expect(line)).collect();
        let metrics: Vec<&str> = handlers.iter().filter_map(metric).collect();
        let (expected, counted) = (expected(name, &metrics), counted(&flows, &handlers, &metrics));
        assert!(expected.len() > least, "{name}: {}", expected.len());
        let differing: Vec<_> = expected.iter().filter(|(series, value)| counted.get(*series) != Some(value)).collect();
        let further: Vec<_> = counted.iter().filter(|(series, _)| !expected.contains_key(*series)).collect();
        assert!(
            differing.is_empty() && further.is_empty(),
            "{config}\nexpected {}: {:#?}\nfurther {}: {:#?}",
            differing.len(),
            &differing[..differing.len().min(10)],
            further.len(),
            &further[..further.len().min(10)]
        );
    }
}
