//! Generated payloads in the fixed world, against Hubble's own parser with the same world.

use std::io::Read;
use std::net::IpAddr;

use eyepiece::pipeline::enrich;
use eyepiece_flow::cilium_release::{Producer, Release};
use eyepiece_flow::decode;
use eyepiece_flow::decode::Pairing;
use eyepiece_flow::event::RawEvent;
use eyepiece_flow::lookup::{BatchLookup, NoLookup};
use eyepiece_flow::record::Observed;
use eyepiece_tests::harness::{NAME, pipe, write_frame};
use eyepiece_tests::needs_peers;
use eyepiece_tests::notification::{capture, drop, ethernet, ipv4, ipv6, tcp, trace, udp_ports, verdict};
use eyepiece_tests::reference::json;
use serde_json::{Map, Value};

use crate::world;

const PAYLOADS: usize = 100_000;
/// The fields that names decide.
const FIELDS: [&str; 8] = [
    "source",
    "destination",
    "source_names",
    "destination_names",
    "source_service",
    "destination_service",
    "traffic_direction",
    "interface",
];
/// Addresses of the world: endpoints, other nodes' pods, nodes, services, names of DNS, and ones that nothing knows.
const ADDRESSES: [&str; 22] = [
    "10.0.0.11",
    "10.0.0.12",
    "10.0.0.13",
    "10.0.0.14",
    "10.0.0.15",
    "10.0.0.1",
    "10.0.1.21",
    "10.0.1.22",
    "192.168.1.1",
    "192.168.1.2",
    "192.168.1.10",
    "1.1.1.1",
    "1.1.1.7",
    "8.8.8.8",
    "93.184.216.34",
    "10.96.0.10",
    "10.96.0.80",
    "203.0.113.9",
    "fd00::a00:b",
    "fd00::a00:115",
    "fd00::6000:50",
    "2606:4700::1111",
];
const IDENTITIES: [u32; 14] = [0, 0, 0, 1, 2, 6, 7, 2001, 2002, 3001, 16_777_217, 16_777_218, 33_554_433, 999_999];
const PORTS: [u16; 5] = [53, 80, 443, 0, 40_000];

struct Generator(fastrand::Rng);

impl Generator {
    fn choice<T: Copy>(&mut self, values: &[T]) -> T {
        values[self.0.usize(..values.len())]
    }

    fn address(&mut self, is_ipv6: bool) -> IpAddr {
        loop {
            let address: IpAddr = self.choice(&ADDRESSES).parse().expect("an address");
            if address.is_ipv6() == is_ipv6 {
                return address;
            }
        }
    }

    fn payload(&mut self) -> Vec<u8> {
        let is_ipv6 = self.0.u8(..4) == 0;
        let identities = [self.choice(&IDENTITIES), self.choice(&IDENTITIES)].map(u32::to_le_bytes);
        let endpoint = self.choice(&[0, 101, 102, 104, 1, 777_u16]).to_le_bytes();
        let packet = self.packet(is_ipv6);
        match self.0.u8(..8) {
            0..4 => {
                let version = self.0.u8(..2);
                let point = self.choice(&[0, 1, 2, 3, 4, 5, 10, 11]);
                let interface = u32::from(self.choice(&[0, 1, 2, 3, 4, 11, 12, 70_u8])).to_le_bytes();
                let mut notification = trace(version)
                    .set(1, &[point])
                    .set(2, &endpoint)
                    .set(16, &identities[0])
                    .set(20, &identities[1])
                    .set(26, &[self.0.u8(..5)])
                    .set(27, &[u8::from(is_ipv6)])
                    .set(28, &interface);
                // The address before translation.
                if version == 1 && self.0.u8(..3) == 0 {
                    notification = match self.address(is_ipv6) {
                        IpAddr::V4(address) => notification.set(32, &address.octets()),
                        IpAddr::V6(address) => notification.set(32, &address.octets()),
                    };
                }
                notification.packet(&packet)
            }
            4 | 5 => {
                let notification = drop(self.0.u8(..2)).set(2, &endpoint);
                notification.set(16, &identities[0]).set(20, &identities[1]).packet(&packet)
            }
            6 => {
                let notification = verdict(32).set(2, &endpoint).set(16, &identities[0]);
                notification.set(27, &[self.0.u8(..4)]).packet(&packet)
            }
            _ => capture(self.0.u8(4..12)).set(2, &endpoint).packet(&packet),
        }
    }

