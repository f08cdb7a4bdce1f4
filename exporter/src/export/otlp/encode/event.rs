//! Encodes agent events, debug messages and losses as `LogRecord`s, by their events in the registry.

use eyepiece_flow::agent_event::{AgentEvent, AgentEventKind, Notification, ServiceAddress};
use eyepiece_flow::debug_event::DebugEvent;
use eyepiece_flow::event::Lost;
use eyepiece_flow::record::Observed;
use eyepiece_flow::rfc3339::write_rfc3339;
use eyepiece_flow::{debug_text, text, uuid};
use eyepiece_semconv::{attribute, event};

use super::flow::FlowEncoder;
use super::wire::{self, RECORD_ATTRIBUTES as FIELD, int_if_known, string_if_known, texts_if_known};
use crate::export::text::event_line;
use crate::export::text::event_line::lost_source;

/// Severity of usual events, by `SeverityNumber` of OTLP.
const INFO: (u8, &str) = (9, "INFO");
/// Severity of failures and losses.
const WARN: (u8, &str) = (13, "WARN");
/// Severity of debug messages.
const DEBUG: (u8, &str) = (5, "DEBUG");

impl FlowEncoder {
    /// Appends the `LogRecord` of an event or a loss. `observed` is its arrival, ns since the Unix epoch.
    pub fn event(&mut self, each: &Observed, observed: u64, out: &mut Vec<u8>) {
        self.body.clear();
        event_line::write(each, &mut self.lookup, &mut self.body);
        let times = (each.time(), observed);
        match each {
            Observed::Flow(flow) => self.record(flow, observed, out),
            Observed::Agent(event) => {
                wire::record(out, times, severity(event.kind), &self.body, event::HUBBLE_AGENT_EVENT);
                agent(event, out);
            }
            Observed::Debug(event) => {
                wire::record(out, times, DEBUG, &self.body, event::HUBBLE_DEBUG_EVENT);
                let name = self.lookup.text(event.source);
                string_if_known(out, attribute::HUBBLE_SOURCE_NAME, &name);
                // The line starts with the type; the rest is the message.
                let message = self.body.split_once(": ").map_or(self.body.as_str(), |(_, message)| message);
                wire::string(out, FIELD, attribute::HUBBLE_DEBUG_EVENT_MESSAGE, message.as_bytes());
                debug_event(event, out);
            }
            Observed::Lost(lost) => {
                wire::record(out, times, WARN, &self.body, event::HUBBLE_LOST_EVENTS);
                // A loss has no id, so the record gets one. A retried request has the same bytes.
                self::lost(lost, uuid::random(&mut self.random), out);
            }
        }
    }
}

const fn severity(kind: AgentEventKind) -> (u8, &'static str) {
    match kind {
        AgentEventKind::EndpointRegenerateFailure => WARN,
        _ => INFO,
    }
}

fn lost(lost: &Lost, uuid: [u8; 16], out: &mut Vec<u8>) {
    wire::string(out, FIELD, attribute::LOG_RECORD_UID, &text::uuid(&uuid));
    wire::string(out, FIELD, attribute::HUBBLE_LOST_SOURCE, lost_source(lost.source).to_lowercase().as_bytes());
    wire::int(out, FIELD, attribute::HUBBLE_LOST_COUNT, lost.count);
    if let Some(cpu) = lost.cpu {
        wire::int(out, FIELD, attribute::HUBBLE_CPU, cpu.into());
    }
}

fn debug_event(event: &DebugEvent, out: &mut Vec<u8>) {
    wire::string(out, FIELD, attribute::LOG_RECORD_UID, &text::uuid(&event.uuid));
    let name = debug_text::name(event.kind).map_or_else(|| event.kind.to_string(), |name| format!("DBG_{name}"));
    wire::string(out, FIELD, attribute::HUBBLE_DEBUG_EVENT_TYPE, name.as_bytes());
    int_if_known(out, attribute::HUBBLE_SOURCE_ENDPOINT_ID, event.source.endpoint);
    int_if_known(out, attribute::HUBBLE_SOURCE_IDENTITY, event.source.identity);
    for (name, value) in [
        (attribute::HUBBLE_DEBUG_EVENT_HASH, event.hash),
        (attribute::HUBBLE_DEBUG_EVENT_ARG1, event.arg1),
        (attribute::HUBBLE_DEBUG_EVENT_ARG2, event.arg2),
        (attribute::HUBBLE_DEBUG_EVENT_ARG3, event.arg3),
        (attribute::HUBBLE_CPU, event.cpu.into()),
    ] {
        wire::int(out, FIELD, name, value.into());
    }
}

