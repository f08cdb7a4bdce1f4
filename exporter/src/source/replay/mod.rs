//! The source `replay`: plays a file of recorded events at its own pace, faster, or as fast as it goes.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::time::{Duration, Instant};

use eyepiece_flow::event::Event;
use eyepiece_flow::interner::Symbols;
use eyepiece_flow::recording::format::{self, Damage, HeadError, Reader, Record, Step};
use eyepiece_semconv::{attribute, metric};
use thiserror::Error;
use tokio::sync::oneshot;

use super::buffer::Buffer;
use super::{Halt, Source, Waker, wait};
use crate::metadata::Publisher;
use crate::recording::known::{self, RecordedNames};
use crate::support::telemetry::{Number, Telemetry};

/// Steps of one read, events or not: enough to spread its cost, few enough that commands don't wait.
const BURST: usize = 4096;
/// Bytes of one read that are no record, for the same reason: a step over them may be as long as the buffer.
const BURST_DAMAGED: usize = 4 << 20;
/// The shortest wait for the next event that is told: a clock that was set forward while recording makes years of them.
const LONG_WAIT: Duration = Duration::from_secs(60);
/// How long one wait for the first bytes lasts; a signal ends it, so it only bounds what poll(2) is given.
const FIRST_WAIT: Duration = Duration::from_secs(60);
/// Name of standard input.
const STDIN: &str = "-";

/// What is played, and how.
#[derive(Clone, Debug)]
pub struct Config {
    /// The file; `-` is standard input.
    pub path: String,
    /// How many times faster than recorded; 0 = as fast as it goes.
    pub speed: f64,
}

/// What a replay is built with.
#[derive(Debug)]
pub struct Deps<'a> {
    /// Names of what the recording tells.
    pub symbols: Symbols,
    /// Where the recording's snapshots go.
    pub publisher: Publisher,
    /// Own counters.
    pub telemetry: &'a Telemetry,
    /// Ends a wait for the file's first bytes: those of a pipe may never come.
    pub shutdown: &'a Halt,
}

/// Why a file can't be played.
#[derive(Debug, Error)]
pub enum ReplayError {
    /// The system.
    #[error("replay.path: {path}: {source}")]
    Open {
        /// The file.
        path: String,
        /// What the system said.
        source: io::Error,
    },
    /// It is no recording.
    #[error("replay.path: {path}: {source}")]
    Head {
        /// The file.
        path: String,
        /// What is wrong.
        source: HeadError,
    },
    /// The program was told to shutdown before the first bytes were there.
    #[error("replay.path: told to shutdown before its first bytes came")]
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
    /// Told at the end; none afterwards.
    finished: Option<oneshot::Sender<()>>,
}

/// What belongs to a replay outside of the pipeline's thread.
#[derive(Debug)]
pub struct Controls {
    /// Ends it early.
    pub halt: Halt,
    /// Hears when everything was handed over.
    pub finished: oneshot::Receiver<()>,
    /// The kernel's words of the recording.
    pub names: RecordedNames,
    /// Who recorded what, as the recording says it.
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
        pace: Pace { speed: config.speed, began: None, announced: None },
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

/// Checks that a file can be read and is a recording; what is no file, as a pipe, is not read before it is played.
///
/// # Errors
/// What is wrong with it, with the path.
pub fn check(path: &str) -> Result<(), String> {
    let of_path = |error: &dyn std::fmt::Display| format!("{path}: {error}");
    if path == STDIN || std::fs::metadata(path).is_ok_and(|there| !there.is_file() && !there.is_dir()) {
        return Ok(());
    }
    let mut head = Vec::new();
    let read = File::open(path).and_then(|file| file.take(format::HEAD as u64).read_to_end(&mut head));
    read.map_err(|error| of_path(&error))?;
    format::check_head(&head).map_err(|error| of_path(&error))
}

fn open(path: &str) -> io::Result<File> {
    if path == STDIN {
        return Ok(File::from(io::stdin().as_fd().try_clone_to_owned()?));
    }
    // Without this flag a named pipe that nobody writes to would not even be opened; files ignore it.
    File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path)
}

/// When records are due.
#[derive(Debug)]
struct Pace {
    speed: f64,
    /// When the first record was played, and its own time.
    began: Option<(Instant, u64)>,
    /// Time of the record whose long wait was told.
    announced: Option<u64>,
}

impl Pace {
    /// How long until a record of this time is due.
    fn until(&mut self, time: u64) -> Duration {
        if self.speed == 0.0 {
            return Duration::ZERO;
        }
        let (start, first) = *self.began.get_or_insert_with(|| (Instant::now(), time));
        // Clocks may be set back while recording: what is earlier than the first is due.
        let after = Duration::from_nanos(time.saturating_sub(first)).as_secs_f64() / self.speed;
        // A time that does not fit is too far away to be waited for.
        let after = Duration::try_from_secs_f64(after).unwrap_or(Duration::MAX);
        after.saturating_sub(start.elapsed())
    }

    /// Whether the wait for a record of this time is long, and new.
    fn should_announce(&mut self, ahead: Duration, time: u64) -> bool {
        ahead >= LONG_WAIT && self.announced.replace(time) != Some(time)
    }
}

