//! Checks exports besides plain flows: layer 7, sockets, events of the agent, debug messages, losses.

use std::sync::Arc;

use eyepiece::export::otlp::encode::{FlowEncoder, Pushed, RequestBuilder};
use eyepiece_flow::agent_event::{AgentEvent, AgentEventKind, Notification, ServiceAddress, Timestamp};
use eyepiece_flow::debug_event::DebugEvent;
use eyepiece_flow::event::{Lost, LostSource};
use eyepiece_flow::flow::{End, EventType, Flow, L4, Sock, TcpFlags, TranslationPoint, Verdict};
use eyepiece_flow::l7::{Dns, Generic, Http, Kafka, L7, L7Kind, L7Record};
use eyepiece_flow::lookup::NameLookup;
use eyepiece_flow::record::Observed;
use eyepiece_tests::sample;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use prost::Message as _;

use crate::encode::{attributes, body};
use crate::support::resource;

struct Links;

impl NameLookup for Links {
    fn interface(&self, ifindex: u32, out: &mut String) {
        out.push_str(if ifindex == 4 { "veth4" } else { "" });
    }
}

/// The record as a receiver reads it.
fn record(observed: &Observed) -> LogRecord {
    let mut builder = RequestBuilder::new(&resource(), 10, 1 << 20);
    let mut encoder = FlowEncoder::new(Arc::new(Links));
    assert_eq!(builder.push_observed(&mut encoder, observed, 99), Pushed::Added);
    let request = builder.finish().unwrap();
    let mut decoded = ExportLogsServiceRequest::decode(request.body).unwrap();
    let record = decoded.resource_logs.remove(0).scope_logs.remove(0).log_records.remove(0);
    assert_eq!(record.observed_time_unix_nano, 99);
    record
}

fn check(observed: &Observed, event: &str, severity: &str, text: &str, expected: &[&str]) {
    check_record(&record(observed), observed, event, severity, text, expected);
}

fn check_record(record: &LogRecord, observed: &Observed, event: &str, severity: &str, text: &str, expected: &[&str]) {
    assert_eq!((record.event_name.as_str(), record.severity_text.as_str()), (event, severity));
    assert_eq!(record.time_unix_nano, observed.time());
    assert_eq!(body(record), text);
    assert_eq!(attributes(record), expected, "{event}");
}

const UID: &str = "log.record.uid=00000000-0000-0000-0000-000000000000";

#[test]
fn loss_names_source_and_count() {
    for (source, cpu, name, text, cpu_attribute) in [
        (
            LostSource::KernelBuffer,
            Some(3),
            "perf_event_ring_buffer",
            "PERF_EVENT_RING_BUFFER 7 (CPU 3)",
            Some("hubble.cpu=3"),
        ),
        (LostSource::ObserverQueue, None, "observer_events_queue", "OBSERVER_EVENTS_QUEUE 7", None),
        (LostSource::HubbleRing, None, "hubble_ring_buffer", "HUBBLE_RING_BUFFER 7", None),
    ] {
        let lost = Observed::Lost(Lost { source, cpu, count: 7, time: 5 });
        let source = format!("hubble.lost.source={name}");
        // Each record has its own id, made where it is encoded.
        let (one, other) = (record(&lost), record(&lost));
        let [uid, another] = [&one, &other].map(|record| attributes(record).pop().unwrap());
        assert!(uid.starts_with("log.record.uid=") && uid.as_bytes()[29] == b'4' && uid != another, "{uid} {another}");
        let expected = ["hubble.lost.count=7", source.as_str(), uid.as_str()];
        let expected: Vec<&str> = cpu_attribute.into_iter().chain(expected).collect();
        let text = format!("EVENTS LOST: {text}");
        check_record(&one, &lost, "hubble.lost_events", "WARN", &text, &expected);
    }
}

