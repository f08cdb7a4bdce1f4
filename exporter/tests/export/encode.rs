//! Log records as a receiver decodes them: every field of a flow, and requests at their bounds.

use std::collections::BTreeSet;
use std::sync::Arc;

use eyepiece::export::otlp::encode::{FlowEncoder, LogsRequest, Pushed, RequestBuilder, severity};
use eyepiece::export::otlp::resource::Resource;
use eyepiece::metadata::provider::{ChangeReceiver as _, Entity, Key, Provider, Target};
use eyepiece::metadata::registry::Registry;
use eyepiece::metadata::{LinkTables, NameSnapshot, Publisher, WantedTexts};
use eyepiece::pipeline::enrich::enrich;
use eyepiece_flow::cilium_release::Release;
use eyepiece_flow::event::KernelDrop;
use eyepiece_flow::flow::{Direction, Ethernet, EventType, FileInfo, Flow, L4, Layer, TcpFlags, Tunnel, Verdict};
use eyepiece_flow::interner::{Symbol, Symbols};
use eyepiece_flow::lookup::{BatchNames, NameLookup, NoLookup};
use eyepiece_flow::metadata::{EndMetadata, Workload};
use eyepiece_semconv::{OTEL_SCHEMA_URL, SCHEMA_URL, attribute};
use eyepiece_tests::{sample, schema};
use eyepiece_wire::Hook;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use proptest::prelude::*;
use prost::Message as _;

use crate::support::{flow, numbers, records, resource};

struct Kernel;

impl NameLookup for Kernel {
    fn interface(&self, ifindex: u32, out: &mut String) {
        if ifindex == 4 {
            out.push_str("veth0");
        }
    }

    fn kernel_reason(&self, _: u32, out: &mut String) {
        out.push_str("NETFILTER_DROP");
    }

    fn kernel_symbol(&self, _: u64, out: &mut String) {
        out.push_str("nf_hook_slow+0x9c");
    }
}

/// Names of a batch, and their symbols.
fn named(symbols: &Symbols, names: &[&str]) -> (Arc<dyn BatchNames>, Vec<Symbol>) {
    let mut links = LinkTables::new(symbols);
    let symbols = names.iter().map(|name| links.intern(name)).collect();
    (Arc::new(NameSnapshot::from(links)), symbols)
}

fn decode(flow: &Flow, symbols: &Symbols) -> LogRecord {
    let mut bytes = Vec::new();
    let mut encoder = FlowEncoder::new(Arc::new(Kernel));
    encoder.enter(Some(&named(symbols, &["veth0"]).0));
    encoder.record(flow, 99, &mut bytes);
    LogRecord::decode(bytes.as_slice()).unwrap()
}

fn text(value: &Value) -> String {
    match value {
        Value::StringValue(text) => text.clone(),
        Value::IntValue(number) => number.to_string(),
        Value::BoolValue(truth) => truth.to_string(),
        Value::ArrayValue(array) => {
            let values: Vec<_> = array.values.iter().map(|value| text(value.value.as_ref().unwrap())).collect();
            format!("[{}]", values.join(" "))
        }
        Value::KvlistValue(map) => {
            let entry = |entry: &KeyValue| format!("{}={}", entry.key, text(value_of(entry)));
            format!("{{{}}}", map.values.iter().map(entry).collect::<Vec<_>>().join(" "))
        }
        other => panic!("{other:?}"),
    }
}

fn value_of(attribute: &KeyValue) -> &Value {
    attribute.value.as_ref().and_then(|value| value.value.as_ref()).unwrap()
}

/// `name=value` of every attribute. Names, types and presence are as in the registry.
pub(crate) fn attributes(record: &LogRecord) -> Vec<String> {
    let schema_url = SCHEMA_URL.to_owned();
    let scope_logs = vec![ScopeLogs { log_records: vec![record.clone()], schema_url, ..ScopeLogs::default() }];
    let schema_url = OTEL_SCHEMA_URL.to_owned();
    let resource_logs = vec![ResourceLogs { scope_logs, schema_url, ..ResourceLogs::default() }];
    assert_eq!(schema::of_logs(&ExportLogsServiceRequest { resource_logs }), BTreeSet::new());
    let line = |attribute: &KeyValue| format!("{}={}", attribute.key, text(value_of(attribute)));
    let mut lines: Vec<_> = record.attributes.iter().map(line).collect();
    lines.sort();
    lines
}

