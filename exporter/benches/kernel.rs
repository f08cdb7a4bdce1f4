//! The kernel programs under BPF_PROG_TEST_RUN: ns a packet, and the ratio to an empty program in the same run.

use std::os::fd::AsFd as _;
use std::time::Duration;

use eyepiece::source::Source as _;
use eyepiece::source::datapath::btf::Btf;
use eyepiece::source::datapath::object::{Object, Settings, Transport};
use eyepiece::source::datapath::reader::{self, Reader};
use eyepiece::source::datapath::{sweep, sys};
use eyepiece::telemetry::Number;
use eyepiece_wire::{Aggregation, map, program};

/// Runs of one measurement; the kernel gives their mean.
const REPEAT: u32 = 1_000_000;
/// Measurements of each program; the smallest is shown: noise only adds.
const ROUNDS: usize = 5;
/// Events between two looks of the reader: fewer than a perf buffer of 64 pages holds.
const CHUNK: u32 = 800;
/// How often.
const CHUNKS: u32 = 200;

fn main() {
    if !nix::unistd::geteuid().is_root() {
        println!("kernel bench: skipped, needs root");
        return;
    }
    println!("{:<44} {:>8} {:>8}", "program under BPF_PROG_TEST_RUN", "ns", "x empty");
    let aggregated = Settings { interval: Duration::from_secs(3600), ..Settings::default() };
    let types = Btf::from_kernel().expect("BTF");
    let mut object = Object::load(&aggregated, &types).expect("load");
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
        events(&settings, &types, empty);
    }
}

/// An event for every packet, over ring or perf; the buffer is emptied between the measured runs.
fn events(settings: &Settings, types: &Btf, empty: u32) {
    let mut object = Object::load(settings, types).expect("load");
    let (totals, receiver) = sweep::totals_channel();
    let ring = settings.transport == Transport::Ring;
    let mut reader = Reader::new(reader::Parts {
        transport: settings.transport,
        buffer: object.map(if ring { map::RING } else { map::PERF }).expect("map"),
        emit: object.map(map::EMIT).expect("map"),
        counters: object.map(map::COUNTERS).expect("map"),
        drop_program: None,
        totals: receiver,
        damaged: Number::default(),
    })
    .expect("reader");
    reader.start().expect("start");
    let program = object.program(program::FROM_ENDPOINT).expect("program");
    for (name, mut packet) in [("tcp4", tcp4()), ("tcp6", tcp6())] {
        let mut best = u32::MAX;
        let mut events = 0;
        for _ in 0..CHUNKS {
            best = best.min(sys::test_run(program.as_fd(), &mut packet, CHUNK).expect("run"));
            events += reader.read(Duration::ZERO, &mut |_| ()).expect("read");
        }
        row(&format!("{name}, an event per packet, {:?}", settings.transport), best, empty);
        assert!(events >= (CHUNK * CHUNKS) as usize, "{events} events: some were lost, the figure is of no use");
    }
    drop(totals);
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
