//! Health of each signal's export: failures are logged at growing intervals, their end once, and the status shows both.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use eyepiece_config::format_seconds;
use tokio::time::Instant;
use tracing::{info, warn};

use super::lock::lock;
use super::log_limit::LogLimit;

/// First interval between log lines of a lasting failure. Intervals double up to [`MAX_INTERVAL`].
const INITIAL_INTERVAL: Duration = Duration::from_secs(30);
/// Longest interval between log lines: the last hour of a log shows the failure. A failure without queued records is
/// over after this long without another: nothing is left to send, and no request has failed since.
const MAX_INTERVAL: Duration = Duration::from_secs(30 * 60);
/// After this long without a failure the next one is logged at once. An export that flaps does not fill the log.
const STABLE: Duration = Duration::from_secs(60);

/// The outcome of a failed request's records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureOutcome {
    /// They are sent again.
    Retried,
    /// They are dropped, and counted as `rejected`.
    Dropped,
}

/// The exports of the program. Cloning shares them.
#[derive(Clone, Debug, Default)]
pub struct Exports(Arc<Mutex<Vec<Arc<ExportHealth>>>>);

impl Exports {
    /// Adds the export of a signal; `queued` returns the number of its records without an outcome.
    pub fn add(&self, signal: &'static str, queued: impl Fn() -> u64 + Send + Sync + 'static) -> Arc<ExportHealth> {
        let health = Arc::new(ExportHealth {
            signal,
            queued: Box::new(queued),
            state: Mutex::default(),
            failures: LogLimit::repeated(INITIAL_INTERVAL, MAX_INTERVAL),
        });
        lock(&self.0).push(Arc::clone(&health));
        health
    }

    /// The current state of all exports.
    pub fn list(&self) -> Vec<Report> {
        let exports = lock(&self.0);
        exports.iter().map(|health| health.report()).collect()
    }
}

/// The current state of one export.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// `logs` or `metrics`.
    pub signal: &'static str,
    /// The last request's error; `None` if it succeeded, before the first one, and once the failure is over.
    pub failure: Option<Failure>,
    /// Records without an outcome.
    pub queued: u64,
}

/// Consecutive failed requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Time of the first one.
    pub since: Instant,
    /// Time of the last one.
    pub last: Instant,
    /// Their number.
    pub attempts: u64,
    /// Error of the last one, with its endpoint.
    pub error: String,
}

/// The health of one signal's export.
pub struct ExportHealth {
    signal: &'static str,
    queued: Box<dyn Fn() -> u64 + Send + Sync>,
    state: Mutex<State>,
    failures: LogLimit,
}

impl fmt::Debug for ExportHealth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExportHealth").field("signal", &self.signal).field("state", &self.state).finish_non_exhaustive()
    }
}

#[derive(Debug, Default)]
struct State {
    failure: Option<Failure>,
    /// The failure is in the log, so its end is logged as well.
    is_logged: bool,
    recovered: Option<Instant>,
}

impl ExportHealth {
    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// A request failed. Returns whether it is logged.
    pub fn failed(&self, error: &str, outcome: FailureOutcome) -> bool {
        let (mut state, now) = (self.state(), Instant::now());
        if state.failure.is_none() && state.recovered.is_none_or(|recovered| now - recovered >= STABLE) {
            self.failures.reset();
        }
        let new = || Failure { since: now, last: now, attempts: 0, error: String::new() };
        let failure = state.failure.get_or_insert_with(new);
        failure.last = now;
        failure.attempts += 1;
        error.clone_into(&mut failure.error);
        let (attempts, time) = (failure.attempts, now - failure.since);
        if !self.failures.allows(now.into_std()) {
            return false;
        }
        state.is_logged = true;
        drop(state);
        let (signal, queued) = (self.signal, (self.queued)());
        let what = match outcome {
            FailureOutcome::Retried => "retrying",
            FailureOutcome::Dropped => "its records are dropped",
        };
        if time.is_zero() {
            warn!(queued, "cannot export {signal}, {what}: {error}");
        } else {
            warn!(queued, attempts, "cannot export {signal} for {}, {what}: {error}", format_seconds(time.as_secs()));
        }
        true
    }

