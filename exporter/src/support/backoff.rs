//! Exponential backoff with jitter.

use std::time::Duration;

/// Pauses double from `initial` to `max`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackoffRange {
    /// First pause.
    pub initial: Duration,
    /// Longest pause.
    pub max: Duration,
}

/// Reconnecting to an event source. The first pause is short: an agent listens a moment after creating its socket. The
/// longest pause bounds retries of an unwatched path.
pub(crate) const RECONNECT: BackoffRange =
    BackoffRange { initial: Duration::from_millis(20), max: Duration::from_secs(10) };
/// A connection that lasted this long is stable: the next attempt follows at once. Events alone do not make it stable:
/// a peer that fails at each event would be asked again at once, for ever.
pub const STABLE_AFTER: Duration = Duration::from_secs(10);

/// The pauses between attempts. Each is a random part of its step, between half and all of it, so that clients that
/// lost the same server do not return at once.
#[derive(Debug)]
pub(crate) struct Backoff {
    range: BackoffRange,
    next: Duration,
    random: fastrand::Rng,
}

impl Backoff {
    pub(crate) const fn new(range: BackoffRange, random: fastrand::Rng) -> Self {
        Self { range, next: range.initial, random }
    }

    /// Returns the next pause and doubles the step.
    pub(crate) fn delay(&mut self) -> Duration {
        let step = self.next;
        self.next = step.saturating_mul(2).min(self.range.max);
        step.mul_f64(0.5 + self.random.f64() / 2.0)
    }

    /// Starts again with the first pause, after a success.
    pub(crate) const fn reset(&mut self) {
        self.next = self.range.initial;
    }
}

#[cfg(test)]
mod tests {
    use super::{Backoff, RECONNECT};

    #[test]
    fn delays_double_until_maximum_and_reset() {
        let mut backoff = Backoff::new(RECONNECT, fastrand::Rng::with_seed(1));
        let mut step = RECONNECT.initial;
        for _ in 0..20 {
            let delay = backoff.delay();
            assert!(delay >= step / 2 && delay <= step, "{delay:?} of {step:?}");
            step = (step * 2).min(RECONNECT.max);
        }
        assert_eq!(step, RECONNECT.max);
        backoff.reset();
        assert!(backoff.delay() <= RECONNECT.initial);
    }

    #[test]
    fn seeds_give_different_delays() {
        let delays = |seed| {
            let mut backoff = Backoff::new(RECONNECT, fastrand::Rng::with_seed(seed));
            [backoff.delay(), backoff.delay(), backoff.delay()]
        };
        assert_ne!(delays(1), delays(2));
    }
}
