//! Access-log records of every release's layout, and invalid records.

use eyepiece_flow::cilium_release::Producer;
use eyepiece_flow::decode;
use eyepiece_flow::decode::{DecodeError, Pairing};
use eyepiece_flow::flow::{Direction, End, Flow, L4, TcpFlags, Verdict};
use eyepiece_flow::l7::{Dns, Generic, Http, Kafka, L7, L7Kind, L7Record};
use eyepiece_flow::record::Observed;

use crate::gob::{Type, Value, encode, text};
use crate::{event, summary};

/// The releases whose layouts differ.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
enum Layout {
    V1_15,
    V1_16,
    V1_17,
    V1_20,
    /// Made up: fields in another order, and an unknown one.
    Next,
}

const LAYOUTS: [Layout; 5] = [Layout::V1_15, Layout::V1_16, Layout::V1_17, Layout::V1_20, Layout::Next];

fn list(of: Type) -> Type {
    Type::List(Box::new(of))
}

fn texts_by_name(of: Type) -> Type {
    Type::Map(Box::new(Type::Text), Box::new(of))
}

fn log_record(layout: Layout) -> Type {
    use Type::{Int, Struct, Text, Uint};
    let label = Struct(vec![("Key", Text), ("Value", Text), ("Source", Text)]);
    let labels = list(if layout == Layout::V1_15 { Text } else { label });
    let end = Struct(vec![
        ("ID", Uint),
        ("IPv4", Text),
        ("IPv6", Text),
        ("Port", Uint),
        ("Identity", Uint),
        ("Labels", labels),
    ]);
    let headers = || texts_by_name(list(Text));
    let http = Struct(vec![
        ("Code", Int),
        ("Method", Text),
        ("URL", Type::Marshaler),
        ("Protocol", Text),
        ("Headers", headers()),
        ("MissingHeaders", headers()),
    ]);
    let dns = Struct(vec![
        ("Query", Text),
        ("IPs", list(if layout < Layout::V1_17 { Type::Bytes } else { Type::Marshaler })),
        ("TTL", Uint),
        ("CNAMEs", list(Text)),
        ("ObservationSource", Text),
        ("RCode", Int),
        ("QTypes", list(Uint)),
        ("AnswerTypes", list(Uint)),
    ]);
    let topic = Struct(vec![("Topic", Text)]);
    let kafka = Struct(vec![
        ("ErrorCode", Int),
        ("APIVersion", Int),
        ("APIKey", Text),
        ("CorrelationID", Int),
        ("Topic", topic),
    ]);
    let generic = Struct(vec![("Proto", Text), ("Fields", texts_by_name(Text))]);
    let mut fields = vec![
        ("Type", Text),
        ("Timestamp", Text),
        ("ObservationPoint", Text),
        ("SourceEndpoint", end.clone()),
        ("DestinationEndpoint", end),
        ("IPVersion", Uint),
        ("Verdict", Text),
        ("TransportProtocol", Uint),
        ("HTTP", http),
        ("Kafka", kafka),
        ("DNS", dns),
        ("L7", generic),
    ];
    if layout >= Layout::V1_20 {
        fields.retain(|(name, _)| *name != "Kafka");
    }
    if layout == Layout::Next {
        fields.push(("Unheard", Type::Marshaler));
        fields.reverse();
    }
    Struct(fields)
}

