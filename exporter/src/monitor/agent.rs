//! The monitor agent: the reader starts with the first subscriber and stops with the last.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

/// What subscriptions switch on and off: the pipeline's reading.
pub trait Switch: Send + Sync {
    /// The first subscriber came.
    ///
    /// # Errors
    /// What the system said.
    fn start(&self) -> io::Result<()>;

    /// The last one left.
    fn stop(&self);
}

impl Switch for crate::pipeline::Handle {
    fn start(&self) -> io::Result<()> {
        Self::start(self)
    }

    fn stop(&self) {
        Self::stop(self);
    }
}

struct Shared {
    /// Subscribers. The lock is held while reading is switched, so that a stop never overtakes a start.
    count: Mutex<usize>,
    switch: Box<dyn Switch>,
}

/// Counts subscribers; cloning shares it.
#[derive(Clone)]
pub struct Agent(Arc<Shared>);

impl Agent {
    /// An agent without subscribers: nothing is read.
    pub fn new(switch: impl Switch + 'static) -> Self {
        Self(Arc::new(Shared { count: Mutex::new(0), switch: Box::new(switch) }))
    }

    /// Wants events for as long as the subscription lives.
    ///
    /// # Errors
    /// Reading could not be started; nothing is subscribed then.
    pub fn subscribe(&self) -> io::Result<Subscription> {
        let mut count = self.0.count.lock().unwrap_or_else(PoisonError::into_inner);
        if *count == 0 {
            self.0.switch.start()?;
        }
        *count += 1;
        Ok(Subscription(self.clone()))
    }

    /// How many subscribers there are.
    pub fn subscribers(&self) -> usize {
        *self.0.count.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Somebody wants events; dropping it ends that.
#[must_use]
pub struct Subscription(Agent);

impl Drop for Subscription {
    fn drop(&mut self) {
        let shared = &self.0.0;
        let mut count = shared.count.lock().unwrap_or_else(PoisonError::into_inner);
        *count -= 1;
        if *count == 0 {
            shared.switch.stop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Agent, Switch};
    use std::io;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Recorder {
        calls: Arc<Mutex<Vec<&'static str>>>,
        fails: bool,
    }

    impl Switch for Recorder {
        fn start(&self) -> io::Result<()> {
            self.calls.lock().unwrap().push("start");
            if self.fails { Err(io::Error::other("no")) } else { Ok(()) }
        }

        fn stop(&self) {
            self.calls.lock().unwrap().push("stop");
        }
    }

    #[test]
    fn the_first_starts_and_the_last_stops() {
        let recorder = Recorder::default();
        let agent = Agent::new(recorder.clone());
        let first = agent.subscribe().unwrap();
        let second = agent.subscribe().unwrap();
        drop(first);
        assert_eq!(*recorder.calls.lock().unwrap(), ["start"]);
        drop(second);
        assert_eq!(*recorder.calls.lock().unwrap(), ["start", "stop"]);
        for _ in 0..1000 {
            drop(agent.subscribe().unwrap());
        }
        assert_eq!((recorder.calls.lock().unwrap().len(), agent.subscribers()), (2 + 2000, 0));
    }

    #[test]
    fn a_start_that_fails_subscribes_nobody() {
        let recorder = Recorder { fails: true, ..Recorder::default() };
        let agent = Agent::new(recorder.clone());
        assert!(agent.subscribe().is_err());
        assert_eq!(agent.subscribers(), 0);
        assert_eq!(*recorder.calls.lock().unwrap(), ["start"]);
    }
}
