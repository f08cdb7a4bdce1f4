//! How the export of each signal does: a failure is logged at growing intervals, its end once, and both are shown.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tracing::{info, warn};

/// How soon a failure that goes on is logged again; the pause doubles each time, up to the next.
const FIRST_PAUSE: Duration = Duration::from_secs(30);
/// The longest pause: an operator who looks at the last hour of a log finds the failure.
const MAX_PAUSE: Duration = Duration::from_secs(30 * 60);
/// An export that worked for this long begins with the first pause again; one that comes and goes does not fill the log.
const STABLE: Duration = Duration::from_secs(60);

/// What becomes of the records of a failed request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// They are sent again.
    Retried,
    /// They are dropped, and counted as `rejected`.
    Dropped,
}

/// The exports of the program; cloning shares them.
#[derive(Clone, Debug, Default)]
pub struct Exports(Arc<Mutex<Vec<Arc<ExportHealth>>>>);

impl Exports {
    /// Adds the export of a signal; `queued` returns how many of its records wait for an answer.
    pub fn add(&self, signal: &'static str, queued: impl Fn() -> u64 + Send + Sync + 'static) -> Arc<ExportHealth> {
        let health = Arc::new(ExportHealth { signal, queued: Box::new(queued), state: Mutex::default() });
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&health));
        health
    }

    /// All of them as they are now.
    pub fn list(&self) -> Vec<Report> {
        let exports = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        exports.iter().map(|health| health.report()).collect()
    }
}

/// One export as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// `logs` or `metrics`.
    pub signal: &'static str,
    /// Why its last request failed; none while requests are taken, and before the first.
    pub failure: Option<Failure>,
    /// Records that wait for an answer.
    pub queued: u64,
}

/// Requests that failed in a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// When the first one failed.
    pub since: Instant,
    /// How many failed.
    pub attempts: u64,
    /// What went wrong with the last one, with its endpoint.
    pub error: String,
}

/// The health of one signal's export.
pub struct ExportHealth {
    signal: &'static str,
    queued: Box<dyn Fn() -> u64 + Send + Sync>,
    state: Mutex<State>,
}

impl fmt::Debug for ExportHealth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExportHealth").field("signal", &self.signal).field("state", &self.state).finish_non_exhaustive()
    }
}

#[derive(Debug, Default)]
struct State {
    failure: Option<Failure>,
    /// The failure is in the log, so its end is logged too.
    is_logged: bool,
    /// When the next line may be written.
    next_line: Option<Instant>,
    pause: Duration,
    recovered: Option<Instant>,
}

impl State {
    /// Whether a failure at this time is to be logged.
    fn is_due(&mut self, now: Instant) -> bool {
        if self.failure.is_none() && self.recovered.is_none_or(|recovered| now - recovered >= STABLE) {
            (self.next_line, self.pause) = (None, FIRST_PAUSE);
        }
        if self.next_line.is_some_and(|next| now < next) {
            return false;
        }
        self.next_line = Some(now + self.pause);
        self.pause = (self.pause * 2).min(MAX_PAUSE);
        true
    }
}

impl ExportHealth {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A request was not taken.
    pub fn failed(&self, error: &str, fate: Fate) {
        let (mut state, now) = (self.state(), Instant::now());
        let is_due = state.is_due(now);
        let failure = state.failure.get_or_insert_with(|| Failure { since: now, attempts: 0, error: String::new() });
        failure.attempts += 1;
        error.clone_into(&mut failure.error);
        let (attempts, time) = (failure.attempts, now - failure.since);
        if !is_due {
            return;
        }
        state.is_logged = true;
        drop(state);
        let (signal, queued) = (self.signal, (self.queued)());
        let what = match fate {
            Fate::Retried => "retrying",
            Fate::Dropped => "its records are dropped",
        };
        if time.is_zero() {
            warn!(queued, "cannot export {signal}, {what}: {error}");
        } else {
            warn!(queued, attempts, "cannot export {signal} for {}, {what}: {error}", seconds(time.as_secs()));
        }
    }

