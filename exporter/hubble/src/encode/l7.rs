//! Encodes the fields of `Layer7`.

use eyepiece_flow::dns_names::record_type;
use eyepiece_flow::l7::{Dns, Http, Kafka, L7, L7Record};

use super::field::open_enum;
use crate::wire::{bytes, message, number, signed, text, texts};

pub(super) fn write(l7: &L7, out: &mut Vec<u8>) {
    open_enum(out, 1, l7.kind as u8);
    number(out, 2, l7.latency_ns);
    match &l7.record {
        L7Record::Dns(record) => message(out, 100, |out| dns(record, out)),
        L7Record::Http(record) => message(out, 101, |out| http(record, out)),
        L7Record::Kafka(record) => message(out, 102, |out| kafka(record, out)),
        // Hubble has no message for it; the summary has its fields.
        L7Record::Generic(_) | L7Record::None => {}
    }
}

fn dns(dns: &Dns, out: &mut Vec<u8>) {
    text(out, 1, &dns.query);
    texts(out, 2, &dns.ips);
    number(out, 3, dns.ttl.into());
    texts(out, 4, &dns.cnames);
    text(out, 5, &dns.observation_source);
    number(out, 6, dns.rcode.into());
    for &code in &dns.qtypes {
        bytes(out, 7, record_type(code).as_bytes());
    }
    for &code in &dns.rrtypes {
        bytes(out, 8, record_type(code).as_bytes());
    }
}

fn http(http: &Http, out: &mut Vec<u8>) {
    number(out, 1, http.code.into());
    text(out, 2, &http.method);
    text(out, 3, &http.url);
    text(out, 4, &http.protocol);
    for (name, value) in &http.headers {
        message(out, 5, |out| {
            text(out, 1, name);
            text(out, 2, value);
        });
    }
}

fn kafka(kafka: &Kafka, out: &mut Vec<u8>) {
    signed(out, 1, kafka.error_code.into());
    signed(out, 2, kafka.api_version.into());
    text(out, 3, &kafka.api_key);
    signed(out, 4, kafka.correlation_id.into());
    text(out, 5, &kafka.topic);
}
