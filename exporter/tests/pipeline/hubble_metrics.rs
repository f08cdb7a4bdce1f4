//! Counts 4,000 flows as Hubble's own handlers did, and compares with what they exposed.
//!
//! `vectors/filters/flows.jsonl.gz` are flows as protobuf JSON, `vectors/metrics/N.prom.gz` is the exposition of
//! Cilium 1.20.2's handlers after these flows, with the handlers and options of `N.config`.

use std::borrow::Cow;

use eyepiece::export::prometheus::{Format, Page, RequestMetrics};
use eyepiece::pipeline::metrics::{Aggregation, Config, Context, DropReasonNames, Handlers, Naming, resolve};
use eyepiece_config::Handler;
use eyepiece_flow::flow::Flow;
use eyepiece_hubble::decode;
use eyepiece_hubble::json;
use eyepiece_hubble::proto::flow as proto;
use eyepiece_tests::exposition::Exposition;
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

/// We write an IPv4-mapped address as IPv4, as Hubble does in flows of packets.
fn read(page: &str) -> Exposition {
    Exposition::read(page, |name| name.replace("::ffff:10.", "10.")).expect("a page")
}

/// The page of our own metrics after the flows.
fn page(flows: &[Flow], config: &str) -> String {
    let listed: Vec<Handler> = config.split_whitespace().map(|line| line.parse().expect(line)).collect();
    let handlers = Handlers::of(&listed, &Context::absent(), &Context::absent());
    let mut aggregation = Aggregation::new(Config { handlers, max_series: 10_000, ..Config::default() }, 0);
    flows.iter().for_each(|flow| aggregation.count(flow, InterfaceKind::Other));
    let mut metrics = resolve(&aggregation.snapshot(1), &NoNames, Naming::Hubble);
    // Those of no handler.
    let others = ["hubble.flow.", "hubble.interface.", "hubble.lost_events"];
    metrics.retain(|metric| !others.iter().any(|other| metric.name.starts_with(other)));
    let requests = RequestMetrics::default();
    let page = Page { flows: &metrics, requests: &requests, samples: &[], resource: &[] };
    String::from_utf8(page.render(Format::Text)).expect("UTF-8")
}

#[test]
fn pages_equal_hubbles() {
    let flows = flows();
    assert_eq!(flows.len(), 4000);
    for (name, least) in [
        ("1", 500),
        ("2", 500),
        ("3", 1000),
        ("4", 2000),
        ("5", 3000),
        ("6", 100),
        ("7", 20),
        ("8", 20),
        ("9", 20),
        ("10", 200),
        ("11", 50),
    ] {
        let config = vectors::text(&format!("metrics/{name}.config"));
        let expected = read(&vectors::text(&format!("metrics/{name}.prom.gz")));
        assert!(expected.series.len() > least, "{name}: {}", expected.series.len());
        let differences = read(&page(&flows, &config)).differences(&expected);
        let shown = &differences[..differences.len().min(20)];
        assert!(differences.is_empty(), "{name} {config}\n{} differ: {shown:#?}", differences.len());
    }
}
