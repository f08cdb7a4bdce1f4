//! The intended differences from the reference, and the recognition of each kind's rows.

use std::net::IpAddr;

use eyepiece_flow::flow::{EVENT_RECORDER_CAPTURE, Flow, L4};
use eyepiece_flow::record::Observed;
use serde_json::Value;

/// A kind of difference.
pub struct Deviation {
    /// The difference and its reason.
    pub reason: &'static str,
    /// Whether it is about the layers of a packet, not about the notification around it.
    pub of_packets: bool,
    /// Whether the vectors have such rows; mutated payloads have others.
    pub is_in_vectors: bool,
    /// Whether a row's difference is of this kind and nothing else differs.
    pub explains: fn(&Row<'_>) -> bool,
}

/// A row that differs.
pub struct Row<'a> {
    /// The monitor's payload.
    pub payload: &'a [u8],
    /// Our decoded fields.
    pub observed: &'a Observed,
    /// The same as protobuf JSON.
    pub ours: &'a Value,
    /// The reference's fields.
    pub expected: &'a Value,
    /// Ends are known by their addresses: if those differ, so do these.
    pub ends_are_known: bool,
    /// Decodes another payload in place of this one.
    pub instead: &'a dyn Fn(&[u8]) -> Option<Value>,
}

impl Row<'_> {
    fn flow(&self) -> Option<&Flow> {
        self.observed.flow()
    }
}

/// All of them. The first that explains a row has it.
pub const DEVIATIONS: [Deviation; 10] = [
    Deviation {
        reason: "all IPv6 extension headers are looked through; upstream stops behind hop-by-hop",
        of_packets: true,
        is_in_vectors: true,
        explains: |row| row.expected["Summary"] == "IPv6" && has_extension(row) && equal_but(row, layer_fields(row)),
    },
    Deviation {
        reason: "VLAN tags are looked through; upstream stops at them",
        of_packets: true,
        is_in_vectors: true,
        explains: |row| {
            row.flow().is_some_and(|flow| flow.vlan.is_some())
                && row.expected["Summary"] == "Ethernet"
                && equal_but(row, &LAYERS)
        },
    },
    Deviation {
        reason: "where a packet in a further tunnel is broken behind VLAN tags or extension headers, what was found \
                 before that tunnel stands; upstream, which does not see that it is broken, has the addresses of the \
                 frame in it",
        of_packets: true,
        is_in_vectors: false,
        explains: |row| {
            let stops = row.expected["Summary"].as_str().unwrap_or_default();
            row.flow().is_some_and(|flow| flow.tunnel.is_some())
                && row.ours["Summary"] == "UDP"
                && (stops == "Ethernet" && has_tag(row) || stops == "IPv6" && has_extension(row))
                && equal_but(row, &["ethernet", "IP", "Summary", "tunnel"])
        },
    },
    Deviation {
        reason: "a jumbogram's packet is behind its hop-by-hop header; upstream takes that header for it",
        of_packets: true,
        is_in_vectors: false,
        explains: |row| is_jumbogram(row) && equal_but(row, &LAYERS),
    },
    Deviation {
        reason: "VRRP headers that are cut inside their last two bytes are none; upstream reads on behind the packet's \
                 end, where bytes follow",
        of_packets: true,
        is_in_vectors: false,
        explains: |row| {
            row.expected["l4"].get("VRRP").is_some()
                && row.ours.get("l4").is_none()
                && equal_but(row, &["l4", "Summary"])
        },
    },
    Deviation {
        reason: "Geneve options end where the header ends them; upstream goes by their own lengths, modulo 256",
        of_packets: true,
        is_in_vectors: true,
        explains: |row| odd_geneve_options(row) && equal_but(row, layer_fields(row)),
    },
    Deviation {
        reason: "verdicts of 32 bytes, of 1.18 and before, are read; upstream takes every verdict for 40",
        of_packets: false,
        is_in_vectors: true,
        explains: |row| {
            row.payload[0] == 5
                && (32..40).contains(&row.payload.len().wrapping_sub(captured(row.payload)))
                && equal_but(row, &["ethernet", "IP", "l4", "Summary"])
        },
    },
    Deviation {
        reason: "the packet ends with the captured length; upstream takes the padding behind it for packet bytes",
        of_packets: false,
        is_in_vectors: true,
        explains: |row| {
            if !matches!(row.payload[0], 1 | 3 | 4 | 5) {
                return false;
            }
            let mut payload = row.payload.to_vec();
            payload[12..14].fill(0xff);
            (row.instead)(&payload).is_some_and(|ours| ours == *row.expected)
        },
    },
    Deviation {
        reason: "debug messages 66 to 68 have the text of their own name; upstream's list lacks SKIP_POLICY, so that \
                 each has its neighbour's (pkg/monitor/datapath_debug.go)",
        of_packets: false,
        is_in_vectors: true,
        explains: |row| {
            let Observed::Debug(event) = row.observed else { return false };
            let mut values = [row.ours.clone(), row.expected.clone()];
            for value in &mut values {
                value["debug_event"].as_object_mut().map(|event| event.remove("message"));
            }
            (66..=68).contains(&event.kind) && values[0] == values[1]
        },
    },
    Deviation {
        reason: "recorder captures, which 1.18 and before send, are flows; upstream's Hubble knows no such type \
                 (pkg/hubble/parser/parser.go)",
        of_packets: false,
        is_in_vectors: true,
        explains: |row| {
            row.payload[0] == EVENT_RECORDER_CAPTURE
                && row.flow().is_some()
                && row.expected["error"].as_str().is_some_and(|text| text.ends_with("payload type: 6"))
        },
    },
];