#[test]
fn debug_message_has_its_arguments() {
    let mut event = DebugEvent {
        time: 5,
        uuid: [0; 16],
        cpu: 2,
        kind: 4,
        source: End { endpoint: 17, identity: 4711, ..End::default() },
        hash: 1,
        arg1: 4,
        arg2: 0x5000,
        arg3: u32::MAX,
    };
    let mut expected = [
        "hubble.cpu=2",
        "hubble.debug_event.arg1=4",
        "hubble.debug_event.arg2=20480",
        "hubble.debug_event.arg3=4294967295",
        "hubble.debug_event.hash=1",
        "hubble.debug_event.message=Local container found ifindex veth4 seclabel 80",
        "hubble.debug_event.type=DBG_LXC_FOUND",
        "hubble.source.endpoint.id=17",
        "hubble.source.identity=4711",
        UID,
    ];
    let text = "DBG_LXC_FOUND endpoint 17: Local container found ifindex veth4 seclabel 80";
    check(&Observed::Debug(Box::new(event)), "hubble.debug_event", "DEBUG", text, &expected);
    (event.kind, event.arg1, event.source) = (99, 5, End::default());
    expected[1] = "hubble.debug_event.arg1=5";
    expected[5] = "hubble.debug_event.message=Unknown message type=99 arg1=5 arg2=20480";
    expected[6] = "hubble.debug_event.type=99";
    let expected = [&expected[..7], &[UID]].concat();
    let text = "DBG_99: Unknown message type=99 arg1=5 arg2=20480";
    check(&Observed::Debug(Box::new(event)), "hubble.debug_event", "DEBUG", text, &expected);
}

fn agent(kind: AgentEventKind, notification: Notification) -> Observed {
    Observed::Agent(Box::new(AgentEvent { time: 5, uuid: [0; 16], kind, notification }))
}

#[test]
fn agent_events_have_attributes() {
    use AgentEventKind as Kind;
    let labels = || vec!["k8s:app=a".to_owned(), "x".repeat(200)];
    let long = "x".repeat(200);
    let labels_attribute = format!("hubble.agent_event.labels=[k8s:app=a {long}]");
    let labels_text = format!("(k8s:app=a,{long})");
    let time = Some(Timestamp { seconds: 0, nanos: 5 });
    let ipcache = Notification::Ipcache {
        cidr: "10.0.0.7/32".into(),
        identity: 4711,
        old_identity: Some(0),
        host_ip: "192.0.2.1".into(),
        old_host_ip: "192.0.2.2".into(),
        encrypt_key: 1,
        namespace: "n".into(),
        pod_name: "p".into(),
    };
    let service = Notification::ServiceUpsert {
        id: 9,
        frontend: ServiceAddress { ip: "10.96.0.1".into(), port: 443 },
        backends: vec![ServiceAddress { ip: "fd00::1".into(), port: 6443 }],
        kind: "ClusterIP".into(),
        traffic_policy: "Local".into(),
        ext_traffic_policy: "Local".into(),
        int_traffic_policy: String::new(),
        name: "web".into(),
        namespace: "default".into(),
    };
    let endpoint = |labels, error: &str, pod: &str, namespace: &str, interface: &str| Notification::Endpoint {
        id: 7,
        labels,
        error: error.into(),
        pod_name: pod.into(),
        namespace: namespace.into(),
        interface: interface.into(),
    };
    let updated = endpoint(labels(), "", "p", "n", "");
    let ours = endpoint(Vec::new(), "", "", "", "veth0");
    let failed = endpoint(Vec::new(), "e", "", "", "");
    for (kind, notification, severity, text, attributes) in [
        (
            Kind::AgentStarted,
            Notification::AgentStart { time },
            "INFO",
            "AGENT_STARTED: 1970-01-01T00:00:00.000000005Z".to_owned(),
            vec!["hubble.agent_event.time=1970-01-01T00:00:00.000000005Z", "hubble.agent_event.type=AGENT_STARTED"],
        ),
        (
            Kind::PolicyUpdated,
            Notification::Policy { labels: labels(), revision: 3, rule_count: -1 },
            "INFO",
            format!("POLICY_UPDATED: revision 3, -1 rules {labels_text}"),
            vec![
                &labels_attribute,
                "hubble.agent_event.policy.revision=3",
                "hubble.agent_event.policy.rules=-1",
                "hubble.agent_event.type=POLICY_UPDATED",
            ],
        ),
        (
            Kind::EndpointRegenerateFailure,
            failed,
            "WARN",
            "ENDPOINT_REGENERATE_FAILURE: endpoint 7: e".to_owned(),
            vec![
                "hubble.agent_event.endpoint.id=7",
                "hubble.agent_event.error=e",
                "hubble.agent_event.type=ENDPOINT_REGENERATE_FAILURE",
            ],
        ),
        (
            Kind::EndpointCreated,
            updated,
            "INFO",
            format!("ENDPOINT_CREATED: endpoint 7 of n/p {labels_text}"),
            vec![
                "hubble.agent_event.endpoint.id=7",
                &labels_attribute,
                "hubble.agent_event.type=ENDPOINT_CREATED",
                "k8s.namespace.name=n",
                "k8s.pod.name=p",
            ],
        ),
        (
            Kind::EndpointCreated,
            ours,
            "INFO",
            "ENDPOINT_CREATED: endpoint 7 at veth0".to_owned(),
            vec![
                "hubble.agent_event.endpoint.id=7",
                "hubble.agent_event.type=ENDPOINT_CREATED",
                "network.interface.name=veth0",
            ],
        ),
        (
            Kind::IpcacheUpserted,
            ipcache,
            "INFO",
            "IPCACHE_UPSERTED: 10.0.0.7/32 identity 4711 at 192.0.2.1".to_owned(),
            vec![
                "hubble.agent_event.cidr=10.0.0.7/32",
                "hubble.agent_event.encrypt_key=1",
                "hubble.agent_event.host.address=192.0.2.1",
                "hubble.agent_event.identity=4711",
                "hubble.agent_event.old_host.address=192.0.2.2",
                "hubble.agent_event.old_identity=0",
                "hubble.agent_event.type=IPCACHE_UPSERTED",
                "k8s.namespace.name=n",
                "k8s.pod.name=p",
            ],
        ),
        (
            Kind::ServiceUpserted,
            service,
            "INFO",
            "SERVICE_UPSERTED: service 9 default/web at 10.96.0.1 port 443, 1 backends".to_owned(),
            vec![
                "hubble.agent_event.service.backends=[[fd00::1]:6443]",
                "hubble.agent_event.service.frontend=10.96.0.1:443",
                "hubble.agent_event.service.id=9",
                "hubble.agent_event.service.name=default/web",
                "hubble.agent_event.service.type=ClusterIP",
                "hubble.agent_event.type=SERVICE_UPSERTED",
            ],
        ),
        (
            Kind::ServiceDeleted,
            Notification::ServiceDelete { id: 9 },
            "INFO",
            "SERVICE_DELETED: service 9".to_owned(),
            vec!["hubble.agent_event.service.id=9", "hubble.agent_event.type=SERVICE_DELETED"],
        ),
        (
            Kind::Unknown,
            Notification::Unknown { kind: 13, notification: "{}".into() },
            "INFO",
            "AGENT_EVENT_UNKNOWN: type 13 {}".to_owned(),
            vec![
                "hubble.agent_event.notification={}",
                "hubble.agent_event.number=13",
                "hubble.agent_event.type=AGENT_EVENT_UNKNOWN",
            ],
        ),
    ] {
        let at = attributes.iter().position(|name| *name > UID).unwrap_or(attributes.len());
        let expected = [&attributes[..at], &[UID], &attributes[at..]].concat();
        check(&agent(kind, notification), "hubble.agent_event", severity, &text, &expected);
    }
}

