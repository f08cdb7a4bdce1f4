//! The schedule of a recording's records.

use std::time::{Duration, Instant};

/// The shortest wait that is logged: a clock set forward while recording causes waits of years.
const LONG_WAIT: Duration = Duration::from_secs(60);

/// Times the records.
#[derive(Debug)]
pub(super) struct Pace {
    speed: f64,
    /// The start of the first record's replay, and the record's own time.
    began: Option<(Instant, u64)>,
    /// Time of the record whose long wait was logged.
    announced: Option<u64>,
}

impl Pace {
    /// Starts with the first record; `speed` is how many times faster than recorded, 0 = without waits.
    pub(super) const fn new(speed: f64) -> Self {
        Self { speed, began: None, announced: None }
    }

    /// Returns the wait until a record of this time is due. Logs a long wait once, with the recording's path.
    pub(super) fn until(&mut self, time: u64, path: &str) -> Duration {
        let ahead = self.remaining(time);
        if ahead >= LONG_WAIT && self.announced.replace(time) != Some(time) {
            let about = rough_duration(ahead);
            tracing::warn!("{path}: the next event is in {about}; replay.speed = 0 does not wait");
        }
        ahead
    }

    fn remaining(&mut self, time: u64) -> Duration {
        if self.speed == 0.0 {
            return Duration::ZERO;
        }
        let (start, first) = *self.began.get_or_insert_with(|| (Instant::now(), time));
        // Clocks may be set back while recording: a record earlier than the first is due.
        let after = Duration::from_nanos(time.saturating_sub(first)).as_secs_f64() / self.speed;
        // A time that does not fit is never reached.
        let after = Duration::try_from_secs_f64(after).unwrap_or(Duration::MAX);
        after.saturating_sub(start.elapsed())
    }
}

/// A duration in the largest unit of which it has two at least.
fn rough_duration(time: Duration) -> String {
    let seconds = time.as_secs();
    let units = [(86_400, "days"), (3600, "h"), (60, "min")];
    let unit = units.into_iter().find(|(unit, _)| seconds / unit >= 2);
    unit.map_or_else(|| format!("{seconds} s"), |(unit, name)| format!("{} {name}", seconds / unit))
}
