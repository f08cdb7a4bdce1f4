//! Names of ends that flows of another Hubble carry. A name is kept while a series or a batch may refer to it.
//!
//! No event reports the end of a pod, and DNS names are unbounded. So a name without a user is dropped, and there are at
//! most [`MAX_NAMES`].

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;
use std::sync::Arc;

use eyepiece_flow::flow::Flow;
use eyepiece_flow::interner::{Lease, Symbol, Symbols};
use eyepiece_flow::metadata::EndMetadata;
use eyepiece_flow::record::Batch;
use eyepiece_semconv::metric;

use super::outstanding::OutstandingBatches;
use crate::pipeline::metrics::reserved_name;
use crate::support::telemetry::{Number, Telemetry};

/// Names at once: the pods of a large cluster and their peers, some 10 MiB. Further ends have no name.
const MAX_NAMES: usize = 1 << 16;

/// The names. Owned by the pipeline.
pub(super) struct PeerNameCache {
    symbols: Symbols,
    names: HashMap<Arc<str>, Name>,
    /// Number of calls of [`PeerNameCache::release`].
    round: u64,
    /// Batches by the round in which they were sent.
    outstanding: OutstandingBatches,
    text: String,
    most: usize,
    unnamed: Number,
}

struct Name {
    lease: Lease,
    /// The first and the last round in which a flow had it.
    rounds: (u64, u64),
}

impl PeerNameCache {
    pub(super) fn new(symbols: Symbols, telemetry: &Telemetry) -> Self {
        Self {
            symbols,
            names: HashMap::new(),
            round: 0,
            outstanding: OutstandingBatches::default(),
            text: String::new(),
            most: MAX_NAMES,
            unnamed: telemetry.counter(metric::EYEPIECE_ENDS_UNNAMED.name, &[]),
        }
    }

    /// Names both ends by the flow's metadata: `namespace/pod`, else the first DNS name, else the reserved identity
    /// (`world`, `host` …).
    pub(super) fn name(&mut self, flow: &mut Flow) {
        let Some(metadata) = flow.metadata.as_deref() else { return };
        let source = self.symbol(&metadata.source, &metadata.source_names, flow.source.identity);
        let destination = self.symbol(&metadata.destination, &metadata.destination_names, flow.destination.identity);
        (flow.source.name, flow.destination.name) = (source, destination);
    }

    fn symbol(&mut self, end: &EndMetadata, dns: &[String], identity: u32) -> Symbol {
        self.text.clear();
        // Writing to a String cannot fail.
        match (&*end.namespace, &*end.pod_name) {
            (_, "") => {
                let name = dns.first().map(String::as_str).or(reserved(end, identity));
                self.text.push_str(name.unwrap_or_default());
            }
            ("", pod) => self.text.push_str(pod),
            (namespace, pod) => write!(self.text, "{namespace}/{pod}").unwrap_or_default(),
        }
        if self.text.is_empty() {
            return Symbol::EMPTY;
        }
        if let Some(name) = self.names.get_mut(self.text.as_str()) {
            name.rounds.1 = self.round;
            return name.lease.symbol();
        }
        if self.names.len() >= self.most {
            self.unnamed.add(1);
            return Symbol::EMPTY;
        }
        let lease = self.symbols.lease(&self.text);
        let symbol = lease.symbol();
        self.names.insert(Arc::clone(lease.text()), Name { lease, rounds: (self.round, self.round) });
        symbol
    }

    /// Records a batch that is about to be sent.
    pub(super) fn add_batch(&mut self, batch: &Batch) {
        if !self.names.is_empty() {
            self.outstanding.add(self.round, batch);
        }
    }

    /// Drops names that no flow has had since the last call and that neither a series (`in_use`) nor a batch refers to.
    /// Returns whether there were any.
    pub(super) fn release(&mut self, in_use: &HashSet<Symbol>) -> bool {
        self.outstanding.prune();
        let (before, round, outstanding) = (self.names.len(), self.round, &self.outstanding);
        self.names.retain(|_, name| {
            name.rounds.1 == round || in_use.contains(&name.lease.symbol()) || outstanding.has(name.rounds)
        });
        self.round += 1;
        self.names.len() < before
    }
}