/// A record with a protocol's part.
fn record(layout: Layout, kind: &str, part: (&'static str, Value)) -> Value {
    let labels = |layout: Layout| {
        let label = |key: &str, value: &str, source: &str| match layout {
            Layout::V1_15 => text(&format!("{source}:{key}{}{value}", if value.is_empty() { "" } else { "=" })),
            _ => Value::Struct(vec![
                ("Key", text(key)),
                ("Value", if value.is_empty() { Value::Zero } else { text(value) }),
                ("Source", text(source)),
            ]),
        };
        Value::List(vec![
            label("io.cilium.k8s.policy.cluster", "kind", "k8s"),
            label("host", "", "reserved"),
            label("app", "web", "k8s"),
        ])
    };
    let source = Value::Struct(vec![
        ("ID", Value::Uint(7)),
        ("IPv4", text("10.0.0.1")),
        ("Port", Value::Uint(40_000)),
        ("Identity", Value::Uint(4711)),
        ("Labels", labels(layout)),
    ]);
    let destination = Value::Struct(vec![("IPv4", text("10.0.0.2")), ("Port", Value::Uint(53))]);
    Value::Struct(vec![
        ("Type", text(kind)),
        ("Timestamp", text("2024-05-06T07:08:09.5Z")),
        ("ObservationPoint", text("Egress")),
        ("SourceEndpoint", source),
        ("DestinationEndpoint", destination),
        ("Verdict", text("Forwarded")),
        ("TransportProtocol", Value::Uint(17)),
        part,
    ])
}

fn decode(payload: &[u8], pairing: &mut Pairing) -> Result<Flow, DecodeError> {
    match decode::decode(&event(payload), Producer::default(), pairing)? {
        Observed::Flow(flow) => Ok(flow),
        other => panic!("{other:?}"),
    }
}

fn payload(layout: Layout, value: &Value) -> Vec<u8> {
    let mut payload = vec![129];
    payload.extend(encode(&log_record(layout), value, 70));
    payload
}

fn layer(layout: Layout, kind: &str, part: (&'static str, Value)) -> (L7, String) {
    let flow = decode(&payload(layout, &record(layout, kind, part)), &mut Pairing::default())
        .unwrap_or_else(|error| panic!("{layout:?}: {error}"));
    let text = summary(&flow);
    (*flow.l7.expect("layer 7"), text)
}

#[test]
fn layouts_give_same_flow() {
    for layout in LAYOUTS {
        let flow = decode(&payload(layout, &record(layout, "Response", ("L7", Value::Zero))), &mut Pairing::default());
        let flow = flow.unwrap_or_else(|error| panic!("{layout:?}: {error}"));
        assert_eq!((flow.verdict, flow.direction, flow.is_reply), (Verdict::Forwarded, Direction::Egress, Some(true)));
        assert_eq!(flow.l4, L4::Udp { source_port: 40_000, destination_port: 53 });
        let ip = flow.ip.expect("addresses");
        assert_eq!((ip.source, ip.destination, ip.version), ([10, 0, 0, 1].into(), [10, 0, 0, 2].into(), 4));
        assert_eq!(flow.source, End { endpoint: 7, identity: 4711, ..End::default() });
        assert_eq!(flow.destination, End::default());
        let l7 = flow.l7.expect("layer 7");
        let labels = ["k8s:app=web", "k8s:io.cilium.k8s.policy.cluster=kind", "reserved:host"];
        assert_eq!(l7.source_labels, labels, "{layout:?}");
        assert_eq!(eyepiece_flow::l7::cluster_name(&l7.source_labels), Some("kind"));
        assert!(l7.destination_labels.is_empty() && l7.record == L7Record::None);
        assert_eq!(l7.time.map(|time| (time.seconds, time.nanos)), Some((1_714_979_289, 500_000_000)));
    }
}

#[test]
fn dns_in_every_layout() {
    let mapped = [&[0; 10][..], &[0xff, 0xff, 93, 184, 216, 34]].concat();
    for layout in LAYOUTS {
        let ips = if layout < Layout::V1_17 {
            // `net.IP` holds IPv4 in 16 bytes as well as in 4.
            vec![vec![1, 1, 1, 1], mapped.clone(), vec![0; 16], vec![], vec![1, 2, 3]]
        } else {
            let zoned = [&[0xfe, 0x80][..], &[0; 13], &[1], b"eth0"].concat();
            vec![vec![1, 1, 1, 1], mapped.clone(), vec![0; 16], vec![], zoned]
        };
        let part = Value::Struct(vec![
            ("Query", text("a b.\"x\".")),
            ("IPs", Value::List(ips.into_iter().map(Value::Bytes).collect())),
            ("TTL", Value::Uint(300)),
            ("CNAMEs", Value::List(vec![text("c."), text("\"d")])),
            ("ObservationSource", text("proxy")),
            ("QTypes", Value::List(vec![Value::Uint(1), Value::Uint(28), Value::Uint(77)])),
            ("AnswerTypes", Value::List(vec![Value::Uint(5)])),
        ]);
        let (l7, response) = layer(layout, "Response", ("DNS", part.clone()));
        let (old, new) = (
            ["1.1.1.1", "93.184.216.34", "::", "<nil>", "?010203"],
            ["1.1.1.1", "::ffff:93.184.216.34", "::", "invalid IP", "fe80::1%eth0"],
        );
        let ips = if layout < Layout::V1_17 { old } else { new };
        let expected = Dns {
            query: "a b.\"x\".".into(),
            ips: ips.map(str::to_owned).to_vec(),
            ttl: 300,
            cnames: vec!["c.".into(), "\"d".into()],
            observation_source: "proxy".into(),
            rcode: 0,
            qtypes: vec![1, 28, 77],
            rrtypes: vec![5],
        };
        assert_eq!(l7.record, L7Record::Dns(expected), "{layout:?}");
        let answers = ips.join(",");
        assert_eq!(
            response,
            format!(r#"DNS Answer "{answers}" CNAMEs: "c.,\"d" TTL: 300 (Proxy a b."x". A,AAAA,Unknown)"#)
        );
        let (l7, request) = layer(layout, "Request", ("DNS", part.clone()));
        let L7Record::Dns(dns) = l7.record else { panic!("{:?}", l7.record) };
        assert!(dns.ips.is_empty() && dns.cnames.is_empty() && dns.rrtypes.is_empty() && dns.ttl == 0);
        assert_eq!(request, "DNS Query a b.\"x\". A,AAAA,Unknown");
        assert_eq!(layer(layout, "Sample", ("DNS", part)).1, "");
    }
}

#[test]
fn unanswered_responses_are_unset() {
    for (code, text) in [(3, "Non-Existent Domain"), (9, "Server Not Authoritative for zone"), (11, "Unknown")] {
        let part = Value::Struct(vec![("RCode", Value::Int(code))]);
        let (_, summary) = layer(Layout::V1_20, "Response", ("DNS", part));
        assert_eq!(summary, format!("DNS Answer RCode: {text} TTL: 0 (Query  )"));
    }
    let nothing = layer(Layout::V1_20, "Response", ("DNS", Value::Struct(vec![("Query", text("a."))]))).1;
    assert_eq!(nothing, "DNS Answer  TTL: 0 (Query a. )");
    let names = Value::Struct(vec![("CNAMEs", Value::List(vec![text("b.")]))]);
    assert_eq!(layer(Layout::V1_20, "Response", ("DNS", names)).1, "DNS Answer CNAMEs: \"b.\" TTL: 0 (Query  )");
}

fn http(code: i64, headers: &[(&'static str, &[&str])]) -> (&'static str, Value) {
    let values = |values: &[&str]| Value::List(values.iter().map(|&value| text(value)).collect());
    let headers = headers.iter().map(|&(name, list)| (text(name), values(list))).collect();
    let part = Value::Struct(vec![
        ("Code", Value::Int(code)),
        ("Method", text("GET")),
        ("URL", text("http://user:secret@host/p?q=1")),
        ("Protocol", text("HTTP/1.1")),
        ("Headers", Value::Map(headers)),
        ("MissingHeaders", Value::Map(Vec::new())),
    ]);
    ("HTTP", part)
}

#[test]
fn http_in_every_layout() {
    for layout in LAYOUTS {
        let headers: &[(_, &[&str])] = &[("X-B", &["2", "1"]), ("Accept", &["*/*"]), ("X-Empty", &[])];
        let (l7, summary) = layer(layout, "Response", http(200, headers));
        let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let expected = Http {
            code: 200,
            method: "GET".into(),
            url: "http://user:HUBBLE_REDACTED@host/p?q=1".into(),
            protocol: "HTTP/1.1".into(),
            headers: vec![header("Accept", "*/*"), header("X-B", "2"), header("X-B", "1")],
        };
        assert_eq!(l7.record, L7Record::Http(expected), "{layout:?}");
        assert_eq!(summary, "HTTP/1.1 200 0ms (GET http://user:HUBBLE_REDACTED@host/p?q=1)");
        let (l7, summary) = layer(layout, "Request", http(200, headers));
        assert!(matches!(&l7.record, L7Record::Http(http) if http.code == 0));
        assert_eq!(summary, "HTTP/1.1 GET http://user:HUBBLE_REDACTED@host/p?q=1");
        assert_eq!(layer(layout, "Sample", http(0, headers)).1, "");
    }
}

#[test]
fn response_has_latency_and_trace() {
    const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let mut pairing = Pairing::default();
    let mut send = |kind: &str, second: u8, headers: &[(&'static str, &[&str])]| {
        let Value::Struct(mut fields) = record(Layout::V1_20, kind, http(200, headers)) else { panic!() };
        fields.retain(|(name, _)| *name != "Timestamp");
        fields.push(("Timestamp", text(&format!("2024-05-06T07:08:{second:02}Z"))));
        let flow = decode(&payload(Layout::V1_20, &Value::Struct(fields)), &mut pairing).unwrap();
        let l7 = flow.l7.clone().unwrap();
        (l7.latency_ns, l7.trace().copied(), l7.span_id[0], summary(&flow))
    };
    let url = "http://user:HUBBLE_REDACTED@host/p?q=1";
    let (latency, trace, span, _) = send("Request", 1, &[("X-Request-Id", &["a", "b"]), ("Traceparent", &[TRACE])]);
    assert_eq!((latency, trace.map(|id| id[0]), span), (0, Some(0x0a), 0xb7));
    // A sample is neither.
    assert_eq!(send("Sample", 2, &[("X-Request-Id", &["a"])]).1, None);
    let (latency, trace, span, summary) = send("Response", 3, &[("X-Request-Id", &["a"])]);
    assert_eq!((latency, trace.map(|id| id[0]), span), (2_000_000_000, Some(0x0a), 0xb7));
    assert_eq!(summary, format!("HTTP/1.1 200 2000ms (GET {url})"));
    let again = send("Response", 4, &[("X-Request-Id", &["a"]), ("Traceparent", &[TRACE])]);
    assert_eq!((again.0, again.1), (0, None));
}

#[test]
fn kafka_where_there_is_kafka() {
    let part = || {
        let topic = Value::Struct(vec![("Topic", text("orders"))]);
        let fields = vec![
            ("ErrorCode", Value::Int(-1)),
            ("APIVersion", Value::Int(5)),
            ("APIKey", text("produce")),
            ("CorrelationID", Value::Int(-7)),
            ("Topic", topic),
        ];
        ("Kafka", Value::Struct(fields))
    };
    let expected = |error_code| {
        let (api_key, topic) = ("produce".into(), "orders".into());
        L7Record::Kafka(Kafka { error_code, api_version: 5, api_key, correlation_id: -7, topic })
    };
    for layout in [Layout::V1_15, Layout::V1_16, Layout::V1_17] {
        let (l7, summary) = layer(layout, "Response", part());
        assert_eq!(l7.record, expected(-1), "{layout:?}");
        assert_eq!(summary, "Kafka response produce correlation id -7 topic 'orders' return code -1");
        let (l7, summary) = layer(layout, "Request", part());
        assert_eq!(l7.record, expected(0), "{layout:?}");
        assert_eq!(summary, "Kafka request produce correlation id -7 topic 'orders'");
    }
}

#[test]
fn other_protocols_in_every_layout() {
    let fields = Value::Map(vec![(text("b"), text("2")), (text("a"), text("1"))]);
    let part = || ("L7", Value::Struct(vec![("Proto", text("r2d2")), ("Fields", fields.clone())]));
    let expected =
        Generic { protocol: "r2d2".into(), fields: vec![("a".into(), "1".into()), ("b".into(), "2".into())] };
    for layout in LAYOUTS {
        for kind in ["Request", "Sample"] {
            let (l7, summary) = layer(layout, kind, part());
            assert_eq!(l7.record, L7Record::Generic(expected.clone()), "{layout:?}");
            assert_eq!(summary, "r2d2 Fields: map[a:1 b:2]");
        }
    }
    let (l7, summary) = layer(Layout::V1_20, "Weird", ("L7", Value::Struct(Vec::new())));
    assert_eq!((l7.kind, summary.as_str()), (L7Kind::Unknown, " Fields: map[]"));
}

#[test]
fn unknown_addresses_are_flagged() {
    let of = Type::Struct(vec![
        ("Timestamp", Type::Text),
        ("IPVersion", Type::Uint),
        ("TransportProtocol", Type::Uint),
        ("SourceEndpoint", Type::Struct(vec![("IPv4", Type::Text), ("IPv6", Type::Text), ("ID", Type::Uint)])),
    ]);
    let flow = |version: u64, ipv6: Value, id: u64| {
        let end = Value::Struct(vec![("IPv4", text("10.0.0.1")), ("IPv6", ipv6), ("ID", Value::Uint(id))]);
        let value = Value::Struct(vec![
            ("Timestamp", text("2024-05-06T07:08:09Z")),
            ("IPVersion", if version == 0 { Value::Zero } else { Value::Uint(version) }),
            ("TransportProtocol", Value::Uint(6)),
            ("SourceEndpoint", end),
        ]);
        let payload = [vec![129], encode(&of, &value, 64)].concat();
        decode(&payload, &mut Pairing::default()).unwrap()
    };
    let v4 = flow(0, Value::Zero, 65_536);
    assert_eq!((v4.no_source_address, v4.no_destination_address), (false, true));
    assert_eq!((v4.ip.unwrap().version, v4.source.endpoint), (4, 0), "no endpoint has more than 16 bits");
    assert_eq!(v4.l4, L4::Tcp { source_port: 0, destination_port: 0, flags: TcpFlags(0) });
    let v6 = flow(1, text("fd00::1"), 1);
    assert_eq!((v6.no_source_address, v6.ip.unwrap().source), (false, "fd00::1".parse().unwrap()));
    assert!(flow(1, Value::Zero, 1).no_source_address);
    assert!(flow(1, text("unknown"), 1).no_source_address);
    assert!(flow(2, Value::Zero, 1).ip.is_none());
}

#[test]
fn invalid_records_are_refused() {
    let of = |fields: Vec<(&'static str, Type)>| Type::Struct(fields);
    let error = |of: &Type, value: Value| {
        let payload = [vec![129], encode(of, &value, 64)].concat();
        let error = decode(&payload, &mut Pairing::default()).unwrap_err();
        (error.to_string(), error.reason())
    };
    let time = || ("Timestamp", text("2024-05-06T07:08:09Z"));
    for (of, value, expected) in [
        (
            of(vec![("Timestamp", Type::Text)]),
            Value::Struct(vec![]),
            ("cannot decode an access-log record: invalid Timestamp: expected a time of RFC 3339", "record_time"),
        ),
        (
            of(vec![("Verdict", Type::Int)]),
            Value::Struct(vec![("Verdict", Value::Int(1))]),
            ("cannot decode an access-log record: invalid Verdict: expected a text", "record_field"),
        ),
        (
            of(vec![("Timestamp", Type::Text), ("SourceEndpoint", Type::Text)]),
            Value::Struct(vec![time(), ("SourceEndpoint", text("a"))]),
            ("cannot decode an access-log record: invalid SourceEndpoint: expected a structure", "record_field"),
        ),
        (
            of(vec![("Timestamp", Type::Text), ("DNS", Type::Struct(vec![("IPs", list(Type::Marshaler))]))]),
            Value::Struct(vec![
                time(),
                ("DNS", Value::Struct(vec![("IPs", Value::List(vec![Value::Bytes(vec![1, 2])]))])),
            ]),
            ("cannot decode an access-log record: invalid IPs: expected a list of addresses", "record_field"),
        ),
    ] {
        let (text, reason) = error(&of, value);
        assert_eq!((text.as_str(), reason), expected);
    }
    let whole = payload(Layout::V1_20, &record(Layout::V1_20, "Request", http(0, &[])));
    for length in 1..whole.len() {
        let error = decode(&whole[..length], &mut Pairing::default()).unwrap_err();
        assert!(
            error.to_string().starts_with("cannot decode an access-log record: invalid gob at offset "),
            "{length}: {error}"
        );
    }
}
