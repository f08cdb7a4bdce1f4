//! A source that gives the records of the same packets again and again, as fast as the pipeline takes them.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use eyepiece::metadata::{InterfaceInfo, LinkTables};
use eyepiece::source::datapath::record;
use eyepiece::source::{Source, Waker};
use eyepiece::support::clock::Clock;
use eyepiece_flow::event::Event;
use eyepiece_flow::interner::Symbols;
use eyepiece_tests::bench_report::pin;
use eyepiece_wire::{AnsweredBy, Header, Hook, InterfaceKind, NOTIFY_TRACE, TraceNotify};

/// Different records that the source repeats: 64 connections, both directions, at two endpoints.
const RECORDS: usize = 256;
/// Events of a read from a busy ring.
const BURST: usize = 4096;
/// Between two looks at a gate.
const POLL: Duration = Duration::from_micros(100);

/// Lets the source begin, and shows that it has given all events.
#[derive(Default)]
pub(crate) struct Gate {
    is_open: AtomicBool,
    is_done: AtomicBool,
}

impl Gate {
    pub(crate) fn open(&self) {
        self.is_open.store(true, Ordering::Release);
    }

    /// Waits until the pipeline asks for more events than there are.
    pub(crate) fn wait(&self) {
        while !self.is_done.load(Ordering::Acquire) {
            std::thread::sleep(POLL);
        }
    }
}

/// The source, on core 0.
pub(crate) struct Repeat {
    records: Vec<Vec<u8>>,
    left: u64,
    waker: Waker,
    gate: Arc<Gate>,
    is_pinned: bool,
}

impl Repeat {
    /// Returns a source of so many events, and its gate.
    pub(crate) fn new(events: u64) -> (Self, Arc<Gate>) {
        let gate = Arc::<Gate>::default();
        let (records, waker) = (records(), Waker::new().expect("waker"));
        (Self { records, left: events, waker, gate: Arc::clone(&gate), is_pinned: false }, gate)
    }

    /// Bytes of a record.
    pub(crate) fn record_bytes(&self) -> usize {
        self.records[0].len()
    }
}

impl Source for Repeat {
    fn start(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn stop(&mut self) {}

    fn read(&mut self, _: Duration, sink: &mut dyn FnMut(&Event<'_>)) -> io::Result<usize> {
        if !std::mem::replace(&mut self.is_pinned, true) {
            pin(0);
        }
        while !self.gate.is_open.load(Ordering::Acquire) {
            std::thread::sleep(POLL);
        }
        if self.left == 0 {
            self.gate.is_done.store(true, Ordering::Release);
            std::thread::sleep(POLL);
            return Ok(0);
        }
        let clock = Clock::now();
        let count = usize::try_from(self.left).unwrap_or(BURST).min(BURST);
        for record in self.records.iter().cycle().take(count) {
            sink(&record::decode(record, clock).expect("a record"));
        }
        self.left -= count as u64;
        Ok(count)
    }

    fn waker(&self) -> Waker {
        self.waker.clone()
    }
}

/// The endpoints of the records.
pub(crate) fn links(symbols: &Symbols) -> LinkTables {
    let mut links = LinkTables::new(symbols);
    for (ifindex, endpoint, name) in [(2, 1, "veth1"), (3, 2, "veth2")] {
        let info = InterfaceInfo { name: symbols.intern(name), kind: InterfaceKind::Endpoint, endpoint };
        links.add_interface(ifindex, info);
        links.add_endpoint_address(IpAddr::from([10, 0, 0, endpoint as u8]), endpoint, false);
    }
    links
}

fn records() -> Vec<Vec<u8>> {
    (0..RECORDS)
        .map(|index| {
            let (connection, reply, there) = ((index / 4) as u16, index & 1 == 1, index & 2 == 2);
            let hook = if there == reply { Hook::FromEndpoint } else { Hook::ToEndpoint };
            let packet = packet(connection, reply);
            let header = Header {
                time: 1_000_000 + index as u64,
                packets: 3,
                bytes: 4000,
                ifindex: if there { 3 } else { 2 },
                ingress_ifindex: if reply { 3 } else { 2 },
                data_len: (size_of::<TraceNotify>() + packet.len()) as u32,
                cpu: 0,
                hook: hook as u8,
                answered_by: AnsweredBy::Unknown as u8,
                ..Header::default()
            };
            let notify = TraceNotify {
                kind: NOTIFY_TRACE,
                observation_point: if hook == Hook::FromEndpoint { 5 } else { 0 },
                source: if there { 2 } else { 1 },
                len_orig: packet.len() as u32,
                len_cap: packet.len() as u16,
                version: 1,
                reason: if reply { 2 } else { 1 },
                ifindex: header.ifindex,
                ..TraceNotify::default()
            };
            [bytes(&header), bytes(&notify), packet].concat()
        })
        .collect()
}

fn bytes<T: Copy>(value: &T) -> Vec<u8> {
    // SAFETY: wire structs are plain data without hidden padding.
    unsafe { std::slice::from_raw_parts(std::ptr::from_ref(value).cast::<u8>(), size_of::<T>()) }.to_vec()
}

/// A TCP segment with 74 bytes of payload.
fn packet(connection: u16, reply: bool) -> Vec<u8> {
    let (from, to) = if reply { (2, 1) } else { (1, 2) };
    let mut packet = vec![2, 0, 0, 0, 0, to, 2, 0, 0, 0, 0, from, 8, 0];
    packet.extend([0x45, 0, 0, 114, 0, 1, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, from, 10, 0, 0, to]);
    let ports = if reply { [443, 30_000 + connection] } else { [30_000 + connection, 443] };
    packet.extend(ports.iter().flat_map(|port| port.to_be_bytes()));
    packet.extend([0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x18, 1, 0, 0, 0, 0, 0]);
    packet.extend([0x55; 74]);
    packet
}
