//! The state of readiness that /readyz answers.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Returns why a started program is not ready; `None` if it is.
type Obstacle = dyn Fn() -> Option<String> + Send + Sync;

/// The state of readiness; clones share it.
#[derive(Clone, Default)]
pub struct Ready {
    is_started: Arc<AtomicBool>,
    obstacle: Option<Arc<Obstacle>>,
}

impl Ready {
    /// Returns a state that is ready while `obstacle` returns `None`. It runs once per request, on the admin thread.
    pub fn unless(obstacle: impl Fn() -> Option<String> + Send + Sync + 'static) -> Self {
        Self { is_started: Arc::default(), obstacle: Some(Arc::new(obstacle)) }
    }

    /// Sets whether the program has started.
    pub fn set(&self, is_started: bool) {
        self.is_started.store(is_started, Ordering::Release);
    }

    /// Returns whether the program is ready.
    pub fn get(&self) -> bool {
        self.why_not().is_none()
    }

    /// Returns why the program is not ready; `None` if it is.
    pub fn why_not(&self) -> Option<String> {
        if !self.is_started.load(Ordering::Acquire) {
            return Some("starting".to_owned());
        }
        self.obstacle.as_ref().and_then(|obstacle| obstacle())
    }
}

impl fmt::Debug for Ready {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Ready").field(&self.why_not()).finish()
    }
}