    /// A request was taken.
    pub fn worked(&self) {
        let mut state = self.state();
        let Some(Failure { since, attempts, .. }) = state.failure.take() else { return };
        let now = Instant::now();
        state.recovered = Some(now);
        if std::mem::take(&mut state.is_logged) {
            info!(attempts, "export of {} works again, after {}", self.signal, seconds((now - since).as_secs()));
        }
    }

    /// What went wrong with the last request; none where it was taken.
    pub fn error(&self) -> Option<String> {
        self.state().failure.as_ref().map(|failure| failure.error.clone())
    }

    fn report(&self) -> Report {
        Report { signal: self.signal, failure: self.state().failure.clone(), queued: (self.queued)() }
    }
}

/// A time for people: `50 s`, from two minutes on `2m30s`, as is what has no whole seconds: `1s500ms`.
pub fn time(time: Duration) -> String {
    match (time.as_secs(), time.subsec_nanos()) {
        (seconds @ 0..120, 0) => format!("{seconds} s"),
        _ => eyepiece_config::format_duration(time),
    }
}

/// The same for whole seconds.
pub fn seconds(seconds: u64) -> String {
    time(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::{Instant, advance};

    use super::{Exports, FIRST_PAUSE, Fate, MAX_PAUSE, STABLE, State, seconds};

    /// Whether each failure of a row, a second apart, is due for the log.
    fn due(state: &mut State, start: Instant, count: u64) -> Vec<u64> {
        let mut lines = Vec::new();
        for second in 0..count {
            if state.is_due(start + Duration::from_secs(second)) {
                lines.push(second);
            }
            state.failure.get_or_insert(super::Failure { since: start, attempts: 0, error: String::new() });
        }
        lines
    }

    #[test]
    fn lasting_failure_repeats_at_growing_intervals() {
        let (mut state, start, first) = (State::default(), Instant::now(), FIRST_PAUSE.as_secs());
        let lines = due(&mut state, start, 3 * 3600);
        assert_eq!(lines[..4], [0, first, first * 3, first * 7]);
        let pauses: Vec<_> = lines.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(pauses.is_sorted() && pauses.last() == Some(&MAX_PAUSE.as_secs()), "{pauses:?}");
    }

    #[test]
    fn flapping_export_does_not_fill_log() {
        let (mut state, start) = (State::default(), Instant::now());
        let mut lines = 0;
        for second in 0..3600 {
            lines += u32::from(state.is_due(start + Duration::from_secs(second)));
            state.recovered = Some(start + Duration::from_millis(second * 1000 + 500));
        }
        assert!(lines <= 8, "{lines} lines in an hour");
        let later = start + Duration::from_secs(3600) + STABLE;
        assert!(state.is_due(later), "a failure after a stable time is logged at once");
    }

    #[tokio::test(start_paused = true)]
    async fn reports_show_failure_until_recovery() {
        let exports = Exports::default();
        let health = exports.add("logs", || 1307);
        assert_eq!(exports.list()[0].failure, None);
        health.failed("connection refused (http://c:4317)", Fate::Retried);
        advance(Duration::from_secs(50)).await;
        health.failed("no route (http://c:4317)", Fate::Retried);
        let report = exports.list().remove(0);
        let failure = report.failure.expect("two requests failed");
        assert_eq!((report.signal, report.queued, failure.attempts), ("logs", 1307, 2));
        assert_eq!(failure.since.elapsed(), Duration::from_secs(50));
        assert_eq!(health.error().as_deref(), Some("no route (http://c:4317)"));
        health.worked();
        assert_eq!((exports.list()[0].failure.clone(), health.error()), (None, None));
    }

    #[test]
    fn times_for_people() {
        for (time, text) in [(0, "0 s"), (50, "50 s"), (119, "119 s"), (120, "2m"), (3661, "1h1m1s")] {
            assert_eq!(seconds(time), text);
        }
    }
}