    /// A request succeeded.
    pub fn succeeded(&self) {
        let mut state = self.state();
        let Some(Failure { since, attempts, .. }) = state.failure.take() else { return };
        let now = Instant::now();
        state.recovered = Some(now);
        if std::mem::take(&mut state.is_logged) {
            info!(attempts, "export of {} works again, after {}", self.signal, format_seconds((now - since).as_secs()));
        }
    }

    /// Error of the last request. `None` if it succeeded.
    pub fn error(&self) -> Option<String> {
        self.state().failure.as_ref().map(|failure| failure.error.clone())
    }

    fn report(&self) -> Report {
        let queued = (self.queued)();
        let is_current = |failure: &Failure| queued > 0 || failure.last.elapsed() < MAX_INTERVAL;
        Report { signal: self.signal, failure: self.state().failure.clone().filter(is_current), queued }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Duration;

    use tokio::time::advance;

    use super::{Exports, FailureOutcome, MAX_INTERVAL, STABLE};

    #[tokio::test(start_paused = true)]
    async fn flapping_export_does_not_fill_log() {
        let health = Exports::default().add("logs", || 1);
        let mut lines = 0;
        for _ in 0..3600 {
            lines += u32::from(health.failed("refused", FailureOutcome::Retried));
            health.succeeded();
            advance(Duration::from_secs(1)).await;
        }
        assert!((5..=8).contains(&lines), "{lines} lines in an hour");
        advance(STABLE).await;
        assert!(health.failed("refused", FailureOutcome::Retried), "a failure after a stable time is logged at once");
    }

    #[tokio::test(start_paused = true)]
    async fn lasting_failure_is_logged_ever_less() {
        let health = Exports::default().add("logs", || 1);
        let mut lines = Vec::new();
        for second in 0..3 * 3600 {
            if health.failed("refused", FailureOutcome::Retried) {
                lines.push(second);
            }
            advance(Duration::from_secs(1)).await;
        }
        assert_eq!(lines, [0, 30, 90, 210, 450, 930, 1890, 3690, 5490, 7290, 9090]);
        health.succeeded();
        assert!(!health.failed("refused", FailureOutcome::Retried), "a short recovery does not log the next failure");
        health.succeeded();
        advance(STABLE).await;
        assert!(health.failed("refused", FailureOutcome::Retried), "after a stable time the intervals start again");
    }

    #[tokio::test(start_paused = true)]
    async fn report_shows_failure_until_recovery() {
        let exports = Exports::default();
        let health = exports.add("logs", || 1307);
        assert_eq!(exports.list()[0].failure, None);
        health.failed("connection refused (http://c:4317)", FailureOutcome::Retried);
        advance(Duration::from_secs(50)).await;
        health.failed("no route (http://c:4317)", FailureOutcome::Retried);
        let report = exports.list().remove(0);
        let failure = report.failure.expect("two requests failed");
        assert_eq!((report.signal, report.queued, failure.attempts), ("logs", 1307, 2));
        assert_eq!(failure.since.elapsed(), Duration::from_secs(50));
        assert_eq!(health.error().as_deref(), Some("no route (http://c:4317)"));
        health.succeeded();
        assert_eq!((exports.list()[0].failure.clone(), health.error()), (None, None));
    }

    /// A refused request in a quiet network: no other one follows that could succeed.
    #[tokio::test(start_paused = true)]
    async fn failure_without_queue_ages_out() {
        let (exports, queued) = (Exports::default(), Arc::new(AtomicU64::new(0)));
        let records = Arc::clone(&queued);
        let health = exports.add("logs", move || records.load(Ordering::Relaxed));
        let is_failing = || exports.list()[0].failure.is_some();
        health.failed("refused", FailureOutcome::Dropped);
        advance(MAX_INTERVAL - Duration::from_secs(1)).await;
        assert!(is_failing());
        health.failed("refused", FailureOutcome::Dropped);
        advance(MAX_INTERVAL - Duration::from_secs(1)).await;
        assert!(is_failing(), "the last failure counts");
        queued.store(1, Ordering::Relaxed);
        advance(MAX_INTERVAL).await;
        assert!(is_failing(), "records are queued");
        queued.store(0, Ordering::Relaxed);
        assert!(!is_failing());
    }
}
