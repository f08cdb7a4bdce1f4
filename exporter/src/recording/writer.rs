//! The thread that writes a recording: takes chunks, writes a file within its limit.

use std::fmt;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use eyepiece_flow::recording::format;
use eyepiece_flow::recording::format::{Record, Step};
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use tokio::sync::oneshot;

use super::chunk::{Chunk, Chunks, Counts, Inbox, QueueTotals, queue};
use crate::support::capabilities;
use crate::support::capabilities::Capabilities;
use crate::support::lock::lock;

/// Payloads are packets: only the owner may read them.
const MODE: u32 = 0o600;

/// The least useful limit: the head, the origin, and an event of usual size.
pub const MIN_BYTES: u64 = 4096;

/// The file of a recording, and how to open it.
#[derive(Clone, Debug)]
pub struct Open {
    /// The file.
    pub path: PathBuf,
    /// Whether an existing file may be replaced.
    pub force: bool,
    /// The most bytes of the file; `None` = no limit.
    pub max_bytes: Option<u64>,
}

/// The reason for a recording's end without an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// All chunks were written.
    Done,
    /// The file has reached its limit.
    Limit,
}

/// The outcome of a recording.
#[derive(Debug)]
pub struct Summary {
    /// The file.
    pub path: PathBuf,
    /// Its length; the last known one if the file accepted no more in time.
    pub bytes: u64,
    /// The records in it.
    pub written: Counts,
    /// Records that found no room in the queue before the disk.
    pub unrecorded: Counts,
    /// Records that came after the limit was reached or writing failed.
    pub beyond: Counts,
    /// The reason for its end.
    pub end: io::Result<End>,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Counts { events, totals, losses, lost } = self.written;
        write!(f, "{}: {events} events", self.path.display())?;
        if totals > 0 {
            write!(f, ", {totals} totals")?;
        }
        write!(f, ", {losses} notices of {lost} events that the source lost, {} bytes", self.bytes)?;
        write!(f, "; {} not recorded because the disk was too slow", self.unrecorded.records())?;
        let beyond = self.beyond.records();
        match &self.end {
            Ok(End::Done) => Ok(()),
            Ok(End::Limit) if self.written.records() == 0 => {
                write!(
                    f,
                    "; stopped at the limit, which has no room for the names and an event, {beyond} came behind it"
                )
            }
            Ok(End::Limit) => write!(f, "; stopped at the limit, {beyond} came behind it"),
            Err(error) => write!(f, "; stopped behind the last whole record: {error}, {beyond} came behind it"),
        }
    }
}

/// The state of the file, shared with the thread.
#[derive(Debug)]
struct Progress {
    bytes: u64,
    written: Counts,
    end: io::Result<End>,
}

/// A recording whose file is not created yet; chunks wait in the queue.
#[derive(Debug)]
pub struct Pending {
    open: Open,
    inbox: Inbox,
    queue_totals: Receiver<QueueTotals>,
}

/// The running writer.
#[derive(Debug)]
pub struct Writer {
    path: PathBuf,
    progress: Arc<Mutex<Progress>>,
    queue_totals: Receiver<QueueTotals>,
    /// Notified when the thread is done; closed if it panicked.
    done: Receiver<()>,
}

impl Writer {
    /// Waits at most `patience` until everything is on the disk. Call it after the recorded source is dropped.
    pub fn finish(self, patience: Duration) -> Summary {
        let deadline = Instant::now() + patience;
        let QueueTotals { all, unrecorded } = self.queue_totals.recv_timeout(patience).unwrap_or_default();
        let done = self.done.recv_timeout(deadline.saturating_duration_since(Instant::now()));
        let mut progress = lock(&self.progress);
        let end = match done {
            Ok(()) => std::mem::replace(&mut progress.end, Ok(End::Done)),
            Err(RecvTimeoutError::Timeout) => {
                Err(io::Error::new(io::ErrorKind::TimedOut, "the file took no more within node.drain"))
            }
            Err(RecvTimeoutError::Disconnected) => Err(io::Error::other("the writer of the recording panicked")),
        };
        let Progress { bytes, written, .. } = *progress;
        let beyond = all.without(unrecorded).without(written);
        Summary { path: self.path, bytes, written, unrecorded, beyond, end }
    }
}

/// Prepares a recording; [`Pending::start`] creates the file.
///
/// # Errors
/// The file exists and may not be replaced.
pub fn build(open: Open) -> io::Result<(Chunks, Pending)> {
    if !open.force && open.path.symlink_metadata().is_ok() {
        return Err(io::Error::from_raw_os_error(libc::EEXIST));
    }
    let (chunks, inbox, queue_totals) = queue();
    Ok((chunks, Pending { open, inbox, queue_totals }))
}

impl Pending {
    /// Creates the file and starts the thread. The receiver is notified when no more can be written.
    ///
    /// # Errors
    /// The system's error; a new file is removed again. An existing file is an error if it may not be replaced.
    pub fn start(self) -> io::Result<(Writer, oneshot::Receiver<()>)> {
        let Self { open, inbox, queue_totals } = self;
        let (file, is_new) = create(&open.path, open.force)?;
        let started = begin(file, &open, inbox);
        if started.is_err() && is_new {
            // The first error is returned, not this one's.
            drop(fs::remove_file(&open.path));
        }
        let (progress, done, full) = started?;
        Ok((Writer { path: open.path, progress, queue_totals, done }, full))
    }
}

