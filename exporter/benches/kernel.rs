//! The kernel programs under BPF_PROG_TEST_RUN: ns a packet, and ratios to the least programs of the same run.
//!
//! An empty program costs the harness' loop and one indirect call. That differs by more than twice between machines
//! (mitigations), rises with the kernel's run statistics, and is mostly the clock's cost if each run is timed alone. So
//! each row also shows its cost beyond the empty program, and its ratio to a single look-up.

use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant};

use eyepiece::source::Source as _;
use eyepiece::source::datapath::btf::Btf;
use eyepiece::source::datapath::object::{Object, ProgramConfig};
use eyepiece::source::datapath::reader::Reader;
use eyepiece::source::datapath::{reader, sweep, sys};
use eyepiece::support::telemetry::Number;
use eyepiece_config::{Aggregation, Transport};
use eyepiece_flow::event::{Event, Totals};
use eyepiece_wire::{Connection, Key4, map, program};

use eyepiece_tests::bench_report::{Goal, ROUNDS, goal, heading, row};

/// Runs of one measurement: so many that entering the kernel does not count.
const REPEAT: u32 = 50_000;
/// Events between two looks of the reader: fewer than a perf buffer of 64 pages holds.
const CHUNK: u32 = 800;
/// The number of chunks.
const CHUNKS: u32 = 200;
/// The same for new connections: two protocols' must fit into a table of the default size.
const NEW_CHUNKS: u32 = 60;

/// A program and the packet that it is run on.
struct Case {
    name: String,
    program: OwnedFd,
    packet: Vec<u8>,
    goal: Option<f64>,
}

/// ns of the two least programs.
#[derive(Clone, Copy)]
struct Least {
    empty: f64,
    look_up: f64,
}

fn main() {
    if !nix::unistd::geteuid().is_root() {
        println!("kernel bench: skipped, needs root");
        return;
    }
    heading("program under BPF_PROG_TEST_RUN", &["ns a packet", "over empty", "x empty", "x look-up"]);
    let types = Btf::from_kernel().expect("BTF");
    let least = established(&types);
    let [ring, perf] = [Transport::Ring, Transport::Perf].map(|transport| events(transport, &types, least));
    goal("kernel: TCP over IPv4, an event per packet, ring", ring / least.empty, "x empty", Goal::AtMost(5.5));
    goal("kernel: TCP over IPv4, an event per packet, perf", perf / ring, "x ring", Goal::AtMost(1.2));
    for reader in [false, true] {
        new_connections(reader, &types, least);
    }
}

fn line(name: &str, ns: f64, least: Least) {
    row(name, &[ns, ns - least.empty, ns / least.empty, ns / least.look_up]);
}

/// Packets of connections that are in the table and have been reported; returns the least programs' times.
fn established(types: &Btf) -> Least {
    let settings = ProgramConfig { interval: Duration::from_secs(3600), ..ProgramConfig::default() };
    // Without a reader nothing is ever reported, and each packet would ask for it anew.
    let Reading { mut object, mut reader, _totals } = Reading::start(&settings, types);
    let mut cases = Vec::new();
    for (name, program) in [("empty", program::EMPTY), ("one look-up in the connection table", program::LOOK_UP)] {
        object.classifier(program).expect("program").load().expect("load");
        cases.push(Case {
            name: name.to_owned(),
            program: object.program(program).expect("program"),
            packet: tcp4(0),
            goal: None,
        });
    }
    // Each hook has separate connections: a half belongs to one hook.
    for (hook, name) in [(program::FROM_ENDPOINT, "from-endpoint"), (program::TO_NETWORK, "to-network")] {
        let port = u8::from(hook == program::TO_NETWORK);
        for (kind, packet, goal) in [
            ("TCP over IPv4", tcp4(port), Some(2.4)),
            ("UDP over IPv4", udp4(port), Some(2.4)),
            ("TCP over IPv6", tcp6(port), Some(2.8)),
            ("UDP over IPv6", udp6(port), Some(2.8)),
            ("TCP over IPv4, a VLAN tag in the packet", vlan(&tcp4(port)), None),
        ] {
            let name = format!("{kind}, {name}");
            cases.push(Case { name, program: object.program(hook).expect("program"), packet, goal });
        }
    }
    for case in &mut cases {
        run(&case.program, &mut case.packet, 1);
    }
    assert_eq!(raw_events(&mut reader), cases.len() - 2, "each connection is reported as new");
    let mut best = vec![f64::INFINITY; cases.len()];
    for _ in 0..2 * ROUNDS {
        for (case, best) in cases.iter_mut().zip(&mut best) {
            let start = Instant::now();
            sys::test_run(case.program.as_fd(), &mut case.packet, REPEAT).expect("run");
            *best = best.min(start.elapsed().as_nanos() as f64 / f64::from(REPEAT));
        }
    }
    assert_eq!(raw_events(&mut reader), 0, "aggregated packets make no events");
    let least = Least { empty: best[0], look_up: best[1] };
    for (case, ns) in cases.iter().zip(best) {
        line(&case.name, ns, least);
        if let Some(limit) = case.goal {
            goal(&format!("kernel: {}, aggregated", case.name), ns / least.empty, "x empty", Goal::AtMost(limit));
        }
    }
    // What a tool shows that runs a program once a call: the reading of the clock.
    let once = |case: &mut Case| (0..1000).map(|_| run(&case.program, &mut case.packet, 1)).min().unwrap_or(0);
    for at in [0, 2] {
        let ns = once(&mut cases[at]);
        println!("  ({}, each run timed alone: {ns} ns)", cases[at].name);
    }
    least
}