pub(crate) fn body(record: &LogRecord) -> String {
    text(record.body.as_ref().unwrap().value.as_ref().unwrap())
}

#[test]
fn full_trace_has_all_attributes() {
    let symbols = Symbols::default();
    let mut flow = flow(7);
    flow.cpu = 3;
    flow.trace_reason = Some(0);
    flow.direction = Direction::Ingress;
    flow.ifindex = 4;
    flow.encrypted = true;
    flow.ip_trace_id = 12;
    flow.proxy_port = 15_001;
    flow.vlan = Some(100);
    flow.ethernet = Some(Ethernet { source: [2, 0, 0, 0, 0, 1], destination: [2, 0, 0, 0, 0, 0xfe] });
    flow.source = eyepiece_flow::flow::End { endpoint: 17, identity: 1001, name: symbols.intern("veth0"), entity: 0 };
    flow.destination = eyepiece_flow::flow::End { endpoint: 0, identity: 2, name: symbols.intern("world"), entity: 0 };
    flow.ip.as_mut().unwrap().source_translated = Some([192, 0, 2, 1].into());
    flow.traffic = Some(sample::traffic(Hook::FromEndpoint, (4, 0), (44, 65_000)));
    let outer = sample::ip([198, 51, 100, 1], [198, 51, 100, 2]);
    flow.tunnel =
        Some(Tunnel { protocol: 1, vni: 5, ip: outer, l4: L4::Udp { source_port: 1, destination_port: 8472 } });
    let record = decode(&flow, &symbols);
    assert_eq!((record.time_unix_nano, record.observed_time_unix_nano), (flow.time, 99));
    assert_eq!((record.severity_number, record.severity_text.as_str()), (9, "INFO"));
    assert_eq!(record.event_name, "hubble.flow");
    assert_eq!(body(&record), "10.0.0.1:40000 (veth0) -> 10.0.0.2:80 (world) to-endpoint FORWARDED (TCP Flags: SYN)");
    let expected = [
        "destination.address=10.0.0.2",
        "destination.port=80",
        "hubble.cpu=3",
        "hubble.destination.identity=2",
        "hubble.destination.name=world",
        "hubble.encrypted=true",
        "hubble.ethernet.destination=02:00:00:00:00:fe",
        "hubble.ethernet.source=02:00:00:00:00:01",
        "hubble.event.subtype=to-endpoint",
        "hubble.event.type=Trace",
        "hubble.flow.bytes=65000",
        "hubble.flow.packets=44",
        "hubble.interface.index=4",
        "hubble.ip_trace_id=12",
        "hubble.is_reply=false",
        "hubble.observation_point=to-endpoint",
        "hubble.proxy.port=15001",
        "hubble.source.address_translated=192.0.2.1",
        "hubble.source.endpoint.id=17",
        "hubble.source.identity=1001",
        "hubble.source.name=veth0",
        "hubble.summary=TCP Flags: SYN",
        "hubble.tcp.flags=[SYN]",
        "hubble.trace_reason=new",
        "hubble.traffic_direction=ingress",
        "hubble.tunnel.destination.address=198.51.100.2",
        "hubble.tunnel.protocol=vxlan",
        "hubble.tunnel.source.address=198.51.100.1",
        "hubble.tunnel.vni=5",
        "hubble.verdict=FORWARDED",
        "hubble.vlan.id=100",
        "log.record.uid=00000007-0000-0000-0000-000000000000",
        "network.interface.name=veth0",
        "network.transport=tcp",
        "network.type=ipv4",
        "source.address=10.0.0.1",
        "source.port=40000",
    ];
    assert_eq!(attributes(&record), expected);
}

