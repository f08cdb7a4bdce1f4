//! The sweeper: takes totals that no event carried, removes idle connections in two phases, reads the kernel's counters.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use eyepiece_wire::{
    Connection, Counter, DropKey, Half, Hook, Key4, Key6, Mark, SWEEP_ALIVE, SWEEP_BATCH, SWEEP_KILL, SWEEP_TAKE,
    SweepHeader, SweepItem4, SweepItem6, SweepTotals, Untracked, UntrackedKey,
};

use super::kernel_names::KernelNames;
use super::sys::{self, BatchReader, Plain};
use crate::event::{Meter, Totals};
use crate::source::Waker;
use crate::telemetry::{Number, Telemetry};

/// Lists of totals that wait for the pipeline. The sweeper waits when it is full: the totals stay where they are.
pub const TOTALS_QUEUE: usize = 64;
/// How often the table is looked at. Also the grace between marking an entry dead and removing it: far longer than any
/// program that has looked it up before still runs.
const PERIOD: Duration = Duration::from_secs(1);
/// Grace at the end, when all programs are detached: longer than any that still runs.
const LAST_GRACE: Duration = Duration::from_millis(20);

/// After how long without a packet a connection is forgotten.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// TCP.
    pub tcp: Duration,
    /// UDP and the other protocols with ports.
    pub udp: Duration,
    /// Everything else, and TCP after a FIN or RST.
    pub other: Duration,
}

/// What the sweeper works on.
#[derive(Debug)]
pub struct Parts {
    /// `EP_CONN4`.
    pub connections4: OwnedFd,
    /// `EP_CONN6`.
    pub connections6: OwnedFd,
    /// `EP_UNTRACKED`.
    pub untracked: OwnedFd,
    /// `EP_DROPS`.
    pub drops: OwnedFd,
    /// `EP_COUNTERS`.
    pub counters: OwnedFd,
    /// The sweep program.
    pub program: OwnedFd,
    /// How long unreported totals of a live connection may wait.
    pub interval: Duration,
    /// How long an unanswered connection at an uplink is held back.
    pub hold: Duration,
    /// When connections are forgotten.
    pub timeouts: Timeouts,
    /// Names of drop reasons.
    pub names: KernelNames,
    /// Where counters are kept.
    pub telemetry: Telemetry,
    /// Wakes the pipeline when totals wait for it.
    pub waker: Waker,
    /// Where totals go.
    pub totals: SyncSender<Vec<Totals>>,
}

/// A channel for totals.
pub fn totals_channel() -> (SyncSender<Vec<Totals>>, Receiver<Vec<Totals>>) {
    sync_channel(TOTALS_QUEUE)
}

/// The running sweeper. Stopping it takes everything out of the table.
#[derive(Debug)]
pub struct Sweeper {
    stop: SyncSender<()>,
    thread: JoinHandle<()>,
}

impl Sweeper {
    /// Starts the thread.
    ///
    /// # Errors
    /// No thread, no list of CPUs.
    pub fn start(parts: Parts) -> io::Result<Self> {
        let cpus = sys::possible_cpus()?;
        let (stop, stopped) = sync_channel(1);
        let mut work = Work::new(parts, cpus);
        let thread = std::thread::Builder::new().name("sweeper".into()).spawn(move || {
            while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(PERIOD) {
                work.round(false);
            }
            std::thread::sleep(LAST_GRACE);
            work.round(true);
        })?;
        Ok(Self { stop, thread })
    }

    /// Ends it after a last round. Call it when no program runs any more, and while the pipeline still reads.
    pub fn stop(self) {
        // The thread may have ended by itself.
        drop(self.stop);
        if self.thread.join().is_err() {
            tracing::error!("the sweeper panicked");
        }
    }
}

/// One of the two tables.
trait Table: Plain + Default {
    type Item: Copy + Default;
    const FAMILY: u32;
    fn item(self, last: u64) -> Self::Item;
    fn taken(item: &Self::Item) -> Option<(Self, [SweepTotals; 2], Mark)>;
    fn addresses(&self, half: usize) -> Option<(IpAddr, IpAddr)>;
    fn protocol(&self) -> u8;
    fn ifindex(&self) -> u32;
}

impl Table for Key4 {
    type Item = SweepItem4;
    const FAMILY: u32 = 4;

    fn item(self, last: u64) -> SweepItem4 {
        SweepItem4 { key: self, last, ..SweepItem4::default() }
    }

    fn taken(item: &SweepItem4) -> Option<(Self, [SweepTotals; 2], Mark)> {
        (item.result == SWEEP_ALIVE).then_some((item.key, item.totals, Mark::from_u8(item.mark as u8)))
    }

