//! The thread that writes a recording: chunks in, a file out, within its limit.

use std::fmt;
use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

use tokio::sync::oneshot;

use super::chunk::{Chunk, Chunks, Counts, Inbox, queue};
use crate::source::replay::format;

/// Payloads are packets: nobody else may read them.
const MODE: u32 = 0o600;

/// Which file, and how.
#[derive(Clone, Debug)]
pub struct Open {
    /// The file.
    pub path: PathBuf,
    /// Whether a file that is there may be replaced.
    pub force: bool,
    /// The most bytes that it may have; none = no limit.
    pub max_bytes: Option<u64>,
}

/// Why writing has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Nothing more came.
    Done,
    /// The file is as long as it may be.
    Limit,
}

/// What became of a recording.
#[derive(Debug)]
pub struct Summary {
    /// The file.
    pub path: PathBuf,
    /// Its length.
    pub bytes: u64,
    /// What it holds.
    pub written: Counts,
    /// What found no room in the queue before the disk.
    pub unrecorded: Counts,
    /// What came when the file was as long as it may be.
    pub beyond: Counts,
    /// Why it has ended.
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
        let missing = |counts: Counts| counts.events + counts.totals + counts.losses;
        write!(f, "; {} not recorded because the disk was too slow", missing(self.unrecorded))?;
        match &self.end {
            Ok(End::Done) => Ok(()),
            Ok(End::Limit) => write!(f, "; stopped at the limit, {} came behind it", missing(self.beyond)),
            Err(error) => write!(f, "; stopped: {error}, {} came behind it", missing(self.beyond)),
        }
    }
}

/// The running writer.
#[derive(Debug)]
pub struct Writer {
    thread: JoinHandle<Summary>,
}

impl Writer {
    /// Waits until everything is on the disk. The source that is recorded must be gone.
    pub fn finish(self) -> io::Result<Summary> {
        self.thread.join().map_err(|_| io::Error::other("the writer of the recording panicked"))
    }
}

/// Makes the file and starts the thread. The receiver hears when no more can be written.
///
/// # Errors
/// What the system said; a file that is there is an error where it may not be replaced.
pub fn build(open: Open) -> io::Result<(Chunks, Writer, oneshot::Receiver<()>)> {
    let mut file = create(&open.path, open.force)?;
    file.write_all(&format::head())?;
    let (chunks, inbox) = queue();
    let (full, is_full) = oneshot::channel();
    let thread =
        std::thread::Builder::new().name("recording".into()).spawn(move || write(file, &open, &inbox, full))?;
    Ok((chunks, Writer { thread }, is_full))
}

fn create(path: &Path, force: bool) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).mode(MODE);
    if !force {
        return options.create_new(true).open(path);
    }
    let file = options.create(true).truncate(true).open(path)?;
    if file.metadata()?.is_file() {
        // A file that was there keeps its mode otherwise.
        file.set_permissions(Permissions::from_mode(MODE))?;
    }
    Ok(file)
}

fn write(mut file: File, open: &Open, inbox: &Inbox, full: oneshot::Sender<()>) -> Summary {
    let mut summary = Summary {
        path: open.path.clone(),
        bytes: format::HEAD as u64,
        written: Counts::default(),
        unrecorded: Counts::default(),
        beyond: Counts::default(),
        end: Ok(End::Done),
    };
    let mut full = Some(full);
    for chunk in &inbox.chunks {
        if full.is_some() && !summary.take(&mut file, &chunk, open.max_bytes) {
            // The program may be on its way out already.
            if let Some(full) = full.take() {
                full.send(()).unwrap_or_default();
            }
        } else if full.is_none() {
            summary.beyond.add(chunk.counts);
        }
        // More than the queue holds need not be kept.
        drop(inbox.used.try_send(chunk));
    }
    summary.unrecorded = inbox.unrecorded.recv().unwrap_or_default();
    if let Err(error) = file.sync_all()
        && summary.end.is_ok()
        // A pipe or a device has nothing to be synchronised.
        && error.kind() != io::ErrorKind::InvalidInput
    {
        summary.end = Err(error);
    }
    summary
}

impl Summary {
    /// Writes a chunk; false where that was the end.
    fn take(&mut self, file: &mut File, chunk: &Chunk, max_bytes: Option<u64>) -> bool {
        let bytes = self.bytes + chunk.bytes.len() as u64;
        if max_bytes.is_some_and(|max| bytes > max) {
            self.end = Ok(End::Limit);
        } else if let Err(error) = file.write_all(&chunk.bytes) {
            self.end = Err(error);
        } else {
            self.bytes = bytes;
            self.written.add(chunk.counts);
            return true;
        }
        self.beyond.add(chunk.counts);
        false
    }
}
