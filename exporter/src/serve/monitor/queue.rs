//! A listener's bounded queue: keeps what fits, counts the rest exactly, and reports losses in order.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::Notify;

use super::chunk::{Chunk, Piece};
use super::limits::{QUEUE_BYTES, QUEUE_SHARE_BYTES};
use crate::support::byte_budget::{ByteBudget, Reservation};
use crate::support::lock::lock;
use crate::support::telemetry::Number;

/// A waiting reader wakes once a queue is filled to this fraction, or at the end of a read.
const WAKE_FRACTION: usize = 4;

/// Events that a listener does not receive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Missed {
    /// Events that were available.
    pub events: u64,
    /// These, and events that were lost before.
    pub missed: u64,
}

/// The next item of a queue.
#[derive(Clone, Debug, Default)]
pub struct QueueItem {
    /// Events that were lost right before `piece`.
    pub lost: u64,
    /// Payloads; `None` if there are only losses.
    pub piece: Option<Piece>,
}

/// Metrics of a queue; several queues may share one.
#[derive(Clone, Debug, Default)]
pub struct QueueMetrics {
    /// Waiting payloads.
    pub depth: Number,
    /// Events lost by this listener and the slot's previous ones.
    pub lost: Number,
    /// Events lost by any listener.
    pub lost_total: Number,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<(u64, Piece)>,
    payloads: usize,
    /// Events lost after everything that waits.
    lost: u64,
    /// Whether the reader found the queue empty and waits.
    is_asleep: bool,
    phase: Phase,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Phase {
    #[default]
    Open,
    /// Accepts nothing more; the rest can be read.
    Finished,
    /// The reader is gone.
    Closed,
}

/// The queue between the pipeline's thread, which never waits, and the task that writes to the client.
#[derive(Debug)]
pub struct Queue {
    state: Mutex<State>,
    changed: Notify,
    /// Whether something did not fit since the last read. Written under the lock, read without.
    is_full: AtomicBool,
    /// Payloads at most, if bounded beside the memory.
    capacity: Option<usize>,
    /// Memory of waiting chunks, including those shared with other queues.
    memory: Reservation,
    metrics: QueueMetrics,
}

impl Queue {
    /// Returns a queue of at most [`QUEUE_BYTES`] and `capacity` payloads; `pool` counts bytes over
    /// [`QUEUE_SHARE_BYTES`].
    pub fn new(capacity: Option<usize>, pool: &ByteBudget, metrics: QueueMetrics) -> Self {
        let (is_full, memory) = (AtomicBool::new(false), pool.reserve(QUEUE_SHARE_BYTES));
        Self { state: Mutex::default(), changed: Notify::new(), is_full, capacity, memory, metrics }
    }

    /// Held for a few assignments, once per chunk on either side.
    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Adds what fits of a chunk; the rest is lost to this listener.
    pub fn offer(&self, chunk: &Arc<Chunk>) {
        let mut state = self.state();
        if state.phase != Phase::Open || chunk.is_empty() {
            return;
        }
        let room = self.capacity.map_or(usize::MAX, |capacity| capacity.saturating_sub(state.payloads));
        let bytes = QUEUE_BYTES.saturating_sub(self.memory.bytes()).min(self.memory.available());
        let fitting = chunk.fitting(room, bytes);
        if fitting > 0 {
            let piece = Piece::of(chunk, fitting);
            self.memory.resize(self.memory.bytes() + piece.memory());
            let before = std::mem::take(&mut state.lost);
            state.payloads += fitting;
            state.waiting.push_back((before, piece));
            self.metrics.depth.set(state.payloads as u64);
        }
        let rest = fitting..chunk.len();
        if !rest.is_empty() {
            self.lose(&mut state, Missed { events: chunk.events(rest.clone()), missed: chunk.missed(rest) });
        }
        // Waking costs far more than a chunk: only for a filled fraction.
        let is_urgent = self.capacity.is_some_and(|capacity| state.payloads * WAKE_FRACTION >= capacity)
            || self.memory.bytes() * WAKE_FRACTION >= QUEUE_SHARE_BYTES;
        self.wake_if(state, is_urgent);
    }

    /// Counts events that were not offered because the queue is full.
    pub fn miss(&self, missed: Missed) {
        let mut state = self.state();
        if state.phase == Phase::Open {
            self.lose(&mut state, missed);
        }
    }

    fn lose(&self, state: &mut State, Missed { events, missed }: Missed) {
        state.lost = state.lost.saturating_add(missed);
        self.metrics.lost.add(events);
        self.metrics.lost_total.add(events);
        self.is_full.store(true, Ordering::Relaxed);
    }

    /// Returns whether something did not fit since the last read: offering more is useless.
    pub fn is_full(&self) -> bool {
        self.is_full.load(Ordering::Relaxed)
    }

    /// Wakes the reader at the end of a read of the source.
    pub fn flush(&self) {
        let state = self.state();
        let is_due = state.payloads > 0 || state.lost > 0;
        self.wake_if(state, is_due);
    }

    /// Wakes a reader that is asleep if something is due.
    fn wake_if(&self, mut state: MutexGuard<'_, State>, is_due: bool) {
        let wakes = state.is_asleep && is_due;
        state.is_asleep &= !wakes;
        drop(state);
        if wakes {
            self.changed.notify_one();
        }
    }

    /// Waits for the next item; `None` at the end. For one task only.
    pub async fn next(&self) -> Option<QueueItem> {
        loop {
            {
                let mut state = self.state();
                if let Some(item) = self.pop(&mut state) {
                    self.metrics.depth.set(state.payloads as u64);
                    self.is_full.store(false, Ordering::Relaxed);
                    return Some(item);
                }
                if state.phase != Phase::Open {
                    return None;
                }
                state.is_asleep = true;
            }
            // `Notify` keeps a permit: a notification before the wait is not lost.
            self.changed.notified().await;
        }
    }

    fn pop(&self, state: &mut State) -> Option<QueueItem> {
        let Some((lost, piece)) = state.waiting.pop_front() else {
            let lost = std::mem::take(&mut state.lost);
            return (lost > 0).then_some(QueueItem { lost, piece: None });
        };
        state.payloads -= piece.payloads();
        self.memory.resize(self.memory.bytes() - piece.memory());
        Some(QueueItem { lost, piece: Some(piece) })
    }

    /// Waiting payloads.
    pub fn waiting(&self) -> usize {
        self.state().payloads
    }

    /// Memory of what waits, in bytes.
    #[cfg(test)]
    pub(super) fn memory(&self) -> usize {
        self.memory.bytes()
    }

    /// Events that did not fit, including those of the slot's previous listeners.
    pub fn lost(&self) -> u64 {
        self.metrics.lost.get()
    }

    /// Accepts nothing more: [`Queue::next`] returns the rest, then `None`.
    pub fn finish(&self) {
        self.state().phase = Phase::Finished;
        self.changed.notify_one();
    }

    /// Frees what waits; the reader is gone.
    pub fn close(&self) {
        let mut state = self.state();
        let freed = std::mem::replace(&mut *state, State { phase: Phase::Closed, ..State::default() });
        self.memory.resize(0);
        drop(state);
        self.changed.notify_one();
        drop(freed);
    }
}

#[cfg(test)]
mod tests;
