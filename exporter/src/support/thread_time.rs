//! CPU time of the current thread.

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

/// CPU time that this thread has used; zero if the kernel has no such clock.
pub fn thread_cpu_time() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map(Duration::from).unwrap_or_default()
}