    fn addresses(&self, half: usize) -> Option<(IpAddr, IpAddr)> {
        let [low, high] = self.address.map(|address| IpAddr::V4(Ipv4Addr::from(address.to_ne_bytes())));
        (self.kind == 0).then_some(if half == 0 { (low, high) } else { (high, low) })
    }

    fn protocol(&self) -> u8 {
        self.protocol
    }

    fn ifindex(&self) -> u32 {
        self.ifindex
    }
}

impl Table for Key6 {
    type Item = SweepItem6;
    const FAMILY: u32 = 6;

    fn item(self, last: u64) -> SweepItem6 {
        SweepItem6 { key: self, last, ..SweepItem6::default() }
    }

    fn taken(item: &SweepItem6) -> Option<(Self, [SweepTotals; 2], Mark)> {
        (item.result == SWEEP_ALIVE).then_some((item.key, item.totals, Mark::from_u8(item.mark as u8)))
    }

    fn addresses(&self, half: usize) -> Option<(IpAddr, IpAddr)> {
        let [low, high] = self.address.map(|words| {
            let mut bytes = [0; 16];
            for (chunk, word) in bytes.chunks_exact_mut(4).zip(words) {
                chunk.copy_from_slice(&word.to_ne_bytes());
            }
            IpAddr::V6(Ipv6Addr::from(bytes))
        });
        Some(if half == 0 { (low, high) } else { (high, low) })
    }

    fn protocol(&self) -> u8 {
        self.protocol
    }

    fn ifindex(&self) -> u32 {
        self.ifindex
    }
}

/// What one look at a table found.
struct Found<K> {
    take: Vec<K>,
    kill: Vec<(K, u64)>,
    remove: Vec<K>,
    entries: u64,
}

struct Work {
    parts: Parts,
    hertz: u64,
    jiffies: u64,
    reader4: BatchReader<Key4, Connection>,
    reader6: BatchReader<Key6, Connection>,
    reader_untracked: BatchReader<UntrackedKey, Untracked>,
    reader_drops: BatchReader<DropKey, u64>,
    untracked: HashMap<UntrackedKey, Untracked>,
    drops: HashMap<DropKey, (u64, Number)>,
    counters: Vec<(Counter, Number)>,
    values: Vec<u64>,
    connections: [Number; 2],
    untracked_packets: Number,
    untracked_bytes: Number,
}

impl Work {
    fn new(parts: Parts, cpus: usize) -> Self {
        use eyepiece_semconv::{attribute, metric};
        let telemetry = parts.telemetry.clone();
        let ignored =
            |reason| telemetry.counter(metric::EYEPIECE_DATAPATH_IGNORED.name, &[(attribute::EYEPIECE_REASON, reason)]);
        let entries = |family| {
            telemetry.gauge(metric::EYEPIECE_DATAPATH_CONNECTION_COUNT.name, &[(attribute::NETWORK_TYPE, family)])
        };
        Self {
            hertz: sys::jiffies_per_second(),
            jiffies: 0,
            reader4: BatchReader::new(1),
            reader6: BatchReader::new(1),
            reader_untracked: BatchReader::new(cpus),
            reader_drops: BatchReader::new(cpus),
            untracked: HashMap::new(),
            drops: HashMap::new(),
            counters: vec![
                (Counter::Offered, telemetry.counter(metric::EYEPIECE_DATAPATH_OFFERED.name, &[])),
                (Counter::Lost, telemetry.counter(metric::EYEPIECE_DATAPATH_LOST.name, &[])),
                (Counter::IgnoredReason, ignored("drop_reason")),
                (Counter::ForeignNamespace, ignored("foreign_namespace")),
                (Counter::NoPacket, ignored("no_packet")),
                (Counter::UnknownNamespace, ignored("unknown_namespace")),
                (Counter::TableFull, ignored("table_full")),
            ],
            values: vec![0; cpus],
            connections: [entries("ipv4"), entries("ipv6")],
            untracked_packets: telemetry.counter(metric::EYEPIECE_DATAPATH_UNTRACKED_PACKETS.name, &[]),
            untracked_bytes: telemetry.counter(metric::EYEPIECE_DATAPATH_UNTRACKED_BYTES.name, &[]),
            parts,
        }
    }

    /// One look at everything; the last one takes all that is there.
    fn round(&mut self, last: bool) {
        let result = self.try_round(last);
        if let Err(error) = result {
            tracing::warn!(%error, "cannot read the kernel's tables");
        }
    }

    fn try_round(&mut self, last: bool) -> io::Result<()> {
        let mut totals = Vec::new();
        let result = self.collect(last, &mut totals);
        // What was taken is told whatever came after it.
        if !totals.is_empty() && self.parts.totals.send(totals).is_ok() {
            self.parts.waker.wake();
        }
        result
    }

