//! What a client was too slow for, gathered: a flood of losses is told once a second.

/// How long losses are gathered, ns, as Hubble does (Cilium `pkg/hubble/observer/local_observer.go`).
const GATHERED: u64 = 1_000_000_000;

/// Entries that were overwritten before a client had them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Overran {
    /// How many.
    pub(super) count: u64,
    /// When the first was noticed, ns since the Unix epoch.
    pub(super) first: u64,
    /// When the last was noticed, ns since the Unix epoch.
    pub(super) last: u64,
}

#[derive(Debug, Default)]
pub(super) struct Overruns(Option<Overran>);

impl Overruns {
    pub(super) fn add(&mut self, count: u64, now: u64) {
        let lost = self.0.get_or_insert(Overran { count: 0, first: now, last: now });
        lost.count += count;
        lost.last = now;
    }

    /// When they are to be told, ns since the Unix epoch; none where there are none.
    pub(super) fn due(&self) -> Option<u64> {
        self.0.map(|lost| lost.first + GATHERED)
    }

    pub(super) fn are_due(&self, now: u64) -> bool {
        self.due().is_some_and(|due| due <= now)
    }

    pub(super) fn take(&mut self) -> Option<Overran> {
        self.0.take()
    }
}
