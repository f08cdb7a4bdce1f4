//! Payloads that hold a packet: drops, traces, policy verdicts, captures; and the lines that Cilium 1.15's client makes of
//! their numbers.

use std::net::{IpAddr, SocketAddr};

use eyepiece_tests::frame::{self, Pair, flags, protocol};
use serde_json::json;

use super::sample::{Head, Sample};

/// An unknown interface: the client prints its number.
const INTERFACE: u32 = 4711;
/// Bytes of the packets that were not captured.
const CUT: u32 = 1000;

/// A packet, and what the client prints for it.
pub(crate) struct Packet {
    bytes: Vec<u8>,
    ends: [SocketAddr; 2],
    protocol: u8,
    /// Its line's last words.
    words: String,
}

impl Packet {
    fn new(source: &str, destination: &str, protocol: u8, tcp_flags: u8, words: &str) -> Self {
        let ends = [source, destination].map(|text| text.parse::<SocketAddr>().expect("an address and a port"));
        let pair = Pair { source: ends[0].ip(), destination: ends[1].ip() };
        let ports = (ends[0].port(), ends[1].port());
        let segment = match protocol {
            protocol::TCP => frame::tcp(pair, ports, tcp_flags, (1, 2), b"payload"),
            _ => frame::udp(pair, ports, b"payload"),
        };
        let packet = frame::ip(pair, protocol, &segment);
        let bytes = frame::ethernet([2, 0, 0, 0, 0, 2], [2, 0, 0, 0, 0, 1], &[], frame::ethertype(pair), &packet);
        Self { bytes, ends, protocol, words: format!("{} -> {} {words}", ends[0], ends[1]) }
    }

    fn udp(source: &str, destination: &str) -> Self {
        Self::new(source, destination, protocol::UDP, 0, "udp")
    }

    fn tcp(source: &str, destination: &str, tcp_flags: u8, words: &str) -> Self {
        Self::new(source, destination, protocol::TCP, tcp_flags, &format!("tcp {words}"))
    }

    const fn is_v6(&self) -> bool {
        self.ends[0].is_ipv6()
    }

    fn length(&self) -> u16 {
        u16::try_from(self.bytes.len()).expect("a short packet")
    }

    fn whole(&self) -> u32 {
        u32::from(self.length()) + CUT
    }

    fn summary(&self) -> serde_json::Value {
        let [source, destination] = self.ends;
        json!({
            "l2": { "src": "02:00:00:00:00:01", "dst": "02:00:00:00:00:02" },
            "l3": { "src": source.ip().to_string(), "dst": destination.ip().to_string() },
            "l4": { "src": source.port().to_string(), "dst": destination.port().to_string() },
        })
    }

    /// Returns the content of its layers' lines, with -vv.
    fn layers(&self) -> Vec<String> {
        let [source, destination] = self.ends;
        vec![
            "SrcMAC=02:00:00:00:00:01 DstMAC=02:00:00:00:00:02".to_owned(),
            format!("SrcIP={} DstIP={}", source.ip(), destination.ip()),
            format!("SrcPort={} DstPort={}", source.port(), destination.port()),
        ]
    }

    /// Returns the common header, the fields that `fields` appends, and the packet.
    fn payload(&self, head: Head, version: u8, fields: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
        let mut data = head.bytes();
        data.extend(self.whole().to_le_bytes());
        data.extend(self.length().to_le_bytes());
        data.extend([version, 0]);
        fields(&mut data);
        data.extend(&self.bytes);
        data
    }

    fn sample(&self, kind: &'static str, head: Head, data: Vec<u8>) -> Sample {
        Sample { packet: self.bytes.clone(), layers: self.layers(), ..Sample::new(kind, head.cpu, data) }
    }
}

fn v4() -> Packet {
    Packet::udp("10.9.1.1:41001", "10.9.2.2:9153")
}

