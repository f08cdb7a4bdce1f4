//! Limits log lines: a number of lines in an interval; the others are counted.

use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use super::lock::lock;

/// The interval of lines that clients cause.
pub const INTERVAL: Duration = Duration::from_secs(10);

#[derive(Debug)]
struct State {
    /// Start of the current interval.
    since: Option<Instant>,
    /// Its length.
    interval: Duration,
    /// The length of the next one.
    next: Duration,
    allowed: u32,
    suppressed: u64,
}

/// Limits the lines of one kind. An interval starts with its first line.
#[derive(Debug)]
pub struct LogLimit {
    state: Mutex<State>,
    lines: u32,
    initial: Duration,
    max: Duration,
}

impl LogLimit {
    /// Allows `lines` in each [`INTERVAL`].
    pub fn new(lines: u32) -> Self {
        Self::with_intervals(lines, INTERVAL, INTERVAL)
    }

    /// Allows one line in each interval. Intervals double from `initial` to `max`.
    pub fn repeated(initial: Duration, max: Duration) -> Self {
        Self::with_intervals(1, initial, max)
    }

    fn with_intervals(lines: u32, initial: Duration, max: Duration) -> Self {
        let state = State { since: None, interval: initial, next: initial, allowed: 0, suppressed: 0 };
        Self { state: Mutex::new(state), lines, initial, max }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Returns whether a line may be written now; counts it if not.
    pub fn allows(&self, now: Instant) -> bool {
        let mut state = self.state();
        if state.since.is_none_or(|since| now.saturating_duration_since(since) >= state.interval) {
            (state.since, state.interval, state.allowed) = (Some(now), state.next, 0);
            state.next = state.next.saturating_mul(2).min(self.max);
        }
        let is_allowed = state.allowed < self.lines;
        if is_allowed {
            state.allowed += 1;
        } else {
            state.suppressed += 1;
        }
        is_allowed
    }

    /// Allows the next line at once and starts again with the first interval.
    pub fn reset(&self) {
        let mut state = self.state();
        (state.since, state.next) = (None, self.initial);
    }

    /// Returns the number of lines suppressed since the last call.
    pub fn take_suppressed(&self) -> u64 {
        std::mem::take(&mut self.state().suppressed)
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::{INTERVAL, LogLimit};

    const LINES: u32 = 32;

    #[test]
    fn lines_beyond_limit_are_counted() {
        let (limit, start) = (LogLimit::new(LINES), Instant::now());
        for (round, n) in [0, 1, LINES - 1, LINES, LINES + 1, LINES * 8].into_iter().enumerate() {
            let first = start + INTERVAL * round as u32;
            let last = first + INTERVAL - Duration::from_nanos(1);
            let allowed = (0..n).filter(|at| limit.allows(if at % 2 == 0 { first } else { last })).count();
            assert_eq!(allowed as u32, n.min(LINES), "{n}");
            assert_eq!(limit.take_suppressed(), u64::from(n.saturating_sub(LINES)), "{n}");
            assert_eq!(limit.take_suppressed(), 0);
        }
    }

    #[test]
    fn intervals_double_until_maximum_and_reset() {
        let seconds = Duration::from_secs;
        let (limit, start) = (LogLimit::repeated(seconds(30), seconds(100)), Instant::now());
        let lines = |from: u64, to: u64| (from..to).filter(|at| limit.allows(start + seconds(*at))).collect::<Vec<_>>();
        assert_eq!(lines(0, 400), [0, 30, 90, 190, 290, 390]);
        limit.reset();
        assert_eq!(lines(400, 500), [400, 430, 490]);
    }
}
