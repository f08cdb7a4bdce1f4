//! Encodes a flow as a `LogRecord`, by the registry's event `hubble.flow`.

use std::sync::Arc;

use eyepiece_flow::flow::{
    EVENT_CAPTURE, EVENT_DROP, EVENT_L7, EVENT_POLICY_VERDICT, EVENT_TRACE, Flow, L4, Sock, Verdict,
};
use eyepiece_flow::lookup::{BatchNames, NameLookup};
use eyepiece_flow::{names, text};
use eyepiece_semconv::{attribute, event};

use super::wire::{self, RECORD_ATTRIBUTES as FIELD, int_if_known, string_if_known};
use crate::export::text::flow_line;
use crate::export::text::flow_line::{FlowTextLookup, FlowTexts, TCP_FLAGS};

/// Severity number and text of a verdict, by `SeverityNumber` of OTLP.
///
/// A drop is a warning and an L7 error an error. A flow that a policy in audit mode would have dropped was forwarded, so
/// it is information; the verdict has the rest.
pub const fn severity(verdict: Verdict) -> (u8, &'static str) {
    match verdict {
        Verdict::Dropped => (13, "WARN"),
        Verdict::Error => (17, "ERROR"),
        Verdict::Unknown
        | Verdict::Forwarded
        | Verdict::Audit
        | Verdict::Redirected
        | Verdict::Traced
        | Verdict::Translated => (9, "INFO"),
    }
}

/// Encodes flows one by one, with shared buffers and caches.
pub struct FlowEncoder {
    pub(super) lookup: FlowTextLookup,
    texts: FlowTexts,
    pub(super) body: String,
    scratch: String,
    /// Makes the ids of losses.
    pub(super) random: fastrand::Rng,
}

impl FlowEncoder {
    /// Creates an encoder with the machine's names.
    pub fn new(names: Arc<dyn NameLookup>) -> Self {
        let (texts, body, scratch) = (FlowTexts::default(), String::new(), String::new());
        let random = fastrand::Rng::new();
        Self { lookup: FlowTextLookup::new(names), texts, body, scratch, random }
    }

    /// Sets the names that the next flows refer to.
    pub fn enter(&mut self, batch: Option<&Arc<dyn BatchNames>>) {
        self.lookup.enter(batch);
    }

    /// Clears cached names that may change; to be called for each request.
    pub fn refresh(&mut self) {
        self.lookup.refresh();
    }

    /// Appends the content of a `LogRecord`. `observed` is when we received the flow, ns since the Unix epoch.
    pub fn record(&mut self, flow: &Flow, observed: u64, out: &mut Vec<u8>) {
        self.lookup.read(flow, &mut self.texts);
        self.body.clear();
        flow_line::write(flow, &self.texts, &mut self.body);
        wire::record(out, (flow.time, observed), severity(flow.verdict), &self.body, event::HUBBLE_FLOW);
        self.kind(flow, out);
        self.network(flow, out);
        ends(flow, &self.texts, out);
        transport(flow, out);
        if flow.event_type.kind == EVENT_DROP || flow.kernel_drop.is_some() {
            dropped(flow, &self.texts, out);
        }
        datapath(flow, &self.texts, out);
        if flow.tunnel.is_some() {
            self.tunnel(flow, out);
        }
        if let Some(l7) = &flow.l7 {
            super::l7::write(l7, out);
        }
        if let Some(sock) = &flow.sock {
            socket(sock, out);
        }
        let [source, destination] = self.lookup.entities(flow);
        super::metadata::ends(source, destination, out);
        if let Some(metadata) = &flow.metadata {
            let has_trace = flow.l7.as_ref().is_some_and(|l7| l7.trace().is_some());
            super::metadata::write(metadata, has_trace, out);
        }
    }

    /// Event type, verdict, direction and summary.
    fn kind(&self, flow: &Flow, out: &mut Vec<u8>) {
        wire::string(out, FIELD, attribute::LOG_RECORD_UID, &text::uuid(&flow.uuid));
        wire::string(out, FIELD, attribute::HUBBLE_VERDICT, flow.verdict.name().as_bytes());
        let kind = match flow.event_type.kind {
            EVENT_DROP => "Drop",
            EVENT_CAPTURE => "Capture",
            EVENT_TRACE => "Trace",
            EVENT_POLICY_VERDICT => "PolicyVerdict",
            EVENT_L7 => "L7",
            _ => "Unknown",
        };
        wire::string(out, FIELD, attribute::HUBBLE_EVENT_TYPE, kind.as_bytes());
        if let Some(point) = flow.observation_point.and_then(names::observation_point_text) {
            wire::string(out, FIELD, attribute::HUBBLE_EVENT_SUBTYPE, point.as_bytes());
            wire::string(out, FIELD, attribute::HUBBLE_OBSERVATION_POINT, point.as_bytes());
        }
        if let Some(reason) = flow.trace_reason.and_then(names::trace_reason_text) {
            wire::string(out, FIELD, attribute::HUBBLE_TRACE_REASON, reason.as_bytes());
        }
        if let Some(point) = flow.capture_point.and_then(names::capture_point_name) {
            wire::string(out, FIELD, attribute::HUBBLE_CAPTURE_POINT, point.as_bytes());
        }
        wire::string(out, FIELD, attribute::HUBBLE_TRAFFIC_DIRECTION, flow.direction.label().as_bytes());
        if let Some(is_reply) = flow.is_reply {
            wire::bool(out, FIELD, attribute::HUBBLE_IS_REPLY, is_reply);
        }
        if !self.texts.summary.is_empty() {
            wire::string(out, FIELD, attribute::HUBBLE_SUMMARY, self.texts.summary.as_bytes());
        }
        if let Some(traffic) = &flow.traffic {
            wire::int(out, FIELD, attribute::HUBBLE_FLOW_PACKETS, traffic.packets);
            wire::int(out, FIELD, attribute::HUBBLE_FLOW_BYTES, traffic.bytes);
        }
        if self.texts.observed_before {
            wire::bool(out, FIELD, attribute::HUBBLE_FLOW_OBSERVED_BEFORE, true);
        }
    }