#[test]
fn drops_have_reason_attributes() {
    let mut flow = flow(1);
    flow.event_type = EventType { kind: 1, subtype: 0 };
    flow.verdict = Verdict::Dropped;
    flow.observation_point = None;
    flow.kernel_drop = Some(KernelDrop { reason: 6, location: 1, netns: 4_026_531_840 });
    flow.file = Some(FileInfo { id: 240, line: 6, release: Release::V1_20 });
    let drops = |flow: &Flow| {
        let record = decode(flow, &Symbols::default());
        assert_eq!((record.severity_number, record.severity_text.as_str()), (13, "WARN"));
        let mut lines = attributes(&record);
        lines.retain(|line| line.starts_with("hubble.drop."));
        lines
    };
    assert_eq!(
        drops(&flow),
        ["hubble.drop.location=nf_hook_slow+0x9c", "hubble.drop.netns=4026531840", "hubble.drop.reason=NETFILTER_DROP"]
    );
    flow.kernel_drop = None;
    flow.drop_reason = 133;
    flow.file = Some(FileInfo { id: 2, line: 512, release: Release::V1_20 });
    assert_eq!(
        drops(&flow),
        ["hubble.drop.file=bpf_lxc.c", "hubble.drop.line=512", "hubble.drop.reason=POLICY_DENIED"]
    );
}

#[test]
fn transport_layer_becomes_attributes() {
    let has = |l4, expected: &[&str]| {
        let mut flow = flow(1);
        flow.l4 = l4;
        let lines = attributes(&decode(&flow, &Symbols::default()));
        for expected in expected {
            assert!(lines.iter().any(|line| line == expected), "{expected} in {lines:?}");
        }
    };
    let flags = TcpFlags(TcpFlags::SYN | TcpFlags::ACK | TcpFlags::NS);
    has(L4::Tcp { source_port: 1, destination_port: 2, flags }, &["hubble.tcp.flags=[SYN ACK NS]"]);
    has(
        L4::Tcp { source_port: 0, destination_port: 0, flags: TcpFlags(0) },
        &["network.transport=tcp", "source.port=0"],
    );
    has(L4::Udp { source_port: 1, destination_port: 65_535 }, &["network.transport=udp", "destination.port=65535"]);
    let sctp = L4::Sctp { source_port: 1, destination_port: 2, chunk_type: Some(0) };
    has(sctp, &["network.transport=sctp", "hubble.sctp.chunk_type=0"]);
    has(L4::Icmp4 { kind: 3, code: 1 }, &["network.transport=icmp", "hubble.icmp.type=3", "hubble.icmp.code=1"]);
    has(L4::Icmp6 { kind: 128, code: 0 }, &["network.transport=icmpv6", "hubble.icmp.type=128"]);
    has(L4::Vrrp { kind: 1, vrid: 7, priority: 100 }, &["hubble.vrrp.vrid=7", "hubble.vrrp.priority=100"]);
    has(L4::Igmp { kind: 22, group: [224, 0, 0, 251] }, &["hubble.igmp.group=224.0.0.251"]);
    let mut bare = Flow::empty(EventType { kind: 7, subtype: 0 });
    bare.last_layer = Layer::None;
    let expected = [
        "hubble.cpu=0",
        "hubble.event.type=Unknown",
        "hubble.traffic_direction=unknown",
        "hubble.verdict=VERDICT_UNKNOWN",
        "log.record.uid=00000000-0000-0000-0000-000000000000",
    ];
    assert_eq!(attributes(&decode(&bare, &Symbols::default())), expected);
}

#[test]
fn verdict_gives_severity_number() {
    let expected = [
        (Verdict::Unknown, 9),
        (Verdict::Forwarded, 9),
        (Verdict::Dropped, 13),
        (Verdict::Error, 17),
        (Verdict::Audit, 9),
        (Verdict::Redirected, 9),
        (Verdict::Traced, 9),
        (Verdict::Translated, 9),
    ];
    for (verdict, number) in expected {
        assert_eq!(severity(verdict).0, number, "{verdict:?}");
    }
}