/// About how long, in the largest unit of which there are two at least.
fn rough_duration(time: Duration) -> String {
    let seconds = time.as_secs();
    let units = [(86_400, "days"), (3600, "h"), (60, "min")];
    let unit = units.into_iter().find(|(unit, _)| seconds / unit >= 2);
    unit.map_or_else(|| format!("{seconds} s"), |(unit, name)| format!("{} {name}", seconds / unit))
}

#[derive(Debug)]
struct ReplayMetrics {
    telemetry: Telemetry,
    damaged: HashMap<Damage, Damaged>,
    truncated: Number,
}

/// Places that are no record, of one kind.
#[derive(Debug)]
struct Damaged {
    places: Number,
    bytes: Number,
    /// How many places and bytes have not been told in words.
    unreported: (u64, u64),
}

impl ReplayMetrics {
    fn new(telemetry: Telemetry) -> Self {
        let truncated =
            telemetry.counter(metric::EYEPIECE_SOURCE_DISCARDED.name, &[(attribute::EYEPIECE_REASON, "truncated")]);
        Self { telemetry, damaged: HashMap::new(), truncated }
    }

    /// Counts a place that is no record, and tells of the first of its kind.
    fn damaged(&mut self, damage: Damage, size: usize) {
        let kind = self.damaged.entry(damage).or_insert_with(|| {
            let reason = [(attribute::EYEPIECE_REASON, damage.name())];
            tracing::warn!(reason = damage.name(), "the recording is damaged; what is whole is played");
            Damaged {
                places: self.telemetry.counter(metric::EYEPIECE_SOURCE_DAMAGED.name, &reason),
                bytes: self.telemetry.counter(metric::EYEPIECE_SOURCE_DISCARDED.name, &reason),
                unreported: (0, 0),
            }
        });
        kind.places.add(1);
        kind.bytes.add(size as u64);
        kind.unreported = (kind.unreported.0 + 1, kind.unreported.1 + size as u64);
    }

    /// Tells how much was damaged, once.
    fn log_totals(&mut self, path: &str) {
        for (damage, kind) in &mut self.damaged {
            let (places, bytes) = std::mem::take(&mut kind.unreported);
            if places > 0 {
                tracing::warn!(reason = damage.name(), places, bytes, "{path}: skipped because of damage");
            }
        }
    }
}

/// What [`more`] found.
enum Filled {
    Bytes,
    NotYet,
    End,
}

/// Reads once; a file is always ready, a pipe when its writer is.
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
    /// Checks the file's head, as soon as there is something to say.
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

    /// What the first record says of its writer; nothing where it says something else.
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

    /// Waits for more bytes while the program starts; false at the file's end.
    fn first_bytes(&mut self, shutdown: &Halt) -> Result<bool, ReplayError> {
        loop {
            if shutdown.is_asked() {
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

    /// Plays what is due, and waits at most `timeout` where nothing is.
    fn play(&mut self, timeout: Duration, sink: &mut dyn FnMut(&Event<'_>)) -> io::Result<usize> {
        let (mut count, mut skipped) = (0, 0);
        // Steps are bounded, not only events: damage has none, and may go on for ever.
        for _ in 0..BURST {
            if skipped >= BURST_DAMAGED || self.halt.is_asked() {
                break;
            }
            match self.reader.next(self.buffer.filled()) {
                Step::Record { time, record, size } => {
                    let ahead = self.pace.until(time);
                    if !ahead.is_zero() {
                        if self.pace.should_announce(ahead, time) {
                            let (path, about) = (&self.path, rough_duration(ahead));
                            tracing::warn!("{path}: the next event is in {about}; replay.speed = 0 does not wait");
                        }
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
                        learn(&record, &self.symbols, &self.publisher, &self.names);
                        false
                    };
                    self.buffer.consume(size);
                    if !is_event {
                        // The pipeline looks for a new snapshot between two reads.
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

    /// At the end of the file: whether records follow behind bytes that are missing in the middle.
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
            tracing::warn!(bytes = left, "{}: the last record is cut; everything before was played", self.path);
        }
        self.metrics.log_totals(&self.path);
        tracing::info!("{}: played to its end", self.path);
        // Nobody listens where the program ends already.
        finished.send(()).unwrap_or_default();
    }
}

/// Takes what is no event.
fn learn(record: &Record<'_>, symbols: &Symbols, publisher: &Publisher, names: &RecordedNames) {
    match record {
        Record::Facts(bytes) => match known::read(bytes, symbols) {
            Some(tables) => publisher.publish(tables),
            None => tracing::warn!("facts of the recording are of a later version; names may be missing"),
        },
        Record::Reason { number, name } => names.learn_reason(*number, name),
        Record::Symbol { address, name } => names.learn_symbol(*address, name),
        Record::Origin(lines) => tracing::info!(origin = %lines.trim_end().replace('\n', ", "), "a recording"),
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
        if self.halt.is_asked() {
            self.metrics.log_totals(&self.path);
        }
        if !self.is_reading || self.finished.is_none() || self.halt.is_asked() {
            wait(&self.waker, [None; 2], timeout)?;
            return Ok(0);
        }
        self.play(timeout, sink)
    }

    fn waker(&self) -> Waker {
        self.waker.clone()
    }
}