type Begun = (Arc<Mutex<Progress>>, Receiver<()>, oneshot::Receiver<()>);

fn begin(mut file: File, open: &Open, inbox: Inbox) -> io::Result<Begun> {
    file.write_all(&format::head())?;
    // From here on the writer's thread may block on a slow reader.
    let flags = OFlag::from_bits_retain(fcntl(&file, FcntlArg::F_GETFL)?);
    fcntl(&file, FcntlArg::F_SETFL(flags - OFlag::O_NONBLOCK))?;
    let progress = Progress { bytes: format::HEAD as u64, written: Counts::default(), end: Ok(End::Done) };
    let progress = Arc::new(Mutex::new(progress));
    let (full, is_full) = oneshot::channel();
    let (send_done, done) = mpsc::sync_channel(1);
    let (thread, max_bytes) = (Arc::clone(&progress), open.max_bytes);
    std::thread::Builder::new().name("recording".into()).spawn(move || {
        // Writing to the open file takes no capability.
        capabilities::keep(Capabilities::NONE);
        write(&mut file, max_bytes, &inbox, full, &thread);
        // The receiver may be gone.
        send_done.try_send(()).unwrap_or_default();
    })?;
    Ok((progress, done, is_full))
}

/// Opens the file; returns whether it is new.
fn create(path: &Path, force: bool) -> io::Result<(File, bool)> {
    let mut options = OpenOptions::new();
    // Without this flag, opening a named pipe without a reader blocks; files ignore it.
    options.write(true).mode(MODE).custom_flags(libc::O_NONBLOCK);
    match options.clone().create_new(true).open(path) {
        Ok(file) => return Ok((file, true)),
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists || !force => return Err(error),
        Err(_) => {}
    }
    let file = options.create(true).truncate(true).open(path).map_err(|error| {
        let is_pipe = || fs::metadata(path).is_ok_and(|file| file.file_type().is_fifo());
        if error.raw_os_error() == Some(libc::ENXIO) && is_pipe() {
            return io::Error::new(io::ErrorKind::NotConnected, "a pipe without a reader; start its reader first");
        }
        error
    })?;
    if file.metadata()?.is_file() {
        // An existing file would keep its mode.
        file.set_permissions(Permissions::from_mode(MODE))?;
    }
    Ok((file, false))
}

fn write(
    file: &mut File,
    max_bytes: Option<u64>,
    inbox: &Inbox,
    full: oneshot::Sender<()>,
    progress: &Mutex<Progress>,
) {
    let mut full = Some(full);
    for chunk in &inbox.chunks {
        if full.is_some() && !take(file, &chunk, max_bytes, progress) {
            // The receiver is gone if the program ends already.
            if let Some(full) = full.take() {
                full.send(()).unwrap_or_default();
            }
        }
        // Chunks beyond the queue's capacity are dropped.
        drop(inbox.used.try_send(chunk));
    }
    if let Err(error) = file.sync_all()
        // A pipe or a device cannot be synchronised.
        && error.kind() != io::ErrorKind::InvalidInput
    {
        let mut progress = lock(progress);
        if progress.end.is_ok() {
            progress.end = Err(error);
        }
    }
}

/// Writes a chunk, or the records of it that fit; returns false if that was the end.
fn take(file: &mut File, chunk: &Chunk, max_bytes: Option<u64>, progress: &Mutex<Progress>) -> bool {
    let before = lock(progress).bytes;
    let room = max_bytes.map_or(u64::MAX, |max| max.saturating_sub(before));
    let room = usize::try_from(room).unwrap_or(usize::MAX);
    let fits = chunk.bytes.len() <= room;
    let (mut length, mut counts) = if fits { (chunk.bytes.len(), chunk.counts) } else { whole(&chunk.bytes, room) };
    let mut end = (!fits).then_some(Ok(End::Limit));
    // Without the lock: a write may take long, and `finish` reads the state meanwhile.
    let (taken, written) = write_until(file, &chunk.bytes[..length]);
    if let Err(error) = written {
        (length, counts) = whole(&chunk.bytes, taken);
        // Bytes behind the last whole record are useless. A pipe cannot be cut.
        if let Err(error) = file.set_len(before + length as u64) {
            tracing::debug!(%error, "cannot truncate the recording after its last whole record");
        }
        end = Some(Err(error));
    }
    let mut progress = lock(progress);
    progress.bytes = before + length as u64;
    progress.written.add(counts);
    match end {
        Some(end) => progress.end = end,
        None => return true,
    }
    false
}

/// Writes until an error; returns the number of written bytes.
fn write_until(file: &mut File, bytes: &[u8]) -> (usize, io::Result<()>) {
    let mut at = 0;
    while at < bytes.len() {
        match file.write(&bytes[at..]) {
            Ok(0) => return (at, Err(io::ErrorKind::WriteZero.into())),
            Ok(count) => at += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return (at, Err(error)),
        }
    }
    (at, Ok(()))
}

/// The whole records within the first `room` bytes: their length and counts.
fn whole(bytes: &[u8], room: usize) -> (usize, Counts) {
    let (mut length, mut counts) = (0, Counts::default());
    let mut reader = format::Reader::default();
    while let Step::Record { record, size, .. } = reader.next(&bytes[length..])
        && length + size <= room
    {
        if let Record::Event(event) = &record {
            counts.note(event);
        }
        length += size;
    }
    (length, counts)
}