/// Further attributes of an entity: each that a provider gives.
pub(crate) const ENTITY_ATTRIBUTES: [(&str, &str); 12] = [
    (attribute::CONTAINER_ID, "3f4a"),
    (attribute::CONTAINER_IMAGE_NAME, "example.org/web"),
    (attribute::CONTAINER_IMAGE_TAGS, "1.27"),
    (attribute::CONTAINER_NAME, "shop-web-1"),
    (attribute::CONTAINER_RUNTIME_NAME, "docker"),
    (attribute::K8S_CONTAINER_NAME, "app"),
    (attribute::K8S_NODE_NAME, "node-1"),
    (attribute::K8S_POD_UID, "1b5e"),
    (attribute::PROCESS_EXECUTABLE_NAME, "web"),
    (attribute::PROCESS_PID, "4711"),
    (attribute::SERVICE_NAME, "web"),
    (attribute::SERVICE_NAMESPACE, "shop"),
];

#[test]
fn entity_has_attributes() {
    let publisher = Publisher::default();
    let registry = Registry::new(Symbols::default(), publisher.clone(), WantedTexts::default());
    let entity = |pod: &str, (kind, workload): (&str, &str), identity| {
        let workloads = [(kind, workload), ("Rollout", "canary")];
        let workloads = workloads.map(|(kind, name)| Workload { name: name.to_owned(), kind: kind.to_owned() }).into();
        let (namespace, pod_name) = ("shop".to_owned(), pod.to_owned());
        let metadata = EndMetadata { namespace, pod_name, workloads, ..EndMetadata::default() };
        let dns_names = vec!["web.example".to_owned()];
        let attributes = ENTITY_ATTRIBUTES.map(|(name, value)| (name, Arc::<str>::from(value))).to_vec();
        let name = format!("shop/{pod}");
        let entity = Entity { name, dns_names, identity, attributes, ..Entity::of(metadata) };
        Target::Entity(Arc::new(entity))
    };
    let entities = vec![
        (Key::Address([10, 0, 0, 1].into()), entity("web-1", ("DaemonSet", "web"), 4711)),
        (Key::Address([10, 0, 0, 2].into()), entity("report-1", ("Job", "report"), 4712)),
    ];
    registry.replace(Provider::File, entities);
    registry.publish();
    let mut reader = publisher.reader();
    let mut flow = flow(7);
    enrich(&mut flow, reader.refresh());
    let names: Arc<dyn BatchNames> = Arc::clone(reader.snapshot()) as _;
    let mut encoder = FlowEncoder::new(Arc::new(NoLookup));
    encoder.enter(Some(&names));
    let mut bytes = Vec::new();
    encoder.record(&flow, 99, &mut bytes);
    let found = attributes(&LogRecord::decode(bytes.as_slice()).unwrap());
    for expected in [
        "hubble.source.name=shop/web-1",
        "hubble.source.identity=4711",
        "source.k8s.namespace.name=shop",
        "source.k8s.pod.name=web-1",
        "source.k8s.daemonset.name=web",
        "hubble.source.workloads=[Rollout/canary]",
        "hubble.destination.name=shop/report-1",
        "destination.k8s.job.name=report",
        "hubble.destination.workloads=[Rollout/canary]",
    ] {
        assert!(found.iter().any(|line| line == expected), "{expected}: {found:?}");
    }
    for (name, _) in ENTITY_ATTRIBUTES {
        let at = |end: &str| found.iter().any(|line| line.starts_with(&format!("{end}.{name}=")));
        assert!(at("source") && at("destination"), "{name}: {found:?}");
    }
    for absent in ["source.k8s.job", "destination.k8s.daemonset"] {
        assert!(!found.iter().any(|line| line.starts_with(absent)), "{absent}: {found:?}");
    }
}

/// All requests of so many flows.
fn requests(flows: u32, max_records: usize, max_bytes: usize, resource: &Resource) -> (Vec<LogsRequest>, u32) {
    let mut encoder = FlowEncoder::new(Arc::new(NoLookup));
    let mut builder = RequestBuilder::new(resource, max_records, max_bytes);
    let (mut requests, mut too_large) = (Vec::new(), 0);
    for number in 0..flows {
        let flow = flow(number);
        let mut pushed = builder.push(&mut encoder, &flow, 1);
        if pushed == Pushed::Full {
            requests.extend(builder.finish());
            pushed = builder.push(&mut encoder, &flow, 1);
        }
        too_large += u32::from(pushed == Pushed::TooLarge);
    }
    requests.extend(builder.finish());
    assert_eq!(builder.finish(), None, "no empty request");
    (requests, too_large)
}

