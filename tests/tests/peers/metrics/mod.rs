//! Our metrics of flows against Cilium 1.20's own handlers: the same flows give the same pages, for every handler and
//! its options.

mod generate;

use std::borrow::Cow;

use eyepiece::export::prometheus::{Format, Page, RequestMetrics};
use eyepiece::pipeline::metrics::{Aggregation, Config, Context, DropReasonNames, Handlers, Naming, resolve};
use eyepiece_config::Handler;
use eyepiece_flow::flow::Flow;
use eyepiece_hubble::decode;
use eyepiece_tests::exposition::Exposition;
use eyepiece_tests::harness::metrics::{Line, NAME, count};
use eyepiece_tests::needs_peers;
use eyepiece_wire::InterfaceKind;
use prost::Message as _;

use generate::Generator;

/// The number of flows, unless `EYEPIECE_METRIC_FLOWS` has another.
const FLOWS: u64 = 40_000;
/// Above the number of series of any metric.
const MAX_SERIES: usize = 1_000_000;
/// Differences of a line that are shown.
const SHOWN: usize = 10;
/// Lines with this option have their pages in OpenMetrics, which alone has exemplars.
const EXEMPLARS: &str = "exemplars=true";

/// Lines of options. Hubble itself confuses the labels of `dns` if exactly five are of contexts: no line has so many.
const LINES: [&str; 42] = [
    "drop",
    "drop:sourceContext=pod|reserved-identity|ip;destinationContext=dns|workload|reserved-identity|ip",
    "drop:labelsContext=source_ip,destination_ip,traffic_direction",
    "drop:sourceEgressContext=identity;destinationIngressContext=namespace;labelsContext=source_pod",
    "drop:SOURCEcontext=Pod|IP;destinationContext=|workload-name||ip|;;unknown=1 kafka:sourceContext=pod",
    "flow",
    "flow:sourceContext=identity;destinationContext=namespace",
    "flow:sourceContext=workload;destinationContext=pod",
    "flow:sourceContext=workload-name|reserved-identity;destinationContext=workload-name|reserved-identity;\
     labelsContext=source_namespace,destination_namespace",
    "flow:labelsContext=source_ip,source_pod,source_namespace,source_workload,source_workload_kind,source_app,\
     destination_ip,destination_pod,destination_namespace,destination_workload,destination_workload_kind,\
     destination_app,traffic_direction",
    "tcp",
    "tcp:sourceContext=workload-name;destinationContext=app",
    "tcp:sourceContext=pod-name;sourceIngressContext=dns|ip;labelsContext=destination_workload_kind,traffic_direction",
    "icmp",
    "icmp:sourceContext=namespace;destinationContext=pod|ip",
    "dns",
    "dns:query;ignoreAAAA",
    "dns:query;labelsContext=source_namespace,destination_namespace",
    "dns:ignoreAAAA;sourceContext=workload|reserved-identity;destinationContext=identity",
    "dns:query;sourceContext=pod;destinationContext=dns|ip;labelsContext=source_app,traffic_direction",
    "http",
    "http:exemplars=true;sourceContext=pod;destinationContext=ip",
    "http:exemplars=true",
    "http:labelsContext=source_app,destination_app,traffic_direction",
    "httpV2",
    "httpV2:exemplars=true;labelsContext=source_ip,source_namespace,source_workload,destination_ip,\
     destination_namespace,destination_workload,traffic_direction",
    "httpV2:exemplars=true;sourceContext=workload-name|reserved-identity;destinationContext=dns|ip",
    "httpV2:sourceContext=pod",
    "httpV2:sourceIngressContext=namespace;destinationContext=app;destinationEgressContext=pod",
    "port-distribution",
    "port-distribution:sourceEgressContext=pod;sourceIngressContext=namespace;destinationEgressContext=dns|ip;\
     destinationIngressContext=pod-name",
    "policy",
    "policy:sourceEgressContext=namespace;destinationIngressContext=workload-name",
    "policy:sourceContext=app;labelsContext=destination_pod,destination_namespace",
    "flows-to-world",
    "flows-to-world:any-drop",
    "flows-to-world:any-drop;port;syn-only;labelsContext=source_namespace,source_app",
    "flows-to-world:port;sourceContext=pod;destinationContext=ip",
    "sctp",
    "sctp:sourceContext=ip;destinationContext=workload|ip",
    "drop flow tcp icmp port-distribution dns http policy flows-to-world sctp",
    "drop:sourceContext=pod;destinationContext=pod flow:sourceContext=pod;destinationContext=pod \
     tcp:sourceContext=pod;destinationContext=pod icmp:sourceContext=pod dns:query;destinationContext=pod \
     httpV2:labelsContext=source_workload,destination_workload policy:destinationContext=pod port-distribution sctp",
];

