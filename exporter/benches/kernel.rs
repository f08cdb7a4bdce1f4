//! The kernel programs under BPF_PROG_TEST_RUN: ns a packet, and the ratio to an empty program in the same run.

use std::os::fd::AsFd as _;
use std::time::Duration;

use eyepiece::source::datapath::object::{Object, Settings, Transport};
use eyepiece::source::datapath::sys;
use eyepiece_wire::{Aggregation, map, program};

/// Runs of one measurement; the kernel gives their mean.
const REPEAT: u32 = 1_000_000;
/// Measurements of each program; the smallest is shown: noise only adds.
const ROUNDS: usize = 5;

fn main() {
    if !nix::unistd::geteuid().is_root() {
        println!("kernel bench: skipped, needs root");
        return;
    }
    println!("{:<44} {:>8} {:>8}", "program under BPF_PROG_TEST_RUN", "ns", "x empty");
    let aggregated = Settings { interval: Duration::from_secs(3600), ..Settings::default() };
    let mut object = Object::load(&aggregated).expect("load");
    object.classifier(program::EMPTY).expect("program").load().expect("load");
    let empty = measure(&mut object, program::EMPTY, &mut tcp4());
    row("empty", empty, empty);
    for (name, mut packet) in [
        ("tcp4", tcp4()),
        ("udp4", udp4()),
        ("tcp6", tcp6()),
        ("udp6", udp6()),
        ("tcp4, VLAN in packet", vlan(&tcp4())),
    ] {
        let ns = measure(&mut object, program::FROM_ENDPOINT, &mut packet);
        row(&format!("{name} established, aggregated"), ns, empty);
        let ns = measure(&mut object, program::TO_NETWORK, &mut packet);
        row(&format!("{name} established, aggregated, to-network"), ns, empty);
    }
    for transport in [Transport::Ring, Transport::Perf] {
        let settings = Settings { transport, aggregation: Aggregation::None, ..Settings::default() };
        events(&settings, empty);
    }
}

/// An event for every packet, nobody reading fast enough to matter: the ring is as large as what is written.
fn events(settings: &Settings, empty: u32) {
    let settings = Settings { buffer: 1 << 28, ..settings.clone() };
    let mut object = Object::load(&settings).expect("load");
    let emit = object.map(map::EMIT).expect("map");
    sys::update(emit.as_fd(), &0_u32, &1_u32).expect("emit");
    if settings.transport == Transport::Perf {
        println!("(perf: see the pipeline bench, it needs readers)");
        return;
    }
    // 2^28 bytes hold a million records of 256 bytes.
    let program =
        object.classifier(program::FROM_ENDPOINT).expect("program").fd().expect("fd").try_clone().expect("fd");
    let ns = sys::test_run(program.as_fd(), &mut tcp4(), 900_000).expect("run");
    row(&format!("tcp4, an event per packet, {:?}", settings.transport), ns, empty);
}

fn measure(object: &mut Object, name: &'static str, packet: &mut [u8]) -> u32 {
    let program = object.program(name).expect("program");
    (0..ROUNDS).map(|_| sys::test_run(program.as_fd(), packet, REPEAT).expect("run")).min().unwrap_or(0)
}

fn row(name: &str, ns: u32, empty: u32) {
    println!("{name:<44} {ns:>8} {:>8.2}", f64::from(ns) / f64::from(empty.max(1)));
}

fn ethernet(ethertype: u16, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
    frame.extend(ethertype.to_be_bytes());
    frame.extend(payload);
    frame
}

fn ipv4(protocol: u8, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x45, 0];
    packet.extend((20 + payload.len() as u16).to_be_bytes());
    packet.extend([0, 1, 0x40, 0, 64, protocol, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
    packet.extend(payload);
    ethernet(0x0800, &packet)
}

fn ipv6(protocol: u8, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x60, 0, 0, 0];
    packet.extend((payload.len() as u16).to_be_bytes());
    packet.extend([protocol, 64]);
    for last in [1, 2] {
        packet.extend([0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last]);
    }
    packet.extend(payload);
    ethernet(0x86dd, &packet)
}

fn tcp() -> Vec<u8> {
    let mut segment = vec![0x9c, 0x40, 0, 80, 0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x10, 1, 0, 0, 0, 0, 0];
    segment.extend([0x55; 100]);
    segment
}

fn udp() -> Vec<u8> {
    let mut datagram = vec![0x9c, 0x40, 0, 53, 0, 108, 0, 0];
    datagram.extend([0x55; 100]);
    datagram
}

fn tcp4() -> Vec<u8> {
    ipv4(6, &tcp())
}

fn udp4() -> Vec<u8> {
    ipv4(17, &udp())
}

fn tcp6() -> Vec<u8> {
    ipv6(6, &tcp())
}

fn udp6() -> Vec<u8> {
    ipv6(17, &udp())
}

fn vlan(frame: &[u8]) -> Vec<u8> {
    let mut tagged = frame[..12].to_vec();
    tagged.extend([0x81, 0, 0, 7]);
    tagged.extend(&frame[12..]);
    tagged
}
