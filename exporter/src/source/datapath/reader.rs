//! Reads records out of the ring buffer or the perf buffers, while started.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use aya::maps::{Map, MapData, RingBuf};
use eyepiece_config::Transport;
use eyepiece_flow::event::{Event, Lost, LostSource, Totals};
use eyepiece_wire::{Counter, Process};

use super::perf::PerfBuffers;
use super::sys::BatchReader;
use super::{record, sys};
use crate::source::{Source, Waker, poll, poll_entry};
use crate::support::clock::{Clock, unix_now};
use crate::support::telemetry::Number;

/// The interval between reads of the kernel's loss counters.
const LOSS_INTERVAL: Duration = Duration::from_millis(100);
/// The interval between measurements of the offset from kernel time to wall-clock time.
const CLOCK_INTERVAL: Duration = Duration::from_secs(1);
/// The longest wait while reading. The ring wakes no reader below its watermark, so this bounds an event's delay.
const POLL_INTERVAL: Duration = Duration::from_millis(10);
/// The time between a loss and the reading of the processes whose records may be lost. Losses come in rows.
const PROCESSES_DELAY: Duration = Duration::from_secs(5);
/// The most records per read: bounds the pipeline's reaction to commands under a flood.
const BURST: usize = 65_536;

/// Handles that a reader works with.
#[derive(Debug)]
pub struct Deps {
    /// The kind of buffer.
    pub transport: Transport,
    /// The ring buffer's map, or the perf event array.
    pub buffer: OwnedFd,
    /// `EP_EMIT`.
    pub emit: OwnedFd,
    /// `EP_COUNTERS`.
    pub counters: OwnedFd,
    /// `EP_PROCESSES`.
    pub processes: OwnedFd,
    /// The drop program, for the kernel's count of skipped runs.
    pub drop_program: Option<OwnedFd>,
    /// Totals that the sweeper took.
    pub totals: Receiver<Vec<Totals>>,
    /// Counts undecodable records.
    pub damaged: Number,
}

/// The datapath as a source.
pub struct Reader {
    transport: Transport,
    buffer: OwnedFd,
    emit: OwnedFd,
    counters: OwnedFd,
    processes: OwnedFd,
    /// When to emit all processes, as their records may be lost: at the start, and after a loss.
    processes_due: Option<Instant>,
    drop_program: Option<OwnedFd>,
    totals: Receiver<Vec<Totals>>,
    damaged: Number,
    waker: Waker,
    state: State,
    clock: Clock,
    clock_due: Instant,
    losses: LossCounters,
}

enum State {
    Stopped,
    Ring(RingBuf<MapData>),
    Perf(PerfBuffers),
}

/// The last values of the kernel's loss counters.
struct LossCounters {
    due: Instant,
    cpus: Vec<u16>,
    values: Vec<u64>,
    seen: Vec<u64>,
    misses: u64,
}

impl Reader {
    /// A stopped reader.
    ///
    /// # Errors
    /// No descriptor is left, or the list of CPUs is unreadable.
    pub fn new(deps: Deps) -> io::Result<Self> {
        let cpus = sys::possible_cpus()?;
        let count = cpus.len();
        Ok(Self {
            transport: deps.transport,
            buffer: deps.buffer,
            emit: deps.emit,
            counters: deps.counters,
            processes: deps.processes,
            processes_due: None,
            drop_program: deps.drop_program,
            totals: deps.totals,
            damaged: deps.damaged,
            waker: Waker::new()?,
            state: State::Stopped,
            clock: Clock::now(),
            clock_due: Instant::now() + CLOCK_INTERVAL,
            losses: LossCounters { due: Instant::now(), cpus, values: vec![0; count], seen: vec![0; count], misses: 0 },
        })
    }

    fn emit(&self, on: bool) -> io::Result<()> {
        sys::update(self.emit.as_fd(), &0_u32, &u32::from(on))
    }

    fn wait(&self, timeout: Duration) -> io::Result<()> {
        let mut polled = vec![poll_entry(self.waker.descriptor())];
        match &self.state {
            State::Ring(ring) => polled.push(poll_entry(ring.as_raw_fd())),
            State::Perf(buffers) => polled.extend(buffers.descriptors().map(poll_entry)),
            State::Stopped => {}
        }
        poll(&self.waker, &mut polled, timeout)
    }

