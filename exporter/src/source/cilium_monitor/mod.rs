//! The source `cilium-monitor`: reads a running Cilium agent's monitor 1.2 socket, and finds it again whatever happens.
//!
//! How many events an agent had while there was no connection, nobody can know: it counts them for nobody. What is
//! known is told: interruptions by reason, the time without a connection, the bytes of what was cut, and a lost event
//! for each message that began and did not end.
//!
//! CPUs have 16 bits with us. An event whose CPU is negative or above 65,535, which no kernel has, is told as CPU 0's; a
//! loss as of no known CPU.

pub mod connection;
pub mod status;

use std::io;
use std::net::Shutdown;
use std::os::fd::{AsRawFd as _, RawFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use eyepiece_flow::event::{Event, Lost, LostSource, RawEvent};
use eyepiece_flow::gob;
use eyepiece_flow::gob::{Fault, GobError, PayloadDecoder};
use thiserror::Error;

use self::connection::Reason;
use self::status::View;
use super::buffer::Buffer;
use super::datapath::clock::unix_now;
use super::{Halt, Source, Waker, wait};
use crate::source::connection_log;
use crate::source::connection_log::Said;
use crate::source::connection_stats::Numbers;
use crate::support::backoff::{Backoff, RECONNECT};
use crate::support::file_watch::PathWatcher;
use crate::support::telemetry::Telemetry;

/// Reads of the socket before the pipeline gets a word in: some 4 MiB, as much as it counts in a few milliseconds.
const FILLS: usize = 16;
/// How long a message may take from its first byte to its last: an agent writes each in one piece.
pub const STALL: Duration = Duration::from_secs(10);
/// A connection that lasted this long was a good one: only after such a one the agent is asked again at once.
pub const GOOD: Duration = connection_log::GOOD;

/// Whose socket is read.
#[derive(Clone, Debug)]
pub struct Config {
    /// Path of the socket.
    pub socket: PathBuf,
    /// How long a message may take to arrive; [`STALL`] outside of tests.
    pub stall: Duration,
    /// How long a connection must last to be a good one; [`GOOD`] outside of tests.
    pub good: Duration,
}

/// Why the source can't be built.
#[derive(Debug, Error)]
pub enum BuildError {
    /// The kernel takes paths of at most 107 bytes.
    #[error("cilium_monitor.socket: {path:?} is no path of a socket: they have 1 to 107 bytes")]
    Path {
        /// The path.
        path: PathBuf,
    },
    /// No descriptor is left.
    #[error("cannot watch the monitor's socket: {source}")]
    System {
        /// What the system said.
        source: io::Error,
    },
}

/// The source.
pub struct CiliumMonitor {
    config: Config,
    address: libc::sockaddr_un,
    state: State,
    buffer: Buffer,
    watcher: PathWatcher,
    backoff: Backoff,
    numbers: Numbers,
    said: Said,
    view: View,
    waker: Waker,
    halt: Halt,
}

enum State {
    Stopped,
    Away { next: Instant },
    Connected(Connected),
}

struct Connected {
    stream: UnixStream,
    decoder: PayloadDecoder,
    since: Instant,
    /// It has lasted.
    is_good: bool,
    /// Which file the path was.
    identity: Option<(u64, u64)>,
    /// Since when the beginning of a message waits for its rest.
    partial: Option<Instant>,
    is_shut: bool,
}

/// What belongs to the source outside of the pipeline's thread.
#[derive(Clone, Debug)]
pub struct Controls {
    /// Ends it.
    pub halt: Halt,
    /// How the connection is.
    pub view: View,
}

/// Makes a source that does not read yet.
///
/// # Errors
/// See [`BuildError`]. That nobody listens is no error: the agent may come later.
pub fn build(config: Config, telemetry: &Telemetry) -> Result<(CiliumMonitor, Controls), BuildError> {
    let address =
        connection::address(&config.socket).ok_or_else(|| BuildError::Path { path: config.socket.clone() })?;
    let waker = Waker::new().map_err(|source| BuildError::System { source })?;
    let (halt, view) = (Halt::new(waker.clone()), View::new());
    let source = CiliumMonitor {
        watcher: PathWatcher::new(vec![config.socket.clone()]),
        config,
        address,
        state: State::Stopped,
        buffer: Buffer::new(PayloadDecoder::default().longest()),
        backoff: Backoff::new(RECONNECT, fastrand::Rng::new()),
        numbers: Numbers::new(telemetry),
        said: Said::default(),
        view: view.clone(),
        waker,
        halt: halt.clone(),
    };
    Ok((source, Controls { halt, view }))
}

impl CiliumMonitor {
    /// Waits for the next attempt, or for the path to appear, and tries.
    fn look_for_agent(&mut self, next: Instant, timeout: Duration) -> io::Result<()> {
        let left = next.saturating_duration_since(Instant::now());
        let [news, _] = wait(&self.waker, [watched(&self.watcher), None], timeout.min(left))?;
        if news && self.watcher.has_changed() {
            // Whoever made the path may listen only a moment later: quick attempts again.
            self.backoff.reset();
        } else if Instant::now() < next {
            self.numbers.away(Instant::now());
            return Ok(());
        }
        // Before it is connected to: where it is replaced meanwhile, the connection is found to be old.
        let identity = connection::identity(&self.config.socket);
        match connection::connect(&self.address) {
            Ok(stream) => self.begin(stream, identity),
            Err(error) => self.failed(&error),
        }
        Ok(())
    }

    fn begin(&mut self, stream: UnixStream, identity: Option<(u64, u64)>) {
        let since = Instant::now();
        self.numbers.connected(since);
        self.buffer.clear();
        self.view.change(|now| (now.since, now.reason) = (since, None));
        if self.said.connected() {
            tracing::info!(socket = %self.config.socket.display(), "connected to the agent's monitor");
        }
        // A new stream has its own type ids.
        let decoder = PayloadDecoder::default();
        self.state = State::Connected(Connected {
            stream,
            decoder,
            since,
            is_good: false,
            identity,
            partial: None,
            is_shut: false,
        });
    }

    fn failed(&mut self, error: &io::Error) {
        let reason = Reason::of_connecting(error);
        self.numbers.failed(reason.name());
        self.numbers.away(Instant::now());
        self.view.change(|now| now.reason = Some(reason));
        if self.said.away(reason.name()) {
            let socket = self.config.socket.display();
            tracing::warn!(%socket, reason = reason.name(), %error, "cannot connect to the agent's monitor; will go on trying");
        }
        self.state = State::Away { next: Instant::now() + self.backoff.delay() };
    }

    /// The connection is over: tells what is known to be lost, and begins to look for the next one.
    fn end(&mut self, reason: Reason, why: &str, sink: &mut dyn FnMut(&Event<'_>)) {
        let before = std::mem::replace(&mut self.state, State::Stopped);
        let State::Connected(connected) = before else {
            // What was just read has ended it: another socket at its path is for the next attempt.
            self.state = before;
            return;
        };
        let now = Instant::now();
        let left = self.buffer.filled().len();
        self.buffer.clear();
        if connected.is_shut {
            // We ended it ourselves: what is behind is read, and no other connection follows.
            self.numbers.stopped(now);
            self.view.change(|view| (view.since, view.reason) = (now, Some(Reason::NotStarted)));
            return;
        }
        self.numbers.ended(reason.name(), left, now);
        if left > 0 && reason != Reason::Garbage {
            // A message that began is an event that its agent had.
            sink(&lost(LostSource::ObserverQueue, None, 1, unix_now()));
        }
        let is_good = connected.is_good || now.saturating_duration_since(connected.since) >= self.config.good;
        if is_good {
            self.backoff.reset();
        }
        self.said.over(is_good);
        self.view.change(|view| {
            view.interruptions += 1;
            (view.since, view.reason) = (now, Some(reason));
        });
        if self.said.away(reason.name()) {
            let socket = self.config.socket.display();
            tracing::warn!(%socket, reason = reason.name(), why, bytes = left, "the connection to the agent's monitor has ended; will connect again");
        }
        self.state = State::Away { next: now + self.backoff.delay() };
    }

    /// Takes note of a connection that has become a good one. Once a read.
    fn look_at_age(&mut self) {
        let State::Connected(connected) = &mut self.state else { return };
        if !connected.is_good && connected.since.elapsed() >= self.config.good {
            connected.is_good = true;
            self.backoff.reset();
            if let Some(unsaid) = self.said.lasts() {
                let socket = self.config.socket.display();
                tracing::info!(%socket, unsaid, "the connection to the agent's monitor lasts again");
            }
        }
    }

    /// Takes what has come; waits for something where there is nothing.
    fn receive(&mut self, timeout: Duration, sink: &mut dyn FnMut(&Event<'_>)) -> io::Result<usize> {
        let count = self.take_all(sink);
        let State::Connected(connected) = &self.state else { return Ok(count) };
        if count > 0 {
            return Ok(count);
        }
        let stalls = connected.partial.map(|since| since + self.config.stall);
        let left = stalls.map_or(timeout, |end| timeout.min(end.saturating_duration_since(Instant::now())));
        let descriptors = [Some(connected.stream.as_raw_fd()), watched(&self.watcher)];
        let [ready, news] = wait(&self.waker, descriptors, left)?;
        let is_replaced = news && self.watcher.has_changed() && self.is_replaced();
        let count = if ready { self.take_all(sink) } else { 0 };
        if is_replaced {
            self.end(Reason::Replaced, "another socket is at the path", sink);
        } else if self.is_stalled() {
            self.end(Reason::Stalled, "the rest of a message did not come", sink);
        }
        Ok(count)
    }

    fn is_replaced(&self) -> bool {
        let State::Connected(connected) = &self.state else { return false };
        let now = connection::identity(&self.config.socket);
        now.is_some() && now != connected.identity
    }

    fn is_stalled(&self) -> bool {
        let State::Connected(connected) = &self.state else { return false };
        connected.partial.is_some_and(|since| since.elapsed() >= self.config.stall)
    }

    /// Reads and decodes until nothing is there, or enough was.
    fn take_all(&mut self, sink: &mut dyn FnMut(&Event<'_>)) -> usize {
        let mut count = 0;
        for _ in 0..FILLS {
            let State::Connected(connected) = &mut self.state else { return count };
            match self.buffer.fill(&mut connected.stream) {
                Ok(0) => {
                    self.end(Reason::Closed, "the agent closed it", sink);
                    return count;
                }
                Ok(_) => {
                    let (taken, error) = decode(connected, &mut self.buffer, &mut self.numbers, sink);
                    count += taken;
                    if let Some(error) = error {
                        // One of no bytes is too short for any: it is nobody's stream.
                        let is_length = matches!(error.fault, Fault::MessageLength { length: 1.., .. });
                        let reason = if is_length { Reason::TooLong } else { Reason::Garbage };
                        self.end(reason, &error.to_string(), sink);
                        return count;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.end(Reason::of_reading(&error), &error.to_string(), sink);
                    return count;
                }
            }
        }
        count
    }
}

/// Hands over every whole message. Gives how many, and what is wrong behind them.
#[inline]
fn decode(
    connected: &mut Connected,
    buffer: &mut Buffer,
    numbers: &mut Numbers,
    sink: &mut dyn FnMut(&Event<'_>),
) -> (usize, Option<GobError>) {
    // What is read at once has arrived at once: one look at the clock.
    let time = unix_now();
    let mut count = 0;
    let error = loop {
        match connected.decoder.decode(buffer.filled()) {
            Ok(Some((payload, size))) => {
                // A number that no CPU has (Linux knows 8192 at most): the event stays, and the machine's first
                // stands for it, as for agent events. A loss has none then.
                let cpu = u16::try_from(payload.cpu);
                match payload.kind {
                    gob::EVENT_SAMPLE => sink(&Event::Raw(RawEvent {
                        time,
                        cpu: cpu.unwrap_or(0),
                        data: payload.data,
                        traffic: None,
                        kernel_drop: None,
                    })),
                    gob::RECORD_LOST => sink(&lost(LostSource::KernelBuffer, cpu.ok(), payload.lost, time)),
                    _ => numbers.skipped("unknown_payload"),
                }
                buffer.consume(size);
                count += 1;
            }
            Ok(None) => break None,
            Err(error) => break Some(error),
        }
    };
    if buffer.filled().is_empty() {
        connected.partial = None;
    } else if count > 0 || connected.partial.is_none() {
        connected.partial = Some(Instant::now());
    }
    (count, error)
}

fn lost(source: LostSource, cpu: Option<u16>, count: u64, time: u64) -> Event<'static> {
    Event::Lost(Lost { source, cpu, count, time })
}

/// For poll(2).
fn watched(watcher: &PathWatcher) -> Option<RawFd> {
    watcher.descriptor().map(|descriptor| descriptor.as_raw_fd())
}

impl Source for CiliumMonitor {
    fn start(&mut self) -> io::Result<()> {
        if matches!(self.state, State::Stopped) {
            self.numbers.started(Instant::now());
            self.state = State::Away { next: Instant::now() };
        }
        Ok(())
    }

    fn stop(&mut self) {
        if !matches!(self.state, State::Stopped) {
            if let State::Connected(connected) = &self.state {
                self.said.over(connected.is_good);
            }
            self.state = State::Stopped;
            self.buffer.clear();
            self.backoff.reset();
            self.numbers.stopped(Instant::now());
            self.view.change(|now| (now.since, now.reason) = (Instant::now(), Some(Reason::NotStarted)));
        }
    }

    fn read(&mut self, timeout: Duration, sink: &mut dyn FnMut(&Event<'_>)) -> io::Result<usize> {
        let halted = self.halt.is_asked();
        match &mut self.state {
            State::Away { next } if !halted => {
                let next = *next;
                self.look_for_agent(next, timeout)?;
                Ok(0)
            }
            State::Stopped | State::Away { .. } => {
                wait(&self.waker, [None; 2], timeout)?;
                Ok(0)
            }
            State::Connected(connected) => {
                if halted && !connected.is_shut {
                    // What has arrived stays readable, and no more comes: the drain has an end.
                    connected.is_shut = true;
                    if let Err(error) = connected.stream.shutdown(Shutdown::Read) {
                        tracing::debug!(%error, "shutdown");
                    }
                }
                self.look_at_age();
                self.receive(timeout, sink)
            }
        }
    }

    fn waker(&self) -> Waker {
        self.waker.clone()
    }
}

#[cfg(test)]
mod tests;
