//! The monitor agent: the reader starts with the first subscriber, listener or consumer, and stops with the last.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use super::fanout::{Fanout, LISTENERS_MAX, Seat};
use super::queue::Next;

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
    fanout: Fanout,
}

/// Why somebody cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// There are enough.
    #[error("{LISTENERS_MAX} listen already, which is the most")]
    Full,
    /// The reader did not start.
    #[error("the source cannot be read: {source}")]
    Start {
        /// What the system said.
        source: io::Error,
    },
}

/// Counts subscribers; cloning shares it.
#[derive(Clone)]
pub struct Agent(Arc<Shared>);

impl Agent {
    /// An agent without subscribers: nothing is read.
    pub fn new(switch: impl Switch + 'static, fanout: Fanout) -> Self {
        Self(Arc::new(Shared { count: Mutex::new(0), switch: Box::new(switch), fanout }))
    }

    /// Wants raw payloads for as long as the listener lives, of which as many wait as its memory holds, and no more than
    /// `capacity`.
    ///
    /// # Errors
    /// Too many listen, or reading could not be started.
    pub fn listen(&self, capacity: Option<usize>) -> Result<Listener, ListenError> {
        // First the queue, then the reader: not even the first event is missed.
        let seat = self.0.fanout.add(capacity).ok_or(ListenError::Full)?;
        let subscription = self.subscribe().map_err(|source| ListenError::Start { source })?;
        Ok(Listener { _subscription: subscription, seat })
    }

    /// Wants events for as long as the subscription lives: an in-process consumer, which gets them decoded.
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

/// Somebody who gets raw payloads; dropping it ends that. What waits for it is freed at once; then reading may stop, which
/// takes a lock that whoever starts reading holds for as long as a source takes to open; its slot is free after that.
#[must_use]
pub struct Listener {
    // Before the seat: a slot that is free again is nobody's subscription.
    _subscription: Subscription,
    seat: Seat,
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.seat.queue.close();
    }
}

impl Listener {
    /// What is next, as soon as there is something; none after [`Listener::finish`] and what was there then. For one
    /// task only.
    pub async fn next(&self) -> Option<Next> {
        self.seat.queue.next().await
    }

    /// Wants nothing new.
    pub fn finish(&self) {
        self.seat.queue.finish();
    }

    /// Payloads that wait for it.
    pub fn waiting(&self) -> usize {
        self.seat.queue.waiting()
    }

    /// Its number among the listeners, from 0; given away again when it is gone.
    pub const fn slot(&self) -> usize {
        self.seat.slot
    }
}

#[cfg(test)]
mod tests;
