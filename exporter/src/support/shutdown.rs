//! How a task learns that it shall finish, and until when.

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

/// None while running, then the deadline: drain until there, count the rest and leave. A sender that is gone means
/// leave at once.
pub type Stop = watch::Receiver<Option<Instant>>;

/// A [`Stop`] and who sets it.
pub fn channel() -> (watch::Sender<Option<Instant>>, Stop) {
    watch::channel(None)
}

/// The deadline, once there is one.
pub async fn requested(stop: &mut Stop) -> Instant {
    match stop.wait_for(Option::is_some).await {
        Ok(deadline) => deadline.unwrap_or_else(Instant::now),
        Err(_) => Instant::now(),
    }
}

/// Returns once the deadline has passed.
pub async fn deadline_passed(mut stop: Stop) {
    let deadline = requested(&mut stop).await;
    sleep_until(deadline).await;
}
