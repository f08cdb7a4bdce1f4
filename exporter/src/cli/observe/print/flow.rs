//! Prints flows, and losses in a stream of flows.

use std::borrow::Cow;
use std::fmt::Write as _;

use eyepiece_flow::metadata::qualified_name;
use eyepiece_hubble::extension::Extension;
use eyepiece_hubble::proto::flow::layer4::Protocol;
use eyepiece_hubble::proto::flow::layer7::Record;
use eyepiece_hubble::proto::flow::{
    AuthType, DebugCapturePoint, Endpoint, Flow, L7FlowType, Layer4, LostEvent, LostEventSource, Policy, Service,
    SocketTranslationPoint, TrafficDirection, Verdict,
};
use eyepiece_hubble::terminal::{joined, safe};

use super::form::{PrintConfig, PrintedRow, header};
use super::names::{self, enum_name};
use crate::support::paint::{Color, Paint};

/// The texts of a flow.
pub(super) struct Row {
    time: String,
    node: Option<String>,
    source: String,
    destination: String,
    /// Both ends with this machine's names, for forms that print no identity.
    named: [String; 2],
    source_identity: String,
    destination_identity: String,
    kind: String,
    verdict: String,
    summary: String,
    is_reply: Option<bool>,
}

impl Row {
    pub(super) fn new(flow: &Flow, config: &PrintConfig, paint: Paint) -> Self {
        let extension = extension(flow, config.ip_translation);
        let (source, destination) = ends(flow, config.ip_translation, paint);
        let identity = |end: Option<&Endpoint>, name: &str| {
            let text = match end.map_or(0, |end| end.identity) {
                0 if !name.is_empty() => format!("({})", safe(name)),
                identity => names::identity_text(identity),
            };
            paint.text(Color::Magenta, text)
        };
        let named = |end: &str, name: &str| {
            if name.is_empty() { end.to_owned() } else { format!("{end} {}", identity(None, name)) }
        };
        Self {
            time: config.time.text(flow.time.as_ref()),
            node: config.node_name.then(|| safe(&flow.node_name).into_owned()),
            named: [named(&source, &extension.source_name), named(&destination, &extension.destination_name)],
            source_identity: identity(flow.source.as_ref(), &extension.source_name),
            destination_identity: identity(flow.destination.as_ref(), &extension.destination_name),
            source,
            destination,
            kind: kind(flow, &extension),
            verdict: verdict(flow, paint) + &policies(flow, config.policy_names),
            summary: summary(flow, &extension, paint),
            is_reply: flow.is_reply,
        }
    }
}

/// Returns our server's addition to a flow, without names that Hubble's fields have; without any if not `translate`.
fn extension(flow: &Flow, translate: bool) -> Extension {
    let mut extension = Extension::read(flow.extensions.as_ref());
    for (name, endpoint, service, names) in [
        (&mut extension.source_name, &flow.source, &flow.source_service, &flow.source_names),
        (&mut extension.destination_name, &flow.destination, &flow.destination_service, &flow.destination_names),
    ] {
        let is_named = endpoint.as_ref().is_some_and(|endpoint| !endpoint.pod_name.is_empty())
            || service.as_ref().is_some_and(|service| !service.name.is_empty())
            || !names.is_empty();
        if is_named || !translate {
            name.clear();
        }
    }
    extension
}

impl PrintedRow for Row {
    fn header(&self) -> Vec<String> {
        flows_header(self.node.is_some())
    }

    fn cells(&self) -> Vec<String> {
        let [source, destination] = &self.named;
        let words = [source, destination, &self.kind, &self.verdict, &self.summary];
        std::iter::once(&self.time).chain(&self.node).chain(words).cloned().collect()
    }

    fn dict(&self, out: &mut String) {
        let _ = writeln!(out, "  TIMESTAMP: {}", self.time);
        if let Some(node) = &self.node {
            let _ = writeln!(out, "       NODE: {node}");
        }
        let _ = writeln!(out, "     SOURCE: {}\nDESTINATION: {}", self.named[0], self.named[1]);
        let _ = writeln!(out, "       TYPE: {}\n    VERDICT: {}", self.kind, self.verdict);
        let _ = writeln!(out, "    SUMMARY: {}", self.summary);
    }

    fn compact(&self, out: &mut String) {
        out.push_str(&self.time);
        if let Some(node) = &self.node {
            let _ = write!(out, " [{node}]");
        }
        let (one, other) = ((&self.source, &self.source_identity), (&self.destination, &self.destination_identity));
        // A reply has the ends of its connection's first packet, with the arrow turned.
        let (left, arrow, right) = match self.is_reply {
            None => (one, "<>", other),
            Some(false) => (one, "->", other),
            Some(true) => (other, "<-", one),
        };
        let _ = write!(out, ": {} {} {arrow} {} {}", left.0, left.1, right.0, right.1);
        let _ = writeln!(out, " {} {} ({})", self.kind, self.verdict, self.summary);
    }
}

