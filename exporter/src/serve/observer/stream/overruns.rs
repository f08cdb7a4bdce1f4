//! Entries that a client was too slow for, summed up: the client receives one message a second at most.

/// Time over which losses are summed up, ns, as in Hubble (Cilium `pkg/hubble/observer/local_observer.go`).
const INTERVAL: u64 = 1_000_000_000;

/// Entries that were overwritten before a client received them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OverrunSum {
    /// Number of entries.
    pub(super) count: u64,
    /// Time of the first loss, ns since the Unix epoch.
    pub(super) first: u64,
    /// Time of the last loss, ns since the Unix epoch.
    pub(super) last: u64,
}

/// Losses that the client has not received yet.
#[derive(Debug, Default)]
pub(super) struct PendingOverruns(Option<OverrunSum>);

impl PendingOverruns {
    pub(super) fn add(&mut self, count: u64, now: u64) {
        let lost = self.0.get_or_insert(OverrunSum { count: 0, first: now, last: now });
        lost.count += count;
        lost.last = now;
    }

    /// Returns when the losses are due, ns since the Unix epoch; `None` if there are none.
    pub(super) fn due(&self) -> Option<u64> {
        self.0.map(|lost| lost.first + INTERVAL)
    }

    pub(super) fn are_due(&self, now: u64) -> bool {
        self.due().is_some_and(|due| due <= now)
    }

    pub(super) fn take(&mut self) -> Option<OverrunSum> {
        self.0.take()
    }
}