    fn collect(&mut self, last: bool, totals: &mut Vec<Totals>) -> io::Result<()> {
        self.jiffies = now(self.parts.program.as_fd())?;
        let view = self.view();
        let connections4 = self.parts.connections4.try_clone()?;
        let found = look(&mut self.reader4, connections4.as_fd(), &view, last, totals)?;
        self.connections[0].set(found.entries);
        self.act(connections4.as_fd(), &found, totals)?;
        let connections6 = self.parts.connections6.try_clone()?;
        let found = look(&mut self.reader6, connections6.as_fd(), &view, last, totals)?;
        self.connections[1].set(found.entries);
        self.act(connections6.as_fd(), &found, totals)?;
        self.read_untracked(totals)?;
        self.read_drops()?;
        self.read_counters()
    }

    fn view(&self) -> View {
        let jiffies =
            |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX).saturating_mul(self.hertz) / 1000;
        let timeouts = &self.parts.timeouts;
        View {
            now: self.jiffies,
            interval: jiffies(self.parts.interval),
            hold: jiffies(self.parts.hold),
            tcp: jiffies(timeouts.tcp),
            udp: jiffies(timeouts.udp),
            other: jiffies(timeouts.other),
        }
    }

    fn act<K: Table>(&self, map: BorrowedFd<'_>, found: &Found<K>, totals: &mut Vec<Totals>) -> io::Result<()> {
        let program = self.parts.program.as_fd();
        for chunk in found.take.chunks(SWEEP_BATCH) {
            let items: Vec<_> = chunk.iter().map(|key| key.item(0)).collect();
            let items = run::<K>(program, SWEEP_TAKE, items)?;
            for (key, taken, mark) in items.iter().filter_map(K::taken) {
                for (index, taken) in taken.iter().enumerate() {
                    push(totals, &key, index, mark, taken);
                }
            }
        }
        for chunk in found.kill.chunks(SWEEP_BATCH) {
            let items: Vec<_> = chunk.iter().map(|(key, last)| key.item(*last)).collect();
            run::<K>(program, SWEEP_KILL, items)?;
        }
        for key in &found.remove {
            sys::delete(map, key)?;
        }
        Ok(())
    }

    fn read_untracked(&mut self, totals: &mut Vec<Totals>) -> io::Result<()> {
        let (seen, packets, bytes) = (&mut self.untracked, &self.untracked_packets, &self.untracked_bytes);
        self.reader_untracked.read(self.parts.untracked.as_fd(), |key, values| {
            let now = values.iter().fold(Untracked::default(), |sum, value| Untracked {
                packets: sum.packets + value.packets,
                bytes: sum.bytes + value.bytes,
            });
            let before = seen.insert(*key, now).unwrap_or_default();
            let Some(hook) = Hook::from_u8(key.hook as u8) else { return };
            let taken = SweepTotals {
                packets: now.packets.saturating_sub(before.packets),
                bytes: now.bytes.saturating_sub(before.bytes),
                ..SweepTotals::default()
            };
            // A read between the two additions gives one of them now and the other the next time.
            if taken.packets > 0 || taken.bytes > 0 {
                packets.add(taken.packets);
                bytes.add(taken.bytes);
                totals.push(Totals { meter: meter(hook, key.ifindex, 0, Mark::Unknown, &taken), addresses: None });
            }
        })
    }

    fn read_drops(&mut self) -> io::Result<()> {
        use eyepiece_semconv::{attribute, metric};
        let (seen, names, telemetry) = (&mut self.drops, &self.parts.names, &self.parts.telemetry);
        self.reader_drops.read(self.parts.drops.as_fd(), |key, values| {
            let now = values.iter().sum::<u64>();
            let (before, number) = seen.entry(*key).or_insert_with(|| {
                let attributes = [
                    (attribute::HUBBLE_DROP_REASON, &*names.reason(key.reason)),
                    (attribute::HUBBLE_DROP_NETNS, &*key.netns.to_string()),
                ];
                (0, telemetry.counter(metric::EYEPIECE_DATAPATH_DROPS.name, &attributes))
            });
            number.add(now.saturating_sub(*before));
            *before = now;
        })
    }

    fn read_counters(&mut self) -> io::Result<()> {
        for (counter, number) in &self.counters {
            sys::lookup_per_cpu(self.parts.counters.as_fd(), &(*counter as u32), &mut self.values)?;
            number.set(self.values.iter().sum());
        }
        Ok(())
    }
}

/// Times in jiffies.
struct View {
    now: u64,
    interval: u64,
    hold: u64,
    tcp: u64,
    udp: u64,
    other: u64,
}