/// An intended difference in the text of a series: ours, upstream's, and the reason.
struct Deviation {
    ours: &'static str,
    theirs: &'static str,
    reason: &'static str,
}

const DEVIATIONS: [Deviation; 2] = [
    Deviation {
        ours: "protocol=\"Kafka\"",
        theirs: "protocol=\"Unknown L7\"",
        reason: "pkg/hubble/api/v1/flow.go, FlowProtocol: 1.20 has no Kafka, but agents up to 1.19 send it",
    },
    Deviation {
        ours: "subtype=\"Kafka\"",
        theirs: "subtype=\"\"",
        reason: "pkg/hubble/metrics/flow/handler.go, ProcessFlow: the same",
    },
];

/// Our page, its labels as upstream has them.
fn as_upstream(page: &str) -> Exposition {
    let rename = |name: &str| {
        DEVIATIONS.iter().fold(name.to_owned(), |name, deviation| name.replace(deviation.ours, deviation.theirs))
    };
    Exposition::read(page, rename).expect("our page")
}

struct NoNames;

impl DropReasonNames for NoNames {
    fn reason(&self, reason: u32) -> Cow<'_, str> {
        reason.to_string().into()
    }
}

/// Our side of a line.
struct Counter {
    line: &'static str,
    aggregation: Aggregation,
}

impl Counter {
    fn new(line: &'static str) -> Self {
        let handlers: Vec<Handler> = line.split_whitespace().map(|handler| handler.parse().expect(handler)).collect();
        let handlers = Handlers::of(&handlers, &Context::absent(), &Context::absent());
        let config = Config { handlers, max_series: MAX_SERIES, ..Config::default() };
        Self { line, aggregation: Aggregation::new(config, 0) }
    }

    fn has_exemplars(&self) -> bool {
        self.line.contains(EXEMPLARS)
    }

    /// Counts a flow that arrives at a time, in ns.
    fn count(&mut self, flow: &Flow, time: u64) {
        self.aggregation.arrive(time);
        self.aggregation.count(flow, InterfaceKind::Other);
    }

    /// The page of Hubble's metrics.
    fn page(&self, time: u64) -> String {
        let mut metrics = resolve(&self.aggregation.snapshot(time), &NoNames, Naming::Hubble);
        // Ours, and the one that Hubble counts beside its handlers.
        let others = ["hubble.flow.", "hubble.interface.", "hubble.lost_events"];
        metrics.retain(|metric| !others.iter().any(|other| metric.name.starts_with(other)));
        let requests = RequestMetrics::default();
        let page = Page { flows: &metrics, requests: &requests, samples: &[], resource: &[] };
        let format = if self.has_exemplars() { Format::OpenMetrics } else { Format::Text };
        String::from_utf8(page.render(format)).expect("UTF-8")
    }
}

#[test]
fn handlers_count_as_hubbles() {
    needs_peers!(NAME);
    let flows = std::env::var("EYEPIECE_METRIC_FLOWS").map_or(FLOWS, |flows| flows.parse().expect("a number of flows"));
    let mut counters: Vec<Counter> = LINES.into_iter().map(Counter::new).collect();
    let line = |counter: &Counter| Line { handlers: counter.line, is_open_metrics: counter.has_exemplars() };
    let lines: Vec<Line<'static>> = counters.iter().map(line).collect();
    // Both sides count at once, each on a CPU of its own.
    let pages = count(&lines, |writer| {
        let mut generator = Generator::new(7);
        for time in 1..=flows {
            let flow = generator.flow();
            writer.write(&flow.encode_to_vec())?;
            let flow = decode::flow(flow, Box::default());
            counters.iter_mut().for_each(|counter| counter.count(&flow, time));
        }
        Ok(())
    })
    .expect("pages of Cilium's handlers");
    let (mut report, mut series) = (Vec::new(), 0);
    for (counter, page) in counters.iter().zip(pages) {
        let line = counter.line;
        let expected = Exposition::read(&page, str::to_owned).expect(line);
        let (total, exemplars) = (expected.series.len(), expected.exemplars.len());
        assert!(total > 3, "{line}: {total} series");
        assert_eq!(exemplars > 10, counter.has_exemplars(), "{line}: {exemplars} exemplars");
        series += total;
        let differences = as_upstream(&counter.page(flows)).differences(&expected);
        if !differences.is_empty() {
            let shown = differences[..differences.len().min(SHOWN)].join("\n    ");
            report.push(format!("{line}\n    {} differences, {total} series\n    {shown}", differences.len()));
        }
    }
    eprintln!("{flows} flows, {} lines, {series} series", LINES.len());
    for Deviation { ours, theirs, reason } in DEVIATIONS {
        eprintln!("{ours} instead of {theirs}: {reason}");
    }
    assert!(report.is_empty(), "{} of {} lines differ:\n{}", report.len(), LINES.len(), report.join("\n"));
}