/// All fields that come from a packet.
const LAYERS: [&str; 5] = ["ethernet", "IP", "l4", "Summary", "tunnel"];

/// The fields that differ if only one side decodes the layers after a header; for a tunnel's packet also the tunnel's.
fn layer_fields(row: &Row<'_>) -> &'static [&'static str] {
    if row.ours.get("tunnel").is_some() { &LAYERS } else { &["IP", "l4", "Summary"] }
}

fn captured(payload: &[u8]) -> usize {
    usize::from(u16::from_le_bytes([payload[12], payload[13]]))
}

fn equal_but(row: &Row<'_>, keys: &[&str]) -> bool {
    let is_of_ends =
        |key: &str| key == "traffic_direction" || key.starts_with("source") || key.starts_with("destination");
    let is_left_out = |key: &str| keys.contains(&key) || row.ends_are_known && is_of_ends(key);
    let mut values = [row.ours.clone(), row.expected.clone()];
    for object in values.iter_mut().filter_map(Value::as_object_mut) {
        object.retain(|key, _| !is_left_out(key));
    }
    values[0] == values[1]
}

/// IPv6 headers with the reference's destination, each with what follows in the payload.
fn headers<'a>(row: &'a Row<'_>) -> impl Iterator<Item = &'a [u8]> {
    let destination = match row.expected["IP"]["destination"].as_str().map(str::parse) {
        Some(Ok(IpAddr::V4(address))) => Some(address.to_ipv6_mapped()),
        Some(Ok(IpAddr::V6(address))) => Some(address),
        _ => None,
    };
    let starts = 0..row.payload.len().saturating_sub(40);
    let headers = starts.map(|start| &row.payload[start..]);
    headers.filter(move |header| destination.is_some_and(|address| header[24..40] == address.octets()))
}

/// A header announces an extension other than hop-by-hop alone.
fn has_extension(row: &Row<'_>) -> bool {
    headers(row).any(|header| {
        let next = if header[6] == 0 { header[40] } else { header[6] };
        matches!(next, 0 | 43 | 44 | 51 | 60 | 135 | 139 | 140)
    })
}

/// A header without a length, and with the option of jumbograms.
fn is_jumbogram(row: &Row<'_>) -> bool {
    headers(row).any(|header| header[4..7] == [0; 3] && header[40..].windows(2).any(|option| option == [0xc2, 4]))
}

/// Returns whether the ethertype of a VLAN tag follows the reference's addresses.
fn has_tag(row: &Row<'_>) -> bool {
    let Some(text) = row.expected["ethernet"]["source"].as_str() else { return false };
    let source: Vec<u8> = text.split(':').filter_map(|byte| u8::from_str_radix(byte, 16).ok()).collect();
    let mut frames = row.payload.windows(8).filter(|header| header[..6] == source);
    frames.any(|header| matches!(header[6..], [0x81 | 0x91, 0] | [0x88, 0xa8]))
}

/// Returns whether options of a Geneve header, the tunnel's or an inner one's, do not end at the header's end.
fn odd_geneve_options(row: &Row<'_>) -> bool {
    const PORT: [u8; 2] = 6081_u16.to_be_bytes();
    let Some(tunnel) = row.flow().and_then(|flow| flow.tunnel) else { return false };
    let outer = match tunnel.l4 {
        L4::Udp { source_port, destination_port } if tunnel.protocol == 2 => {
            Some([source_port.to_be_bytes(), destination_port.to_be_bytes()].concat())
        }
        _ => None,
    };
    row.payload.windows(16).enumerate().any(|(at, udp)| {
        let is_geneve = Some(&udp[..4]) == outer.as_deref() || udp[..2] == PORT || udp[2..4] == PORT;
        is_geneve && is_odd(&row.payload[at + 8..])
    })
}

fn is_odd(header: &[u8]) -> bool {
    let end = 8 + usize::from(header[0] & 0x3f) * 4;
    let mut at = 8;
    while at < end {
        let Some(length) = header.get(at + 3) else { return true };
        at += 4 + usize::from(length & 0x1f) * 4;
    }
    at != end
}