/// ns a run, as the kernel takes the time.
fn run(program: &OwnedFd, packet: &mut [u8], repeat: u32) -> u32 {
    sys::test_run(program.as_fd(), packet, repeat).expect("run")
}

/// Programs with a reader of their events.
struct Reading {
    object: Object,
    reader: Reader,
    /// The reader wants the sweep's end of it to live.
    _totals: SyncSender<Vec<Totals>>,
}

impl Reading {
    fn start(settings: &ProgramConfig, types: &Btf) -> Self {
        let object = Object::load(settings, types).expect("load");
        let (totals, receiver) = sweep::totals_channel();
        let ring = settings.transport == Transport::Ring;
        let mut reader = Reader::new(reader::Deps {
            transport: settings.transport,
            buffer: object.map(if ring { map::RING } else { map::PERF }).expect("map"),
            emit: object.map(map::EMIT).expect("map"),
            counters: object.map(map::COUNTERS).expect("map"),
            processes: object.map(map::PROCESSES).expect("map"),
            drop_program: None,
            totals: receiver,
            damaged: Number::default(),
        })
        .expect("reader");
        reader.start().expect("start");
        Self { object, reader, _totals: totals }
    }

    /// Runs a program in chunks, the buffer emptied between them; returns the fastest chunk's ns a run.
    fn run(&mut self, name: &'static str, mut packet: Vec<u8>, chunks: u32) -> f64 {
        let program = self.object.program(name).expect("program");
        let mut best = u32::MAX;
        let mut events = 0;
        for _ in 0..chunks {
            best = best.min(run(&program, &mut packet, CHUNK));
            events += raw_events(&mut self.reader);
        }
        assert_eq!(events, (CHUNK * chunks) as usize, "some events were lost: the figure is of no use");
        f64::from(best)
    }
}

/// Empties the buffer; returns how many events it held, without losses.
fn raw_events(reader: &mut Reader) -> usize {
    let mut events = 0;
    let mut count = |event: &Event<'_>| events += usize::from(matches!(event, Event::Raw(_)));
    reader.read(Duration::ZERO, &mut count).expect("read");
    events
}

/// An event for every packet, over ring or perf; returns TCP over IPv4's ns.
fn events(transport: Transport, types: &Btf, least: Least) -> f64 {
    let settings = ProgramConfig { transport, aggregation: Aggregation::None, ..ProgramConfig::default() };
    let mut reading = Reading::start(&settings, types);
    let mut first = 0.0;
    for (name, packet) in [("TCP over IPv6", tcp6(0)), ("TCP over IPv4", tcp4(0))] {
        first = reading.run(program::FROM_ENDPOINT, packet, CHUNKS);
        line(&format!("{name}, an event per packet, {transport:?}"), first, least);
    }
    first
}

/// Every packet is a new connection: a slow path, an insertion into the table, and with a reader an event.
///
/// A test run repeats one packet, so the program changes its source address first; what that costs is taken off.
fn new_connections(with_reader: bool, types: &Btf, least: Least) {
    let mut reading = Reading::start(&ProgramConfig::default(), types);
    for name in [program::RENUMBER, program::NEW] {
        reading.object.classifier(name).expect("program").load().expect("load");
    }
    let renumber = reading.object.program(program::RENUMBER).expect("program");
    let alone = (0..ROUNDS).map(|_| run(&renumber, &mut syn4(), REPEAT)).min().unwrap_or(0);
    let extra = f64::from(alone) - least.empty;
    if !with_reader {
        reading.reader.stop();
    }
    for (name, packet) in [("TCP SYN over IPv4", syn4()), ("UDP over IPv4", udp4(0))] {
        let (ns, with) = if with_reader {
            (reading.run(program::NEW, packet, NEW_CHUNKS), "and its event, Ring")
        } else {
            let program = reading.object.program(program::NEW).expect("program");
            let mut packet = packet;
            let best = (0..NEW_CHUNKS).map(|_| run(&program, &mut packet, CHUNK)).min().unwrap_or(0);
            (f64::from(best), "no reader")
        };
        line(&format!("{name}, each a new connection, {with}"), ns - extra, least);
    }
    let mut entries = 0;
    let table = reading.object.map(map::CONNECTIONS4).expect("map");
    sys::BatchReader::<Key4, Connection>::new(1).read(table.as_fd(), |_, _| entries += 1).expect("read");
    assert_eq!(entries, 2 * CHUNK * NEW_CHUNKS, "not every packet made an entry: the figure is of no use");
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

/// A segment from a new port, with these flags.
fn tcp(port: u8, flags: u8) -> Vec<u8> {
    let mut segment = vec![0x9c, port, 0, 80, 0, 0, 0, 1, 0, 0, 0, 1, 0x50, flags, 1, 0, 0, 0, 0, 0];
    segment.extend([0x55; 100]);
    segment
}

fn udp(port: u8) -> Vec<u8> {
    let mut datagram = vec![0x9c, port, 0, 53, 0, 108, 0, 0];
    datagram.extend([0x55; 100]);
    datagram
}

fn tcp4(port: u8) -> Vec<u8> {
    ipv4(6, &tcp(port, 0x10))
}

fn syn4() -> Vec<u8> {
    ipv4(6, &tcp(0, 0x02))
}

fn udp4(port: u8) -> Vec<u8> {
    ipv4(17, &udp(port))
}

fn tcp6(port: u8) -> Vec<u8> {
    ipv6(6, &tcp(port, 0x10))
}

fn udp6(port: u8) -> Vec<u8> {
    ipv6(17, &udp(port))
}

fn vlan(frame: &[u8]) -> Vec<u8> {
    let mut tagged = frame[..12].to_vec();
    tagged.extend([0x81, 0, 0, 7]);
    tagged.extend(&frame[12..]);
    tagged
}
