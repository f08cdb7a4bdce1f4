//! Decodes layer 7 of a `flow.Flow`.

use eyepiece_flow::dns_names::record_type;
use eyepiece_flow::l7::{Dns, Http, Kafka, L7, L7Kind, L7Record};

use crate::proto::flow as proto;
use crate::proto::flow::layer7::Record;

/// The highest code of a named DNS record type.
const LAST_NAMED: u16 = 256;

/// Converts layer 7; `trace_id` is the flow's, in hex.
pub(super) fn l7(layer: proto::Layer7, trace_id: &str) -> L7 {
    L7 {
        kind: match layer.r#type {
            1 => L7Kind::Request,
            2 => L7Kind::Response,
            3 => L7Kind::Sample,
            _ => L7Kind::Unknown,
        },
        latency_ns: layer.latency_ns,
        record: match layer.record {
            None => L7Record::None,
            Some(Record::Dns(record)) => L7Record::Dns(dns(record)),
            Some(Record::Http(record)) => L7Record::Http(http(record)),
            Some(Record::Kafka(record)) => L7Record::Kafka(kafka(record)),
        },
        trace_id: u128::from_str_radix(trace_id, 16).ok().filter(|_| trace_id.len() == 32).unwrap_or(0).to_be_bytes(),
        ..L7::default()
    }
}

fn dns(dns: proto::Dns) -> Dns {
    let proto::Dns { query, ips, ttl, cnames, observation_source, rcode, qtypes, rrtypes } = dns;
    let codes = |names: Vec<String>| names.iter().map(|name| code(name)).collect();
    Dns { query, ips, ttl, cnames, observation_source, rcode, qtypes: codes(qtypes), rrtypes: codes(rrtypes) }
}

/// Returns the code of a record type; 0, which has no name, for unknown ones.
fn code(name: &str) -> u16 {
    (1..=LAST_NAMED).find(|&code| record_type(code) == name && name != record_type(0)).unwrap_or(0)
}

fn http(http: proto::Http) -> Http {
    let proto::Http { code, method, url, protocol, headers } = http;
    Http {
        code,
        method,
        url,
        protocol,
        headers: headers.into_iter().map(|header| (header.key, header.value)).collect(),
    }
}

fn kafka(kafka: proto::Kafka) -> Kafka {
    let proto::Kafka { error_code, api_version, api_key, correlation_id, topic } = kafka;
    Kafka { error_code, api_version, api_key, correlation_id, topic }
}
