//! A bounded queue from the pipeline to a provider's task; it never blocks the pipeline.

use eyepiece_semconv::metric;
use tokio::sync::mpsc;

use crate::support::incidents::Incidents;
use crate::support::telemetry::{Number, Telemetry};

/// Items that wait: a burst of a busy resolver, or of an agent that lists its world, some MiB.
const CAPACITY: usize = 8192;
/// Items that a task takes at once, so that the receiver gets one change for many.
pub(super) const BATCH: usize = 1024;

/// The pipeline's end of the queue. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct Intake<T> {
    sender: mpsc::Sender<T>,
    dropped: Number,
}

impl<T> Intake<T> {
    /// Creates a queue and the task's end; `reason` counts what found no room.
    pub(super) fn new(telemetry: &Telemetry, reason: &str) -> (Self, mpsc::Receiver<T>) {
        let dropped = Incidents::new(telemetry, &metric::EYEPIECE_METADATA_INCIDENTS).number(reason);
        let (sender, receiver) = mpsc::channel(CAPACITY);
        (Self { sender, dropped }, receiver)
    }

    /// Queues an item, or drops and counts it if the queue is full.
    pub(super) fn offer(&self, item: T) {
        self.offer_after(item, || ());
    }

    /// Queues an item after `work`, of which the task is to see the results. If the queue is full the item is dropped and
    /// counted, without `work`.
    pub(super) fn offer_after(&self, item: T, work: impl FnOnce()) {
        if let Ok(permit) = self.sender.try_reserve() {
            work();
            permit.send(item);
        } else {
            self.dropped.add(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{CAPACITY, Intake};
    use crate::support::telemetry::Telemetry;

    #[test]
    fn items_beyond_capacity_are_counted() {
        for n in [0, 1, CAPACITY - 1, CAPACITY, CAPACITY + 1, CAPACITY * 2] {
            let telemetry = Telemetry::default();
            let (intake, items) = Intake::new(&telemetry, "dns_queue_full");
            (0..n).for_each(|item| intake.offer(item));
            assert_eq!(items.len(), n.min(CAPACITY), "{n}");
            assert_eq!(telemetry.samples()[0].value, n.saturating_sub(CAPACITY) as u64, "{n}");
        }
    }
}
