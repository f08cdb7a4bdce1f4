//! What was observed as protobuf JSON with proto field names, as far as it is filled in.

mod events;
mod l7;

use std::net::IpAddr;

use eyepiece::flow::{
    Direction, EVENT_CAPTURE, EVENT_L7, EVENT_SOCK, EVENT_TRACE, End, Ethernet, FileInfo, Flow, Ip, L4, TcpFlags,
    Tunnel, Verdict,
};
use eyepiece::l7::cluster_name;
use eyepiece::observed::Observed;
use eyepiece::parser::{names, summary};
use serde_json::{Map, Value, json};

type Object = Map<String, Value>;

/// As the reference has it, without `emitter`, `uuid` and `time`.
pub(crate) fn observed(observed: &Observed) -> Value {
    match observed {
        Observed::Flow(observed) => flow(observed),
        Observed::Agent(event) => json!({ "agent_event": events::agent(event) }),
        Observed::Debug(event) => json!({ "debug_event": events::debug(event) }),
        Observed::Lost(lost) => panic!("no payload tells a loss: {lost:?}"),
    }
}

fn flow(flow: &Flow) -> Value {
    let mut out = Object::new();
    let (kind, labels) = match (&flow.l7, flow.event_type.kind) {
        (Some(l7), EVENT_L7) => ("L7", [l7.source_labels.as_slice(), &l7.destination_labels]),
        (None, EVENT_SOCK) => ("SOCK", [&[][..]; 2]),
        (None, _) => ("L3_L4", [&[][..]; 2]),
        (Some(_), kind) => panic!("layer 7 in a flow of type {kind}"),
    };
    out.insert("Type".into(), kind.into());
    out.insert("source".into(), end(&flow.source, labels[0]));
    out.insert("destination".into(), end(&flow.destination, labels[1]));
    let mut event_type = Object::new();
    number(&mut event_type, "type", flow.event_type.kind.into());
    number(&mut event_type, "sub_type", flow.event_type.subtype.into());
    out.insert("event_type".into(), event_type.into());
    if flow.verdict != Verdict::Unknown {
        out.insert("verdict".into(), flow.verdict.name().into());
    }
    number(&mut out, "drop_reason", flow.drop_reason);
    named(&mut out, "drop_reason_desc", flow.drop_reason, names::drop_reason_name(flow.drop_reason));
    named(&mut out, "auth_type", flow.auth_type.into(), names::auth_type_name(flow.auth_type));
    insert(&mut out, "file", flow.file.as_ref().map(file));
    insert(&mut out, "ethernet", flow.ethernet.as_ref().map(ethernet));
    insert(&mut out, "IP", flow.ip.as_ref().map(|header| ip_of(flow, header)));
    insert(&mut out, "l4", l4(&flow.l4, kind == "L3_L4"));
    insert(&mut out, "tunnel", flow.tunnel.as_ref().map(tunnel));
    if flow.direction != Direction::Unknown {
        out.insert("traffic_direction".into(), flow.direction.name().into());
    }
    insert(&mut out, "is_reply", flow.is_reply.map(Value::from));
    insert(&mut out, "reply", flow.is_reply.filter(|&reply| reply).map(Value::from));
    events(flow, &mut out);
    number(&mut out, "proxy_port", flow.proxy_port);
    number(&mut out, "policy_match_type", flow.policy_match.into());
    if flow.ifindex != 0 {
        out.insert("interface".into(), json!({ "index": flow.ifindex }));
    }
    if flow.ip_trace_id != 0 {
        out.insert("ip_trace_id".into(), json!({ "trace_id": flow.ip_trace_id.to_string() }));
    }
    if let Some(sock) = flow.sock {
        named(&mut out, "sock_xlate_point", sock.point.number().into(), sock.point.name());
        long(&mut out, "socket_cookie", sock.cookie);
        long(&mut out, "cgroup_id", sock.cgroup);
    }
    if let Some(layer) = &flow.l7 {
        l7::write(layer, &mut out);
    }
    let mut text = String::new();
    summary::write(flow, &mut text).expect("a String takes every text");
    if !text.is_empty() {
        out.insert("Summary".into(), text.into());
    }
    out.into()
}

/// What only traces or only captures have.
fn events(flow: &Flow, out: &mut Object) {
    assert_eq!(flow.observation_point.is_some(), flow.event_type.kind == EVENT_TRACE);
    assert_eq!(flow.capture_point.is_some(), flow.event_type.kind == EVENT_CAPTURE);
    if let Some(point) = flow.observation_point {
        let number = names::observation_point_number(point).cast_unsigned();
        named(out, "trace_observation_point", number, names::observation_point_name(point));
    }
    if let Some(reason) = flow.trace_reason {
        let number = names::trace_reason_number(reason).cast_unsigned();
        named(out, "trace_reason", number, names::trace_reason_name(reason));
    }
    if let Some(point) = flow.capture_point {
        named(out, "debug_capture_point", point.into(), names::capture_point_name(point));
    }
}

/// 64 bits are texts in protobuf JSON.
fn long(out: &mut Object, key: &str, value: u64) {
    if value != 0 {
        out.insert(key.into(), value.to_string().into());
    }
}

