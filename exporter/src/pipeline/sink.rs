//! Sinks: the receivers of the pipeline's batches.

use eyepiece_flow::record::Batch;

/// Receives batches of flows and events on the pipeline's thread. It never waits, and counts what it cannot take.
pub trait Sink: Send {
    /// Takes a batch.
    fn send(&mut self, batch: Batch);

    /// Returns the name of the sink for the log: its type.
    fn name(&self) -> &'static str {
        std::any::type_name::<Self>()
    }
}
