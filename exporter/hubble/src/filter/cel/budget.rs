//! What all expressions of a request may cost for one flow: steps, bytes that they make, and time.

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

/// Steps that all expressions of a request together take for one flow at most: about a millisecond. The expression that
/// needs more fails for this flow as one with an error does, and so do those that come after it: their filters do not
/// match it.
const STEPS: usize = 20_000;
/// Bytes that they allocate for one flow at most. As many plain values as there are steps fit.
const BYTES: usize = 640 << 10;
/// Time of the thread's own that they take for one flow at most, where steps turn out dearer than they should be. It is
/// not the clock on the wall: other work on the machine must not make a flow match or not. A build without
/// optimization takes ten times as long.
const TIME: Duration = Duration::from_millis(if cfg!(debug_assertions) { 50 } else { 5 });
/// Steps between two looks at the clock, which costs about ten steps. Most expressions never get there.
const LOOK: usize = 1024;
/// Bytes that one step reads, compares or copies.
const BYTES_A_STEP: usize = 16;
/// Bytes of a pattern's program that one step takes one byte of a text through.
const PROGRAM_BYTES_A_STEP: usize = 4096;
/// Steps to compare two messages, beside those for the flow's bytes: about as many fields as a flow has.
const MESSAGE_STEPS: usize = 200;
/// Bytes of an allocation that are no value's.
const ALLOCATION: usize = 64;

/// What is left for one flow.
#[derive(Debug)]
pub(super) struct Budget {
    steps: usize,
    bytes: usize,
    /// The clock is looked at when fewer steps are left.
    look: usize,
    /// When time is over, of the thread's own clock, once it was looked at.
    end: Option<Duration>,
    /// Bytes of the flow as a message: no message in it has more.
    pub(super) flow_bytes: usize,
}

impl Default for Budget {
    fn default() -> Self {
        Self { steps: STEPS, bytes: BYTES, look: STEPS - LOOK, end: None, flow_bytes: 0 }
    }
}

impl Budget {
    /// Takes steps; none where that is too many, and then nothing is left.
    pub(super) fn spend(&mut self, steps: usize) -> Option<()> {
        let Some(left) = self.steps.checked_sub(steps) else { return self.exhaust() };
        self.steps = left;
        if left < self.look { self.look_at_the_clock() } else { Some(()) }
    }

    /// Takes the steps that it costs to go through so many bytes.
    pub(super) fn read(&mut self, bytes: usize) -> Option<()> {
        self.spend(bytes / BYTES_A_STEP)
    }

    /// Takes the steps of a search for a pattern in a text: where its automaton does not fit into its cache, each byte
    /// costs as much as the program is large.
    pub(super) fn search(&mut self, text: usize, program: usize) -> Option<()> {
        self.spend(text.saturating_mul(program) / PROGRAM_BYTES_A_STEP)
    }

    /// Takes the steps that it costs to compare two messages of the flow.
    pub(super) fn compare_messages(&mut self) -> Option<()> {
        self.spend(MESSAGE_STEPS + self.flow_bytes / BYTES_A_STEP)
    }

    /// Takes bytes that are about to be allocated as one piece.
    pub(super) fn allocate(&mut self, bytes: usize) -> Option<()> {
        let Some(left) = self.bytes.checked_sub(bytes.saturating_add(ALLOCATION)) else { return self.exhaust() };
        self.bytes = left;
        Some(())
    }

    /// Whether all that follows fails.
    pub(super) const fn is_exhausted(&self) -> bool {
        self.steps == 0
    }

    #[cold]
    fn look_at_the_clock(&mut self) -> Option<()> {
        self.look = self.steps.saturating_sub(LOOK);
        // Without such a clock, steps and bytes are the bound.
        let Ok(now) = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map(Duration::from) else { return Some(()) };
        if now > *self.end.get_or_insert(now + TIME) { self.exhaust() } else { Some(()) }
    }

    const fn exhaust(&mut self) -> Option<()> {
        self.steps = 0;
        None
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::{ALLOCATION, BYTES, Budget, LOOK, STEPS, TIME};

    #[test]
    fn steps_beyond_budget_fail() {
        let mut budget = Budget::default();
        assert!(budget.spend(STEPS - 1).is_some() && !budget.is_exhausted());
        assert!(budget.spend(2).is_none() && budget.is_exhausted());
        assert!(budget.spend(1).is_none(), "nothing is left");
    }

    #[test]
    fn bytes_beyond_budget_fail() {
        let mut budget = Budget::default();
        assert!(budget.allocate(BYTES - ALLOCATION).is_some() && budget.spend(1).is_some());
        assert!(budget.allocate(0).is_none() && budget.spend(1).is_none());
    }

    #[test]
    fn time_beyond_budget_fails() {
        let mut budget = Budget::default();
        assert!(budget.spend(LOOK).is_some() && budget.end.is_none(), "few steps need no clock");
        assert!(budget.spend(1).is_some() && budget.end.is_some());
        let start = Instant::now();
        while start.elapsed() < TIME * 50 {
            let mut later = Budget { end: budget.end, ..Budget::default() };
            if later.spend(LOOK + 1).is_none() {
                return assert!(later.is_exhausted());
            }
        }
        panic!("{TIME:?} are over");
    }
}