fn text(out: &mut Object, key: &str, value: &str) {
    if !value.is_empty() {
        out.insert(key.into(), value.into());
    }
}

fn list(out: &mut Object, key: &str, values: impl IntoIterator<Item = Value>) {
    let values: Vec<Value> = values.into_iter().collect();
    if !values.is_empty() {
        out.insert(key.into(), values.into());
    }
}

fn insert(out: &mut Object, key: &str, value: Option<Value>) {
    if let Some(value) = value {
        out.insert(key.into(), value);
    }
}

fn number(out: &mut Object, key: &str, value: u32) {
    if value != 0 {
        out.insert(key.into(), value.into());
    }
}

/// An enum: left out at 0, its name where it has one, else the number.
fn named(out: &mut Object, key: &str, value: u32, name: Option<&str>) {
    if value != 0 {
        out.insert(key.into(), name.map_or_else(|| Value::from(value.cast_signed()), Value::from));
    }
}

fn end(end: &End, labels: &[String]) -> Value {
    let mut out = Object::new();
    number(&mut out, "ID", end.endpoint.into());
    number(&mut out, "identity", end.identity);
    list(&mut out, "labels", labels.iter().map(|label| label.as_str().into()));
    text(&mut out, "cluster_name", cluster_name(labels).unwrap_or_default());
    out.into()
}

fn file(file: &FileInfo) -> Value {
    let name = names::drop_file(file.id, file.release);
    let mut out = Object::new();
    out.insert("name".into(), name.map_or_else(|| format!("unknown({})", file.id), str::to_owned).into());
    number(&mut out, "line", file.line.into());
    out.into()
}

fn ethernet(ethernet: &Ethernet) -> Value {
    let text = |a: [u8; 6]| a.map(|byte| format!("{byte:02x}")).join(":");
    json!({ "source": text(ethernet.source), "destination": text(ethernet.destination) })
}

/// A flow's addresses, where they are known.
fn ip_of(flow: &Flow, header: &Ip) -> Value {
    let mut value = ip(header, flow.encrypted);
    if let Some(object) = value.as_object_mut() {
        object.retain(|key, _| match key.as_str() {
            "source" => !flow.no_source_address,
            "destination" => !flow.no_destination_address,
            _ => true,
        });
    }
    value
}

fn ip(ip: &Ip, encrypted: bool) -> Value {
    let mut out = Object::new();
    out.insert("source".into(), ip.source.to_string().into());
    insert(&mut out, "source_xlated", ip.source_translated.map(|address| address.to_string().into()));
    out.insert("destination".into(), ip.destination.to_string().into());
    out.insert("ipVersion".into(), if ip.version == 4 { "IPv4" } else { "IPv6" }.into());
    insert(&mut out, "encrypted", encrypted.then_some(true.into()));
    out.into()
}

fn tunnel(tunnel: &Tunnel) -> Value {
    let mut out = Object::new();
    out.insert("protocol".into(), ["UNKNOWN", "VXLAN", "GENEVE"][usize::from(tunnel.protocol)].into());
    out.insert("IP".into(), ip(&tunnel.ip, false));
    insert(&mut out, "l4", l4(&tunnel.l4, true));
    number(&mut out, "vni", tunnel.vni);
    out.into()
}

fn l4(l4: &L4, is_packet: bool) -> Option<Value> {
    let mut out = Object::new();
    if let Some((source, destination)) = l4.ports() {
        number(&mut out, "source_port", source.into());
        number(&mut out, "destination_port", destination.into());
    }
    let name = match *l4 {
        L4::None => return None,
        L4::Tcp { flags: bits, .. } => {
            // Who saw no packet saw no flags.
            insert(&mut out, "flags", is_packet.then(|| flags(bits)));
            "TCP"
        }
        L4::Udp { .. } => "UDP",
        L4::Sctp { chunk_type, .. } => {
            let number = names::sctp_chunk_number(chunk_type).cast_unsigned();
            named(&mut out, "chunk_type", number, Some(names::sctp_chunk_name(chunk_type)));
            "SCTP"
        }
        L4::Icmp4 { kind, code } | L4::Icmp6 { kind, code } => {
            number(&mut out, "type", kind.into());
            number(&mut out, "code", code.into());
            l4.protocol_name()
        }
        L4::Vrrp { kind, vrid, priority } => {
            number(&mut out, "type", kind.into());
            number(&mut out, "vrid", vrid.into());
            number(&mut out, "priority", priority.into());
            "VRRP"
        }
        L4::Igmp { kind, group } => {
            number(&mut out, "type", kind.into());
            out.insert("group_address".into(), IpAddr::from(group).to_string().into());
            "IGMP"
        }
    };
    Some(json!({ name: out }))
}

fn flags(flags: TcpFlags) -> Value {
    let names = ["FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR", "NS"];
    let set = names.iter().enumerate().filter(|&(bit, _)| flags.has(1 << bit));
    Value::Object(set.map(|(_, &name)| (name.to_owned(), true.into())).collect())
}