    fn packet(&mut self, is_ipv6: bool) -> Vec<u8> {
        let ports = [self.choice(&PORTS), self.choice(&PORTS)];
        let (protocol, payload) = if self.0.bool() {
            let mut segment = tcp(0x12);
            segment[..2].copy_from_slice(&ports[0].to_be_bytes());
            segment[2..4].copy_from_slice(&ports[1].to_be_bytes());
            (6, segment)
        } else {
            (17, udp_ports(ports[0], ports[1], b"payload"))
        };
        let (ethertype, mut packet, start) =
            if is_ipv6 { (0x86dd, ipv6(protocol, &payload), 8) } else { (0x0800, ipv4(protocol, &payload), 12) };
        let mut at = start;
        for _ in 0..2 {
            let bytes = match self.address(is_ipv6) {
                IpAddr::V4(address) => address.octets().to_vec(),
                IpAddr::V6(address) => address.octets().to_vec(),
            };
            packet[at..at + bytes.len()].copy_from_slice(&bytes);
            at += bytes.len();
        }
        ethernet(ethertype, &packet)
    }
}

#[test]
fn generated_names_resolve_as_hubble() {
    needs_peers!(NAME);
    let mut generator = Generator(fastrand::Rng::with_seed(7));
    let payloads: Vec<Vec<u8>> = (0..PAYLOADS).map(|_| generator.payload()).collect();
    let write = |out: &mut _| payloads.iter().try_for_each(|payload| write_frame(out, payload));
    let read = |input: &mut _| {
        let mut lines = String::new();
        Read::read_to_string(input, &mut lines)?;
        Ok(lines)
    };
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/vectors/world.json");
    let lines = pipe(&["parse", "-world", path], write, read).expect("lines of JSON");
    assert_eq!(lines.lines().count(), PAYLOADS);
    let names = world::snapshot();
    let lookup = BatchLookup { batch: Some(&*names), machine: &NoLookup };
    let (mut with_pod, mut with_names, mut differences) = (0, 0, Vec::new());
    for (payload, line) in payloads.iter().zip(lines.lines()) {
        let event = RawEvent { time: 0, cpu: 0, data: payload, traffic: None, kernel_drop: None };
        let decoded = decode::decode(&event, Producer::from(Release::V1_15), &mut Pairing::new(1));
        let Ok(Observed::Flow(mut flow)) = decoded else { panic!("a flow: {decoded:?}") };
        enrich::enrich(&mut flow, &names);
        // 1.15 does not ask whether there was an address before translation.
        flow.original_ip = false;
        flow.direction = decode::direction(&flow);
        let mut ours = json::named(&Observed::Flow(flow), &lookup);
        let mut theirs: Value = serde_json::from_str(line).expect("JSON");
        world::align(&mut ours, &mut theirs);
        let (ours, theirs) = (of_names(&ours), of_names(&theirs));
        with_pod += usize::from(line.contains("pod_name"));
        with_names += usize::from(line.contains("_names"));
        if ours != theirs {
            differences.push(format!("{payload:02x?}\n  ours   {ours:?}\n  theirs {theirs:?}"));
        }
    }
    println!("{PAYLOADS} payloads, {with_pod} with a pod, {with_names} with DNS names");
    let shown = differences[..differences.len().min(5)].join("\n");
    assert!(differences.is_empty(), "{} differ:\n{shown}", differences.len());
    assert!(with_pod > PAYLOADS / 2 && with_names > PAYLOADS / 10, "{with_pod} {with_names}");
}

/// The fields that names decide, without those that 1.15's messages or the world of its parser lack.
fn of_names(flow: &Value) -> Map<String, Value> {
    let fields = flow.as_object().into_iter().flatten().filter(|(key, _)| FIELDS.contains(&key.as_str()));
    let mut fields: Map<String, Value> = fields.map(|(key, value)| (key.clone(), value.clone())).collect();
    for end in ["source", "destination"] {
        if let Some(end) = fields.get_mut(end).and_then(Value::as_object_mut) {
            end.retain(|key, _| key != "cluster_name" && key != "workloads");
        }
    }
    fields
}