fn agent(event: &AgentEvent, out: &mut Vec<u8>) {
    wire::string(out, FIELD, attribute::LOG_RECORD_UID, &text::uuid(&event.uuid));
    wire::string(out, FIELD, attribute::HUBBLE_AGENT_EVENT_TYPE, event.kind.name().as_bytes());
    match &event.notification {
        Notification::Unknown { kind, notification } => {
            wire::int(out, FIELD, attribute::HUBBLE_AGENT_EVENT_NUMBER, (*kind).into());
            string_if_known(out, attribute::HUBBLE_AGENT_EVENT_NOTIFICATION, notification);
        }
        Notification::AgentStart { time } => {
            if let Some(time) = time {
                let mut text = String::new();
                // Writing to a String cannot fail.
                write_rfc3339(*time, &mut text).unwrap_or_default();
                wire::string(out, FIELD, attribute::HUBBLE_AGENT_EVENT_TIME, text.as_bytes());
            }
        }
        Notification::Policy { labels, revision, rule_count } => {
            texts_if_known(out, attribute::HUBBLE_AGENT_EVENT_LABELS, labels);
            wire::int(out, FIELD, attribute::HUBBLE_AGENT_EVENT_POLICY_REVISION, *revision);
            wire::signed(out, FIELD, attribute::HUBBLE_AGENT_EVENT_POLICY_RULES, *rule_count);
        }
        Notification::Endpoint { id, labels, error, pod_name, namespace, interface } => {
            wire::int(out, FIELD, attribute::HUBBLE_AGENT_EVENT_ENDPOINT_ID, *id);
            texts_if_known(out, attribute::HUBBLE_AGENT_EVENT_LABELS, labels);
            string_if_known(out, attribute::HUBBLE_AGENT_EVENT_ERROR, error);
            string_if_known(out, attribute::NETWORK_INTERFACE_NAME, interface);
            string_if_known(out, attribute::K8S_NAMESPACE_NAME, namespace);
            string_if_known(out, attribute::K8S_POD_NAME, pod_name);
        }
        Notification::Ipcache { .. } => ipcache(&event.notification, out),
        Notification::ServiceUpsert { .. } => service(&event.notification, out),
        Notification::ServiceDelete { id } => {
            wire::int(out, FIELD, attribute::HUBBLE_AGENT_EVENT_SERVICE_ID, (*id).into());
        }
    }
}

fn ipcache(notification: &Notification, out: &mut Vec<u8>) {
    let Notification::Ipcache { cidr, identity, old_identity, host_ip, old_host_ip, encrypt_key, namespace, pod_name } =
        notification
    else {
        return;
    };
    string_if_known(out, attribute::HUBBLE_AGENT_EVENT_CIDR, cidr);
    wire::int(out, FIELD, attribute::HUBBLE_AGENT_EVENT_IDENTITY, (*identity).into());
    if let Some(identity) = old_identity {
        wire::int(out, FIELD, attribute::HUBBLE_AGENT_EVENT_OLD_IDENTITY, (*identity).into());
    }
    string_if_known(out, attribute::HUBBLE_AGENT_EVENT_HOST_ADDRESS, host_ip);
    string_if_known(out, attribute::HUBBLE_AGENT_EVENT_OLD_HOST_ADDRESS, old_host_ip);
    int_if_known(out, attribute::HUBBLE_AGENT_EVENT_ENCRYPT_KEY, *encrypt_key);
    string_if_known(out, attribute::K8S_NAMESPACE_NAME, namespace);
    string_if_known(out, attribute::K8S_POD_NAME, pod_name);
}

fn service(notification: &Notification, out: &mut Vec<u8>) {
    let Notification::ServiceUpsert { id, frontend, backends, kind, name, namespace, .. } = notification else {
        return;
    };
    let address = |address: &ServiceAddress| match address.ip.contains(':') {
        true => format!("[{}]:{}", address.ip, address.port),
        false => format!("{}:{}", address.ip, address.port),
    };
    wire::int(out, FIELD, attribute::HUBBLE_AGENT_EVENT_SERVICE_ID, (*id).into());
    if !name.is_empty() {
        let name = format!("{namespace}/{name}");
        wire::string(out, FIELD, attribute::HUBBLE_AGENT_EVENT_SERVICE_NAME, name.as_bytes());
    }
    string_if_known(out, attribute::HUBBLE_AGENT_EVENT_SERVICE_TYPE, kind);
    if !frontend.ip.is_empty() {
        wire::string(out, FIELD, attribute::HUBBLE_AGENT_EVENT_SERVICE_FRONTEND, address(frontend).as_bytes());
    }
    let backends: Vec<String> = backends.iter().map(address).collect();
    texts_if_known(out, attribute::HUBBLE_AGENT_EVENT_SERVICE_BACKENDS, &backends);
}
