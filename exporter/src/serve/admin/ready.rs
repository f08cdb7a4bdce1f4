//! Whether the program is ready, as /readyz answers.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What keeps a started program from being ready; none where nothing does.
type Obstacle = dyn Fn() -> Option<String> + Send + Sync;

/// The state of readiness; cloning shares it.
#[derive(Clone, Default)]
pub struct Ready {
    is_started: Arc<AtomicBool>,
    obstacle: Option<Arc<Obstacle>>,
}

impl Ready {
    /// A state that is ready only while there is no obstacle; `obstacle` runs on the admin thread, once a request.
    pub fn unless(obstacle: impl Fn() -> Option<String> + Send + Sync + 'static) -> Self {
        Self { is_started: Arc::default(), obstacle: Some(Arc::new(obstacle)) }
    }

    /// Sets whether the start is over.
    pub fn set(&self, is_started: bool) {
        self.is_started.store(is_started, Ordering::Release);
    }

    /// Whether it is ready.
    pub fn get(&self) -> bool {
        self.why_not().is_none()
    }

    /// Why it is not ready; none where it is.
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
