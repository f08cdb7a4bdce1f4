//! Hubble's one-line summary of a flow with layer 7.

use std::fmt::{self, Write};

use super::quote;
use crate::dns_names::{record_type, response_code};
use crate::l7::{Dns, Generic, Http, Kafka, L7, L7Kind, L7Record};

/// `Dns::observation_source` of the proxy.
const PROXY: &str = "proxy";

/// Writes the summary, or nothing if Hubble has none.
///
/// # Errors
/// The writer fails.
pub(super) fn write(l7: &L7, out: &mut impl Write) -> fmt::Result {
    match &l7.record {
        L7Record::Dns(dns) => match l7.kind {
            L7Kind::Request => {
                write!(out, "DNS Query {} ", dns.query)?;
                types(dns, out)
            }
            L7Kind::Response => answer(dns, out),
            L7Kind::Sample | L7Kind::Unknown => Ok(()),
        },
        L7Record::Http(http) => write_http(l7, http, out),
        L7Record::Kafka(kafka) => write_kafka(l7.kind, kafka, out),
        L7Record::Generic(generic) => fields(generic, out),
        L7Record::None => Ok(()),
    }
}

fn types(dns: &Dns, out: &mut impl Write) -> fmt::Result {
    let mut separator = "";
    for &code in &dns.qtypes {
        out.write_str(separator)?;
        out.write_str(record_type(code))?;
        separator = ",";
    }
    Ok(())
}

fn answer(dns: &Dns, out: &mut impl Write) -> fmt::Result {
    out.write_str("DNS Answer ")?;
    // Hubble keeps the lower eight bits of a code.
    let code = dns.rcode as u8;
    if code == 0 {
        if !dns.ips.is_empty() {
            quote::write(&dns.ips.join(","), out)?;
        }
        if !dns.cnames.is_empty() {
            out.write_str(if dns.ips.is_empty() { "CNAMEs: " } else { " CNAMEs: " })?;
            quote::write(&dns.cnames.join(","), out)?;
        }
    } else {
        write!(out, "RCode: {}", response_code(code))?;
    }
    let source = if dns.observation_source == PROXY { "Proxy" } else { "Query" };
    write!(out, " TTL: {} ({source} {} ", dns.ttl, dns.query)?;
    types(dns, out)?;
    out.write_char(')')
}

fn write_http(l7: &L7, http: &Http, out: &mut impl Write) -> fmt::Result {
    let Http { code, method, url, protocol, headers: _ } = http;
    match l7.kind {
        L7Kind::Request => write!(out, "{protocol} {method} {url}"),
        L7Kind::Response => write!(out, "{protocol} {code} {}ms ({method} {url})", l7.latency_ns / 1_000_000),
        L7Kind::Sample | L7Kind::Unknown => Ok(()),
    }
}

fn write_kafka(kind: L7Kind, kafka: &Kafka, out: &mut impl Write) -> fmt::Result {
    let Kafka { error_code, api_version: _, api_key, correlation_id, topic } = kafka;
    if kind == L7Kind::Request {
        return write!(out, "Kafka request {api_key} correlation id {correlation_id} topic '{topic}'");
    }
    write!(out, "Kafka response {api_key} correlation id {correlation_id} topic '{topic}' return code {error_code}")
}

fn fields(generic: &Generic, out: &mut impl Write) -> fmt::Result {
    write!(out, "{} Fields: map[", generic.protocol)?;
    let mut separator = "";
    for (name, value) in &generic.fields {
        write!(out, "{separator}{name}:{value}")?;
        separator = " ";
    }
    out.write_char(']')
}
