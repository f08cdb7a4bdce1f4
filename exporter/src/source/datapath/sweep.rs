//! The sweeper: takes totals that no event carried, removes idle connections in two phases, reads the kernel's counters.

mod counter_maps;
mod key;

use std::collections::HashSet;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use eyepiece_flow::event::{Totals, TrafficDelta, Transport};
use eyepiece_wire::{
    AnsweredBy, Connection, Counter, Half, Hook, Key4, Key6, SWEEP_BATCH, SWEEP_KILL, SWEEP_TAKE, SweepHeader,
    SweepTotals, Tunnel,
};

use self::counter_maps::CounterMaps;
use self::key::ConnectionKey;
use super::kernel_names::KernelNames;
use super::presence::Presence;
use super::privileges;
use super::sys::{self, BatchReader};
use crate::source::Waker;
use crate::support::capabilities;
use crate::support::telemetry::{Number, Telemetry};

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
pub struct Deps {
    /// `EP_CONN4`.
    pub connections4: OwnedFd,
    /// `EP_CONN6`.
    pub connections6: OwnedFd,
    /// `EP_TUNNELS`.
    pub tunnels: OwnedFd,
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
    /// Interfaces with hooks.
    pub interfaces: Presence,
    /// Namespaces whose drops are counted.
    pub namespaces: Presence,
    /// How long telemetry of what is gone is kept, so that an export sees its last values.
    pub grace: Duration,
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
    pub fn start(deps: Deps) -> io::Result<Self> {
        let cpus = sys::possible_cpus()?.len();
        let (stop, stopped) = sync_channel(1);
        let mut worker = Worker::new(deps, cpus)?;
        let thread = std::thread::Builder::new().name("sweeper".into()).spawn(move || {
            capabilities::keep(privileges::of_reading());
            while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(PERIOD) {
                worker.round(false);
            }
            std::thread::sleep(LAST_GRACE);
            worker.round(true);
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

/// What one look at a table found.
struct Scan<K> {
    /// Each with the half that opened the connection.
    take: Vec<(K, u8)>,
    kill: Vec<(K, u64)>,
    /// As `kill`, because their interface is gone.
    orphans: Vec<(K, u64)>,
    entries: u64,
}

struct Worker {
    deps: Deps,
    hertz: u64,
    jiffies: u64,
    reader4: BatchReader<Key4, Connection>,
    reader6: BatchReader<Key6, Connection>,
    reader_tunnels: BatchReader<Tunnel, u32>,
    counter_maps: CounterMaps,
    counters: Vec<(Counter, Number)>,
    values: Vec<u64>,
    connections: [Number; 2],
}

impl Worker {
    fn new(deps: Deps, cpus: usize) -> io::Result<Self> {
        use eyepiece_semconv::{attribute, metric};
        let telemetry = deps.telemetry.clone();
        let ignored =
            |reason| telemetry.counter(metric::EYEPIECE_DATAPATH_IGNORED.name, &[(attribute::EYEPIECE_REASON, reason)]);
        let entries = |family| {
            telemetry.gauge(metric::EYEPIECE_DATAPATH_CONNECTION_COUNT.name, &[(attribute::NETWORK_TYPE, family)])
        };
        let counter_maps = counter_maps::Deps {
            untracked: deps.untracked.try_clone()?,
            drops: deps.drops.try_clone()?,
            interfaces: deps.interfaces.clone(),
            namespaces: deps.namespaces.clone(),
            names: deps.names.clone(),
            telemetry: telemetry.clone(),
        };
        Ok(Self {
            hertz: sys::jiffies_per_second(),
            jiffies: 0,
            reader4: BatchReader::new(1),
            reader6: BatchReader::new(1),
            reader_tunnels: BatchReader::new(1),
            counter_maps: CounterMaps::new(counter_maps, cpus),
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
            deps,
        })
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
        if !totals.is_empty() && self.deps.totals.send(totals).is_ok() {
            self.deps.waker.wake();
        }
        result
    }

    fn collect(&mut self, last: bool, totals: &mut Vec<Totals>) -> io::Result<()> {
        self.jiffies = jiffies(self.deps.program.as_fd())?;
        let now = Instant::now();
        let criteria = self.criteria(now)?;
        let connections4 = self.deps.connections4.try_clone()?;
        let found = scan(&mut self.reader4, connections4.as_fd(), &criteria, last, totals)?;
        self.connections[0].set(found.entries);
        self.sweep_entries(&found, now, totals)?;
        let connections6 = self.deps.connections6.try_clone()?;
        let found = scan(&mut self.reader6, connections6.as_fd(), &criteria, last, totals)?;
        self.connections[1].set(found.entries);
        self.sweep_entries(&found, now, totals)?;
        self.counter_maps.round(now, totals)?;
        self.deps.telemetry.expire(now, self.deps.grace);
        self.read_counters()
    }

    fn criteria(&mut self, now: Instant) -> io::Result<Criteria> {
        let mut tunnels = HashSet::new();
        self.reader_tunnels.read(self.deps.tunnels.as_fd(), |tunnel, _| {
            tunnels.insert(*tunnel);
        })?;
        let jiffies =
            |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX).saturating_mul(self.hertz) / 1000;
        let timeouts = &self.deps.timeouts;
        Ok(Criteria {
            now: self.jiffies,
            interval: jiffies(self.deps.interval),
            hold: jiffies(self.deps.hold),
            tcp: jiffies(timeouts.tcp),
            udp: jiffies(timeouts.udp),
            other: jiffies(timeouts.other),
            interfaces: self.deps.interfaces.all(now),
            tunnels,
        })
    }

    fn sweep_entries<K: ConnectionKey>(
        &self,
        found: &Scan<K>,
        now: Instant,
        totals: &mut Vec<Totals>,
    ) -> io::Result<()> {
        let program = self.deps.program.as_fd();
        for chunk in found.take.chunks(SWEEP_BATCH) {
            let items: Vec<_> = chunk.iter().map(|(key, _)| key.item(0)).collect();
            let items = run::<K>(program, SWEEP_TAKE, items)?;
            for ((_, origin), item) in chunk.iter().zip(&items) {
                let Some((key, taken, mark)) = K::taken(item) else { continue };
                for (index, taken) in taken.iter().enumerate() {
                    push(totals, (&key, *origin), index, mark, taken);
                }
            }
        }
        let is_orphan = |(key, _): &&(K, u64)| self.deps.interfaces.is_gone(key.ifindex(), now);
        let kill: Vec<_> = found.kill.iter().chain(found.orphans.iter().filter(is_orphan)).collect();
        for chunk in kill.chunks(SWEEP_BATCH) {
            let items: Vec<_> = chunk.iter().map(|(key, last)| key.item(*last)).collect();
            run::<K>(program, SWEEP_KILL, items)?;
        }
        Ok(())
    }

    fn read_counters(&mut self) -> io::Result<()> {
        for (counter, number) in &self.counters {
            sys::lookup_per_cpu(self.deps.counters.as_fd(), &(*counter as u32), &mut self.values)?;
            number.set(self.values.iter().sum());
        }
        Ok(())
    }
}

/// What entries are judged by; times in jiffies.
struct Criteria {
    now: u64,
    interval: u64,
    hold: u64,
    tcp: u64,
    udp: u64,
    other: u64,
    /// Those that packets may pass.
    interfaces: HashSet<u32>,
    /// What tunnel devices send.
    tunnels: HashSet<Tunnel>,
}

impl Criteria {
    /// Whether an entry at an uplink is a tunnel's, and was made before the kernel programs knew of the tunnel.
    fn is_mistaken<K: ConnectionKey>(&self, key: &K, entry: &Connection) -> bool {
        let half = usize::from(entry.origin & 1);
        let hook = entry.half[half].hook.checked_sub(1).and_then(Hook::from_u8);
        entry.mark != AnsweredBy::Tunnel as u8
            && matches!(hook, Some(Hook::FromNetwork | Hook::ToNetwork))
            && self.tunnels.contains(&key.tunnel(half))
    }

    /// Whether totals of a half have waited long enough, or what is held back can be released.
    const fn is_due(&self, entry: &Connection, half: &Half) -> bool {
        let reportable = half.packets > 0 && half.reported + self.interval <= self.now;
        let released = entry.mark != AnsweredBy::Unknown as u8 || entry.created + self.hold < self.now;
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

/// Reads a table and sorts its entries; removes the dead ones, and what they still held goes to `totals`.
fn scan<K: ConnectionKey>(
    reader: &mut BatchReader<K, Connection>,
    map: BorrowedFd<'_>,
    criteria: &Criteria,
    last: bool,
    totals: &mut Vec<Totals>,
) -> io::Result<Scan<K>> {
    let mut found = Scan { take: Vec::new(), kill: Vec::new(), orphans: Vec::new(), entries: 0 };
    let mut failed = Ok(());
    reader.read(map, |key, values| {
        let [entry] = values else { return };
        found.entries += 1;
        let newest = entry.half[0].last.max(entry.half[1].last);
        if entry.dead != 0 || last {
            // One that cannot be removed is met again, so its rest is told only when it is gone.
            match sys::delete(map, key) {
                Ok(()) => remainder(totals, key, entry, criteria),
                Err(error) => failed = Err(error),
            }
        } else if !criteria.interfaces.contains(&key.ifindex()) {
            // Nobody adds to it any more. One whose interface has come since is told apart below.
            found.orphans.push((*key, newest));
        } else if newest + criteria.timeout(key.protocol(), entry.closing != 0) < criteria.now {
            found.kill.push((*key, newest));
        } else if criteria.is_mistaken(key, entry) {
            // The next packet makes it again, as what it is.
            found.kill.push((*key, u64::MAX));
        } else if entry.half.iter().any(|half| criteria.is_due(entry, half)) {
            found.take.push((*key, entry.origin));
        }
    })?;
    failed.map(|()| found)
}

/// What an entry on its way out still holds: nobody adds to it any more.
fn remainder<K: ConnectionKey>(totals: &mut Vec<Totals>, key: &K, entry: &Connection, criteria: &Criteria) {
    let mark = match AnsweredBy::from_u8(entry.mark) {
        _ if criteria.is_mistaken(key, entry) => AnsweredBy::Tunnel,
        // Nobody ever answered: what came in ended here.
        AnsweredBy::Unknown => AnsweredBy::Local,
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
        push(totals, (key, entry.origin), index, mark, &taken);
    }
}

/// Adds what was taken of a half of the entry whose half `origin` opened the connection.
fn push<K: ConnectionKey>(
    totals: &mut Vec<Totals>,
    (key, origin): (&K, u8),
    index: usize,
    mark: AnsweredBy,
    taken: &SweepTotals,
) {
    if taken.packets == 0 && taken.held_packets == 0 {
        return;
    }
    let Some(hook) = taken.hook.checked_sub(1).and_then(|hook| Hook::from_u8(hook as u8)) else { return };
    let traffic = traffic(hook, key.ifindex(), taken.ingress_ifindex, mark, taken);
    let transport = transport(key.protocol(), key.ports(), index, origin);
    totals.push(Totals { traffic, addresses: key.addresses(index), transport });
}

/// What the packets of a half were carried by; half 0 goes from the first port of a key to the second.
fn transport(protocol: u8, ports: [u16; 2], half: usize, origin: u8) -> Transport {
    // The others have the echo identifier there, or type and code.
    let [low, high] = if matches!(protocol, 6 | 17 | 132) { ports.map(u16::from_be) } else { [0, 0] };
    let ports = if half == 0 { (low, high) } else { (high, low) };
    Transport { protocol, ports, is_reply: half != usize::from(origin & 1) }
}

const fn traffic(
    hook: Hook,
    ifindex: u32,
    ingress_ifindex: u32,
    mark: AnsweredBy,
    taken: &SweepTotals,
) -> TrafficDelta {
    TrafficDelta {
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
fn run<K: ConnectionKey>(program: BorrowedFd<'_>, operation: u32, mut items: Vec<K::Item>) -> io::Result<Vec<K::Item>> {
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
fn jiffies(program: BorrowedFd<'_>) -> io::Result<u64> {
    let mut packet = [0_u8; size_of::<SweepHeader>()];
    sys::test_run(program, &mut packet, 1)?;
    // SAFETY: the buffer has the header's size, and any bytes are a header.
    Ok(unsafe { packet.as_ptr().cast::<SweepHeader>().read_unaligned() }.jiffies)
}

#[cfg(test)]
mod tests;
