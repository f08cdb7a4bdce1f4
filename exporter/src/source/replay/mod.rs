//! The source `replay`: plays a file of recorded events at its own pace, faster, or without waits.

mod metrics;
mod names;
mod pace;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::time::Duration;

use eyepiece_flow::event::Event;
use eyepiece_flow::interner::Symbols;
use eyepiece_flow::recording::format::{self, Damage, HeadError, Reader, Record, Step};
use thiserror::Error;
use tokio::sync::oneshot;

use self::metrics::ReplayMetrics;
pub use self::names::RecordedNames;
use self::pace::Pace;
use super::buffer::Buffer;
use super::{Halt, Source, Waker, wait};
use crate::metadata::{Publisher, recorded};
use crate::support::telemetry::Telemetry;

/// Steps per read, events or not: enough to spread its cost, few enough for a quick reaction to commands.
const BURST: usize = 4096;
/// Damaged bytes per read, for the same reason: one step may skip a whole buffer.
const BURST_DAMAGED: usize = 4 << 20;
/// The timeout of one wait for the first bytes. A signal interrupts it, so it only bounds the argument of poll(2).
const FIRST_WAIT: Duration = Duration::from_secs(60);
/// Name of standard input.
const STDIN: &str = "-";

/// Configuration of the source.
#[derive(Clone, Debug)]
pub struct Config {
    /// The file; `-` is standard input.
    pub path: String,
    /// The factor of the recorded speed; 0 = without waits.
    pub speed: f64,
}

/// Handles that a replay works with.
#[derive(Debug)]
pub struct Deps<'a> {
    /// Interns names of the recording.
    pub symbols: Symbols,
    /// Publishes the recording's snapshots.
    pub publisher: Publisher,
    /// Registers the source's metrics.
    pub telemetry: &'a Telemetry,
    /// Ends a wait for the first bytes: those of a pipe may never come.
    pub shutdown: &'a Halt,
}

/// The error of opening a recording.
#[derive(Debug, Error)]
#[allow(missing_docs, reason = "the messages name the fields")]
pub enum ReplayError {
    /// The file cannot be opened or read.
    #[error("cannot read the recording {path} (replay.path): {source}")]
    Open { path: String, source: io::Error },
    /// The file is no recording.
    #[error("invalid recording {path}: {source}")]
    Head { path: String, source: HeadError },
    /// The program was shut down before the first bytes came.
    #[error("cannot read the recording (replay.path): shut down before its first bytes arrived")]
    Interrupted,
}

/// The source.
pub struct Replay {
    path: String,
    input: File,
    buffer: Buffer,
    reader: Reader,
    pace: Pace,
    symbols: Symbols,
    publisher: Publisher,
    names: RecordedNames,
    metrics: ReplayMetrics,
    waker: Waker,
    halt: Halt,
    is_reading: bool,
    /// Notified at the end; `None` afterwards.
    finished: Option<oneshot::Sender<()>>,
}

/// Controls of a replay outside of the pipeline's thread.
#[derive(Debug)]
pub struct Controls {
    /// Ends it early.
    pub halt: Halt,
    /// Notified when all events were passed on.
    pub finished: oneshot::Receiver<()>,
    /// Kernel names in the recording.
    pub names: RecordedNames,
    /// Key and value pairs about the recorder, from the recording.
    pub origin: BTreeMap<String, String>,
}

/// Opens the file and checks its head.
///
/// # Errors
/// See [`ReplayError`].
pub fn build(config: &Config, deps: Deps<'_>) -> Result<(Replay, Controls), ReplayError> {
    let path = config.path.clone();
    let failed = |source| ReplayError::Open { path: config.path.clone(), source };
    let input = open(&path).map_err(failed)?;
    let waker = Waker::new().map_err(failed)?;
    let (halt, names) = (Halt::new(waker.clone()), RecordedNames::default());
    let (sender, finished) = oneshot::channel();
    let mut replay = Replay {
        path,
        input,
        buffer: Buffer::new(format::RECORD_HEAD + format::MAX_BODY),
        reader: Reader::default(),
        pace: Pace::new(config.speed),
        symbols: deps.symbols,
        publisher: deps.publisher,
        names: names.clone(),
        metrics: ReplayMetrics::new(deps.telemetry.clone()),
        waker,
        halt: halt.clone(),
        is_reading: false,
        finished: Some(sender),
    };
    replay.head(deps.shutdown)?;
    let origin = replay.origin(deps.shutdown)?;
    Ok((replay, Controls { halt, finished, names, origin }))
}

