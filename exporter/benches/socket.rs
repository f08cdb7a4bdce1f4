//! Events per second from a socket through to counted flows on one core: a monitor's stream in, series out.
//!
//! `cargo bench -p eyepiece --bench socket`. The server writes bytes that are encoded already, from the other core.

use std::io::Write as _;
use std::net::IpAddr;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::time::{Duration, Instant};

use eyepiece::metadata::{LinkTables, Publisher};
use eyepiece::pipeline;
use eyepiece::pipeline::metrics::Aggregation;
use eyepiece::pipeline::{Deps, metrics};
use eyepiece::source::cilium_monitor::{CiliumMonitor, Config, STABLE_AFTER, STALL};
use eyepiece::source::{Source, Waker, cilium_monitor};
use eyepiece::support::clock::unix_now;
use eyepiece::support::telemetry::Telemetry;
use eyepiece_flow::cilium_release::Producer;
use eyepiece_flow::event::Event;
use eyepiece_flow::gob::encode::{PAYLOAD_DESCRIPTOR, payload};
use eyepiece_flow::gob::{EVENT_SAMPLE, Payload};
use eyepiece_flow::interner::Symbols;

use eyepiece_tests::bench_report::{heading, pin, row};

/// Events of one measurement.
const EVENTS: u64 = 5_000_000;
/// Bytes of a trace.
const SIZES: [usize; 2] = [184, 102];
/// Runs of each, in turns; the best is shown.
const RUNS: usize = 3;
/// Events that the server writes at once, as an agent's kernel queue holds them.
const BURST: u64 = 1000;

fn main() {
    let mut rates = [0.0_f64; 2];
    for _ in 0..RUNS {
        for (rate, size) in rates.iter_mut().zip(SIZES) {
            *rate = rate.max(measure(size));
        }
    }
    heading("monitor socket to counted flows, one core, logs off", &["events/s", "ns an event"]);
    for (rate, size) in rates.into_iter().zip(SIZES) {
        row(&format!("traces of {size} bytes"), &[rate, 1e9 / rate]);
    }
}

/// The source on core 0.
struct Pinned(CiliumMonitor, bool);

impl Source for Pinned {
    fn start(&mut self) -> std::io::Result<()> {
        self.0.start()
    }

    fn stop(&mut self) {
        self.0.stop();
    }

    fn read(&mut self, timeout: Duration, sink: &mut dyn FnMut(&Event<'_>)) -> std::io::Result<usize> {
        if !std::mem::replace(&mut self.1, true) {
            pin(0);
        }
        self.0.read(timeout, sink)
    }

    fn waker(&self) -> Waker {
        self.0.waker()
    }
}

fn measure(size: usize) -> f64 {
    let folder = std::env::temp_dir().join(format!("eyepiece-bench-{}-{size}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let path = folder.join("m.sock");
    let listener = UnixListener::bind(&path).expect("bind");
    let telemetry = Telemetry::default();
    let (handle, thread) = start(&path, &telemetry);
    handle.start().expect("start");
    let (mut connection, _) = listener.accept().expect("accept");
    let server = std::thread::spawn(move || {
        pin(1);
        let burst = burst(size);
        connection.write_all(PAYLOAD_DESCRIPTOR).expect("write");
        let start = Instant::now();
        for _ in 0..EVENTS / BURST {
            connection.write_all(&burst).expect("write");
        }
        (start, connection)
    });
    let parsed = telemetry.counter(eyepiece_semconv::metric::EYEPIECE_FLOWS_PARSED.name, &[]);
    while parsed.get() < EVENTS {
        std::thread::sleep(Duration::from_micros(200));
    }
    let end = Instant::now();
    let (start, connection) = server.join().expect("the server");
    drop((handle, connection));
    thread.join().expect("thread").expect("source");
    std::fs::remove_dir_all(&folder).expect("remove");
    EVENTS as f64 / end.duration_since(start).as_secs_f64()
}

fn start(path: &Path, telemetry: &Telemetry) -> (pipeline::Handle, std::thread::JoinHandle<std::io::Result<()>>) {
    let config = Config { socket: path.to_owned(), stall: STALL, stable_after: STABLE_AFTER };
    let (source, _) = cilium_monitor::build(config, telemetry).expect("a source");
    let symbols = Symbols::default();
    let parts = Deps {
        source: Box::new(Pinned(source, false)),
        producer: Producer::default(),
        source_kind: "bench",
        names: Publisher::new(LinkTables::new(&symbols)).reader(),
        symbols: symbols.clone(),
        learn: Box::new(|_, _: IpAddr, _| {}),
        learn_process: Box::new(|_| {}),
        aggregation: Aggregation::new(metrics::Config::default(), unix_now()),
        event_handlers: Vec::new(),
        sinks: Vec::new(),
        telemetry: telemetry.clone(),
        now: unix_now,
    };
    pipeline::spawn(parts).expect("pipeline")
}

/// So many messages, of 64 connections in both directions.
fn burst(size: usize) -> Vec<u8> {
    let mut out = Vec::new();
    for number in 0..BURST {
        let data = trace((number % 64) as u16, number % 2 == 1, size);
        payload(&mut out, &Payload { data: &data, cpu: (number % 4) as i64, lost: 0, kind: EVENT_SAMPLE });
    }
    out
}

/// A trace notification of an agent up to 1.18, and a TCP segment.
fn trace(connection: u16, reply: bool, size: usize) -> Vec<u8> {
    let (from, to) = if reply { (2, 1) } else { (1, 2) };
    let mut packet = vec![2, 0, 0, 0, 0, to, 2, 0, 0, 0, 0, from, 8, 0];
    packet.extend([0x45, 0, 0, (size - 62) as u8, 0, 1, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, from, 10, 0, 0, to]);
    let ports = if reply { [443, 30_000 + connection] } else { [30_000 + connection, 443] };
    packet.extend(ports.iter().flat_map(|port| port.to_be_bytes()));
    packet.extend([0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x18, 1, 0, 0, 0, 0, 0]);
    packet.resize(size - 48, 0x55);
    let mut data = vec![0; 48];
    (data[0], data[1], data[14], data[26]) = (4, if reply { 0 } else { 5 }, 1, if reply { 2 } else { 1 });
    data[8..12].copy_from_slice(&(packet.len() as u32).to_le_bytes());
    data[12..14].copy_from_slice(&(packet.len() as u16).to_le_bytes());
    [data, packet].concat()
}