    /// Addresses.
    fn network(&mut self, flow: &Flow, out: &mut Vec<u8>) {
        let Some(ip) = &flow.ip else { return };
        match ip.version {
            // A flow of another Hubble may have addresses without an IP version.
            0 => {}
            6 => wire::string(out, FIELD, attribute::NETWORK_TYPE, b"ipv6"),
            _ => wire::string(out, FIELD, attribute::NETWORK_TYPE, b"ipv4"),
        }
        string_if_known(out, attribute::SOURCE_ADDRESS, &self.texts.source);
        string_if_known(out, attribute::DESTINATION_ADDRESS, &self.texts.destination);
        if let Some(translated) = ip.source_translated {
            self.scratch.clear();
            text::address(&mut self.scratch, translated);
            wire::string(out, FIELD, attribute::HUBBLE_SOURCE_ADDRESS_TRANSLATED, self.scratch.as_bytes());
        }
    }

    /// The tunnel header around the packet.
    fn tunnel(&mut self, flow: &Flow, out: &mut Vec<u8>) {
        let Some(tunnel) = &flow.tunnel else { return };
        let protocol = match tunnel.protocol {
            1 => "vxlan",
            2 => "geneve",
            _ => "unknown",
        };
        wire::string(out, FIELD, attribute::HUBBLE_TUNNEL_PROTOCOL, protocol.as_bytes());
        wire::int(out, FIELD, attribute::HUBBLE_TUNNEL_VNI, u64::from(tunnel.vni));
        for (name, address) in [
            (attribute::HUBBLE_TUNNEL_SOURCE_ADDRESS, tunnel.ip.source),
            (attribute::HUBBLE_TUNNEL_DESTINATION_ADDRESS, tunnel.ip.destination),
        ] {
            self.scratch.clear();
            text::address(&mut self.scratch, address);
            wire::string(out, FIELD, name, self.scratch.as_bytes());
        }
    }
}

/// The socket whose addresses were translated.
fn socket(sock: &Sock, out: &mut Vec<u8>) {
    if let Some(text) = sock.point.text() {
        wire::string(out, FIELD, attribute::HUBBLE_SOCK_TRANSLATION_POINT, text.as_bytes());
    }
    int_if_known(out, attribute::HUBBLE_SOCK_COOKIE, sock.cookie);
    int_if_known(out, attribute::HUBBLE_SOCK_CGROUP_ID, sock.cgroup);
}

/// Names, identities and endpoints of both ends.
fn ends(flow: &Flow, texts: &FlowTexts, out: &mut Vec<u8>) {
    string_if_known(out, attribute::HUBBLE_SOURCE_NAME, &texts.source_name);
    string_if_known(out, attribute::HUBBLE_DESTINATION_NAME, &texts.destination_name);
    int_if_known(out, attribute::HUBBLE_SOURCE_IDENTITY, flow.source.identity);
    int_if_known(out, attribute::HUBBLE_DESTINATION_IDENTITY, flow.destination.identity);
    int_if_known(out, attribute::HUBBLE_SOURCE_ENDPOINT_ID, flow.source.endpoint);
    int_if_known(out, attribute::HUBBLE_DESTINATION_ENDPOINT_ID, flow.destination.endpoint);
}