impl View {
    /// Whether totals of a half have waited long enough, or what is held back can be released.
    const fn is_due(&self, entry: &Connection, half: &Half) -> bool {
        let reportable = half.packets > 0 && half.reported + self.interval <= self.now;
        let released = entry.mark != Mark::Unknown as u8 || entry.created + self.hold < self.now;
        reportable || (half.held_packets > 0 && released)
    }

    const fn timeout(&self, protocol: u8, closing: bool) -> u64 {
        match protocol {
            6 if !closing => self.tcp,
            17 | 33 | 132 | 136 => self.udp,
            _ => self.other,
        }
    }
}

/// Reads a table and sorts its entries; what the dead ones still held goes to `totals`.
fn look<K: Table>(
    reader: &mut BatchReader<K, Connection>,
    map: BorrowedFd<'_>,
    view: &View,
    last: bool,
    totals: &mut Vec<Totals>,
) -> io::Result<Found<K>> {
    let mut found = Found { take: Vec::new(), kill: Vec::new(), remove: Vec::new(), entries: 0 };
    reader.read(map, |key, values| {
        let [entry] = values else { return };
        found.entries += 1;
        let newest = entry.half[0].last.max(entry.half[1].last);
        if entry.dead != 0 || last {
            remainder(totals, key, entry);
            found.remove.push(*key);
        } else if newest + view.timeout(key.protocol(), entry.closing != 0) < view.now {
            found.kill.push((*key, newest));
        } else if entry.half.iter().any(|half| view.is_due(entry, half)) {
            found.take.push(*key);
        }
    })?;
    Ok(found)
}

/// What an entry on its way out still holds: nobody adds to it any more.
fn remainder<K: Table>(totals: &mut Vec<Totals>, key: &K, entry: &Connection) {
    let mark = match Mark::from_u8(entry.mark) {
        // Nobody ever answered: what came in ended here.
        Mark::Unknown => Mark::Local,
        known => known,
    };
    for (index, half) in entry.half.iter().enumerate() {
        let taken = SweepTotals {
            packets: half.packets,
            bytes: half.bytes,
            held_packets: half.held_packets,
            held_bytes: half.held_bytes,
            ingress_ifindex: half.ingress_ifindex,
            hook: u32::from(half.hook),
        };
        push(totals, key, index, mark, &taken);
    }
}

fn push<K: Table>(totals: &mut Vec<Totals>, key: &K, index: usize, mark: Mark, taken: &SweepTotals) {
    if taken.packets == 0 && taken.held_packets == 0 {
        return;
    }
    let Some(hook) = taken.hook.checked_sub(1).and_then(|hook| Hook::from_u8(hook as u8)) else { return };
    let meter = meter(hook, key.ifindex(), taken.ingress_ifindex, mark, taken);
    totals.push(Totals { meter, addresses: key.addresses(index) });
}

const fn meter(hook: Hook, ifindex: u32, ingress_ifindex: u32, mark: Mark, taken: &SweepTotals) -> Meter {
    Meter {
        hook,
        mark,
        ifindex,
        ingress_ifindex,
        packets: taken.packets,
        bytes: taken.bytes,
        held_packets: taken.held_packets,
        held_bytes: taken.held_bytes,
    }
}

/// Runs the sweep program on a list of at most SWEEP_BATCH items.
fn run<K: Table>(program: BorrowedFd<'_>, operation: u32, mut items: Vec<K::Item>) -> io::Result<Vec<K::Item>> {
    let header = SweepHeader { operation, family: K::FAMILY, count: items.len() as u32, ..SweepHeader::default() };
    let mut packet = vec![0_u8; size_of::<SweepHeader>() + size_of::<K::Item>() * items.len()];
    let (head, body) = packet.split_at_mut(size_of::<SweepHeader>());
    // SAFETY: both are plain `repr(C)` data without padding, and the buffers have their sizes.
    unsafe {
        head.as_mut_ptr().cast::<SweepHeader>().write_unaligned(header);
        std::ptr::copy_nonoverlapping(items.as_ptr().cast::<u8>(), body.as_mut_ptr(), body.len());
    }
    sys::test_run(program, &mut packet, 1)?;
    // SAFETY: as above; every bit pattern is a valid item.
    unsafe {
        let body = &packet[size_of::<SweepHeader>()..];
        std::ptr::copy_nonoverlapping(body.as_ptr(), items.as_mut_ptr().cast::<u8>(), body.len());
    }
    Ok(items)
}

/// Jiffies now, from the sweep program.
fn now(program: BorrowedFd<'_>) -> io::Result<u64> {
    let mut packet = [0_u8; size_of::<SweepHeader>()];
    sys::test_run(program, &mut packet, 1)?;
    // SAFETY: the buffer has the header's size, and any bytes are a header.
    Ok(unsafe { packet.as_ptr().cast::<SweepHeader>().read_unaligned() }.jiffies)
}
