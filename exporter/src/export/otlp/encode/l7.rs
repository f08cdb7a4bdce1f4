//! Encodes layer 7 of a flow as attributes, by OpenTelemetry's conventions where they have one.

use eyepiece_flow::dns_names::record_type;
use eyepiece_flow::l7::{Dns, Generic, Http, Kafka, L7, L7Kind, L7Record};
use eyepiece_semconv::attribute;

use super::wire::{self, RECORD_ATTRIBUTES as FIELD, int_if_known, string_if_known, texts_if_known};

/// Field number of `LogRecord.trace_id`.
const TRACE_ID: u8 = 9;
/// Field number of `LogRecord.span_id`.
const SPAN_ID: u8 = 10;

/// Appends the attributes of a layer 7 record.
pub(super) fn write(l7: &L7, out: &mut Vec<u8>) {
    if l7.trace().is_some() {
        wire::bytes(out, TRACE_ID, &l7.trace_id);
        wire::bytes(out, SPAN_ID, &l7.span_id);
    }
    if l7.kind != L7Kind::Unknown {
        wire::string(out, FIELD, attribute::HUBBLE_L7_TYPE, l7.kind.name().as_bytes());
    }
    int_if_known(out, attribute::HUBBLE_L7_LATENCY, l7.latency_ns);
    texts_if_known(out, attribute::HUBBLE_SOURCE_LABELS, &l7.source_labels);
    texts_if_known(out, attribute::HUBBLE_DESTINATION_LABELS, &l7.destination_labels);
    match &l7.record {
        L7Record::Dns(record) => dns(l7.kind, record, out),
        L7Record::Http(record) => http(record, out),
        L7Record::Kafka(record) => kafka(record, out),
        L7Record::Generic(record) => generic(record, out),
        L7Record::None => {}
    }
}

fn protocol(out: &mut Vec<u8>, name: &str) {
    string_if_known(out, attribute::NETWORK_PROTOCOL_NAME, name);
}

fn dns(kind: L7Kind, dns: &Dns, out: &mut Vec<u8>) {
    protocol(out, "dns");
    string_if_known(out, attribute::DNS_QUESTION_NAME, &dns.query);
    wire::texts(out, FIELD, attribute::HUBBLE_DNS_QUERY_TYPES, dns.qtypes.iter().map(|&code| record_type(code)));
    string_if_known(out, attribute::HUBBLE_DNS_OBSERVATION_SOURCE, &dns.observation_source);
    if kind == L7Kind::Request {
        return;
    }
    texts_if_known(out, attribute::DNS_ANSWERS, &dns.ips);
    wire::texts(out, FIELD, attribute::HUBBLE_DNS_ANSWER_TYPES, dns.rrtypes.iter().map(|&code| record_type(code)));
    texts_if_known(out, attribute::HUBBLE_DNS_CNAMES, &dns.cnames);
    wire::int(out, FIELD, attribute::HUBBLE_DNS_RESPONSE_CODE, dns.rcode.into());
    wire::int(out, FIELD, attribute::HUBBLE_DNS_TTL, dns.ttl.into());
}

/// Headers are left out, since they carry credentials.
fn http(http: &Http, out: &mut Vec<u8>) {
    protocol(out, "http");
    string_if_known(out, attribute::NETWORK_PROTOCOL_VERSION, http.protocol.strip_prefix("HTTP/").unwrap_or_default());
    string_if_known(out, attribute::HTTP_REQUEST_METHOD, &http.method);
    string_if_known(out, attribute::URL_FULL, &http.url);
    int_if_known(out, attribute::HTTP_RESPONSE_STATUS_CODE, http.code);
}

fn kafka(kafka: &Kafka, out: &mut Vec<u8>) {
    protocol(out, "kafka");
    string_if_known(out, attribute::MESSAGING_DESTINATION_NAME, &kafka.topic);
    string_if_known(out, attribute::HUBBLE_KAFKA_API_KEY, &kafka.api_key);
    for (name, value) in [
        (attribute::HUBBLE_KAFKA_API_VERSION, kafka.api_version),
        (attribute::HUBBLE_KAFKA_CORRELATION_ID, kafka.correlation_id),
        (attribute::HUBBLE_KAFKA_ERROR_CODE, kafka.error_code),
    ] {
        wire::signed(out, FIELD, name, value.into());
    }
}

fn generic(generic: &Generic, out: &mut Vec<u8>) {
    protocol(out, &generic.protocol.to_lowercase());
    let fields: Vec<String> = generic.fields.iter().map(|(name, value)| format!("{name}={value}")).collect();
    texts_if_known(out, attribute::HUBBLE_L7_FIELDS, &fields);
}
