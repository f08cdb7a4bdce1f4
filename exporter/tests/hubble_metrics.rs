//! Counts 4,000 flows as Hubble's own handlers did, and compares with what they exposed.
//!
//! `vectors/filters/flows.jsonl.gz` are flows as protobuf JSON, `vectors/metrics/1.prom.gz` is the exposition of
//! Cilium 1.20.2's handlers after these flows, with `drop flow tcp` among them and without contexts.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::net::IpAddr;
use std::path::Path;

use eyepiece::flow::{EventType, Flow, Ip, L4, TcpFlags, Verdict};
use eyepiece::l7::{Dns, Http, Kafka, L7, L7Record};
use eyepiece::metrics::{
    Aggregation, Config, Contexts, InterfaceNames, KernelNames, MetricContexts, Names, Naming, resolve,
};
use eyepiece::parser::names::drop_reason_name;
use eyepiece::symbols::Symbols;
use eyepiece_wire::InterfaceKind;
use flate2::read::GzDecoder;
use serde_json::Value;

struct Nobody;

impl KernelNames for Nobody {
    fn reason(&self, reason: u32) -> Cow<'_, str> {
        reason.to_string().into()
    }
}

impl InterfaceNames for Nobody {
    fn name(&self, _: u32) -> Option<Cow<'_, str>> {
        None
    }
}

fn open(path: &str) -> impl Read {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors").join(path);
    GzDecoder::new(std::fs::File::open(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
}

fn verdict(json: &Value) -> Verdict {
    match json["verdict"].as_str() {
        None => Verdict::Unknown,
        Some("FORWARDED") => Verdict::Forwarded,
        Some("DROPPED") => Verdict::Dropped,
        Some("ERROR") => Verdict::Error,
        Some("AUDIT") => Verdict::Audit,
        Some("REDIRECTED") => Verdict::Redirected,
        Some("TRACED") => Verdict::Traced,
        Some("TRANSLATED") => Verdict::Translated,
        Some(other) => panic!("verdict {other}"),
    }
}

fn l4(json: &Value) -> L4 {
    let Some((name, fields)) = json["l4"].as_object().and_then(|l4| l4.iter().next()) else { return L4::None };
    let (source_port, destination_port) = (0, 0);
    match name.as_str() {
        "TCP" => {
            let bits = [
                ("FIN", TcpFlags::FIN),
                ("SYN", TcpFlags::SYN),
                ("RST", TcpFlags::RST),
                ("PSH", TcpFlags::PSH),
                ("ACK", TcpFlags::ACK),
            ];
            let set = bits.iter().filter(|(flag, _)| fields["flags"][flag] == true);
            L4::Tcp { source_port, destination_port, flags: TcpFlags(set.map(|(_, bit)| bit).sum()) }
        }
        "UDP" => L4::Udp { source_port, destination_port },
        "SCTP" => L4::Sctp { source_port, destination_port, chunk_type: None },
        "ICMPv4" => L4::Icmp4 { kind: 0, code: 0 },
        "ICMPv6" => L4::Icmp6 { kind: 0, code: 0 },
        "VRRP" => L4::Vrrp { kind: 0, vrid: 0, priority: 0 },
        "IGMP" => L4::Igmp { kind: 0, group: [0; 4] },
        other => panic!("transport {other}"),
    }
}

fn drop_reason(json: &Value) -> u32 {
    match &json["drop_reason_desc"] {
        Value::String(name) => {
            let code = (0..=255).find(|&code| drop_reason_name(code) == Some(name));
            code.unwrap_or_else(|| panic!("drop reason {name}"))
        }
        number => number.as_u64().and_then(|code| code.try_into().ok()).unwrap_or(0),
    }
}

fn flow(json: &Value) -> Flow {
    let byte = |name| json["event_type"][name].as_u64().unwrap_or(0).try_into().expect("a byte");
    let mut flow = Flow::empty(EventType { kind: byte("type"), subtype: byte("sub_type") });
    (flow.verdict, flow.l4, flow.drop_reason) = (verdict(json), l4(json), drop_reason(json));
    flow.l7 = json.get("l7").map(|l7| {
        let record = match ["dns", "http", "kafka"].map(|record| l7.get(record).is_some()) {
            [true, ..] => L7Record::Dns(Dns::default()),
            [_, true, _] => L7Record::Http(Http::default()),
            [.., true] => L7Record::Kafka(Kafka::default()),
            _ => L7Record::None,
        };
        Box::new(L7 { record, ..L7::default() })
    });
    flow.ip = json.get("IP").map(|ip| {
        let address = |name| ip[name].as_str().and_then(|text| text.parse().ok()).unwrap_or(IpAddr::from([0; 4]));
        let version = if ip["ipVersion"] == "IPv6" { 6 } else { 4 };
        Ip { source: address("source"), source_translated: None, destination: address("destination"), version }
    });
    flow
}

/// Hubble's `hubble_…_total{…} value` lines of the metrics that we have.
fn expected() -> BTreeMap<String, u64> {
    let mut text = String::new();
    open("metrics/1.prom.gz").read_to_string(&mut text).expect("an exposition");
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
fn drops_flows_and_flags_are_hubbles_to_the_flow() {
    let none = Contexts::default();
    let contexts = MetricContexts { drop: none.clone(), flows: none.clone(), tcp: none.clone(), io: none };
    let mut aggregation = Aggregation::new(Config { contexts, ..Config::default() }, 0);
    let mut flows = 0;
    for line in BufReader::new(open("filters/flows.jsonl.gz")).lines() {
        let json: Value = serde_json::from_str(&line.expect("a line")).expect("JSON");
        aggregation.count(&flow(&json), InterfaceKind::Other);
        flows += 1;
    }
    assert_eq!(flows, 4000);
    let symbols = Symbols::default();
    let names = Names { symbols: &symbols, kernel: &Nobody, interfaces: &Nobody };
    let mut counted = BTreeMap::new();
    for metric in resolve(&aggregation.snapshot(1), &names, Naming::Hubble) {
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
