//! Parses the values of filters.

use eyepiece_hubble::proto::flow::flow_filter::Experimental;
use eyepiece_hubble::proto::flow::{
    EventTypeFilter, FlowFilter, HttpHeader, IpVersion, NetworkInterface, TcpFlags, TrafficDirection, Verdict, Workload,
};

use crate::cli::observe::print;

/// Subtypes of agent events: the monitor's numbers, as Hubble's command line sends them.
const AGENT_EVENTS: [&str; 13] = [
    "unspecified",
    "message",
    "agent-started",
    "endpoint-regenerate-success",
    "endpoint-regenerate-failure",
    "policy-updated",
    "policy-deleted",
    "endpoint-created",
    "endpoint-deleted",
    "ipcache-upserted",
    "ipcache-deleted",
    "service-upserted",
    "service-deleted",
];

/// The event types with named subtypes.
const TRACE: i32 = 4;
const AGENT: i32 = 130;

fn workload(text: &str) -> Workload {
    match text.split_once('/') {
        Some((kind, name)) => Workload { kind: kind.to_owned(), name: name.to_owned() },
        None => Workload { name: text.to_owned(), ..Workload::default() },
    }
}

pub(super) fn source_workload(text: &str, filter: &mut FlowFilter) -> Result<(), String> {
    filter.source_workload.push(workload(text));
    Ok(())
}

pub(super) fn destination_workload(text: &str, filter: &mut FlowFilter) -> Result<(), String> {
    filter.destination_workload.push(workload(text));
    Ok(())
}

/// Parses a reserved identity's name, or a number as Go does: decimal, `0x`, `0o`, `0b`, or octal after a zero.
fn identity(text: &str) -> Result<u32, String> {
    if let Some(number) = print::identity(text) {
        return Ok(number);
    }
    let prefixed = |prefixes: [&str; 2]| prefixes.iter().find_map(|prefix| text.strip_prefix(prefix));
    let (digits, base) = match () {
        () if prefixed(["0x", "0X"]).is_some() => (&text[2..], 16),
        () if prefixed(["0o", "0O"]).is_some() => (&text[2..], 8),
        () if prefixed(["0b", "0B"]).is_some() => (&text[2..], 2),
        () if text.len() > 1 && text.starts_with('0') => (&text[1..], 8),
        () => (text, 10),
    };
    let number = if digits.starts_with('+') { None } else { u32::from_str_radix(digits, base).ok() };
    number.ok_or_else(|| {
        format!(
            "invalid security identity {text:?}: expected a number, or {}",
            print::identity_names().collect::<Vec<_>>().join(", ")
        )
    })
}

pub(super) fn source_identity(text: &str, filter: &mut FlowFilter) -> Result<(), String> {
    filter.source_identity.push(identity(text)?);
    Ok(())
}

pub(super) fn destination_identity(text: &str, filter: &mut FlowFilter) -> Result<(), String> {
    filter.destination_identity.push(identity(text)?);
    Ok(())
}

pub(super) fn ip_version(text: &str, filter: &mut FlowFilter) -> Result<(), String> {
    let version = match text.to_ascii_lowercase().as_str() {
        "4" | "v4" | "ipv4" | "ip4" => IpVersion::IPv4,
        "6" | "v6" | "ipv6" | "ip6" => IpVersion::IPv6,
        "none" => IpVersion::IpNotUsed,
        _ => return Err(format!("invalid IP version {text:?}: expected v4, v6 or none")),
    };
    filter.ip_version.push(version as i32);
    Ok(())
}

