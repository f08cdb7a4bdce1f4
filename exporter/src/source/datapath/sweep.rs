//! The sweeper: takes totals that no event carried, removes idle connections in two phases, reads the kernel's
//! counters.

mod counter_maps;
mod criteria;
mod key;
mod totals;

use std::collections::HashSet;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use eyepiece_config::Timeouts;
use eyepiece_flow::event::Totals;
use eyepiece_wire::{Connection, Counter, Key4, Key6, SWEEP_BATCH, SWEEP_KILL, SWEEP_TAKE, SweepHeader, Tunnel};

use self::counter_maps::CounterMaps;
use self::criteria::Criteria;
use self::key::ConnectionKey;
use self::totals::{EntryOwner, push, remainder};
use super::kernel_names::KernelNames;
use super::presence::Presence;
use super::privileges;
use super::sys::{self, BatchReader};
use crate::source::Waker;
use crate::support::capabilities;
use crate::support::telemetry::{Number, Telemetry};

/// Lists of totals that wait for the pipeline. When it is full the sweeper waits, and totals stay in the kernel.
pub const TOTALS_QUEUE: usize = 64;
/// The interval between reads of the tables. Also the grace between marking an entry dead and removing it: far longer
/// than any program that looked it up before still runs.
const PERIOD: Duration = Duration::from_secs(1);
/// Grace at the end, after all programs are detached: longer than any that still runs.
const LAST_GRACE: Duration = Duration::from_millis(20);

/// Configuration and handles that the sweeper works with.
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
    /// The longest wait of a live connection's unreported totals.
    pub interval: Duration,
    /// The time that an unanswered connection at an uplink is held back.
    pub hold: Duration,
    /// Idle timeouts of connections.
    pub timeouts: Timeouts,
    /// Interfaces with hooks.
    pub interfaces: Presence,
    /// Namespaces whose drops are counted.
    pub namespaces: Presence,
    /// The time that telemetry of removed interfaces and namespaces is kept, so that an export has its last values.
    pub grace: Duration,
    /// Names of drop reasons.
    pub names: KernelNames,
    /// The registry of counters.
    pub telemetry: Telemetry,
    /// Wakes the pipeline when totals wait for it.
    pub waker: Waker,
    /// The queue of totals to the pipeline.
    pub totals: SyncSender<Vec<Totals>>,
}

/// A channel for totals.
pub fn totals_channel() -> (SyncSender<Vec<Totals>>, Receiver<Vec<Totals>>) {
    sync_channel(TOTALS_QUEUE)
}

/// The running sweeper. Stopping it empties the tables.
#[derive(Debug)]
pub struct Sweeper {
    stop: SyncSender<()>,
    thread: JoinHandle<()>,
}

impl Sweeper {
    /// Starts the thread.
    ///
    /// # Errors
    /// No thread can be started, or the list of CPUs is unreadable.
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

    /// Stops it after a last round. Call it when no program runs any more, while the pipeline still reads.
    pub fn stop(self) {
        // The thread may have ended already.
        drop(self.stop);
        if self.thread.join().is_err() {
            tracing::error!("the sweeper panicked");
        }
    }
}

/// Entries of one table that need an action.
struct Scan<K> {
    /// Entries to take totals of.
    take: Vec<(K, EntryOwner)>,
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
            telemetry.gauge(metric::EYEPIECE_DATAPATH_CONNECTION_ACTIVE.name, &[(attribute::NETWORK_TYPE, family)])
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

    /// Reads all tables once; the last round removes every entry.
    fn round(&mut self, last: bool) {
        let result = self.try_round(last);
        if let Err(error) = result {
            tracing::warn!(%error, "cannot read the kernel's tables");
        }
    }

    fn try_round(&mut self, last: bool) -> io::Result<()> {
        let mut totals = Vec::new();
        let result = self.collect(last, &mut totals);
        // Totals were taken out of the kernel, so they are sent even if a later step failed.
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
            for ((_, owner), item) in chunk.iter().zip(&items) {
                let Some((key, taken, answered_by)) = K::taken(item) else { continue };
                for (index, taken) in taken.iter().enumerate() {
                    push(totals, (&key, owner), index, answered_by, taken);
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

/// Reads a table and sorts its entries. Removes dead ones and adds their remaining counts to `totals`.
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
            // An entry that cannot be removed is read again, so it counts only once removed.
            match sys::delete(map, key) {
                Ok(()) => remainder(totals, key, entry, criteria),
                Err(error) => failed = Err(error),
            }
        } else if !criteria.interfaces.contains(&key.ifindex()) {
            // No program adds to it any more. `sweep_entries` leaves out those whose interface has come back.
            found.orphans.push((*key, newest));
        } else if newest + criteria.timeout(key.protocol(), entry.closing != 0) < criteria.now {
            found.kill.push((*key, newest));
        } else if criteria.is_mistaken(key, entry) {
            // The next packet makes it anew, as a tunnel's.
            found.kill.push((*key, u64::MAX));
        } else if entry.half.iter().any(|half| criteria.is_due(entry, half)) {
            found.take.push((*key, EntryOwner::of(entry)));
        }
    })?;
    failed.map(|()| found)
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

/// The current jiffies, from the sweep program.
fn jiffies(program: BorrowedFd<'_>) -> io::Result<u64> {
    let mut packet = [0_u8; size_of::<SweepHeader>()];
    sys::test_run(program, &mut packet, 1)?;
    // SAFETY: the buffer has the header's size, and any bytes are a header.
    Ok(unsafe { packet.as_ptr().cast::<SweepHeader>().read_unaligned() }.jiffies)
}

#[cfg(test)]
mod tests;
