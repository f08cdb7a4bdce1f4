//! Chunks of a recording, from the pipeline's thread to the writer's.

use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

use eyepiece_flow::event::Event;
use eyepiece_flow::recording::format;

/// Bytes of a chunk: large enough to spread the cost of a write(2).
pub(super) const CHUNK: usize = 256 << 10;
/// Capacity of the queue: 16 MiB, a second of 80,000 events, or the time a disk needs to wake up.
const QUEUE: usize = 64;

/// The contents of a chunk or a recording, counted by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Monitor payloads.
    pub events: u64,
    /// Packets and bytes that no event carried.
    pub totals: u64,
    /// Notices of losses.
    pub losses: u64,
    /// Events that these notices count.
    pub lost: u64,
}

impl Counts {
    pub(super) fn note(&mut self, event: &Event<'_>) {
        match event {
            Event::Raw(_) => self.events += 1,
            Event::Totals(_) => self.totals += 1,
            // Recordings of sources with observed events are refused. Notifications are added after this stage.
            Event::Process(_) | Event::Observed(_) | Event::Undecodable(_) | Event::Notification(_) => {}
            Event::Lost(lost) => {
                self.losses += 1;
                self.lost = self.lost.saturating_add(lost.count);
            }
        }
    }

    /// The number of records.
    pub const fn records(self) -> u64 {
        self.events + self.totals + self.losses
    }

    /// The difference to another count.
    pub(super) const fn without(self, other: Self) -> Self {
        Self {
            events: self.events.saturating_sub(other.events),
            totals: self.totals.saturating_sub(other.totals),
            losses: self.losses.saturating_sub(other.losses),
            lost: self.lost.saturating_sub(other.lost),
        }
    }

    /// Adds the counts of another value.
    pub const fn add(&mut self, other: Self) {
        self.events += other.events;
        self.totals += other.totals;
        self.losses += other.losses;
        self.lost = self.lost.saturating_add(other.lost);
    }
}

/// A chunk of a recording.
#[derive(Debug, Default)]
pub(super) struct Chunk {
    pub(super) bytes: Vec<u8>,
    pub(super) counts: Counts,
}

/// The writer's end.
#[derive(Debug)]
pub(super) struct Inbox {
    pub(super) chunks: Receiver<Chunk>,
    /// Returns chunks for reuse.
    pub(super) used: SyncSender<Chunk>,
}

/// The totals of the pipeline's end.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct QueueTotals {
    /// All records.
    pub(super) all: Counts,
    /// Records that found no room in the queue.
    pub(super) unrecorded: Counts,
}

/// The pipeline's end.
#[derive(Debug)]
pub struct Chunks {
    chunk: Chunk,
    full: SyncSender<Chunk>,
    used: Receiver<Chunk>,
    send_totals: SyncSender<QueueTotals>,
    totals: QueueTotals,
    has_lost: bool,
}

/// Creates the queue: the pipeline's end, the writer's, and a receiver of the totals that the former's drop sends.
pub(super) fn queue() -> (Chunks, Inbox, Receiver<QueueTotals>) {
    let (full, chunks) = sync_channel(QUEUE);
    let (used, back) = sync_channel(QUEUE);
    let (send_totals, queue_totals) = sync_channel(1);
    let chunk = Chunk { bytes: Vec::with_capacity(CHUNK), counts: Counts::default() };
    let pipeline = Chunks { chunk, full, used: back, send_totals, totals: QueueTotals::default(), has_lost: false };
    (pipeline, Inbox { chunks, used }, queue_totals)
}

impl Chunks {
    /// Appends a record that is no event.
    pub(super) fn append<T>(&mut self, write: impl FnOnce(&mut Vec<u8>) -> T) -> T {
        write(&mut self.chunk.bytes)
    }

    /// Appends an event.
    #[inline]
    pub(super) fn event(&mut self, event: &Event<'_>, now: u64) {
        format::write_event(event, now, &mut self.chunk.bytes);
        self.chunk.counts.note(event);
        if self.chunk.bytes.len() >= CHUNK {
            self.hand_over();
        }
    }

    /// Sends the current chunk to the writer, without waiting. If the queue is full the chunk is dropped and counted.
    pub(super) fn hand_over(&mut self) {
        if self.chunk.bytes.is_empty() {
            return;
        }
        // Returned chunks are reused; new ones are made until the queue has its capacity of them.
        let mut next = self.used.try_recv().unwrap_or_default();
        next.bytes.clear();
        next.counts = Counts::default();
        self.totals.all.add(self.chunk.counts);
        match self.full.try_send(std::mem::replace(&mut self.chunk, next)) {
            Ok(()) => {}
            Err(TrySendError::Full(chunk) | TrySendError::Disconnected(chunk)) => {
                self.totals.unrecorded.add(chunk.counts);
                self.has_lost = true;
            }
        }
    }

    /// Returns whether a chunk was dropped since the last call.
    pub(super) fn take_loss(&mut self) -> bool {
        std::mem::take(&mut self.has_lost)
    }
}

impl Drop for Chunks {
    fn drop(&mut self) {
        self.hand_over();
        // The channel has room for this single message; without a writer there is no receiver.
        self.send_totals.try_send(self.totals).unwrap_or_default();
    }
}