/// The name of a reserved identity: by its number, or by the labels of an identity of its own (a CIDR of the world).
fn reserved(end: &EndMetadata, identity: u32) -> Option<&str> {
    reserved_name(identity).or_else(|| end.labels.iter().find_map(|label| label.strip_prefix("reserved:")))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use eyepiece_flow::flow::{EVENT_TRACE, EventType, Flow};
    use eyepiece_flow::interner::{Symbol, Symbols};
    use eyepiece_flow::metadata::{EndMetadata, Metadata};
    use eyepiece_flow::record::{Batch, Observed};

    use super::PeerNameCache;
    use crate::support::telemetry::Telemetry;

    fn flow(source: EndMetadata, names: &[&str], identity: u32) -> Flow {
        let mut flow = Flow::empty(EventType { kind: EVENT_TRACE, subtype: 0 });
        flow.source.identity = identity;
        let source_names = names.iter().map(|&name| name.to_owned()).collect();
        flow.metadata = Some(Box::new(Metadata { source, source_names, ..Metadata::default() }));
        flow
    }

    fn pod(namespace: &str, pod: &str) -> EndMetadata {
        EndMetadata { namespace: namespace.to_owned(), pod_name: pod.to_owned(), ..EndMetadata::default() }
    }

    fn labels(labels: &[&str]) -> EndMetadata {
        EndMetadata { labels: labels.iter().map(|&label| label.to_owned()).collect(), ..EndMetadata::default() }
    }

    #[test]
    fn ends_have_names() {
        let symbols = Symbols::default();
        let mut ends = PeerNameCache::new(symbols.clone(), &Telemetry::default());
        for (mut flow, expected) in [
            (flow(pod("shop", "cart-1"), &["cart.example"], 4711), "shop/cart-1"),
            (flow(pod("", "cart-1"), &[], 0), "cart-1"),
            (flow(pod("shop", ""), &[], 0), ""),
            (flow(pod("shop", ""), &["a.example", "b.example"], 2), "a.example"),
            (flow(EndMetadata::default(), &[], 2), "world"),
            (flow(EndMetadata::default(), &[], 7), "kube-apiserver"),
            (flow(labels(&["cidr:192.0.2.0/24", "reserved:world"]), &[], 16_777_217), "world"),
            (flow(labels(&["k8s:app=cart"]), &[], 4711), ""),
        ] {
            ends.name(&mut flow);
            assert_eq!(&*symbols.text(flow.source.name), expected);
            assert_eq!(flow.destination.name, Symbol::EMPTY);
        }
    }

    #[test]
    fn churn_leaves_no_unused_name() {
        let symbols = Symbols::default();
        let mut ends = PeerNameCache::new(symbols.clone(), &Telemetry::default());
        let mut most = 0;
        for round in 0..50 {
            for number in 0..100 {
                ends.name(&mut flow(pod("shop", &format!("{round}-{number}")), &[], 0));
            }
            most = most.max(symbols.count());
            ends.release(&HashSet::new());
        }
        assert_eq!(most, 201, "the empty one, those of the last round and of the one before");
        ends.release(&HashSet::new());
        ends.release(&HashSet::new());
        assert_eq!(symbols.count(), 1);
    }

    #[test]
    fn series_and_batches_keep_names() {
        let symbols = Symbols::default();
        let mut ends = PeerNameCache::new(symbols.clone(), &Telemetry::default());
        let named = |ends: &mut PeerNameCache, name: &str| {
            let mut flow = flow(pod("", name), &[], 0);
            ends.name(&mut flow);
            flow
        };
        let (in_series, in_batch) = (named(&mut ends, "series"), named(&mut ends, "batch"));
        let symbol = in_batch.source.name;
        let batch = Batch::new(vec![Observed::Flow(in_batch)]);
        ends.add_batch(&batch);
        let mut in_use = HashSet::from([in_series.source.name]);
        for _ in 0..10 {
            assert!(!ends.release(&in_use));
            assert_eq!((&*symbols.text(symbol), symbols.count()), ("batch", 3));
        }
        drop(batch);
        assert!(ends.release(&in_use));
        assert_eq!((&*symbols.text(symbol), symbols.count()), ("", 2));
        in_use.clear();
        assert!(ends.release(&in_use));
        assert_eq!(symbols.count(), 1);
    }

    #[test]
    fn ends_beyond_limit_are_counted() {
        let (symbols, telemetry) = (Symbols::default(), Telemetry::default());
        let mut ends = PeerNameCache { most: 2, ..PeerNameCache::new(symbols.clone(), &telemetry) };
        let mut named = |name: &str| {
            let mut flow = flow(pod("", name), &[], 0);
            ends.name(&mut flow);
            symbols.text(flow.source.name).to_string()
        };
        assert_eq!(["a", "b", "c", "a", "c"].map(&mut named), ["a", "b", "", "a", ""]);
        assert_eq!((ends.unnamed.get(), symbols.count()), (2, 3));
    }
}
