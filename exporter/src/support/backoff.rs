//! How long to wait before the next attempt: longer each time, and never the same for everybody.

use std::time::Duration;

/// Before the second attempt: an agent that has made its socket's path listens a moment later.
const FIRST: Duration = Duration::from_millis(20);
/// The longest: an agent whose path cannot be watched is found again within this.
const LONGEST: Duration = Duration::from_secs(10);

/// Exponential, with jitter.
#[derive(Debug)]
pub(crate) struct Backoff {
    next: Duration,
    random: fastrand::Rng,
}

impl Backoff {
    /// Begins with the shortest.
    pub(crate) fn new(random: fastrand::Rng) -> Self {
        Self { next: FIRST, random }
    }

    /// From half of a time that doubles to all of it.
    pub(crate) fn delay(&mut self) -> Duration {
        let whole = self.next;
        self.next = whole.saturating_mul(2).min(LONGEST);
        whole.mul_f64(0.5 + self.random.f64() / 2.0)
    }

    /// It worked: begins anew.
    pub(crate) const fn reset(&mut self) {
        self.next = FIRST;
    }
}

#[cfg(test)]
mod tests {
    use super::{Backoff, FIRST, LONGEST};

    #[test]
    fn delays_double_up_to_the_longest_and_begin_anew() {
        let mut backoff = Backoff::new(fastrand::Rng::with_seed(1));
        let mut whole = FIRST;
        for _ in 0..20 {
            let delay = backoff.delay();
            assert!(delay >= whole / 2 && delay <= whole, "{delay:?} of {whole:?}");
            whole = (whole * 2).min(LONGEST);
        }
        assert_eq!(whole, LONGEST);
        backoff.reset();
        assert!(backoff.delay() <= FIRST);
    }

    #[test]
    fn two_do_not_wait_alike() {
        let delays = |seed| {
            let mut backoff = Backoff::new(fastrand::Rng::with_seed(seed));
            [backoff.delay(), backoff.delay(), backoff.delay()]
        };
        assert_ne!(delays(1), delays(2));
    }
}