/// Checks that a path is a readable recording; a pipe or device is not read here.
///
/// # Errors
/// The error, with the path.
pub fn check(path: &str) -> Result<(), String> {
    if path == STDIN || std::fs::metadata(path).is_ok_and(|there| !there.is_file() && !there.is_dir()) {
        return Ok(());
    }
    let mut head = Vec::new();
    let read = File::open(path).and_then(|file| file.take(format::HEAD as u64).read_to_end(&mut head));
    read.map_err(|error| format!("cannot read {path}: {error}"))?;
    format::check_head(&head).map_err(|error| format!("invalid recording {path}: {error}"))
}

fn open(path: &str) -> io::Result<File> {
    if path == STDIN {
        return Ok(File::from(io::stdin().as_fd().try_clone_to_owned()?));
    }
    // Without this flag, opening a named pipe without a writer blocks; files ignore it.
    File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path)
}

/// The outcome of [`fill`].
enum Filled {
    Bytes,
    NotYet,
    End,
}

/// Reads once. A file is always ready, a pipe if its writer has written.
fn fill(waker: &Waker, input: &mut File, buffer: &mut Buffer, timeout: Duration) -> io::Result<Filled> {
    let [ready, _] = wait(waker, [Some(input.as_raw_fd()), None], timeout)?;
    if !ready {
        return Ok(Filled::NotYet);
    }
    match buffer.fill(input) {
        Ok(0) => Ok(Filled::End),
        Ok(_) => Ok(Filled::Bytes),
        Err(error) if matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock) => {
            Ok(Filled::NotYet)
        }
        Err(error) => Err(error),
    }
}

impl Replay {
    /// Checks the file's head, as soon as enough of it is read.
    fn head(&mut self, shutdown: &Halt) -> Result<(), ReplayError> {
        loop {
            let filled = self.buffer.filled();
            match format::check_head(&filled[..filled.len().min(format::HEAD)]) {
                Ok(()) => break,
                Err(HeadError::Short { .. }) if self.first_bytes(shutdown)? => {}
                Err(source) => return Err(ReplayError::Head { path: self.path.clone(), source }),
            }
        }
        self.buffer.consume(format::HEAD);
        Ok(())
    }

    /// Key and value pairs about the recorder, if the first record has them.
    fn origin(&mut self, shutdown: &Halt) -> Result<BTreeMap<String, String>, ReplayError> {
        loop {
            match self.reader.next(self.buffer.filled()) {
                Step::Record { record: Record::Origin(lines), .. } => {
                    let pairs = lines.lines().filter_map(|line| line.split_once('='));
                    return Ok(pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect());
                }
                Step::Incomplete { .. } => {}
                Step::Record { .. } | Step::Damaged { .. } => return Ok(BTreeMap::new()),
            }
            if !self.first_bytes(shutdown)? {
                return Ok(BTreeMap::new());
            }
        }
    }

    /// Waits for more bytes at the start; returns false at the file's end.
    fn first_bytes(&mut self, shutdown: &Halt) -> Result<bool, ReplayError> {
        loop {
            if shutdown.is_requested() {
                return Err(ReplayError::Interrupted);
            }
            match fill(&shutdown.waker, &mut self.input, &mut self.buffer, FIRST_WAIT) {
                Ok(Filled::Bytes) => return Ok(true),
                Ok(Filled::End) => return Ok(false),
                Ok(Filled::NotYet) => {}
                Err(source) => return Err(ReplayError::Open { path: self.path.clone(), source }),
            }
        }
    }

