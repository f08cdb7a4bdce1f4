//! Layer 7 of a flow.

use eyepiece::l7::{Dns, Http, Kafka, L7, L7Kind, L7Record};
use eyepiece::parser::l7::record_type;
use serde_json::{Value, json};

use super::{Object, insert, list, long, number, text};

pub(super) fn write(l7: &L7, out: &mut Object) {
    let mut layer = Object::new();
    insert(&mut layer, "type", (l7.kind != L7Kind::Unknown).then(|| l7.kind.name().into()));
    long(&mut layer, "latency_ns", l7.latency_ns);
    match &l7.record {
        L7Record::Dns(record) => insert(&mut layer, "dns", Some(dns(record))),
        L7Record::Http(record) => insert(&mut layer, "http", Some(http(record))),
        L7Record::Kafka(record) => insert(&mut layer, "kafka", Some(kafka(record))),
        L7Record::Generic(_) | L7Record::None => {}
    }
    out.insert("l7".into(), layer.into());
    if let Some(trace) = l7.trace() {
        let id: String = trace.iter().map(|byte| format!("{byte:02x}")).collect();
        out.insert("trace_context".into(), json!({ "parent": { "trace_id": id } }));
    }
}

fn dns(dns: &Dns) -> Value {
    let mut out = Object::new();
    text(&mut out, "query", &dns.query);
    list(&mut out, "ips", dns.ips.iter().map(|ip| ip.as_str().into()));
    number(&mut out, "ttl", dns.ttl);
    list(&mut out, "cnames", dns.cnames.iter().map(|name| name.as_str().into()));
    text(&mut out, "observation_source", &dns.observation_source);
    number(&mut out, "rcode", dns.rcode);
    list(&mut out, "qtypes", dns.qtypes.iter().map(|&code| record_type(code).into()));
    list(&mut out, "rrtypes", dns.rrtypes.iter().map(|&code| record_type(code).into()));
    out.into()
}

fn http(http: &Http) -> Value {
    let mut out = Object::new();
    number(&mut out, "code", http.code);
    text(&mut out, "method", &http.method);
    text(&mut out, "url", &http.url);
    text(&mut out, "protocol", &http.protocol);
    let header = |(key, value): &(String, String)| {
        let mut out = Object::new();
        text(&mut out, "key", key);
        text(&mut out, "value", value);
        out.into()
    };
    list(&mut out, "headers", http.headers.iter().map(header));
    out.into()
}

fn kafka(kafka: &Kafka) -> Value {
    let mut out = Object::new();
    let int = |value: i32| (value != 0).then(|| value.into());
    insert(&mut out, "error_code", int(kafka.error_code));
    insert(&mut out, "api_version", int(kafka.api_version));
    text(&mut out, "api_key", &kafka.api_key);
    insert(&mut out, "correlation_id", int(kafka.correlation_id));
    text(&mut out, "topic", &kafka.topic);
    out.into()
}
