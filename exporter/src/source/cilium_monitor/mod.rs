//! The source `cilium-monitor`: reads the monitor 1.2 socket of a running Cilium agent, and reconnects after every end.
//!
//! An agent does not count events that it has while no client is connected. The source counts interruptions by reason,
//! the time without a connection, the bytes of truncated messages, and one lost event for each of those messages.
//!
//! CPU numbers have 16 bits here. Other ones, which no kernel has, become CPU 0 for events, none for losses.

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
use super::{Halt, Source, Waker, wait};
use crate::source::connection_log::ReconnectLog;
use crate::source::connection_metrics::ConnectionMetrics;
pub use crate::support::backoff::STABLE_AFTER;
use crate::support::backoff::{Backoff, RECONNECT};
use crate::support::clock::unix_now;
use crate::support::file_watch::PathWatcher;
use crate::support::telemetry::Telemetry;

/// Reads of the socket per call, some 4 MiB: bounds the pipeline's reaction to commands to a few milliseconds.
const MAX_READS: usize = 16;
/// The longest time from a message's first byte to its last: an agent writes each in one call.
pub const STALL: Duration = Duration::from_secs(10);

/// Configuration of the source.
#[derive(Clone, Debug)]
pub struct Config {
    /// Path of the socket.
    pub socket: PathBuf,
    /// The longest time for a message to arrive; [`STALL`] outside of tests.
    pub stall: Duration,
    /// The age at which a connection is stable; [`STABLE_AFTER`] outside of tests.
    pub stable_after: Duration,
}

/// The error of building the source.
#[derive(Debug, Error)]
#[allow(missing_docs, reason = "the messages name the fields")]
pub enum BuildError {
    /// The kernel takes paths of at most 107 bytes.
    #[error("invalid cilium_monitor.socket {path:?}: expected a path of 1 to 107 bytes")]
    Path { path: PathBuf },
    /// No descriptor is left.
    #[error("cannot watch the monitor's socket: {source}")]
    System { source: io::Error },
}

/// The source.
pub struct CiliumMonitor {
    config: Config,
    address: libc::sockaddr_un,
    state: State,
    buffer: Buffer,
    watcher: PathWatcher,
    backoff: Backoff,
    metrics: ConnectionMetrics,
    reconnect_log: ReconnectLog,
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
    /// It has lasted for `stable_after`.
    is_stable: bool,
    /// The socket's file when it was connected to: device and inode.
    identity: Option<(u64, u64)>,
    /// Arrival of the first bytes of an incomplete message.
    partial: Option<Instant>,
    is_shut: bool,
}

/// Controls of the source outside of the pipeline's thread.
#[derive(Clone, Debug)]
pub struct Controls {
    /// Ends the source.
    pub halt: Halt,
    /// The connection's state.
    pub view: View,
}

/// Builds a stopped source.
///
/// # Errors
/// See [`BuildError`]. A missing agent is no error: it may start later.
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
        metrics: ConnectionMetrics::new(telemetry),
        reconnect_log: ReconnectLog::default(),
        view: view.clone(),
        waker,
        halt: halt.clone(),
    };
    Ok((source, Controls { halt, view }))
}

impl CiliumMonitor {
    /// Waits for the next attempt, or for the path to appear, and connects.
    fn reconnect(&mut self, next: Instant, timeout: Duration) -> io::Result<()> {
        let left = next.saturating_duration_since(Instant::now());
        let [is_path_ready, _] = wait(&self.waker, [watched(&self.watcher), None], timeout.min(left))?;
        if is_path_ready && self.watcher.has_changed() && connection::identity(&self.config.socket).is_some() {
            // The agent may listen a moment after it made the path: quick attempts again.
            self.backoff.reset();
        } else if Instant::now() < next {
            self.metrics.publish_away(Instant::now());
            return Ok(());
        }
        // Read before connecting: if the path is replaced meanwhile, the connection is found to be old.
        let identity = connection::identity(&self.config.socket);
        match connection::connect(&self.address) {
            Ok(stream) => self.begin(stream, identity),
            Err(error) => self.failed(&error),
        }
        Ok(())
    }

    fn begin(&mut self, stream: UnixStream, identity: Option<(u64, u64)>) {
        let since = Instant::now();
        self.metrics.connected(since);
        self.buffer.clear();
        self.view.change(|now| (now.since, now.reason) = (since, None));
        if self.reconnect_log.on_connect() {
            tracing::info!(socket = %self.config.socket.display(), "connected to the agent's monitor");
        }
        // A new stream has its own type ids.
        let decoder = PayloadDecoder::default();
        self.state = State::Connected(Connected {
            stream,
            decoder,
            since,
            is_stable: false,
            identity,
            partial: None,
            is_shut: false,
        });
    }

    fn failed(&mut self, error: &io::Error) {
        let reason = Reason::of_connecting(error);
        self.metrics.failed(reason.name());
        self.metrics.publish_away(Instant::now());
        self.view.change(|now| now.reason = Some(reason));
        if self.reconnect_log.on_disconnect(reason.name()) {
            let socket = self.config.socket.display();
            tracing::warn!(%socket, reason = reason.name(), %error, "cannot connect to the agent's monitor; retrying");
        }
        self.state = State::Away { next: Instant::now() + self.backoff.delay() };
    }

