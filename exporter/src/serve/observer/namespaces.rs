//! The Kubernetes namespaces that flows came from and went to.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use eyepiece_flow::metadata::EndMetadata;
use eyepiece_flow::record::{Batch, Observed};

use crate::pipeline::Sink;

const SECOND: u64 = 1_000_000_000;
/// How long one is remembered since a flow that named it arrived, ns (Cilium `pkg/hubble/observer/namespace`).
const REMEMBERED: u64 = 3600 * SECOND;
/// How often those that were not seen for that long are forgotten, ns (as Cilium does).
const SWEEP: u64 = 300 * SECOND;
/// How often one that is known is noted again, ns: an hour need not be exact to the flow.
const NOTED: u64 = 60 * SECOND;
/// Namespaces that are remembered: more than Kubernetes clusters are said to bear (10,000), for several of them, some 8 MiB.
/// Full = no further one is listed before a sweep has made room; flows that name one are counted and told in the log.
const MOST: usize = 65_536;
/// Bytes of a name that is remembered: Kubernetes has none that is longer, and a server that we read from sends what it
/// likes. A longer one is not listed.
const LONGEST: usize = 253;

/// A namespace in a cluster; the order is that of Hubble's answer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Namespace {
    /// The cluster's name.
    pub cluster: String,
    /// The namespace's name.
    pub name: String,
}

/// Those that were seen within the last hour, with when that was: by when flows arrived, whatever time they have of their
/// own, for they may be played back, or come from a node whose clock is wrong.
#[derive(Clone, Debug, Default)]
pub struct Namespaces(Arc<Mutex<BTreeMap<Namespace, u64>>>);

impl Namespaces {
    /// Those that are remembered at a time, ns since the Unix epoch; sorted.
    pub fn list(&self, now: u64) -> Vec<Namespace> {
        let seen = self.seen();
        let remembered = seen.iter().filter(|&(_, &at)| now.saturating_sub(at) < REMEMBERED);
        remembered.map(|(namespace, _)| namespace.clone()).collect()
    }

    /// What notes them, on the pipeline's thread; `now` is the wall-clock time, ns since the Unix epoch.
    pub fn watch(&self, now: fn() -> u64) -> Watch {
        Watch { namespaces: self.clone(), now, noted: HashMap::new(), count: 0, swept: 0, refused: 0 }
    }

    fn seen(&self) -> MutexGuard<'_, BTreeMap<Namespace, u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Looks at flows. Only those that know their pods cost more than a glance.
#[derive(Debug)]
pub struct Watch {
    namespaces: Namespaces,
    now: fn() -> u64,
    /// When each of those that are remembered was noted last, by cluster and name: to know one takes no lock and no copy.
    noted: HashMap<String, HashMap<String, u64>>,
    /// How many those are.
    count: usize,
    /// When they were swept last.
    swept: u64,
    /// Ends of flows since then whose namespaces are not remembered for want of room, or as none that can be.
    refused: u64,
}

impl Watch {
    fn see(&mut self, end: &EndMetadata, now: u64) {
        let EndMetadata { cluster_name: cluster, namespace: name, .. } = end;
        if name.is_empty() {
            return;
        }
        match self.noted.get_mut(cluster).and_then(|names| names.get_mut(name)) {
            // The clock may have been set back, too.
            Some(noted) if now.abs_diff(*noted) < NOTED => return,
            Some(noted) => *noted = now,
            None if self.count >= MOST || cluster.len().max(name.len()) > LONGEST => {
                self.refused += 1;
                return;
            }
            None => {
                self.noted.entry(cluster.clone()).or_default().insert(name.clone(), now);
                self.count += 1;
            }
        }
        self.namespaces.seen().insert(Namespace { cluster: cluster.clone(), name: name.clone() }, now);
    }

    fn sweep(&mut self, now: u64) {
        self.swept = now;
        let is_remembered = |at: &mut u64| {
            // Where the clock was set back, the hour begins anew.
            *at = now.min(*at);
            now - *at < REMEMBERED
        };
        self.noted.retain(|_, names| {
            names.retain(|_, at| is_remembered(at));
            !names.is_empty()
        });
        self.count = self.noted.values().map(HashMap::len).sum();
        self.namespaces.seen().retain(|_, at| is_remembered(at));
        let refused = std::mem::take(&mut self.refused);
        if refused > 0 {
            tracing::warn!(
                refused,
                most = MOST,
                longest = LONGEST,
                "ends of flows whose namespaces are too many or too long to be listed"
            );
        }
    }
}

impl Sink for Watch {
    fn send(&mut self, batch: Batch) {
        let now = (self.now)();
        if now.abs_diff(self.swept) >= SWEEP {
            self.sweep(now);
        }
        for flow in batch.iter().filter_map(Observed::flow) {
            if let Some((source, destination)) = flow.end_metadata() {
                self.see(source, now);
                self.see(destination, now);
            }
        }
    }
}

#[cfg(test)]
mod tests;
