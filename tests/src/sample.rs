//! Flows that tests and benches start from.

use std::net::IpAddr;

use eyepiece_flow::event::TrafficDelta;
use eyepiece_flow::flow::{Direction, EventType, Flow, Ip, L4, Layer, TcpFlags, Verdict};
use eyepiece_wire::Hook;

/// Addresses of a packet, of the source's version.
pub fn ip(source: impl Into<IpAddr>, destination: impl Into<IpAddr>) -> Ip {
    let source = source.into();
    let version = if source.is_ipv4() { 4 } else { 6 };
    Ip { source, source_translated: None, destination: destination.into(), version }
}

/// Returns the traffic that a hook counted at an interface, of packets that came in by another. None was held back.
pub fn traffic(hook: Hook, (ifindex, ingress_ifindex): (u32, u32), (packets, bytes): (u64, u64)) -> TrafficDelta {
    TrafficDelta { packets, bytes, ..TrafficDelta::none(hook, ifindex, ingress_ifindex) }
}

/// The `number`th flow of TCP over IPv4, with what every source knows of it.
pub fn established(number: usize) -> Flow {
    let low = number.to_le_bytes();
    let mut flow = Flow::empty(EventType { kind: 4, subtype: 0 });
    flow.time = 1_700_000_000_123_456_789 + number as u64;
    flow.uuid = std::array::from_fn(|index| low[index % 8].wrapping_mul(31).wrapping_add(index as u8));
    flow.verdict = Verdict::Forwarded;
    flow.observation_point = Some(0);
    flow.trace_reason = Some(1);
    flow.is_reply = Some(number % 2 == 1);
    flow.direction = Direction::Ingress;
    flow.last_layer = Layer::L4;
    flow.ifindex = 17;
    flow.ip = Some(ip([10, 0, low[1], low[0]], [10, 96, 0, 10]));
    let source_port = 32_768 + (number % 20_000) as u16;
    flow.l4 = L4::Tcp { source_port, destination_port: 443, flags: TcpFlags(TcpFlags::ACK | TcpFlags::PSH) };
    flow
}
