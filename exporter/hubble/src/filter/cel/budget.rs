//! The bounds of what all expressions of a request may use for one flow: steps, allocated bytes and CPU time.

use std::time::Duration;

use crate::filter::context::CpuClock;

/// Steps for one flow: about a millisecond. An expression that exceeds them fails for this flow, as do those after it.
const STEPS: usize = 20_000;
/// Bytes that expressions may allocate for one flow. As many plain values as there are steps fit.
const BYTES: usize = 640 << 10;
/// CPU time for one flow, in case steps cost more than estimated. It is the thread's, not wall-clock time: other work on
/// the machine must not change whether a flow matches. A build without optimization takes ten times as long.
const TIME: Duration = Duration::from_millis(if cfg!(debug_assertions) { 50 } else { 5 });
/// Steps between two reads of the clock, each of which costs about ten steps. Most expressions never get there.
const STEPS_BETWEEN_CLOCK_READS: usize = 1024;
/// Bytes that one step reads, compares or copies.
const BYTES_PER_STEP: usize = 16;
/// Steps of a search are the bytes of the text times those of the pattern's program, divided by this.
const PROGRAM_BYTES_PER_STEP: usize = 4096;
/// Steps to compare two messages, beside those for the flow's bytes: about as many fields as a flow has.
const MESSAGE_STEPS: usize = 200;
/// Bytes of an allocation beside its values.
const ALLOCATION: usize = 64;

/// The remaining budget of one flow. Every method returns `None` from the first excess on.
#[derive(Debug)]
pub(super) struct Budget {
    clock: CpuClock,
    steps: usize,
    bytes: usize,
    /// The clock is read when fewer steps are left.
    next_clock_read: usize,
    /// The end of the time, by the clock; set at its first read.
    deadline: Option<Duration>,
    /// Encoded bytes of the flow, which bound those of every message in it.
    pub(super) flow_bytes: usize,
}

impl Budget {
    pub(super) const fn new(clock: CpuClock) -> Self {
        let next_clock_read = STEPS - STEPS_BETWEEN_CLOCK_READS;
        Self { clock, steps: STEPS, bytes: BYTES, next_clock_read, deadline: None, flow_bytes: 0 }
    }

    /// Charges steps.
    pub(super) fn spend(&mut self, steps: usize) -> Option<()> {
        let Some(left) = self.steps.checked_sub(steps) else { return self.exhaust() };
        self.steps = left;
        if left < self.next_clock_read { self.check_time() } else { Some(()) }
    }

    /// Charges the steps to read so many bytes.
    pub(super) fn read(&mut self, bytes: usize) -> Option<()> {
        self.spend(bytes / BYTES_PER_STEP)
    }

    /// Charges the steps to search a text for a pattern. If the automaton does not fit into its cache, each byte costs
    /// as much as the program is large.
    pub(super) fn search(&mut self, text: usize, program: usize) -> Option<()> {
        self.spend(text.saturating_mul(program) / PROGRAM_BYTES_PER_STEP)
    }

    /// Charges the steps to compare two messages of the flow.
    pub(super) fn compare_messages(&mut self) -> Option<()> {
        self.spend(MESSAGE_STEPS + self.flow_bytes / BYTES_PER_STEP)
    }

    /// Charges an allocation.
    pub(super) fn allocate(&mut self, bytes: usize) -> Option<()> {
        let Some(left) = self.bytes.checked_sub(bytes.saturating_add(ALLOCATION)) else { return self.exhaust() };
        self.bytes = left;
        Some(())
    }

    pub(super) const fn is_exhausted(&self) -> bool {
        self.steps == 0
    }

    #[cold]
    fn check_time(&mut self) -> Option<()> {
        self.next_clock_read = self.steps.saturating_sub(STEPS_BETWEEN_CLOCK_READS);
        let now = (self.clock)();
        if now > *self.deadline.get_or_insert(now + TIME) { self.exhaust() } else { Some(()) }
    }

    const fn exhaust(&mut self) -> Option<()> {
        self.steps = 0;
        None
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::time::Duration;

    use super::{ALLOCATION, BYTES, Budget, STEPS, STEPS_BETWEEN_CLOCK_READS, TIME};
    use crate::filter::context::no_clock;

    #[test]
    fn steps_beyond_budget_fail() {
        let mut budget = Budget::new(no_clock);
        assert!(budget.spend(STEPS - 1).is_some() && !budget.is_exhausted());
        assert!(budget.spend(2).is_none() && budget.is_exhausted());
        assert!(budget.spend(1).is_none(), "nothing is left");
    }

    #[test]
    fn bytes_beyond_budget_fail() {
        let mut budget = Budget::new(no_clock);
        assert!(budget.allocate(BYTES - ALLOCATION).is_some() && budget.spend(1).is_some());
        assert!(budget.allocate(0).is_none() && budget.spend(1).is_none());
    }

    #[test]
    fn time_beyond_budget_fails() {
        thread_local! {
            static NOW: Cell<Duration> = const { Cell::new(Duration::ZERO) };
        }
        let mut budget = Budget::new(|| NOW.get());
        assert!(
            budget.spend(STEPS_BETWEEN_CLOCK_READS).is_some() && budget.deadline.is_none(),
            "the clock is not read"
        );
        assert!(budget.spend(1).is_some() && budget.deadline == Some(TIME));
        NOW.set(TIME);
        assert!(budget.spend(STEPS_BETWEEN_CLOCK_READS + 1).is_some(), "the time is just over");
        NOW.set(TIME + Duration::from_nanos(1));
        assert!(budget.spend(STEPS_BETWEEN_CLOCK_READS + 1).is_none() && budget.is_exhausted());
    }
}
