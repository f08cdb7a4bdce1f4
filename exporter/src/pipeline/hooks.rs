//! Who sees events on their way: hooks may change or stop them, sinks get what remains. Each fails alone.
//!
//! This is the one place to add another. A hook is called for every event on the pipeline's thread: it must not wait,
//! and what it costs is the hot path's cost. A sink is called once a batch.

use std::panic::{AssertUnwindSafe, catch_unwind};

use eyepiece_flow::event::RawEvent;
use eyepiece_flow::flow::Flow;
use eyepiece_flow::record::{Batch, Observed};
use eyepiece_semconv::{attribute, metric};

use crate::support::telemetry::{Number, Telemetry};

/// What becomes of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// It goes on.
    Continue,
    /// It ends here: nobody behind sees or counts it.
    Stop,
}

/// Sees events one by one.
pub trait Hook: Send {
    /// Its name in messages.
    fn name(&self) -> &'static str;

    /// Before a payload is decoded.
    fn on_monitor_event(&mut self, _event: &RawEvent<'_>) -> Next {
        Next::Continue
    }

    /// A flow whose ends are known, before it is counted.
    fn on_flow(&mut self, _flow: &mut Flow) -> Next {
        Next::Continue
    }

    /// A flow that was counted, an event of the agent, a debug message or a loss, before the sinks get it.
    fn on_event(&mut self, _observed: &Observed) -> Next {
        Next::Continue
    }
}

/// Where batches of flows go. Never waits; counts what it cannot take.
pub trait Sink: Send {
    /// Takes a batch.
    fn send(&mut self, batch: Batch);
}

/// Hooks and sinks in their order.
pub(super) struct Hooks {
    hooks: Vec<Box<dyn Hook>>,
    sinks: Vec<Box<dyn Sink>>,
    stopped: u64,
    numbers: Numbers,
}

struct Numbers {
    stopped: Number,
    failed: Number,
}

impl Hooks {
    pub(super) fn new(hooks: Vec<Box<dyn Hook>>, sinks: Vec<Box<dyn Sink>>, telemetry: &Telemetry) -> Self {
        let reason = [(attribute::EYEPIECE_REASON, "hook")];
        let stopped = telemetry.counter(metric::EYEPIECE_EVENTS_SKIPPED.name, &reason);
        let failed = telemetry.counter(metric::EYEPIECE_PIPELINE_FAILED.name, &[]);
        Self { hooks, sinks, stopped: 0, numbers: Numbers { stopped, failed } }
    }

    /// Whether anybody gets what is gathered.
    pub(super) fn has_sinks(&self) -> bool {
        !self.sinks.is_empty()
    }

    #[inline]
    pub(super) fn on_monitor_event(&mut self, event: &RawEvent<'_>) -> Next {
        if self.hooks.is_empty() { Next::Continue } else { self.call(|hook| hook.on_monitor_event(event)) }
    }

    #[inline]
    pub(super) fn on_flow(&mut self, flow: &mut Flow) -> Next {
        if self.hooks.is_empty() { Next::Continue } else { self.call(|hook| hook.on_flow(flow)) }
    }

    #[inline]
    pub(super) fn on_event(&mut self, observed: &Observed) -> Next {
        if self.hooks.is_empty() { Next::Continue } else { self.call(|hook| hook.on_event(observed)) }
    }

    fn call(&mut self, mut call: impl FnMut(&mut dyn Hook) -> Next) -> Next {
        let mut place = 0;
        while let Some(hook) = self.hooks.get_mut(place) {
            // A hook that panicked is dropped, so nobody sees what it left half done.
            match catch_unwind(AssertUnwindSafe(|| call(&mut **hook))) {
                Ok(Next::Continue) => place += 1,
                Ok(Next::Stop) => {
                    self.stopped += 1;
                    return Next::Stop;
                }
                Err(_) => {
                    let hook = self.hooks.remove(place);
                    tracing::error!(hook = hook.name(), "a hook panicked and is left out from now on");
                    self.numbers.failed.add(1);
                    discard(hook);
                }
            }
        }
        Next::Continue
    }

    /// Gives a batch to every sink.
    pub(super) fn send(&mut self, batch: &Batch) {
        let numbers = &self.numbers;
        self.sinks.retain_mut(|sink| {
            let sent = catch_unwind(AssertUnwindSafe(|| sink.send(Batch::clone(batch))));
            if sent.is_err() {
                tracing::error!("a sink of flows panicked and gets none from now on");
                numbers.failed.add(1);
            }
            sent.is_ok()
        });
    }

    /// Tells how many events were stopped since the last time.
    pub(super) fn tell(&mut self) {
        self.numbers.stopped.add(std::mem::take(&mut self.stopped));
    }
}

/// Ends a hook that panicked: it may do so again as it is dropped.
fn discard(hook: Box<dyn Hook>) {
    if catch_unwind(AssertUnwindSafe(|| drop(hook))).is_err() {
        tracing::error!("a hook panicked again as it was left out");
    }
}

#[cfg(test)]
mod tests;
