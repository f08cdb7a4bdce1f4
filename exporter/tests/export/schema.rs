//! Every attribute that leaves, against the registry: 20,000 payloads of Cilium's monitor and 4,000 flows of Hubble.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use eyepiece::export::otlp::encode::{FlowEncoder, Pushed, RequestBuilder};
use eyepiece::export::otlp::metrics::{MAX_REQUEST, encode};
use eyepiece::metadata::NameSnapshot;
use eyepiece::pipeline::enrich;
use eyepiece::pipeline::metrics::{
    Aggregation, Config, Contexts, DnsOptions, DropReasonNames, FlowDetail, FlowsToWorldOptions, Handlers, HttpOptions,
    LabelSet, Naming, resolve,
};
use eyepiece_config::ContextLabel;
use eyepiece_flow::cilium_release::Producer;
use eyepiece_flow::decode;
use eyepiece_flow::decode::Pairing;
use eyepiece_flow::event::{KernelDrop, Lost, LostSource, RawEvent};
use eyepiece_flow::lookup::NoLookup;
use eyepiece_flow::record::Observed;
use eyepiece_hubble::decode as hubble;
use eyepiece_hubble::json;
use eyepiece_hubble::proto::flow as proto;
use eyepiece_semconv::{attribute, event, metric};
use eyepiece_tests::reference::vectors;
use eyepiece_tests::sample;
use eyepiece_tests::schema;
use eyepiece_wire::{Hook, InterfaceKind};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use prost::Message as _;

use crate::encode::ENTITY_ATTRIBUTES;
use crate::support::records;

struct Machine;

impl DropReasonNames for Machine {
    fn reason(&self, reason: u32) -> Cow<'_, str> {
        reason.to_string().into()
    }
}

/// Returns the events of the monitor's payloads; every second one as of our datapath, with totals and a reason.
fn of_payloads() -> Vec<Observed> {
    let (names, mut pairing, mut all) = (NameSnapshot::default(), Pairing::default(), Vec::new());
    for data in &vectors::payloads() {
        let ours = all.len() % 2 == 0;
        let traffic = sample::traffic(Hook::FromEndpoint, (4, 4), (3, 300));
        let drop = KernelDrop { reason: 2, location: 7, netns: 4_026_531_840 };
        let traffic = (ours && data.first() == Some(&4)).then_some(traffic);
        let kernel_drop = (ours && data.first() == Some(&1)).then_some(drop);
        let event = RawEvent { time: 1, cpu: 2, data, traffic, kernel_drop };
        let Ok(mut observed) = decode::decode(&event, Producer::default(), &mut pairing) else { continue };
        if let Observed::Flow(flow) = &mut observed {
            enrich::enrich(flow, &names);
        }
        all.push(observed);
    }
    all
}

fn of_hubble() -> Vec<Observed> {
    let flow = |line: &str| json::read::<proto::Flow>(line, true).unwrap();
    let text = vectors::text("filters/flows.jsonl.gz");
    text.lines().map(|line| Observed::Flow(hubble::flow(flow(line), Box::default()))).collect()
}

fn logs(all: &[Observed]) -> Vec<ExportLogsServiceRequest> {
    let mut encoder = FlowEncoder::new(Arc::new(NoLookup));
    let resource = eyepiece::export::otlp::resource::Resource::new("host", "instance", [], None);
    let mut builder = RequestBuilder::new(&resource, 1000, 3 << 20);
    let mut requests = Vec::new();
    for observed in all {
        if builder.push_observed(&mut encoder, observed, 9) == Pushed::Full {
            requests.extend(builder.finish());
            assert_eq!(builder.push_observed(&mut encoder, observed, 9), Pushed::Added);
        }
    }
    requests.extend(builder.finish());
    requests.into_iter().map(|request| ExportLogsServiceRequest::decode(request.body).unwrap()).collect()
}