fn flows_header(has_node: bool) -> Vec<String> {
    let names = ["TIMESTAMP", "NODE", "SOURCE", "DESTINATION", "TYPE", "VERDICT", "SUMMARY"];
    names.iter().filter(|&&name| has_node || name != "NODE").map(|&name| name.to_owned()).collect()
}

/// Source and destination: names or addresses, and ports; Ethernet addresses without IP.
fn ends(flow: &Flow, translate: bool, paint: Paint) -> (String, String) {
    let both =
        |source: &str, destination: &str| (paint.text(Color::Cyan, source), paint.text(Color::Cyan, destination));
    let Some(ip) = &flow.ip else {
        return match &flow.ethernet {
            Some(ethernet) => both(&safe(&ethernet.source), &safe(&ethernet.destination)),
            None => (String::new(), String::new()),
        };
    };
    let (from, to) = ports(flow.l4.as_ref());
    let source = End {
        address: &ip.source,
        endpoint: flow.source.as_ref(),
        service: flow.source_service.as_ref(),
        names: &flow.source_names,
    };
    let destination = End {
        address: &ip.destination,
        endpoint: flow.destination.as_ref(),
        service: flow.destination_service.as_ref(),
        names: &flow.destination_names,
    };
    both(&with_port(&source.name(translate), from, paint), &with_port(&destination.name(translate), to, paint))
}

/// The names of one end.
struct End<'a> {
    address: &'a str,
    endpoint: Option<&'a Endpoint>,
    service: Option<&'a Service>,
    names: &'a [String],
}

impl End<'_> {
    /// Pod, else service, else DNS names, else the address.
    fn name(&self, translate: bool) -> String {
        if !translate {
            return safe(self.address).into_owned();
        }
        let endpoint = self.endpoint.filter(|endpoint| !endpoint.pod_name.is_empty());
        let service = self.service.filter(|service| !service.name.is_empty());
        match (endpoint, service) {
            (Some(endpoint), _) => within(&endpoint.namespace, &endpoint.pod_name),
            (None, Some(service)) => within(&service.namespace, &service.name),
            (None, None) if !self.names.is_empty() => joined(self.names, ","),
            (None, None) => safe(self.address).into_owned(),
        }
    }
}

fn within(namespace: &str, name: &str) -> String {
    qualified_name(&safe(namespace), &safe(name)).into_owned()
}

