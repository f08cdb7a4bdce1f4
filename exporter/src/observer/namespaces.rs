//! The Kubernetes namespaces that flows came from and went to.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use crate::details::EndDetails;
use crate::observed::{Batch, Observed};
use crate::pipeline::Sink;

/// How long one is remembered since a flow named it, ns (Cilium `pkg/hubble/observer/namespace`).
const REMEMBERED: u64 = 3600 * 1_000_000_000;
/// How often one that is known is noted again, ns: an hour need not be exact to the flow.
const NOTED: u64 = 60 * 1_000_000_000;
/// Namespaces that are remembered: more than Kubernetes clusters are said to bear (10,000), for several of them.
const MOST: usize = 65_536;

/// A namespace in a cluster; the order is that of Hubble's answer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Namespace {
    /// The cluster's name.
    pub cluster: String,
    /// The namespace's name.
    pub name: String,
}

/// Those that were seen within the last hour.
#[derive(Clone, Debug, Default)]
pub struct Namespaces(Arc<Mutex<BTreeMap<Namespace, u64>>>);

impl Namespaces {
    /// Those that are remembered at a time, ns since the Unix epoch; sorted.
    pub fn list(&self, now: u64) -> Vec<Namespace> {
        let seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let remembered = seen.iter().filter(|&(_, &at)| now.saturating_sub(at) < REMEMBERED);
        remembered.map(|(namespace, _)| namespace.clone()).collect()
    }

    /// Notes that one was seen.
    fn note(&self, namespace: Namespace, now: u64) {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.retain(|_, at| now.saturating_sub(*at) < REMEMBERED);
        if seen.len() < MOST || seen.contains_key(&namespace) {
            seen.insert(namespace, now);
        }
    }

    /// What notes them, on the pipeline's thread.
    pub fn watch(&self) -> Watch {
        Watch { namespaces: self.clone(), noted: HashMap::new() }
    }
}

/// Looks at flows. Only those that know their pods cost more than a glance.
#[derive(Debug)]
pub struct Watch {
    namespaces: Namespaces,
    /// When each was noted last, by cluster and name.
    noted: HashMap<String, HashMap<String, u64>>,
}

impl Watch {
    fn see(&mut self, end: &EndDetails, time: u64) {
        if end.namespace.is_empty() {
            return;
        }
        let noted = self.noted.get(&end.cluster_name).and_then(|names| names.get(&end.namespace));
        if noted.is_some_and(|&noted| time.saturating_sub(noted) < NOTED) {
            return;
        }
        let namespace = Namespace { cluster: end.cluster_name.clone(), name: end.namespace.clone() };
        self.namespaces.note(namespace, time);
        for names in self.noted.values_mut() {
            names.retain(|_, noted| time.saturating_sub(*noted) < NOTED);
        }
        self.noted.entry(end.cluster_name.clone()).or_default().insert(end.namespace.clone(), time);
    }
}

impl Sink for Watch {
    fn send(&mut self, batch: Batch) {
        for flow in batch.iter().filter_map(Observed::flow) {
            if let Some((source, destination)) = flow.end_details() {
                self.see(source, flow.time);
                self.see(destination, flow.time);
            }
        }
    }
}