    /// Plays due records; waits at most `timeout` if none is due.
    fn play(&mut self, timeout: Duration, sink: &mut dyn FnMut(&Event<'_>)) -> io::Result<usize> {
        let (mut count, mut skipped) = (0, 0);
        // Steps are bounded as well as events: damage has no events and may be endless.
        for _ in 0..BURST {
            if skipped >= BURST_DAMAGED || self.halt.is_requested() {
                break;
            }
            match self.reader.next(self.buffer.filled()) {
                Step::Record { time, record, size } => {
                    let ahead = self.pace.until(time, &self.path);
                    if !ahead.is_zero() {
                        if count == 0 {
                            wait(&self.waker, [None; 2], timeout.min(ahead))?;
                        }
                        return Ok(count);
                    }
                    let is_event = if let Record::Event(event) = record {
                        sink(&event);
                        count += 1;
                        true
                    } else {
                        learn(&self.path, &record, &self.symbols, &self.publisher, &self.names);
                        false
                    };
                    self.buffer.consume(size);
                    if !is_event {
                        // The pipeline reads a new snapshot between two reads.
                        return Ok(count);
                    }
                }
                Step::Damaged { damage, size } => {
                    self.metrics.damaged(damage, size);
                    self.buffer.consume(size);
                    skipped += size;
                }
                Step::Incomplete { .. } => match self.fill(if count == 0 { timeout } else { Duration::ZERO })? {
                    Filled::Bytes => {}
                    Filled::NotYet => return Ok(count),
                    Filled::End => {
                        if !self.ends_with_gap() {
                            self.finish();
                            return Ok(count);
                        }
                    }
                },
            }
        }
        Ok(count)
    }

    fn fill(&mut self, timeout: Duration) -> io::Result<Filled> {
        fill(&self.waker, &mut self.input, &mut self.buffer, timeout)
    }

    /// At the end of the file: skips a gap if complete records follow it.
    fn ends_with_gap(&mut self) -> bool {
        let Some(size) = format::after_gap(self.buffer.filled()) else { return false };
        self.metrics.damaged(Damage::Body, size);
        self.buffer.consume(size);
        true
    }

    fn finish(&mut self) {
        let Some(finished) = self.finished.take() else { return };
        let left = self.buffer.filled().len();
        self.buffer.clear();
        if left > 0 {
            self.metrics.truncated.add(left as u64);
            tracing::warn!(
                bytes = left,
                "{}: the last record is truncated; all records before it were played",
                self.path
            );
        }
        self.metrics.log_totals(&self.path);
        tracing::info!("{}: played to its end", self.path);
        // The receiver is gone if the program ends already.
        finished.send(()).unwrap_or_default();
    }
}

/// Applies a record that is no event.
fn learn(path: &str, record: &Record<'_>, symbols: &Symbols, publisher: &Publisher, names: &RecordedNames) {
    match record {
        Record::Metadata(bytes) => match recorded::read(bytes, symbols) {
            Some(links) => publisher.publish(links),
            None => tracing::warn!("{path}: cannot read metadata of a later version; names may be missing"),
        },
        Record::Reason { number, name } => names.learn_reason(*number, name),
        Record::Symbol { address, name } => names.learn_symbol(*address, name),
        Record::Origin(lines) => {
            let origin = lines.trim_end().replace('\n', ", ");
            tracing::info!(origin, "{path}: playing the recording");
        }
        Record::Event(_) => {}
    }
}

impl Source for Replay {
    fn start(&mut self) -> io::Result<()> {
        self.is_reading = true;
        Ok(())
    }

    fn stop(&mut self) {
        self.is_reading = false;
    }

    fn read(&mut self, timeout: Duration, sink: &mut dyn FnMut(&Event<'_>)) -> io::Result<usize> {
        if self.halt.is_requested() {
            self.metrics.log_totals(&self.path);
        }
        if !self.is_reading || self.finished.is_none() || self.halt.is_requested() {
            wait(&self.waker, [None; 2], timeout)?;
            return Ok(0);
        }
        self.play(timeout, sink)
    }

    fn waker(&self) -> Waker {
        self.waker.clone()
    }
}