fn layer(kind: L7Kind, record: L7Record) -> Observed {
    let mut flow = Flow::empty(EventType { kind: 129, subtype: 0 });
    flow.verdict = Verdict::Forwarded;
    flow.is_reply = Some(kind == L7Kind::Response);
    flow.ip = Some(sample::ip([10, 0, 0, 1], [10, 0, 0, 2]));
    flow.l4 = L4::Tcp { source_port: 1, destination_port: 80, flags: TcpFlags(0) };
    let (trace_id, span_id) = ([7; 16], [8; 8]);
    let l7 = L7 { kind, record, trace_id, span_id, latency_ns: 5_000_000, ..L7::default() };
    flow.l7 = Some(Box::new(L7 { source_labels: vec!["k8s:app=a".into()], ..l7 }));
    Observed::Flow(flow)
}

#[test]
fn layer_7_fields_become_attributes() {
    let texts = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect::<Vec<_>>();
    let dns = Dns {
        query: "a.".into(),
        ips: texts(&["1.1.1.1", "::1"]),
        ttl: 30,
        cnames: texts(&["b."]),
        observation_source: "proxy".into(),
        rcode: 0,
        qtypes: vec![1, 28],
        rrtypes: vec![5],
    };
    let http = Http {
        code: 200,
        method: "GET".into(),
        url: "http://a/".into(),
        protocol: "HTTP/1.1".into(),
        headers: vec![("Authorization".into(), "secret".into())],
    };
    let kafka =
        Kafka { error_code: -1, api_version: 5, api_key: "produce".into(), correlation_id: 7, topic: "orders".into() };
    let generic = Generic { protocol: "R2D2".into(), fields: vec![("a".into(), "1".into())] };
    for (record, point, summary, expected) in [
        (
            L7Record::Dns(dns),
            "dns-response",
            "DNS Answer \"1.1.1.1,::1\" CNAMEs: \"b.\" TTL: 30 (Proxy a. A,AAAA)",
            vec![
                "dns.answers=[1.1.1.1 ::1]",
                "dns.question.name=a.",
                "hubble.dns.answer_types=[CNAME]",
                "hubble.dns.cnames=[b.]",
                "hubble.dns.observation_source=proxy",
                "hubble.dns.query_types=[A AAAA]",
                "hubble.dns.response_code=0",
                "hubble.dns.ttl=30",
                "network.protocol.name=dns",
            ],
        ),
        (
            L7Record::Http(http),
            "http-response",
            "HTTP/1.1 200 5ms (GET http://a/)",
            vec![
                "http.request.method=GET",
                "http.response.status_code=200",
                "network.protocol.name=http",
                "network.protocol.version=1.1",
                "url.full=http://a/",
            ],
        ),
        (
            L7Record::Kafka(kafka),
            "kafka-response",
            "Kafka response produce correlation id 7 topic 'orders' return code -1",
            vec![
                "hubble.kafka.api_key=produce",
                "hubble.kafka.api_version=5",
                "hubble.kafka.correlation_id=7",
                "hubble.kafka.error_code=-1",
                "messaging.destination.name=orders",
                "network.protocol.name=kafka",
            ],
        ),
        (
            L7Record::Generic(generic),
            "l7-response",
            "R2D2 Fields: map[a:1]",
            vec!["hubble.l7.fields=[a=1]", "network.protocol.name=r2d2"],
        ),
    ] {
        let record = self::record(&layer(L7Kind::Response, record));
        assert_eq!((record.trace_id.as_slice(), record.span_id.as_slice()), (&[7; 16][..], &[8; 8][..]));
        assert_eq!(body(&record), format!("10.0.0.2:80 <- 10.0.0.1:1 {point} FORWARDED ({summary})"));
        let found = attributes(&record);
        for common in ["hubble.event.type=L7", "hubble.l7.type=RESPONSE", "hubble.l7.latency=5000000"] {
            assert!(found.iter().any(|attribute| attribute == common), "{common}: {found:?}");
        }
        assert!(found.iter().any(|attribute| attribute == "hubble.source.labels=[k8s:app=a]"), "{found:?}");
        let of_protocol = ["dns.", "http.", "url.", "messaging.", "network.protocol.", "hubble.dns.", "hubble.kafka."];
        let found: Vec<_> = found
            .iter()
            .map(String::as_str)
            .filter(|name| of_protocol.iter().any(|prefix| name.starts_with(prefix)) || name.contains("l7.fields"))
            .collect();
        assert_eq!(found, expected, "{point}");
        // Headers carry credentials, and a proxy sees no TCP flags.
        let bytes = record.encode_to_vec();
        assert!(!bytes.windows(6).any(|window| window == b"secret"));
        assert!(!attributes(&record).iter().any(|attribute| attribute.starts_with("hubble.tcp.flags")));
    }
}

#[test]
fn socket_event_has_socket_attributes() {
    let mut flow = Flow::empty(EventType { kind: 7, subtype: 1 });
    flow.verdict = Verdict::Traced;
    flow.no_source_address = true;
    flow.ip = Some(sample::ip([0; 4], [10, 0, 0, 2]));
    flow.l4 = L4::Udp { source_port: 0, destination_port: 53 };
    flow.sock = Some(Sock { point: TranslationPoint::PreForward, cookie: 5, cgroup: 9001 });
    let record = record(&Observed::Flow(flow));
    assert_eq!(body(&record), "? <> 10.0.0.2:53 pre-xlate-fwd TRACED (UDP)");
    let found = attributes(&record);
    for expected in
        ["hubble.sock.cgroup.id=9001", "hubble.sock.cookie=5", "hubble.sock.translation_point=pre-xlate-fwd"]
    {
        assert!(found.iter().any(|attribute| attribute == expected), "{expected}: {found:?}");
    }
    assert!(!found.iter().any(|attribute| attribute.starts_with("source.address")), "{found:?}");
}
