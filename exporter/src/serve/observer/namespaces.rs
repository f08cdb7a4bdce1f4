//! The Kubernetes namespaces of recent flows.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};

use eyepiece_flow::metadata::EndMetadata;
use eyepiece_flow::record::{Batch, Observed};

use crate::pipeline::Sink;
use crate::support::lock::lock;

const SECOND: u64 = 1_000_000_000;
/// The time that a namespace is listed after its last flow, ns (Cilium `pkg/hubble/observer/namespace`).
const TTL: u64 = 3600 * SECOND;
/// The interval between removals of expired namespaces, ns (as in Cilium).
const SWEEP_INTERVAL: u64 = 300 * SECOND;
/// The interval between updates of a known namespace's time, ns: the hour need not be exact.
const UPDATE_INTERVAL: u64 = 60 * SECOND;
/// Listed namespaces at most, some 8 MiB: several clusters of Kubernetes' limit, 10,000 each. Beyond that a new one is
/// ignored until a sweep makes room; flows with ignored namespaces are counted and logged.
const MAX_NAMESPACES: usize = 65_536;
/// Bytes of a name at most: Kubernetes' limit. A remote Hubble server may send longer ones, which are ignored.
const MAX_NAME_BYTES: usize = 253;

/// A namespace in a cluster, ordered as in Hubble's response.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Namespace {
    /// The cluster's name.
    pub cluster: String,
    /// The namespace's name.
    pub name: String,
}

/// The namespaces of the last hour, by the arrival of their last flow; clones share them. A flow's own time does not
/// matter: it may be replayed, or come from a node with a wrong clock.
#[derive(Clone, Debug, Default)]
pub struct Namespaces(Arc<Mutex<BTreeMap<Namespace, u64>>>);

impl Namespaces {
    /// Returns the namespaces listed at a time, ns since the Unix epoch; sorted.
    pub fn list(&self, now: u64) -> Vec<Namespace> {
        let seen = self.seen();
        let listed = seen.iter().filter(|&(_, &at)| now.saturating_sub(at) < TTL);
        listed.map(|(namespace, _)| namespace.clone()).collect()
    }

    /// Returns the pipeline's sink that records namespaces; `now` is the wall-clock time, ns since the Unix epoch.
    pub fn recorder(&self, now: fn() -> u64) -> NamespaceRecorder {
        NamespaceRecorder { namespaces: self.clone(), now, recorded: HashMap::new(), count: 0, swept: 0, ignored: 0 }
    }

    fn seen(&self) -> MutexGuard<'_, BTreeMap<Namespace, u64>> {
        lock(&self.0)
    }
}

/// Records the namespaces of flows. Flows without metadata and entities cost a few checks.
#[derive(Debug)]
pub struct NamespaceRecorder {
    namespaces: Namespaces,
    now: fn() -> u64,
    /// The last update of each namespace, by cluster and name: a known one takes no lock and no copy.
    recorded: HashMap<String, HashMap<String, u64>>,
    /// Number of recorded namespaces.
    count: usize,
    /// Time of the last sweep, ns.
    swept: u64,
    /// Endpoints of flows since then with an ignored namespace: beyond the limit, or too long.
    ignored: u64,
}

impl NamespaceRecorder {
    fn record(&mut self, end: &EndMetadata, now: u64) {
        let EndMetadata { cluster_name: cluster, namespace: name, .. } = end;
        if name.is_empty() {
            return;
        }
        match self.recorded.get_mut(cluster).and_then(|names| names.get_mut(name)) {
            // `abs_diff`: the clock may have been set back.
            Some(at) if now.abs_diff(*at) < UPDATE_INTERVAL => return,
            Some(at) => *at = now,
            None if self.count >= MAX_NAMESPACES || cluster.len().max(name.len()) > MAX_NAME_BYTES => {
                self.ignored += 1;
                return;
            }
            None => {
                self.recorded.entry(cluster.clone()).or_default().insert(name.clone(), now);
                self.count += 1;
            }
        }
        self.namespaces.seen().insert(Namespace { cluster: cluster.clone(), name: name.clone() }, now);
    }

    fn sweep(&mut self, now: u64) {
        self.swept = now;
        let is_listed = |at: &mut u64| {
            // If the clock was set back, the hour begins again.
            *at = now.min(*at);
            now - *at < TTL
        };
        self.recorded.retain(|_, names| {
            names.retain(|_, at| is_listed(at));
            !names.is_empty()
        });
        self.count = self.recorded.values().map(HashMap::len).sum();
        self.namespaces.seen().retain(|_, at| is_listed(at));
        let ignored = std::mem::take(&mut self.ignored);
        if ignored > 0 {
            tracing::warn!(
                endpoints = ignored,
                max_namespaces = MAX_NAMESPACES,
                max_name_bytes = MAX_NAME_BYTES,
                "ignored namespaces of flows: too many namespaces or too long names"
            );
        }
    }
}

impl Sink for NamespaceRecorder {
    fn send(&mut self, batch: Batch) {
        let now = (self.now)();
        if now.abs_diff(self.swept) >= SWEEP_INTERVAL {
            self.sweep(now);
        }
        for flow in batch.iter().filter_map(Observed::flow) {
            if let Some((source, destination)) = flow.end_metadata() {
                self.record(source, now);
                self.record(destination, now);
                continue;
            }
            for end in [&flow.source, &flow.destination].into_iter().filter(|end| end.entity != 0) {
                if let Some(entity) = batch.names().and_then(|names| names.entity(end)) {
                    self.record(entity.metadata, now);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
