//! Event handlers, which may change or stop events, and the calls of handlers and sinks. A panic removes only the one
//! that panicked.
//!
//! A handler is called for every event on the pipeline's thread: it must not wait, and its cost is the hot path's cost.
//! A sink is called once for each batch.

use std::panic::{AssertUnwindSafe, catch_unwind};

use eyepiece_flow::event::RawEvent;
use eyepiece_flow::flow::Flow;
use eyepiece_flow::record::{Batch, Observed};
use eyepiece_semconv::{attribute, metric};

use super::sink::Sink;
use crate::support::telemetry::{Number, Telemetry};

/// Whether an event continues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// It continues.
    Continue,
    /// It ends here: later handlers and sinks do not receive it, and it is not counted.
    Stop,
}

/// Receives events one by one.
pub trait EventHandler: Send {
    /// Its name in messages.
    fn name(&self) -> &'static str;

    /// Called before a payload is decoded.
    fn on_monitor_event(&mut self, _event: &RawEvent<'_>) -> Next {
        Next::Continue
    }

    /// Called with an enriched flow, before it is counted.
    fn on_flow(&mut self, _flow: &mut Flow) -> Next {
        Next::Continue
    }

    /// Called with a counted flow, an agent event, a debug message or a loss, before the sinks receive it.
    fn on_event(&mut self, _observed: &Observed) -> Next {
        Next::Continue
    }
}

/// Event handlers and sinks in order.
pub(super) struct EventHandlers {
    handlers: Vec<Box<dyn EventHandler>>,
    sinks: Vec<Box<dyn Sink>>,
    stopped: u64,
    metrics: HandlerMetrics,
}

struct HandlerMetrics {
    stopped: Number,
    failed: Number,
}

impl EventHandlers {
    pub(super) fn new(handlers: Vec<Box<dyn EventHandler>>, sinks: Vec<Box<dyn Sink>>, telemetry: &Telemetry) -> Self {
        let reason = [(attribute::EYEPIECE_REASON, "hook")];
        let stopped = telemetry.counter(metric::EYEPIECE_EVENTS_SKIPPED.name, &reason);
        let failed = telemetry.counter(metric::EYEPIECE_PIPELINE_FAILED.name, &[]);
        Self { handlers, sinks, stopped: 0, metrics: HandlerMetrics { stopped, failed } }
    }

    /// Returns whether there is a sink.
    pub(super) fn has_sinks(&self) -> bool {
        !self.sinks.is_empty()
    }

    #[inline]
    pub(super) fn on_monitor_event(&mut self, event: &RawEvent<'_>) -> Next {
        if self.handlers.is_empty() { Next::Continue } else { self.call(|handler| handler.on_monitor_event(event)) }
    }

    #[inline]
    pub(super) fn on_flow(&mut self, flow: &mut Flow) -> Next {
        if self.handlers.is_empty() { Next::Continue } else { self.call(|handler| handler.on_flow(flow)) }
    }

    #[inline]
    pub(super) fn on_event(&mut self, observed: &Observed) -> Next {
        if self.handlers.is_empty() { Next::Continue } else { self.call(|handler| handler.on_event(observed)) }
    }

    fn call(&mut self, mut call: impl FnMut(&mut dyn EventHandler) -> Next) -> Next {
        let mut place = 0;
        while let Some(handler) = self.handlers.get_mut(place) {
            // A handler that panicked is dropped, so its broken state is never used.
            match catch_unwind(AssertUnwindSafe(|| call(&mut **handler))) {
                Ok(Next::Continue) => place += 1,
                Ok(Next::Stop) => {
                    self.stopped += 1;
                    return Next::Stop;
                }
                Err(_) => {
                    let handler = self.handlers.remove(place);
                    tracing::error!(handler = handler.name(), "an event handler panicked and is removed");
                    self.metrics.failed.add(1);
                    discard(handler);
                }
            }
        }
        Next::Continue
    }

    /// Sends a batch to every sink.
    pub(super) fn send(&mut self, batch: &Batch) {
        let metrics = &self.metrics;
        self.sinks.retain_mut(|sink| {
            let sent = catch_unwind(AssertUnwindSafe(|| sink.send(Batch::clone(batch))));
            if sent.is_err() {
                tracing::error!(sink = sink.name(), "a sink panicked and is removed");
                metrics.failed.add(1);
            }
            sent.is_ok()
        });
    }

    /// Publishes the number of stopped events.
    pub(super) fn publish_counters(&mut self) {
        self.metrics.stopped.add(std::mem::take(&mut self.stopped));
    }
}

/// Drops a handler that panicked, which may panic again.
fn discard(handler: Box<dyn EventHandler>) {
    if catch_unwind(AssertUnwindSafe(|| drop(handler))).is_err() {
        tracing::error!("an event handler panicked again when it was removed");
    }
}

#[cfg(test)]
mod tests;
