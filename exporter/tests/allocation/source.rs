//! Reading a monitor's socket allocates nothing per event, and writing a recording nothing per event either.

use std::io::Write as _;
use std::os::unix::net::UnixListener;
use std::time::Duration;

use eyepiece::metadata::{LinkTables, Publisher};
use eyepiece::recording;
use eyepiece::recording::{Deps, KernelNameLookup, Open, Recording};
use eyepiece::source::cilium_monitor::{Config, STABLE_AFTER, STALL};
use eyepiece::source::{Source, cilium_monitor};
use eyepiece::support::telemetry::Telemetry;
use eyepiece_flow::event::Event;
use eyepiece_flow::gob::encode::{PAYLOAD_DESCRIPTOR, payload};
use eyepiece_flow::gob::{EVENT_SAMPLE, Payload, RECORD_LOST};
use eyepiece_flow::interner::Symbols;

use crate::counting;

/// Events that are measured, behind as many that warm up.
const EVENTS: usize = 20_000;

struct NoWords;

impl KernelNameLookup for NoWords {
    fn reason(&self, _: u32) -> String {
        String::new()
    }

    fn symbol(&self, _: u64) -> String {
        String::new()
    }
}

fn stream() -> Vec<u8> {
    let mut out = PAYLOAD_DESCRIPTOR.to_vec();
    let data = [4; 184];
    for number in 0..2 * EVENTS {
        let is_loss = number % 100 == 0;
        let (data, kind) = if is_loss { (&[][..], RECORD_LOST) } else { (&data[..], EVENT_SAMPLE) };
        payload(&mut out, &Payload { data, cpu: 3, lost: u64::from(is_loss), kind });
    }
    out
}

/// Allocations of the second half of a stream.
fn allocations(wrap: impl FnOnce(Box<dyn Source>) -> Box<dyn Source>) -> usize {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("m.sock");
    let listener = UnixListener::bind(&path).expect("bind");
    let (source, _) =
        cilium_monitor::build(Config { socket: path, stall: STALL, stable_after: STABLE_AFTER }, &Telemetry::default())
            .expect("a source");
    let mut source = wrap(Box::new(source));
    source.start().expect("start");
    source.read(Duration::ZERO, &mut |_| ()).expect("read");
    let (mut connection, _) = listener.accept().expect("accept");
    let server = std::thread::spawn(move || {
        connection.write_all(&stream()).expect("write");
        connection
    });
    let (mut count, mut start) = (0, 0);
    while count < 2 * EVENTS {
        if count >= EVENTS && start == 0 {
            start = counting::allocations();
        }
        let mut take = |_: &Event<'_>| count += 1;
        source.read(Duration::from_secs(1), &mut take).expect("read");
    }
    drop(server.join().expect("the server"));
    counting::allocations() - start
}

#[test]
fn monitor_events_allocate_nothing() {
    assert_eq!(allocations(|source| source), 0);
}

#[test]
fn recorded_events_reuse_chunks() {
    let folder = tempfile::tempdir().expect("a folder");
    let open = Open { path: folder.path().join("recording"), force: false, max_bytes: None };
    let (chunks, pending) = recording::build(open).expect("a recording");
    let (writer, _) = pending.start().expect("a file");
    let symbols = Symbols::default();
    let context = Deps {
        publisher: Publisher::new(LinkTables::new(&symbols)),
        kernel_names: Box::new(NoWords),
        origin: String::new(),
        now: || 1,
    };
    let count = allocations(|source| Box::new(Recording::new(source, context, chunks)));
    // Chunks of memory are made while the queue fills, far fewer than events.
    assert!(count < EVENTS / 10, "{count} allocations for {EVENTS} events");
    let summary = writer.finish(Duration::from_secs(60));
    assert_eq!(summary.written.events + summary.written.losses, 2 * EVENTS as u64);
}
