//! Sinks: the receivers of the pipeline's batches.

use eyepiece_flow::record::Batch;

/// Receives batches of flows and events on the pipeline's thread. It never waits, and counts what it cannot take.
pub trait Sink: Send {
    /// Takes a batch.
    fn send(&mut self, batch: Batch);
}