pub(super) fn tcp_flags(text: &str, filter: &mut FlowFilter) -> Result<(), String> {
    let mut flags = TcpFlags::default();
    for name in text.split(',') {
        let flag = match name.to_ascii_uppercase().as_str() {
            "SYN" => &mut flags.syn,
            "FIN" => &mut flags.fin,
            "RST" => &mut flags.rst,
            "PSH" => &mut flags.psh,
            "ACK" => &mut flags.ack,
            "URG" => &mut flags.urg,
            "ECE" => &mut flags.ece,
            "CWR" => &mut flags.cwr,
            "NS" => &mut flags.ns,
            _ => {
                return Err(format!(
                    "invalid TCP flag {name:?}: expected syn, ack, fin, rst, psh, urg, ece, cwr or ns"
                ));
            }
        };
        *flag = true;
    }
    filter.tcp_flags.push(flags);
    Ok(())
}

pub(super) fn verdict(text: &str, filter: &mut FlowFilter) -> Result<(), String> {
    let verdict = Verdict::from_str_name(&text.to_ascii_uppercase());
    let verdict = verdict.ok_or_else(|| {
        let names = (0..).map_while(|number| Verdict::try_from(number).ok()).map(|verdict| verdict.as_str_name());
        format!("invalid verdict {text:?}: expected one of {}", names.collect::<Vec<_>>().join(", "))
    })?;
    filter.verdict.push(verdict as i32);
    Ok(())
}

pub(super) fn event_type(text: &str, filter: &mut FlowFilter) -> Result<(), String> {
    let (name, sub) = match text.split_once(':') {
        Some((name, sub)) => (name, Some(sub)),
        None => (text, None),
    };
    let number = |text: &str| text.parse::<u32>().ok().map(|number| number as i32);
    let kind = print::event_type(name).or_else(|| number(name));
    let kind = kind.ok_or_else(|| format!("invalid event type {name:?}: expected a name or a number"))?;
    let mut event = EventTypeFilter { r#type: kind, ..EventTypeFilter::default() };
    if let Some(sub) = sub {
        let known = match kind {
            TRACE => print::observation_point(sub).map(i32::from),
            AGENT => AGENT_EVENTS.iter().position(|known| *known == sub).and_then(|at| i32::try_from(at).ok()),
            _ => None,
        };
        let sub = known
            .or_else(|| number(sub))
            .ok_or_else(|| format!("invalid subtype {sub:?} of {name}: expected a name or a number"))?;
        (event.match_sub_type, event.sub_type) = (true, sub);
    }
    filter.event_type.push(event);
    Ok(())
}

pub(super) fn traffic_direction(text: &str, filter: &mut FlowFilter) -> Result<(), String> {
    let direction = match text.to_ascii_lowercase().as_str() {
        "ingress" => TrafficDirection::Ingress,
        "egress" => TrafficDirection::Egress,
        _ => return Err(format!("invalid direction {text:?}: expected ingress or egress")),
    };
    filter.traffic_direction.push(direction as i32);
    Ok(())
}

pub(super) fn reply(text: &str, filter: &mut FlowFilter) -> Result<(), String> {
    filter.reply.push(text.parse().map_err(|_| format!("invalid value {text:?}: expected true or false"))?);
    Ok(())
}

/// By name: users do not know indices.
pub(super) fn interface(text: &str, filter: &mut FlowFilter) -> Result<(), String> {
    filter.interface.push(NetworkInterface { name: text.to_owned(), ..NetworkInterface::default() });
    Ok(())
}

pub(super) fn http_header(text: &str, filter: &mut FlowFilter) -> Result<(), String> {
    let (key, value) = text.split_once(':').ok_or_else(|| format!("invalid header {text:?}: expected NAME:VALUE"))?;
    filter.http_header.push(HttpHeader { key: key.to_owned(), value: value.to_owned() });
    Ok(())
}

pub(super) fn ip_trace_id(text: &str, filter: &mut FlowFilter) -> Result<(), String> {
    match text.parse() {
        Ok(number) if number > 0 => filter.ip_trace_id.push(number),
        _ => return Err(format!("invalid IP trace id {text:?}: expected a number above zero")),
    }
    Ok(())
}

pub(super) fn cel(text: &str, filter: &mut FlowFilter) -> Result<(), String> {
    filter.experimental.get_or_insert_with(Experimental::default).cel_expression.push(text.to_owned());
    Ok(())
}
