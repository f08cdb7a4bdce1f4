//! Lines of the log that clients can cause: so many in a while, and the number of the others.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long the lines are counted, and how often is told how many were left out.
pub const INTERVAL: Duration = Duration::from_secs(10);
#[derive(Debug, Default)]
struct State {
    since: Option<Instant>,
    said: u32,
    unsaid: u64,
}

/// Counts lines.
#[derive(Debug)]
pub struct LogLimit {
    state: Mutex<State>,
    lines: u32,
}

impl LogLimit {
    /// Allows so many lines in an [`INTERVAL`].
    pub fn new(lines: u32) -> Self {
        Self { state: Mutex::default(), lines }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether one more line may be written now; one that may not is counted.
    pub fn allows(&self, now: Instant) -> bool {
        let mut state = self.state();
        if state.since.is_none_or(|since| now.saturating_duration_since(since) >= INTERVAL) {
            (state.since, state.said) = (Some(now), 0);
        }
        let is_allowed = state.said < self.lines;
        if is_allowed {
            state.said += 1;
        } else {
            state.unsaid += 1;
        }
        is_allowed
    }

    /// Lines that were left out since the last call.
    pub fn take_unsaid(&self) -> u64 {
        std::mem::take(&mut self.state().unsaid)
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::{INTERVAL, LogLimit};

    const LINES: u32 = 32;

    #[test]
    fn so_many_in_an_interval_and_the_others_are_counted() {
        let (limit, start) = (LogLimit::new(LINES), Instant::now());
        for (round, n) in [0, 1, LINES - 1, LINES, LINES + 1, LINES * 8].into_iter().enumerate() {
            let from = start + INTERVAL * round as u32;
            // From its first line on to the end of its time.
            let late = from + INTERVAL - Duration::from_nanos(1);
            let allowed = (0..n).filter(|at| limit.allows(if at % 2 == 0 { from } else { late })).count();
            assert_eq!(allowed as u32, n.min(LINES), "{n}");
            assert_eq!(limit.take_unsaid(), u64::from(n.saturating_sub(LINES)), "{n}");
            assert_eq!(limit.take_unsaid(), 0);
        }
    }
}