    fn drain(&mut self, sink: &mut dyn FnMut(&Event<'_>)) -> usize {
        let (clock, damaged) = (self.clock, &self.damaged);
        let mut count = 0;
        let mut each = |bytes: &[u8]| {
            if let Some(event) = record::decode(bytes, clock) {
                count += 1;
                sink(&event);
            } else {
                damaged.add(1);
            }
        };
        match &mut self.state {
            State::Ring(ring) => {
                for _ in 0..BURST {
                    let Some(item) = ring.next() else { break };
                    each(&item);
                }
            }
            State::Perf(buffers) => buffers.read(&mut each),
            State::Stopped => {}
        }
        count
    }

    fn emit_totals(&self, sink: &mut dyn FnMut(&Event<'_>)) -> usize {
        let mut count = 0;
        for list in self.totals.try_iter() {
            count += list.len();
            list.into_iter().for_each(|totals| sink(&Event::Totals(totals)));
        }
        count
    }

    /// Emits an event for each CPU that lost records since the last call.
    fn emit_losses(&mut self, sink: &mut dyn FnMut(&Event<'_>)) -> io::Result<usize> {
        let losses = &mut self.losses;
        losses.due = Instant::now() + LOSS_INTERVAL;
        sys::lookup_per_cpu(self.counters.as_fd(), &(Counter::Lost as u32), &mut losses.values)?;
        let mut events = 0;
        for (cpu, (now, before)) in losses.cpus.iter().zip(losses.values.iter().zip(&mut losses.seen)) {
            let count = now - *before;
            *before = *now;
            if count > 0 {
                events += 1;
                self.processes_due.get_or_insert(losses.due + PROCESSES_DELAY);
                sink(&lost(Some(*cpu), count));
            }
        }
        if let Some(program) = &self.drop_program {
            let misses = sys::recursion_misses(program.as_fd())?;
            let count = misses.saturating_sub(losses.misses);
            losses.misses = misses;
            if count > 0 {
                events += 1;
                sink(&lost(None, count));
            }
        }
        Ok(events)
    }
}

/// Emits all processes of the kernel's table.
fn emit_processes(table: BorrowedFd<'_>, sink: &mut dyn FnMut(&Event<'_>)) -> io::Result<()> {
    BatchReader::<u64, Process>::new(1).read(table, |_, processes| {
        processes.iter().for_each(|process| sink(&Event::Process(*process)));
    })
}

fn lost(cpu: Option<u16>, count: u64) -> Event<'static> {
    Event::Lost(Lost { source: LostSource::KernelBuffer, cpu, count, time: unix_now() })
}

impl Source for Reader {
    fn start(&mut self) -> io::Result<()> {
        if !matches!(self.state, State::Stopped) {
            return Ok(());
        }
        self.state = match self.transport {
            Transport::Ring => {
                let map = MapData::from_fd(self.buffer.try_clone()?).map_err(io::Error::other)?;
                State::Ring(RingBuf::try_from(Map::RingBuf(map)).map_err(io::Error::other)?)
            }
            Transport::Perf => State::Perf(PerfBuffers::open(self.buffer.as_fd())?),
        };
        self.processes_due = Some(Instant::now());
        self.emit(true)
    }

    fn stop(&mut self) {
        if let Err(error) = self.emit(false) {
            tracing::warn!(%error, "cannot stop the kernel programs from writing records");
        }
        self.state = State::Stopped;
    }

    fn read(&mut self, timeout: Duration, sink: &mut dyn FnMut(&Event<'_>)) -> io::Result<usize> {
        let stopped = matches!(self.state, State::Stopped);
        if self.processes_due.is_some_and(|due| !stopped && due <= Instant::now()) {
            self.processes_due = None;
            // Before the events of their connections.
            emit_processes(self.processes.as_fd(), sink)?;
        }
        let mut count = self.drain(sink);
        if count == 0 {
            self.wait(if stopped { timeout } else { timeout.min(POLL_INTERVAL) })?;
            count = self.drain(sink);
        }
        count += self.emit_totals(sink);
        let now = Instant::now();
        // A caller that does not wait drains the source: the last losses are part of it.
        if (now >= self.losses.due || timeout.is_zero()) && !stopped {
            count += self.emit_losses(sink)?;
        }
        if now >= self.clock_due {
            self.clock = Clock::now();
            self.clock_due = now + CLOCK_INTERVAL;
        }
        Ok(count)
    }

    fn waker(&self) -> Waker {
        self.waker.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::wait::tests::interrupted;

    #[test]
    fn signal_ends_wait_without_error() {
        let file = || OwnedFd::from(std::fs::File::open("/dev/null").unwrap());
        let (_sender, totals) = std::sync::mpsc::sync_channel(1);
        let deps = Deps {
            transport: Transport::Ring,
            buffer: file(),
            emit: file(),
            counters: file(),
            processes: file(),
            drop_program: None,
            totals,
            damaged: Number::default(),
        };
        let mut reader = Reader::new(deps).unwrap();
        let read = interrupted(move || reader.read(Duration::from_secs(3600), &mut |_| ()));
        assert_eq!(read.unwrap(), 0);
    }
}
