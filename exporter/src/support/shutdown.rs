//! Signals tasks to stop, with a deadline.

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

/// `None` while running, then the deadline: a task drains until then and counts the rest. A dropped sender means stop at
/// once.
pub type Stop = watch::Receiver<Option<Instant>>;

/// Creates a [`Stop`] and its sender.
pub fn channel() -> (watch::Sender<Option<Instant>>, Stop) {
    watch::channel(None)
}

/// Waits for a stop and returns its deadline.
pub async fn requested(stop: &mut Stop) -> Instant {
    match stop.wait_for(Option::is_some).await {
        Ok(deadline) => deadline.unwrap_or_else(Instant::now),
        Err(_) => Instant::now(),
    }
}

/// Waits until the deadline has passed.
pub async fn deadline_passed(mut stop: Stop) {
    let deadline = requested(&mut stop).await;
    sleep_until(deadline).await;
}