fn v6() -> Packet {
    Packet::tcp("[fd00:9::1]:41002", "[fd00:9::2]:9154", flags::SYN | flags::ACK, "SYN, ACK")
}

/// Identities as numbers, and as the client names them.
type Identities = [(u32, &'static str); 2];
const OWN: Identities = [(30_001, "30001"), (30_002, "30002")];
const RESERVED: Identities = [(1, "host"), (2, "world")];

pub(crate) fn drops() -> Vec<Sample> {
    vec![
        drop(0, 133, (0, "Policy denied"), (2, "bpf_lxc.c", 1234), OWN, (101, 202), &v4()),
        drop(1, 133, (0, "Policy denied"), (1, "bpf_host.c", 65_535), RESERVED, (102, 201), &v6()),
        drop(1, 169, (-2, "FIB lookup failed, -2"), (105, "nodeport.h", 7), OWN, (101, 0), &v6()),
        drop(1, 181, (0, "Policy denied by denylist"), (108, "mcast.h", 1), RESERVED, (0, 202), &v4()),
    ]
}

fn drop(
    version: u8,
    reason: u8,
    (error, words): (i8, &str),
    (file, name, line): (u8, &str, u16),
    [from, to]: Identities,
    (source, destination): (u16, u16),
    packet: &Packet,
) -> Sample {
    let head = Head { kind: 1, subtype: reason, endpoint: source, hash: 0xd0_0000 + u32::from(line), cpu: 1 };
    let data = packet.payload(head, version, |data| {
        data.extend(from.0.to_le_bytes());
        data.extend(to.0.to_le_bytes());
        data.extend(u32::from(destination).to_le_bytes());
        data.extend(line.to_le_bytes());
        data.extend([file, error.cast_unsigned()]);
        data.extend(INTERFACE.to_le_bytes());
    });
    assert_eq!(data.len(), 36 + packet.bytes.len());
    let (hash, whole, between) = (head.hash, packet.whole(), format!(", identity {}->{}", from.1, to.1));
    let towards = if destination == 0 { String::new() } else { format!(", to endpoint {destination}") };
    Sample {
        endpoints: (source, destination),
        line: format!(
            "xx drop ({words}) flow {hash:#x} to endpoint {destination}, ifindex {INTERFACE}, file {name}:{line}, \
             {between}: {}",
            packet.words
        ),
        detailed: format!("CPU 01: MARK {hash:#x} FROM {source} DROP: {whole} bytes, reason {words}{between}{towards}"),
        json: json!({
            "cpu": "CPU 01:", "type": "drop", "mark": format!("{hash:#x}"), "reason": words, "source": source,
            "bytes": whole, "srcLabel": from.0, "dstLabel": to.0, "dstID": destination, "Line": line, "File": file,
            "ExtError": error, "Ifindex": INTERFACE, "summary": packet.summary(),
        }),
        ..packet.sample("drop", head, data)
    }
}

/// Every observation point of 1.15, every reason, both versions, both families.
pub(crate) fn traces() -> Vec<Sample> {
    // Point, its name, the line's first words; reason and its word; whether encrypted; source, destination.
    let table = [
        (0, "to-endpoint", "-> endpoint 202", (1, "established"), false, (101, 202)),
        (1, "to-proxy", "-> proxy port 15001", (0, "new"), false, (101, 15_001)),
        (2, "to-host", "-> host from", (2, "reply"), false, (101, 0)),
        (3, "to-stack", "-> stack", (3, "related"), true, (101, 0)),
        (4, "to-overlay", "-> overlay", (0, "new"), false, (101, 0)),
        (5, "from-endpoint", "<- endpoint 101", (5, "unknown"), false, (101, 0)),
        (6, "from-proxy", "<- proxy", (4, "reopened"), false, (101, 202)),
        (7, "from-host", "<- host", (5, "unknown"), false, (0, 201)),
        (8, "from-stack", "<- stack", (5, "unknown"), true, (0, 0)),
        (9, "from-overlay", "<- overlay", (5, "unknown"), false, (0, 0)),
        (10, "from-network", "<- network", (7, "srv6-decap"), false, (0, 0)),
        (11, "to-network", "-> network", (6, "srv6-encap"), false, (102, 0)),
    ];
    let one = |(row, version): (_, u8)| {
        let (packet, identities) = if version == 0 { (v4(), OWN) } else { (v6(), RESERVED) };
        trace(version, row, identities, &packet)
    };
    table.into_iter().flat_map(|row| [(row, 0), (row, 1)]).map(one).collect()
}

type Point = (u8, &'static str, &'static str, (u8, &'static str), bool, (u16, u16));

fn trace(version: u8, row: Point, [from, to]: Identities, packet: &Packet) -> Sample {
    let (point, name, first, (reason, state), is_encrypted, (source, destination)) = row;
    let hash = 0x7_0000 + u32::from(version) * 256 + u32::from(point);
    let head = Head { kind: 4, subtype: point, endpoint: source, hash, cpu: 12 };
    let original: [u8; 16] = [0xfd, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9];
    let data = packet.payload(head, version, |data| {
        data.extend(from.0.to_le_bytes());
        data.extend(to.0.to_le_bytes());
        data.extend(destination.to_le_bytes());
        data.extend([reason | if is_encrypted { 0x80 } else { 0 }, u8::from(packet.is_v6())]);
        data.extend(INTERFACE.to_le_bytes());
        data.extend(&original[..if version == 0 { 0 } else { 16 }]);
    });
    assert_eq!(data.len(), if version == 0 { 32 } else { 48 } + packet.bytes.len());
    // The first version has none, and its packet here is of IPv4.
    let original = if version == 0 { "0.0.0.0".to_owned() } else { IpAddr::from(original).to_string() };
    let (whole, length, between) = (packet.whole(), packet.length(), format!(", identity {}->{}", from.1, to.1));
    let encrypted = if is_encrypted { "encrypted  " } else { "" };
    let towards = match (destination, point) {
        (0, _) => String::new(),
        (port, 1) => format!(", to proxy-port {port}"),
        (endpoint, _) => format!(", to endpoint {endpoint}"),
    };
    Sample {
        endpoints: (source, destination),
        line: format!(
            "{first} {encrypted}flow {hash:#x} {between} state {state} ifindex {INTERFACE} orig-ip {original}: {}",
            packet.words
        ),
        detailed: format!(
            "CPU 12: MARK {hash:#x} FROM {source} {name}: {whole} bytes ({length} captured), state {state}, interface \
             {INTERFACE}, {between}, orig-ip {original}{towards}"
        ),
        json: json!({
            "cpu": "CPU 12:", "type": "trace", "mark": format!("{hash:#x}"), "ifindex": INTERFACE.to_string(),
            "state": state, "observationPoint": name, "traceSummary": first, "source": source, "bytes": whole,
            "srcLabel": from.0, "dstLabel": to.0, "dstID": destination, "summary": packet.summary(),
        }),
        ..packet.sample("trace", head, data)
    }
}

pub(crate) fn verdicts() -> Vec<Sample> {
    let ingress = (1, "ingress");
    let egress = (2, "egress");
    // A proxy's port, as its two bytes in the order of the network.
    let proxy = i32::from(15_001_u16.swap_bytes());
    vec![
        verdict((0, "allow"), ingress, (1, "L3-Only"), false, (0, "disabled"), &v4()),
        verdict((-133, "deny"), egress, (0, "none"), false, (0, "disabled"), &v6()),
        verdict((-189, "deny"), ingress, (2, "L3-L4"), false, (1, "spire"), &v4()),
        verdict((proxy, "redirect"), egress, (3, "L4-Only"), false, (0, "disabled"), &v4()),
        verdict((0, "audit"), ingress, (4, "all"), true, (2, "test-always-fail"), &v6()),
        verdict((0, "allow"), egress, (5, "L3-Proto"), false, (0, "disabled"), &v6()),
        verdict((0, "allow"), egress, (6, "Proto-Only"), false, (0, "disabled"), &v4()),
    ]
}

fn verdict(
    (verdict, action): (i32, &str),
    (direction, way): (u8, &str),
    (kind, matched): (u8, &str),
    is_audited: bool,
    (auth, auth_name): (u8, &str),
    packet: &Packet,
) -> Sample {
    let (endpoint, remote) = (103, 30_100 + u32::from(kind));
    let head = Head { kind: 5, subtype: 0, endpoint, hash: 0x5_0000 + u32::from(kind), cpu: 3 };
    let audited = if is_audited { 0x40 } else { 0 };
    let data = packet.payload(head, 1, |data| {
        data.extend(remote.to_le_bytes());
        data.extend(verdict.to_le_bytes());
        data.extend(packet.ends[1].port().to_le_bytes());
        data.extend([packet.protocol, direction | u8::from(packet.is_v6()) << 2 | kind << 3 | audited, auth, 0, 0, 0]);
    });
    assert_eq!(data.len(), 32 + packet.bytes.len());
    let line = format!(
        "Policy verdict log: flow {:#x} local EP ID {endpoint}, remote ID {remote}, proto {}, {way}, action {action}, \
         auth: {auth_name}, match {matched}, {}",
        head.hash, packet.protocol, packet.words
    );
    // The client filters by the remote identity's lower half; it prints no details, and no JSON.
    let endpoints = (endpoint, remote as u16);
    let sample = Sample { endpoints, line, layers: Vec::new(), ..packet.sample("policy-verdict", head, data) };
    Sample { packet: Vec::new(), ..sample.same_with_details() }
}

/// Every point; those without words of their own in a line have them with -vv alone.
pub(crate) fn captures() -> Vec<Sample> {
    let port = u32::from(15_001_u16.swap_bytes());
    let one = |(point, argument, first, message): (u8, u32, &str, &str)| {
        let packet = if point % 2 == 0 { v4() } else { v6() };
        let head = Head { kind: 3, subtype: point, endpoint: 104, hash: 0x3_0000 + u32::from(point), cpu: 4 };
        let data = packet.payload(head, 1, |data| {
            data.extend(argument.to_le_bytes());
            data.extend(0_u32.to_le_bytes());
        });
        let (hash, whole) = (head.hash, packet.whole());
        Sample {
            endpoints: (104, 0),
            line: if first.is_empty() { String::new() } else { format!("{first}: {}", packet.words) },
            detailed: format!("CPU 04: MARK {hash:#x} FROM 104 DEBUG: {whole} bytes, {message}"),
            json: json!({
                "cpu": "CPU 04:", "type": "capture", "mark": format!("{hash:#x}"), "message": message, "source": 104,
                "bytes": whole, "summary": packet.words,
            }),
            ..packet.sample("capture", head, data)
        }
    };
    let table = [
        (4, INTERFACE, "-> 4711", "Delivery to ifindex 4711"),
        (5, INTERFACE, "<- load-balancer 4711", "Incoming packet to load balancer on ifindex 4711"),
        (6, INTERFACE, "== v4->v6 4711", "Packet after nat46 ifindex 4711"),
        (7, INTERFACE, "== v6->v4 4711", "Packet after nat64 ifindex 4711"),
        (8, port, "", "Packet to proxy port 15001 (Pre)"),
        (9, port, "-> proxy port 15001", "Packet to proxy port 15001 (Post)"),
        (10, INTERFACE, "", "Packet going into snat engine on ifindex 4711"),
        (11, INTERFACE, "", "Packet coming from snat engine on ifindex 4711"),
    ];
    table.into_iter().map(one).collect()
}
