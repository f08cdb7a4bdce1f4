//! Records the events of a source into a file while they are delivered.
//!
//! The pipeline's thread only appends to a chunk in memory; a thread of its own writes chunks. Chunks that find no room
//! in the queue between the two are counted, and reported at the end.

mod chunk;
mod writer;

use std::collections::HashSet;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use eyepiece_flow::event::{Event, KernelDrop};
use eyepiece_flow::recording::format;

use self::chunk::Chunks;
use crate::metadata::{LinkTables, Publisher, recorded};
use crate::source::{Source, Waker};

pub use chunk::Counts;
pub use writer::{End, MIN_BYTES, Open, Pending, Summary, Writer, build};

/// The most kernel names remembered as written: far more than there are reasons and places.
const MAX_NAMES: usize = 65_536;

/// Looks up names of the running kernel; called once per name.
pub trait KernelNameLookup: Send {
    /// A drop reason's name.
    fn reason(&self, number: u32) -> String;
    /// Symbol and offset of an address; empty if unknown.
    fn symbol(&self, address: u64) -> String;
}

/// Configuration and handles of a recording.
pub struct Deps {
    /// Snapshots to record.
    pub publisher: Publisher,
    /// Names of the kernel.
    pub kernel_names: Box<dyn KernelNameLookup>,
    /// Lines `key=value` about the recorder.
    pub origin: String,
    /// Wall-clock time, ns since the Unix epoch.
    pub now: fn() -> u64,
}

/// A source whose events are recorded.
pub struct Recording {
    inner: Box<dyn Source>,
    tap: Tap,
}

impl Recording {
    /// Records events of `inner` into `chunks`, which a [`Writer`] writes.
    pub fn new(inner: Box<dyn Source>, deps: Deps, chunks: Chunks) -> Self {
        let known = Known { links: None, names: HashSet::new(), has_origin: false };
        Self { inner, tap: Tap { deps, chunks, known, metadata: Vec::new() } }
    }
}

/// The names and links that the file contains already.
struct Known {
    links: Option<Arc<LinkTables>>,
    names: HashSet<Name>,
    has_origin: bool,
}

#[derive(PartialEq, Eq, Hash)]
enum Name {
    Reason(u32),
    Symbol(u64),
}

struct Tap {
    deps: Deps,
    chunks: Chunks,
    known: Known,
    metadata: Vec<u8>,
}

impl Tap {
    /// Writes the snapshot if it has changed.
    fn begin(&mut self, now: u64) {
        if !std::mem::replace(&mut self.known.has_origin, true) {
            let origin = &self.deps.origin;
            self.chunks.append(|out| format::write_origin(origin, now, out));
        }
        let links = self.deps.publisher.links();
        if self.known.links.as_ref().is_some_and(|known| Arc::ptr_eq(known, &links)) {
            return;
        }
        self.metadata.clear();
        recorded::write(&links, &mut self.metadata);
        let metadata = &self.metadata;
        let fits = self.chunks.append(|out| format::write_metadata(metadata, now, out));
        if !fits {
            tracing::warn!(
                bytes = metadata.len(),
                "too many addresses for a recording; it continues with the previous ones"
            );
        }
        self.known.links = Some(links);
    }

    #[inline]
    fn event(&mut self, event: &Event<'_>, now: u64) {
        if let Event::Raw(raw) = event
            && let Some(drop) = &raw.kernel_drop
        {
            self.name(drop, now);
        }
        self.chunks.event(event, now);
    }

    /// Writes the kernel's names for a drop if the file lacks them.
    fn name(&mut self, drop: &KernelDrop, now: u64) {
        let kernel_names = &self.deps.kernel_names;
        if self.known.names.len() >= MAX_NAMES {
            self.known.names.clear();
        }
        if self.known.names.insert(Name::Reason(drop.reason)) {
            let name = kernel_names.reason(drop.reason);
            self.chunks.append(|out| format::write_reason(drop.reason, &name, now, out));
        }
        if self.known.names.insert(Name::Symbol(drop.location)) {
            let name = kernel_names.symbol(drop.location);
            self.chunks.append(|out| format::write_symbol(drop.location, &name, now, out));
        }
    }

    /// Hands over the current chunk. After a dropped chunk, snapshot and names are written again: it may have had them.
    fn end(&mut self) {
        self.chunks.hand_over();
        if self.chunks.take_loss() {
            self.known = Known { links: None, names: HashSet::new(), has_origin: false };
        }
    }
}

impl Source for Recording {
    fn start(&mut self) -> io::Result<()> {
        self.inner.start()
    }

    fn stop(&mut self) {
        self.inner.stop();
    }

    fn read(&mut self, timeout: Duration, sink: &mut dyn FnMut(&Event<'_>)) -> io::Result<usize> {
        let (tap, inner) = (&mut self.tap, &mut self.inner);
        let now = (tap.deps.now)();
        tap.begin(now);
        let result = inner.read(timeout, &mut |event| {
            tap.event(event, now);
            sink(event);
        });
        tap.end();
        result
    }

    fn waker(&self) -> Waker {
        self.inner.waker()
    }
}
