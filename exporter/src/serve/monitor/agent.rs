//! The monitor agent: starts the source for the first subscriber and stops it after the last one.

use std::io;
use std::sync::{Arc, Mutex};

use super::fanout::{Fanout, ListenerSlot};
use super::limits::MAX_LISTENERS;
use super::queue::QueueItem;
use crate::support::lock::lock;

/// Starts and stops the pipeline's source.
pub trait SourceSwitch: Send + Sync {
    /// Starts the source, for the first subscriber.
    ///
    /// # Errors
    /// The source cannot be started.
    fn start(&self) -> io::Result<()>;

    /// Stops the source, after the last subscriber.
    fn stop(&self);
}

impl SourceSwitch for crate::pipeline::Handle {
    fn start(&self) -> io::Result<()> {
        Self::start(self)
    }

    fn stop(&self) {
        Self::stop(self);
    }
}

struct AgentState {
    /// The lock is held during a start or stop, so that a stop never overtakes a start.
    subscribers: Mutex<usize>,
    switch: Box<dyn SourceSwitch>,
    fanout: Fanout,
}

/// The error of adding a listener.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages name the fields")]
pub enum ListenError {
    /// The limit of listeners is reached.
    #[error("too many listeners: the limit is {MAX_LISTENERS}")]
    Full,
    /// The source did not start.
    #[error("cannot start the source: {source}")]
    Start { source: io::Error },
}

/// Counts subscribers; clones share the count.
#[derive(Clone)]
pub struct Agent(Arc<AgentState>);

impl Agent {
    /// Returns an agent without subscribers; the source is stopped.
    pub fn new(switch: impl SourceSwitch + 'static, fanout: Fanout) -> Self {
        Self(Arc::new(AgentState { subscribers: Mutex::new(0), switch: Box::new(switch), fanout }))
    }

    /// Subscribes to raw payloads. The queue is bounded in memory, and by `capacity` payloads if there is one.
    ///
    /// # Errors
    /// There are too many listeners, or the source cannot be started.
    pub fn listen(&self, capacity: Option<usize>) -> Result<Listener, ListenError> {
        // The queue exists before the source starts, so that the first event is not missed.
        let slot = self.0.fanout.add(capacity).ok_or(ListenError::Full)?;
        let subscription = self.subscribe().map_err(|source| ListenError::Start { source })?;
        Ok(Listener { _subscription: subscription, slot })
    }

    /// Subscribes an in-process consumer, which receives decoded events from the pipeline.
    ///
    /// # Errors
    /// The source cannot be started.
    pub fn subscribe(&self) -> io::Result<Subscription> {
        let mut count = lock(&self.0.subscribers);
        if *count == 0 {
            self.0.switch.start()?;
        }
        *count += 1;
        Ok(Subscription(self.clone()))
    }

    /// Number of subscribers.
    pub fn subscribers(&self) -> usize {
        *lock(&self.0.subscribers)
    }
}

/// A subscription to events; ends on drop.
#[must_use]
pub struct Subscription(Agent);

impl Drop for Subscription {
    fn drop(&mut self) {
        let shared = &self.0.0;
        let mut count = lock(&shared.subscribers);
        *count -= 1;
        if *count == 0 {
            shared.switch.stop();
        }
    }
}

/// A subscription to raw payloads; ends on drop. A drop frees the queue first, then may wait for a start or stop of the
/// source, and frees the slot last.
#[must_use]
pub struct Listener {
    // Dropped before the slot: a free slot has no subscription.
    _subscription: Subscription,
    slot: ListenerSlot,
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.slot.queue.close();
    }
}

impl Listener {
    /// Waits for the next item; `None` after [`Listener::finish`] once the queue is empty. For one task only.
    pub async fn next(&self) -> Option<QueueItem> {
        self.slot.queue.next().await
    }

    /// Accepts no further payloads.
    pub fn finish(&self) {
        self.slot.queue.finish();
    }

    /// Payloads in the queue.
    pub fn waiting(&self) -> usize {
        self.slot.queue.waiting()
    }

    /// The number of its slot, from 0; reused after its end.
    pub const fn slot(&self) -> usize {
        self.slot.number
    }
}

#[cfg(test)]
mod tests;