#[test]
fn bounds_in_records_and_bytes() {
    let (one, _) = requests(1, 10, usize::MAX, &resource());
    let one = one[0].body.len();
    for max_records in [0, 1, 2, 7, 8, 9, 100] {
        for max_bytes in [0, one - 1, one, one + 1, one * 2, one * 8, one * 100] {
            let (requests, too_large) = requests(8, max_records, max_bytes, &resource());
            let decoded: Vec<_> = requests
                .iter()
                .map(|request| {
                    assert!(request.body.len() <= max_bytes, "{} of {max_bytes}", request.body.len());
                    let decoded = ExportLogsServiceRequest::decode(request.body.clone()).unwrap();
                    assert_eq!(records(&decoded).count(), request.records);
                    assert!((1..=max_records.max(1)).contains(&request.records));
                    decoded
                })
                .collect();
            assert_eq!(numbers(&decoded).len() as u32 + too_large, 8, "{max_records} {max_bytes}");
            // A bound that is a little above one record's request holds it: lengths are reckoned at their longest.
            assert_eq!(too_large > 0, max_bytes < one + 10 && requests.is_empty());
            if max_bytes >= one * 2 {
                assert_eq!(numbers(&decoded), (0..8).collect::<Vec<_>>());
            }
        }
    }
}

#[test]
fn resource_and_scope_precede_records() {
    let (requests, _) = requests(1, 1, usize::MAX, &resource());
    let decoded = ExportLogsServiceRequest::decode(requests[0].body.clone()).unwrap();
    assert_eq!(decoded.resource_logs.len(), 1);
    assert_eq!(decoded.resource_logs[0].resource, Some(resource().proto()));
    assert_eq!(decoded.resource_logs[0].schema_url, OTEL_SCHEMA_URL);
    let scope_logs = &decoded.resource_logs[0].scope_logs[0];
    let scope = scope_logs.scope.as_ref().unwrap();
    let of_scope = (scope.name.as_str(), scope.version.as_str(), scope_logs.schema_url.as_str());
    assert_eq!(of_scope, ("eyepiece", env!("CARGO_PKG_VERSION"), SCHEMA_URL));
    assert_eq!(decoded.encode_to_vec().len(), requests[0].body.len(), "the shortest lengths");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Any name, of any length, comes out as it went in, and requests decode whatever their size.
    #[test]
    fn any_name_survives(names in prop::collection::vec(".{0,300}", 1..20), ports in any::<(u16, u16)>(), v6 in any::<u128>()) {
        let texts: Vec<&str> = names.iter().map(String::as_str).collect();
        let (batch, symbols) = named(&Symbols::default(), &texts);
        let mut encoder = FlowEncoder::new(Arc::new(NoLookup));
        encoder.enter(Some(&batch));
        let mut builder = RequestBuilder::new(&resource(), 100, usize::MAX);
        for (number, symbol) in (0..).zip(symbols) {
            let mut flow = flow(number);
            flow.source.name = symbol;
            flow.l4 = L4::Udp { source_port: ports.0, destination_port: ports.1 };
            flow.ip.as_mut().unwrap().source = std::net::Ipv6Addr::from_bits(v6).into();
            prop_assert_eq!(builder.push(&mut encoder, &flow, 1), Pushed::Added);
        }
        let request = ExportLogsServiceRequest::decode(builder.finish().unwrap().body).unwrap();
        for (record, name) in records(&request).zip(&names) {
            let lines = attributes(record);
            let source = format!("hubble.source.name={name}");
            prop_assert_eq!(lines.contains(&source), !name.is_empty());
            let address = format!("source.address={}", std::net::Ipv6Addr::from_bits(v6));
            prop_assert!(lines.contains(&address));
        }
    }
}