    /// Handles the end of the connection: reports known losses, and schedules the next attempt.
    fn end(&mut self, reason: Reason, why: &str, sink: &mut dyn FnMut(&Event<'_>)) {
        let before = std::mem::replace(&mut self.state, State::Stopped);
        let State::Connected(connected) = before else {
            // The read before has ended it already: a new socket at the path is for the next attempt.
            self.state = before;
            return;
        };
        let now = Instant::now();
        let left = self.buffer.filled().len();
        self.buffer.clear();
        if connected.is_shut {
            // Shut down by us: everything is read, and no other connection follows.
            self.metrics.stopped(now);
            self.view.change(|view| (view.since, view.reason) = (now, Some(Reason::NotStarted)));
            return;
        }
        self.metrics.ended(reason.name(), left, now);
        if left > 0 && reason != Reason::Garbage {
            // The incomplete message was an event.
            sink(&lost(LostSource::ObserverQueue, None, 1, unix_now()));
        }
        let is_stable =
            connected.is_stable || now.saturating_duration_since(connected.since) >= self.config.stable_after;
        if is_stable {
            self.backoff.reset();
        }
        self.reconnect_log.on_end(is_stable);
        self.view.change(|view| {
            view.interruptions += 1;
            (view.since, view.reason) = (now, Some(reason));
        });
        if self.reconnect_log.on_disconnect(reason.name()) {
            let socket = self.config.socket.display();
            tracing::warn!(%socket, reason = reason.name(), why, bytes = left, "the connection to the agent's monitor has ended; reconnecting");
        }
        self.state = State::Away { next: now + self.backoff.delay() };
    }

    /// Marks a connection that has become stable; called once per read.
    fn mark_if_stable(&mut self) {
        let State::Connected(connected) = &mut self.state else { return };
        if !connected.is_stable && connected.since.elapsed() >= self.config.stable_after {
            connected.is_stable = true;
            self.backoff.reset();
            if let Some(suppressed) = self.reconnect_log.on_stable() {
                let socket = self.config.socket.display();
                tracing::info!(%socket, suppressed, "the connection to the agent's monitor is stable again");
            }
        }
    }

    /// Passes on received events, or waits for the first one.
    fn receive(&mut self, timeout: Duration, sink: &mut dyn FnMut(&Event<'_>)) -> io::Result<usize> {
        let count = self.take_all(sink);
        let State::Connected(connected) = &self.state else { return Ok(count) };
        if count > 0 {
            return Ok(count);
        }
        let stalls = connected.partial.map(|since| since + self.config.stall);
        let left = stalls.map_or(timeout, |end| timeout.min(end.saturating_duration_since(Instant::now())));
        let descriptors = [Some(connected.stream.as_raw_fd()), watched(&self.watcher)];
        let [is_ready, is_path_ready] = wait(&self.waker, descriptors, left)?;
        let is_replaced = is_path_ready && self.watcher.has_changed() && self.is_replaced();
        let count = if is_ready { self.take_all(sink) } else { 0 };
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

    /// Reads and decodes until the socket is empty, or [`MAX_READS`] times.
    fn take_all(&mut self, sink: &mut dyn FnMut(&Event<'_>)) -> usize {
        let mut count = 0;
        for _ in 0..MAX_READS {
            let State::Connected(connected) = &mut self.state else { return count };
            match self.buffer.fill(&mut connected.stream) {
                Ok(0) => {
                    self.end(Reason::Closed, "the agent closed it", sink);
                    return count;
                }
                Ok(_) => {
                    let (taken, error) = decode(connected, &mut self.buffer, &mut self.metrics, sink);
                    count += taken;
                    if let Some(error) = error {
                        // A length of 0 is too short for any message: not a monitor's stream.
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

/// Decodes all complete messages; returns their number, and the error that ended decoding.
#[inline]
fn decode(
    connected: &mut Connected,
    buffer: &mut Buffer,
    metrics: &mut ConnectionMetrics,
    sink: &mut dyn FnMut(&Event<'_>),
) -> (usize, Option<GobError>) {
    // Bytes of one read arrived together: one look at the clock.
    let time = unix_now();
    let mut count = 0;
    let error = loop {
        match connected.decoder.decode(buffer.filled()) {
            Ok(Some((payload, size))) => {
                // No kernel has such a CPU (Linux: 8192 at most): events count for CPU 0, as the agent's do, losses for
                // none.
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
                    _ => metrics.skipped("unknown_payload"),
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

/// Returns the watcher's descriptor for poll(2); `None` if it has none.
fn watched(watcher: &PathWatcher) -> Option<RawFd> {
    watcher.descriptor().map(|descriptor| descriptor.as_raw_fd())
}

impl Source for CiliumMonitor {
    fn start(&mut self) -> io::Result<()> {
        if matches!(self.state, State::Stopped) {
            self.metrics.started(Instant::now());
            self.state = State::Away { next: Instant::now() };
        }
        Ok(())
    }

    fn stop(&mut self) {
        if !matches!(self.state, State::Stopped) {
            if let State::Connected(connected) = &self.state {
                self.reconnect_log.on_end(connected.is_stable);
            }
            self.state = State::Stopped;
            self.buffer.clear();
            self.backoff.reset();
            self.metrics.stopped(Instant::now());
            self.view.change(|now| (now.since, now.reason) = (Instant::now(), Some(Reason::NotStarted)));
        }
    }

    fn read(&mut self, timeout: Duration, sink: &mut dyn FnMut(&Event<'_>)) -> io::Result<usize> {
        let halted = self.halt.is_requested();
        match &mut self.state {
            State::Away { next } if !halted => {
                let next = *next;
                self.reconnect(next, timeout)?;
                Ok(0)
            }
            State::Stopped | State::Away { .. } => {
                wait(&self.waker, [None; 2], timeout)?;
                Ok(0)
            }
            State::Connected(connected) => {
                if halted && !connected.is_shut {
                    // Bytes that have arrived stay readable and no more come, so the drain ends.
                    connected.is_shut = true;
                    if let Err(error) = connected.stream.shutdown(Shutdown::Read) {
                        tracing::debug!(%error, "cannot shut down the agent's monitor socket");
                    }
                }
                self.mark_if_stable();
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
