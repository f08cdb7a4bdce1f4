//! Formats an event or a loss as one line.

use std::fmt::Write as _;

use eyepiece_flow::agent_event::{AgentEvent, Notification};
use eyepiece_flow::debug_event::DebugEvent;
use eyepiece_flow::debug_text;
use eyepiece_flow::event::{Lost, LostSource};
use eyepiece_flow::record::Observed;
use eyepiece_flow::rfc3339::write_rfc3339;

use super::flow_line::FlowTextLookup;

/// Hubble's name of a source of losses: `flow.LostEventSource`.
pub const fn lost_source(source: LostSource) -> &'static str {
    match source {
        LostSource::KernelBuffer => "PERF_EVENT_RING_BUFFER",
        LostSource::ObserverQueue => "OBSERVER_EVENTS_QUEUE",
        LostSource::HubbleRing => "HUBBLE_RING_BUFFER",
    }
}

/// Appends the line of an event or a loss; flows have [`crate::export::text::flow_line`].
pub fn write(observed: &Observed, lookup: &mut FlowTextLookup, out: &mut String) {
    let written = match observed {
        Observed::Flow(_) => Ok(()),
        Observed::Agent(event) => agent(event, out),
        Observed::Debug(event) => debug(event, lookup, out),
        Observed::Lost(lost) => self::lost(lost, out),
    };
    // Writing to a String cannot fail.
    written.unwrap_or_default();
}

fn lost(lost: &Lost, out: &mut String) -> std::fmt::Result {
    write!(out, "EVENTS LOST: {} {}", lost_source(lost.source), lost.count)?;
    lost.cpu.map_or(Ok(()), |cpu| write!(out, " (CPU {cpu})"))
}

/// The type, the endpoint if there is one, and the message behind the first colon.
fn debug(event: &DebugEvent, lookup: &mut FlowTextLookup, out: &mut String) -> std::fmt::Result {
    match debug_text::name(event.kind) {
        Some(name) => write!(out, "DBG_{name}")?,
        None => write!(out, "DBG_{}", event.kind)?,
    }
    if event.source.endpoint != 0 {
        write!(out, " endpoint {}", event.source.endpoint)?;
    }
    out.push_str(": ");
    let mut link = |index, out: &mut String| match &*lookup.interface(index) {
        "" => write!(out, "{index}"),
        name => out.write_str(name),
    };
    debug_text::write(event, &mut link, out)
}

fn agent(event: &AgentEvent, out: &mut String) -> std::fmt::Result {
    out.push_str(event.kind.name());
    match &event.notification {
        Notification::Unknown { kind, notification } => write!(out, ": type {kind} {notification}"),
        Notification::AgentStart { time } => match time {
            Some(time) => {
                out.push_str(": ");
                write_rfc3339(*time, out)
            }
            None => Ok(()),
        },
        Notification::Policy { labels, revision, rule_count } => {
            write!(out, ": revision {revision}, {rule_count} rules")?;
            list(labels, out)
        }
        Notification::Endpoint { id, labels, error, pod_name, namespace, interface } => {
            write!(out, ": endpoint {id}")?;
            if !interface.is_empty() {
                write!(out, " at {interface}")?;
            }
            if !pod_name.is_empty() {
                write!(out, " of {namespace}/{pod_name}")?;
            }
            list(labels, out)?;
            if error.is_empty() { Ok(()) } else { write!(out, ": {error}") }
        }
        Notification::Ipcache { cidr, identity, host_ip, .. } => {
            write!(out, ": {cidr} identity {identity}")?;
            if host_ip.is_empty() { Ok(()) } else { write!(out, " at {host_ip}") }
        }
        Notification::ServiceUpsert { id, frontend, backends, name, namespace, .. } => {
            let (ip, port, backends) = (&frontend.ip, frontend.port, backends.len());
            write!(out, ": service {id} {namespace}/{name} at {ip} port {port}, {backends} backends")
        }
        Notification::ServiceDelete { id } => write!(out, ": service {id}"),
    }
}

fn list(labels: &[String], out: &mut String) -> std::fmt::Result {
    if labels.is_empty() { Ok(()) } else { write!(out, " ({})", labels.join(",")) }
}
