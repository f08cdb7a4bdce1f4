//! Payloads of Cilium's datapath as its monitor socket carries them, of what our own programs never make, too.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use crate::frame::{self, Pair, protocol};
use crate::harness::{pipe, read_frame, write_frame};

/// Writes the file of payloads that [`Harness::monitor_server`](crate::Harness::monitor_server) reads.
pub fn write(path: &Path, payloads: &[Vec<u8>]) -> Result<()> {
    let mut file = std::io::BufWriter::new(std::fs::File::create(path)?);
    payloads.iter().try_for_each(|payload| write_frame(&mut file, payload))?;
    Ok(file.flush()?)
}

/// A debug message of an endpoint.
pub fn debug(kind: u8, endpoint: u16, arguments: [u32; 3]) -> Vec<u8> {
    let mut data = head(2, kind, endpoint);
    data.extend(arguments.iter().flat_map(|argument| argument.to_le_bytes()));
    data
}

/// Returns the first fields of each payload of the datapath but a socket's.
fn head(kind: u8, subtype: u8, endpoint: u16) -> Vec<u8> {
    let mut data = vec![kind, subtype];
    data.extend(endpoint.to_le_bytes());
    data.extend(0x77_u32.to_le_bytes());
    data
}

/// A packet for payloads.
#[derive(Clone, Debug)]
pub struct Packet {
    bytes: Vec<u8>,
    ends: [SocketAddr; 2],
    protocol: u8,
}

impl Packet {
    /// A packet of TCP or UDP, from an address and port to another.
    pub fn new(source: &str, destination: &str, protocol: u8, tcp_flags: u8) -> Self {
        let ends = [source, destination].map(|text| text.parse::<SocketAddr>().expect("an address and a port"));
        let (pair, ports) =
            (Pair { source: ends[0].ip(), destination: ends[1].ip() }, (ends[0].port(), ends[1].port()));
        let segment = match protocol {
            protocol::TCP => frame::tcp(pair, ports, tcp_flags, (1, 2), b"payload"),
            _ => frame::udp(pair, ports, b"payload"),
        };
        let packet = frame::ip(pair, protocol, &segment);
        let bytes = frame::ethernet([2, 0, 0, 0, 0, 2], [2, 0, 0, 0, 0, 1], &[], frame::ethertype(pair), &packet);
        Self { bytes, ends, protocol }
    }

    /// The common header, what `fields` appends, and the packet.
    fn payload(&self, (kind, subtype, endpoint): (u8, u8, u16), fields: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
        let mut data = head(kind, subtype, endpoint);
        let length = u16::try_from(self.bytes.len()).expect("a short packet");
        data.extend(u32::from(length).to_le_bytes());
        data.extend(length.to_le_bytes());
        data.extend([1, 0]);
        fields(&mut data);
        data.extend(&self.bytes);
        data
    }

    fn is_v6(&self) -> bool {
        self.ends[0].is_ipv6()
    }

    /// A trace notification: point, source endpoint and what it goes to, identities, reason.
    pub fn trace(&self, point: u8, (source, target): (u16, u16), (from, to): (u32, u32), reason: u8) -> Vec<u8> {
        self.payload((4, point, source), |data| {
            data.extend([from.to_le_bytes(), to.to_le_bytes()].concat());
            data.extend(target.to_le_bytes());
            data.extend([reason, u8::from(self.is_v6())]);
            // The interface, and no original address.
            data.extend([0; 20]);
        })
    }

    /// A drop from endpoint 101 to 202: reason, identities.
    pub fn drop(&self, reason: u8, (from, to): (u32, u32)) -> Vec<u8> {
        self.payload((1, reason, 101), |data| {
            data.extend([from.to_le_bytes(), to.to_le_bytes(), 202_u32.to_le_bytes()].concat());
            data.extend(1234_u16.to_le_bytes());
            // The file, no error's number, no interface.
            data.extend([2, 0, 0, 0, 0, 0]);
        })
    }

    /// A policy verdict at endpoint 103 of identity 30002: verdict, direction (1: ingress), how it was matched.
    pub fn verdict(&self, verdict: i32, direction: u8, matched: u8, is_audited: bool) -> Vec<u8> {
        let audited = if is_audited { 0x40 } else { 0 };
        self.payload((5, 0, 103), |data| {
            data.extend(30_002_u32.to_le_bytes());
            data.extend(verdict.to_le_bytes());
            data.extend(self.ends[1].port().to_le_bytes());
            let bits = direction | u8::from(self.is_v6()) << 2 | matched << 3 | audited;
            data.extend([self.protocol, bits, 0, 0, 0, 0]);
        })
    }

    /// A capture at endpoint 104: point and its argument.
    pub fn capture(&self, point: u8, argument: u32) -> Vec<u8> {
        self.payload((3, point, 104), |data| {
            data.extend(argument.to_le_bytes());
            data.extend([0; 4]);
        })
    }
}

/// Returns a socket's payload; `point`: before (1) or after (4) a translation.
pub fn socket(point: u8, port: u16) -> Vec<u8> {
    let mut data = vec![7, point, 10, 9, 3, 4];
    data.extend([0; 12]);
    data.extend(port.to_le_bytes());
    data.extend((1_u64 << 40).to_le_bytes());
    data.extend(90_001_u64.to_le_bytes());
    data.extend([1, 0]);
    // A sample's length is a multiple of 8 less 4.
    data.resize(44, 0);
    data
}

/// A proxy's access-log record between two pods: `Type`, `ObservationPoint`, `Verdict` and fields of its protocol.
pub fn access_log(kind: &str, point: &str, verdict: &str, fields: Value) -> Value {
    let mut record = json!({
        "Type": kind, "Timestamp": "2024-05-06T07:08:09.123456789Z", "ObservationPoint": point, "Verdict": verdict,
        "SourceEndpoint": {
            "ID": 107, "IPv4": "10.9.1.1", "Port": 41_001, "Identity": 30_001, "Labels": ["k8s:app=client", "k8s:env=test"],
        },
        "DestinationEndpoint": {
            "ID": 207, "IPv4": "10.9.2.2", "Port": 80, "Identity": 30_002, "Labels": ["k8s:app=web"],
        },
        "TransportProtocol": 6,
    });
    if let (Some(record), Value::Object(fields)) = (record.as_object_mut(), fields) {
        record.extend(fields);
    }
    record
}

/// The payloads of access-log records, encoded by Cilium's own types.
pub fn access_logs(records: &[&Value]) -> Result<Vec<Vec<u8>>> {
    let write = |out: &mut _| records.iter().try_for_each(|record| write_frame(out, record.to_string().as_bytes()));
    let payloads = pipe(&["access-log"], write, |output| {
        let (mut payloads, mut data) = (Vec::new(), Vec::new());
        while read_frame(output, &mut data)? {
            payloads.push(data.clone());
        }
        Ok(payloads)
    })?;
    ensure!(payloads.len() == records.len(), "{} payloads", payloads.len());
    Ok(payloads)
}