fn with_port(host: &str, port: u32, paint: Paint) -> String {
    if port == 0 {
        return host.to_owned();
    }
    let port = paint.text(Color::Yellow, port);
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// Both ports; 0 = none.
fn ports(l4: Option<&Layer4>) -> (u32, u32) {
    match l4.and_then(|l4| l4.protocol.as_ref()) {
        Some(Protocol::Tcp(tcp)) => (tcp.source_port, tcp.destination_port),
        Some(Protocol::Udp(udp)) => (udp.source_port, udp.destination_port),
        Some(Protocol::Sctp(sctp)) => (sctp.source_port, sctp.destination_port),
        _ => (0, 0),
    }
}

/// The kind of event; a drop by the kernel has no reason of Cilium's.
fn kind(flow: &Flow, extension: &Extension) -> String {
    if let Some(l7) = &flow.l7 {
        let what = enum_name!(L7FlowType, l7.r#type).to_lowercase();
        return match &l7.record {
            Some(Record::Http(_)) => format!("http-{what}"),
            Some(Record::Dns(dns)) => format!("dns-{what} {}", safe(&dns.observation_source)),
            Some(Record::Kafka(_)) => format!("kafka-{what}"),
            None => format!("l7-{what}"),
        };
    }
    let event = flow.event_type.unwrap_or_default();
    let text: Cow<'_, str> = match event.r#type {
        names::TRACE if extension.observed_before => format!("{} again", names::trace(event.sub_type)).into(),
        names::TRACE => names::trace(event.sub_type),
        names::DROP if event.sub_type == 0 && !extension.drop_reason.is_empty() => safe(&extension.drop_reason),
        names::DROP => names::drop_reason(event.sub_type),
        names::POLICY_VERDICT => {
            let direction = enum_name!(TrafficDirection, flow.traffic_direction);
            format!("policy-verdict:{} {direction}", names::policy_match(flow.policy_match_type)).into()
        }
        names::CAPTURE => enum_name!(DebugCapturePoint, flow.debug_capture_point),
        names::SOCK => match names::translation_point(flow.sock_xlate_point) {
            Some(name) => name.into(),
            None => enum_name!(SocketTranslationPoint, flow.sock_xlate_point),
        },
        _ => "UNKNOWN".into(),
    };
    text.into_owned()
}

fn is_policy_verdict(flow: &Flow) -> bool {
    flow.event_type.is_some_and(|event| event.r#type == names::POLICY_VERDICT)
}

fn verdict(flow: &Flow, paint: Paint) -> String {
    let name = enum_name!(Verdict, flow.verdict);
    let Ok(verdict) = Verdict::try_from(flow.verdict) else { return name.into_owned() };
    let (color, of_policy) = match verdict {
        Verdict::Forwarded | Verdict::Redirected => (Color::Green, "ALLOWED"),
        Verdict::Dropped | Verdict::Error => (Color::Red, "DENIED"),
        Verdict::Audit => (Color::Yellow, "AUDITED"),
        Verdict::Traced | Verdict::Translated => return paint.text(Color::Yellow, name),
        Verdict::Unknown => return name.into_owned(),
    };
    if is_policy_verdict(flow) { paint.text(color, of_policy) } else { paint.text(color, name) }
}

/// The policies that allowed or denied it, after the verdict.
fn policies(flow: &Flow, is_enabled: bool) -> String {
    if !is_enabled {
        return String::new();
    }
    let lists = [
        ("EGRESS ALLOWED BY", &flow.egress_allowed_by),
        ("INGRESS ALLOWED BY", &flow.ingress_allowed_by),
        ("EGRESS DENIED BY", &flow.egress_denied_by),
        ("INGRESS DENIED BY", &flow.ingress_denied_by),
    ];
    let name = |policy: &Policy| {
        let name = within(&policy.namespace, &policy.name);
        if policy.kind.is_empty() { name } else { format!("{}:{name}", safe(&policy.kind)) }
    };
    let named = lists.into_iter().filter(|(_, list)| !list.is_empty());
    let text =
        |(what, list): (&str, &Vec<Policy>)| format!(" {what} {}", list.iter().map(name).collect::<Vec<_>>().join(","));
    named.map(text).collect()
}

fn summary(flow: &Flow, extension: &Extension, paint: Paint) -> String {
    let mut text = String::new();
    if let Some(trace) = flow.ip_trace_id.filter(|trace| trace.trace_id > 0) {
        let _ = write!(text, "IP Trace ID: {}; ", trace.trace_id);
    }
    text.push_str(&safe(if extension.summary.is_empty() { &flow.summary } else { &extension.summary }));
    let color = match AuthType::try_from(flow.auth_type) {
        Ok(AuthType::Disabled) => return text,
        Ok(AuthType::TestAlwaysFail) => Color::Red,
        Ok(AuthType::Spire) | Err(_) => Color::Green,
    };
    let _ = write!(text, "; Auth: {}", paint.text(color, enum_name!(AuthType, flow.auth_type)));
    text
}

/// Lost events.
pub(super) struct Loss<'a> {
    pub(super) lost: &'a LostEvent,
    pub(super) node_name: bool,
}

impl Loss<'_> {
    fn source(&self) -> Cow<'static, str> {
        enum_name!(LostEventSource, self.lost.source)
    }

    fn summary(&self) -> String {
        format!("CPU({}) - {}", self.lost.cpu.unwrap_or_default(), self.lost.num_events_lost)
    }
}

impl PrintedRow for Loss<'_> {
    fn header(&self) -> Vec<String> {
        flows_header(self.node_name)
    }

    fn cells(&self) -> Vec<String> {
        let (source, summary) = (self.source(), self.summary());
        let mut cells = header(&["", &source, "", "EVENTS LOST", "", &summary]);
        if self.node_name {
            cells.insert(1, String::new());
        }
        cells
    }

    fn dict(&self, out: &mut String) {
        out.push_str("  TIMESTAMP: \n");
        if self.node_name {
            out.push_str("       NODE: \n");
        }
        let _ = writeln!(out, "     SOURCE: {}\n       TYPE: EVENTS LOST", self.source());
        let _ = writeln!(out, "    VERDICT: \n    SUMMARY: {}", self.summary());
    }

    fn compact(&self, out: &mut String) {
        let (cpu, number) = (self.lost.cpu.unwrap_or_default(), self.lost.num_events_lost);
        let _ = writeln!(out, "EVENTS LOST: {} CPU({cpu}) {number}", self.source());
    }
}