#[test]
fn log_attributes_follow_registry() {
    let (mut all, of_hubble) = (of_payloads(), of_hubble());
    assert!(all.len() > 15_000 && of_hubble.len() == 4000, "{} {}", all.len(), of_hubble.len());
    all.extend(of_hubble);
    all.push(Observed::Lost(Lost { source: LostSource::KernelBuffer, cpu: Some(3), count: 7, time: 5 }));
    let requests = logs(&all);
    let violations: BTreeSet<_> = requests.iter().flat_map(schema::of_logs).collect();
    assert_eq!(violations, BTreeSet::new());
    // These data lack the following attributes of events, and those of containers and processes. `encode` and `events` check their names and types, but for the
    // emitter's version and the mark of packets that were observed before.
    let attributes = requests.iter().flat_map(records).flat_map(|record| &record.attributes);
    let left: BTreeSet<_> = attributes.map(|attribute| attribute.key.as_str()).collect();
    // Entity events have tests of their own: `entities`.
    let events = event::ALL.iter().filter(|event| !event.name.starts_with("entity."));
    let registered: BTreeSet<_> = events.flat_map(|event| event.attributes).map(|usage| usage.name).collect();
    let is_of_entity = |name: &&str| {
        let of_end = name.strip_prefix("source.").or_else(|| name.strip_prefix("destination."));
        of_end.is_some_and(|name| ENTITY_ATTRIBUTES.iter().any(|(known, _)| *known == name))
    };
    let missing: BTreeSet<_> = registered.difference(&left).copied().filter(|name| !is_of_entity(name)).collect();
    let lacking = [
        attribute::DESTINATION_K8S_DAEMONSET_NAME,
        attribute::DESTINATION_K8S_JOB_NAME,
        attribute::HUBBLE_AGENT_EVENT_SERVICE_BACKENDS,
        attribute::HUBBLE_AGENT_EVENT_SERVICE_FRONTEND,
        attribute::HUBBLE_AGENT_EVENT_SERVICE_ID,
        attribute::HUBBLE_AGENT_EVENT_SERVICE_NAME,
        attribute::HUBBLE_AGENT_EVENT_SERVICE_TYPE,
        attribute::HUBBLE_DESTINATION_NAME,
        attribute::HUBBLE_DESTINATION_WORKLOADS,
        attribute::HUBBLE_DROP_LOCATION,
        attribute::HUBBLE_EMITTER_VERSION,
        attribute::HUBBLE_FLOW_OBSERVED_BEFORE,
        attribute::HUBBLE_KAFKA_API_KEY,
        attribute::HUBBLE_KAFKA_API_VERSION,
        attribute::HUBBLE_KAFKA_CORRELATION_ID,
        attribute::HUBBLE_KAFKA_ERROR_CODE,
        attribute::HUBBLE_SOURCE_NAME,
        attribute::HUBBLE_SOURCE_WORKLOADS,
        attribute::MESSAGING_DESTINATION_NAME,
        attribute::SOURCE_K8S_DAEMONSET_NAME,
        attribute::SOURCE_K8S_JOB_NAME,
    ];
    assert_eq!(missing, lacking.into());
}

/// Every handler, with these contexts.
fn all_handlers(contexts: &Contexts) -> Handlers {
    let flow_io = contexts.clone();
    let contexts = || Some(flow_io.clone());
    Handlers {
        drop: contexts(),
        flow: contexts(),
        tcp: contexts(),
        icmp: contexts(),
        port_distribution: contexts(),
        policy: contexts(),
        sctp: contexts(),
        flows_to_world: contexts().map(|contexts| FlowsToWorldOptions {
            contexts,
            any_drop: true,
            port: true,
            syn_only: false,
        }),
        dns: contexts().map(|contexts| DnsOptions { contexts, query: true, ignore_aaaa: false }),
        http: contexts().map(|contexts| HttpOptions { contexts, is_v2: false, exemplars: true }),
        flow_io,
    }
}

#[test]
fn metric_attributes_follow_registry() {
    let all = [of_payloads(), of_hubble()].concat();
    let labels: Vec<ContextLabel> = ContextLabel::NAMES.iter().map(|name| name.parse().unwrap()).collect();
    let labels = LabelSet::of(&labels);
    for (context, flow_detail, max_series) in
        [("name", FlowDetail::Ends, 2000), ("ip", FlowDetail::Port, 2000), ("identity|ip", FlowDetail::Transport, 5)]
    {
        let context = context.parse().unwrap();
        let labels = if flow_detail == FlowDetail::Port { labels } else { LabelSet::default() };
        let handlers = all_handlers(&Contexts { labels, ..Contexts::of(&context, &context) });
        let config = Config { handlers, max_series, idle_expiry: Duration::ZERO, flow_detail, ..Config::default() };
        let mut aggregation = Aggregation::new(config, 1);
        for observed in &all {
            match observed {
                Observed::Flow(flow) => aggregation.count(flow, InterfaceKind::Endpoint),
                Observed::Lost(lost) => aggregation.count_lost(lost),
                Observed::Agent(_) | Observed::Debug(_) => {}
            }
        }
        aggregation.count_lost(&Lost { source: LostSource::HubbleRing, cpu: None, count: 7, time: 5 });
        let metrics = resolve(&aggregation.snapshot(9), &Machine, Naming::Semconv);
        let count = metric::ALL.iter().filter(|metric| metric.name.starts_with("hubble.")).count();
        assert_eq!(metrics.len(), count, "every metric has a series");
        let encoded = encode(&metrics, 9, &Default::default(), MAX_REQUEST);
        let requests = encoded.requests.iter();
        let violations: BTreeSet<_> = requests.flat_map(schema::of_metrics).collect();
        assert_eq!(violations, BTreeSet::new(), "{flow_detail:?}");
    }
}
