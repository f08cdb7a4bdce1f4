//! Converts kernel time (`CLOCK_MONOTONIC`) to wall-clock time in ns since the Unix epoch.

use nix::time::{ClockId, clock_gettime};

/// The offset between the two clocks. It is measured regularly: the wall clock may be set.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    offset: i64,
}

impl Clock {
    /// Measures the offset.
    pub fn now() -> Self {
        Self { offset: nanoseconds(ClockId::CLOCK_REALTIME) - nanoseconds(ClockId::CLOCK_MONOTONIC) }
    }

    /// Wall-clock time of a kernel time; both in ns.
    pub const fn unix(self, monotonic: u64) -> u64 {
        monotonic.wrapping_add_signed(self.offset)
    }
}

/// Wall-clock time now, ns since the Unix epoch.
pub fn unix_now() -> u64 {
    nanoseconds(ClockId::CLOCK_REALTIME).cast_unsigned()
}

fn nanoseconds(clock: ClockId) -> i64 {
    // These clocks always exist.
    clock_gettime(clock).map(|time| time.tv_sec() * 1_000_000_000 + time.tv_nsec()).unwrap_or_default()
}
