//! A listener's bounded queue: takes what fits, counts the rest exactly, and tells it in order.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::budget::{Budget, SHARE};
use super::chunk::{Chunk, Piece};
use crate::support::telemetry::Number;

/// Memory of one listener's queue, in bytes, but for the chunk that reaches the bound: a burst of 100,000 packets cut at
/// 128 bytes takes 22 MiB. [`super::budget`] bounds the memory of all queues together.
pub const QUEUE_BYTES: usize = 32 << 20;

/// A reader that sleeps is woken as soon as this part of its queue is filled, or nothing more comes for now.
const WAKE_SHARE: usize = 4;

/// Events that a listener does not get.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Missed {
    /// Those that were there.
    pub events: u64,
    /// Those, and others that were lost before.
    pub missed: u64,
}

/// What a listener gets next.
#[derive(Clone, Debug, Default)]
pub struct Next {
    /// Events that it lost right before `piece`.
    pub lost: u64,
    /// Payloads; none where there are only losses to tell.
    pub piece: Option<Piece>,
}

/// Numbers that a queue keeps; those of several queues may be the same.
#[derive(Clone, Debug, Default)]
pub struct Numbers {
    /// Payloads that wait.
    pub depth: Number,
    /// Events that this listener and its slot's former ones lost.
    pub lost: Number,
    /// Events that any listener lost.
    pub lost_total: Number,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<(u64, Piece)>,
    payloads: usize,
    /// Bytes of memory behind those: what is shared with others is counted here too.
    held: usize,
    /// Lost behind everything that waits.
    lost: u64,
    /// Whoever reads found nothing, and is to be woken.
    is_asleep: bool,
    phase: Phase,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Phase {
    #[default]
    Open,
    /// Takes nothing more; what waits can still be had.
    Finished,
    /// Nobody reads any more.
    Closed,
}

/// The queue between the pipeline's thread, which never waits, and the task that writes to the client.
#[derive(Debug)]
pub struct Queue {
    state: Mutex<State>,
    news: Notify,
    /// Something did not fit, and nothing was taken since. Kept under the lock; read without.
    is_full: AtomicBool,
    /// Payloads that may wait, where there is a bound beside that of bytes.
    capacity: Option<usize>,
    budget: Budget,
    numbers: Numbers,
}

impl Queue {
    /// A queue of at most [`QUEUE_BYTES`], and of at most `capacity` payloads; its memory is part of `budget`.
    pub fn new(capacity: Option<usize>, budget: Budget, numbers: Numbers) -> Self {
        let is_full = AtomicBool::new(false);
        Self { state: Mutex::default(), news: Notify::new(), is_full, capacity, budget, numbers }
    }

    /// Held for the time of a few assignments, once a chunk on either side.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes of a chunk what fits; the rest is lost to this listener.
    pub fn offer(&self, chunk: &Arc<Chunk>) {
        let mut state = self.state();
        if state.phase != Phase::Open || chunk.is_empty() {
            return;
        }
        let room = self.capacity.map_or(usize::MAX, |capacity| capacity.saturating_sub(state.payloads));
        let bytes = QUEUE_BYTES.saturating_sub(state.held).min(self.budget.room(state.held));
        let fitting = chunk.fitting(room, bytes);
        if fitting > 0 {
            let piece = Piece::of(chunk, fitting);
            self.budget.resize(state.held, state.held + piece.held());
            state.held += piece.held();
            let before = std::mem::take(&mut state.lost);
            state.payloads += fitting;
            state.waiting.push_back((before, piece));
            self.numbers.depth.set(state.payloads as u64);
        }
        let rest = fitting..chunk.len();
        if !rest.is_empty() {
            self.lose(&mut state, Missed { events: chunk.events(rest.clone()), missed: chunk.missed(rest) });
        }
        // Waking costs far more than a chunk: not before there is something to do.
        let is_urgent = self.capacity.is_some_and(|capacity| state.payloads * WAKE_SHARE >= capacity)
            || state.held * WAKE_SHARE >= SHARE;
        let wakes = state.is_asleep && is_urgent;
        state.is_asleep &= !wakes;
        drop(state);
        if wakes {
            self.news.notify_one();
        }
    }

    /// Counts what was not even offered, for there is no room.
    pub fn miss(&self, missed: Missed) {
        let mut state = self.state();
        if state.phase == Phase::Open {
            self.lose(&mut state, missed);
        }
    }

    fn lose(&self, state: &mut State, Missed { events, missed }: Missed) {
        state.lost = state.lost.saturating_add(missed);
        self.numbers.lost.add(events);
        self.numbers.lost_total.add(events);
        self.is_full.store(true, Ordering::Relaxed);
    }

    /// Whether it took less than it was offered, and nothing was taken out since: there is no need to offer.
    pub fn is_full(&self) -> bool {
        self.is_full.load(Ordering::Relaxed)
    }

    /// Nothing more is offered for now: what waits is to be read.
    pub fn announce(&self) {
        let mut state = self.state();
        let wakes = state.is_asleep && (state.payloads > 0 || state.lost > 0);
        state.is_asleep &= !wakes;
        drop(state);
        if wakes {
            self.news.notify_one();
        }
    }

    /// What is next, as soon as there is something; none at the end. For one task only.
    pub async fn next(&self) -> Option<Next> {
        loop {
            {
                let mut state = self.state();
                if let Some(next) = self.pop(&mut state) {
                    self.numbers.depth.set(state.payloads as u64);
                    self.is_full.store(false, Ordering::Relaxed);
                    return Some(next);
                }
                if state.phase != Phase::Open {
                    return None;
                }
                state.is_asleep = true;
            }
            // A notification between the look and the wait is kept.
            self.news.notified().await;
        }
    }

    fn pop(&self, state: &mut State) -> Option<Next> {
        let Some((lost, piece)) = state.waiting.pop_front() else {
            let lost = std::mem::take(&mut state.lost);
            return (lost > 0).then_some(Next { lost, piece: None });
        };
        state.payloads -= piece.payloads();
        self.budget.resize(state.held, state.held - piece.held());
        state.held -= piece.held();
        Some(Next { lost, piece: Some(piece) })
    }

    /// Payloads that wait.
    pub fn waiting(&self) -> usize {
        self.state().payloads
    }

    /// Bytes of memory behind what waits.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.state().held
    }

    /// Events that did not fit, of this slot's former listeners too.
    pub fn lost(&self) -> u64 {
        self.numbers.lost.get()
    }

    /// Takes nothing more: [`Queue::next`] gives the rest, then nothing.
    pub fn finish(&self) {
        self.state().phase = Phase::Finished;
        self.news.notify_one();
    }

    /// Nobody reads any more: what waits is freed.
    pub fn close(&self) {
        let freed = std::mem::replace(&mut *self.state(), State { phase: Phase::Closed, ..State::default() });
        self.budget.resize(freed.held, 0);
        self.news.notify_one();
        drop(freed);
    }
}

#[cfg(test)]
mod tests;