/// The transport layer. `network.transport` has only tcp and udp as well-known values; others are the protocol's name in
/// lower case, by the convention.
fn transport(flow: &Flow, out: &mut Vec<u8>) {
    let name = match flow.l4 {
        L4::None => return,
        L4::Tcp { .. } => "tcp",
        L4::Udp { .. } => "udp",
        L4::Sctp { .. } => "sctp",
        L4::Icmp4 { .. } => "icmp",
        L4::Icmp6 { .. } => "icmpv6",
        L4::Vrrp { .. } => "vrrp",
        L4::Igmp { .. } => "igmp",
    };
    wire::string(out, FIELD, attribute::NETWORK_TRANSPORT, name.as_bytes());
    if let Some((source, destination)) = flow.l4.ports() {
        wire::int(out, FIELD, attribute::SOURCE_PORT, u64::from(source));
        wire::int(out, FIELD, attribute::DESTINATION_PORT, u64::from(destination));
    }
    match flow.l4 {
        // Proxies and sockets have no TCP flags.
        L4::Tcp { .. } if flow.l7.is_some() || flow.sock.is_some() => {}
        L4::Tcp { flags, .. } if flags.0 != 0 => {
            let names = TCP_FLAGS.iter().filter(|&&(bit, _)| flags.has(bit)).map(|&(_, name)| name);
            wire::strings(out, FIELD, attribute::HUBBLE_TCP_FLAGS, names);
        }
        L4::Sctp { chunk_type: Some(kind), .. } => {
            wire::int(out, FIELD, attribute::HUBBLE_SCTP_CHUNK_TYPE, u64::from(kind));
        }
        L4::Icmp4 { kind, code } | L4::Icmp6 { kind, code } => {
            wire::int(out, FIELD, attribute::HUBBLE_ICMP_TYPE, u64::from(kind));
            wire::int(out, FIELD, attribute::HUBBLE_ICMP_CODE, u64::from(code));
        }
        L4::Vrrp { kind, vrid, priority } => {
            wire::int(out, FIELD, attribute::HUBBLE_VRRP_TYPE, u64::from(kind));
            wire::int(out, FIELD, attribute::HUBBLE_VRRP_VRID, u64::from(vrid));
            wire::int(out, FIELD, attribute::HUBBLE_VRRP_PRIORITY, u64::from(priority));
        }
        L4::Igmp { kind, group } => {
            wire::int(out, FIELD, attribute::HUBBLE_IGMP_TYPE, u64::from(kind));
            let mut text = String::with_capacity(15);
            text::address(&mut text, group.into());
            wire::string(out, FIELD, attribute::HUBBLE_IGMP_GROUP, text.as_bytes());
        }
        L4::None | L4::Tcp { .. } | L4::Udp { .. } | L4::Sctp { .. } => {}
    }
}

/// Reason and place of a drop.
fn dropped(flow: &Flow, texts: &FlowTexts, out: &mut Vec<u8>) {
    string_if_known(out, attribute::HUBBLE_DROP_REASON, &texts.drop_reason);
    string_if_known(out, attribute::HUBBLE_DROP_LOCATION, &texts.drop_location);
    if let Some(kernel) = &flow.kernel_drop {
        int_if_known(out, attribute::HUBBLE_DROP_NETNS, kernel.netns);
    }
    // File ids of the kernel's drops name a subsystem, which the reason includes.
    let given = flow.metadata.as_ref().map(|metadata| metadata.file_name.as_str()).filter(|name| !name.is_empty());
    let file = flow.file.and_then(|file| Some((given.or(names::drop_file(file.id, file.release))?, file.line)));
    if let Some((name, line)) = file {
        wire::string(out, FIELD, attribute::HUBBLE_DROP_FILE, name.as_bytes());
        wire::int(out, FIELD, attribute::HUBBLE_DROP_LINE, u64::from(line));
    }
}

/// Fields of the datapath and of the link layer.
fn datapath(flow: &Flow, texts: &FlowTexts, out: &mut Vec<u8>) {
    string_if_known(out, attribute::NETWORK_INTERFACE_NAME, &texts.interface);
    int_if_known(out, attribute::HUBBLE_INTERFACE_INDEX, flow.ifindex);
    if flow.metadata.is_none() {
        // Flows of another Hubble have no CPU.
        wire::int(out, FIELD, attribute::HUBBLE_CPU, u64::from(flow.cpu));
    }
    if let Some(ethernet) = &flow.ethernet {
        wire::string(out, FIELD, attribute::HUBBLE_ETHERNET_SOURCE, &text::mac(&ethernet.source));
        wire::string(out, FIELD, attribute::HUBBLE_ETHERNET_DESTINATION, &text::mac(&ethernet.destination));
    }
    if let Some(vlan) = flow.vlan {
        wire::int(out, FIELD, attribute::HUBBLE_VLAN_ID, u64::from(vlan));
    }
    if flow.event_type.kind == EVENT_POLICY_VERDICT {
        if let Some(text) = names::policy_match_text(flow.policy_match) {
            wire::string(out, FIELD, attribute::HUBBLE_POLICY_MATCH_TYPE, text.as_bytes());
        }
        if let Some(name) = names::auth_type_name(flow.auth_type) {
            wire::string(out, FIELD, attribute::HUBBLE_AUTH_TYPE, name.as_bytes());
        }
    }
    int_if_known(out, attribute::HUBBLE_PROXY_PORT, flow.proxy_port);
    if flow.encrypted {
        wire::bool(out, FIELD, attribute::HUBBLE_ENCRYPTED, true);
    }
    int_if_known(out, attribute::HUBBLE_IP_TRACE_ID, flow.ip_trace_id);
    int_if_known(out, attribute::HUBBLE_RECORDER_RULE, flow.recorder_rule);
}
