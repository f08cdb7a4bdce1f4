//! Names of ends that flows of another Hubble carry.
//!
//! Batches and series hold the names that they refer to. No event reports the end of a pod, and DNS names are unbounded. So
//! the cache drops a name that nothing else holds, and there are at most [`MAX_NAMES`].

use std::collections::HashMap;
use std::fmt::Write as _;
use std::mem;
use std::sync::Arc;

use eyepiece_flow::flow::{End, Flow};
use eyepiece_flow::interner::{Lease, Symbol, Symbols};
use eyepiece_flow::lookup::{BatchNames, EndEntity, EntityFields};
use eyepiece_flow::metadata::EndMetadata;
use eyepiece_flow::names::reserved_identity_name;
use eyepiece_semconv::{attribute, metric};
use eyepiece_wire::InterfaceKind;

use crate::metadata::NameSnapshot;
use crate::support::telemetry::{Number, Telemetry};

/// Names at once: the pods of a large cluster and their peers, some 10 MiB. Further ends have no name.
const MAX_NAMES: usize = 1 << 16;

/// The names. Owned by the pipeline.
pub(super) struct PeerNameCache {
    symbols: Symbols,
    names: HashMap<Arc<str>, Name>,
    /// Names of the flows since the last [`PeerNameCache::take_used`].
    used: HashMap<Symbol, Arc<Lease>>,
    text: String,
    most: usize,
    unnamed: Number,
}

struct Name {
    lease: Arc<Lease>,
    /// A flow had it since the last [`PeerNameCache::expire`].
    is_recent: bool,
}

/// The names of one batch's flows.
#[derive(Debug)]
pub(super) struct PeerNames(HashMap<Symbol, Arc<Lease>>);

/// The names of one batch's flows, and a snapshot for what they lack.
#[derive(Debug)]
pub(super) struct PeerBatchNames {
    peers: PeerNames,
    snapshot: Arc<NameSnapshot>,
}

impl PeerNameCache {
    pub(super) fn new(symbols: Symbols, telemetry: &Telemetry) -> Self {
        Self {
            symbols,
            names: HashMap::new(),
            used: HashMap::new(),
            text: String::new(),
            most: MAX_NAMES,
            unnamed: telemetry
                .counter(metric::EYEPIECE_ENDS_UNNAMED.name, &[(attribute::EYEPIECE_REASON, "too_many_names")]),
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
        let is_full = self.names.len() >= self.most;
        let lease = match self.names.get_mut(self.text.as_str()) {
            Some(name) => {
                name.is_recent = true;
                Arc::clone(&name.lease)
            }
            None if is_full => {
                self.unnamed.add(1);
                return Symbol::EMPTY;
            }
            None => {
                let lease = Arc::new(self.symbols.lease(&self.text));
                let name = Name { lease: Arc::clone(&lease), is_recent: true };
                self.names.insert(Arc::clone(lease.text()), name);
                lease
            }
        };
        let symbol = lease.symbol();
        self.used.insert(symbol, lease);
        symbol
    }

    /// Returns the names of the flows since the last call, if there are any.
    pub(super) fn take_used(&mut self) -> Option<PeerNames> {
        (!self.used.is_empty()).then(|| PeerNames(mem::take(&mut self.used)))
    }

    /// Drops names that no flow has had since the last call and that no batch holds. Series hold names of their own.
    pub(super) fn expire(&mut self) {
        self.names.retain(|_, name| mem::take(&mut name.is_recent) || Arc::strong_count(&name.lease) > 1);
    }
}

impl PeerNames {
    /// Returns these names and those of a snapshot.
    pub(super) const fn over(self, snapshot: Arc<NameSnapshot>) -> PeerBatchNames {
        PeerBatchNames { peers: self, snapshot }
    }
}

impl BatchNames for PeerBatchNames {
    fn end(&self, end: &End) -> Option<&Arc<str>> {
        let own = self.peers.0.get(&end.name).map(|lease| lease.text());
        own.or_else(|| self.snapshot.end(end))
    }

    fn interface(&self, ifindex: u32) -> Option<(&Arc<str>, InterfaceKind)> {
        self.snapshot.interface(ifindex)
    }

    fn entity(&self, end: &End) -> Option<EndEntity<'_>> {
        self.snapshot.entity(end)
    }

    fn shared_entity(&self, end: &End) -> Option<Arc<dyn EntityFields>> {
        self.snapshot.shared_entity(end)
    }
}

/// The name of a reserved identity: by its number, or by the labels of an identity of its own (a CIDR of the world).
fn reserved(end: &EndMetadata, identity: u32) -> Option<&str> {
    reserved_identity_name(identity).or_else(|| end.labels.iter().find_map(|label| label.strip_prefix("reserved:")))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use eyepiece_flow::flow::{EVENT_TRACE, EventType, Flow};
    use eyepiece_flow::interner::{Symbol, Symbols};
    use eyepiece_flow::lookup::BatchNames as _;
    use eyepiece_flow::metadata::{EndMetadata, Metadata};

    use super::PeerNameCache;
    use crate::metadata::NameSnapshot;
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
            ends.take_used();
            ends.expire();
        }
        assert_eq!(most, 201, "the empty one, those of the last round and of the one before");
        ends.expire();
        assert_eq!(symbols.count(), 1);
    }

    #[test]
    fn batch_keeps_its_names() {
        let symbols = Symbols::default();
        let mut ends = PeerNameCache::new(symbols.clone(), &Telemetry::default());
        let mut named = flow(pod("", "batch"), &[], 0);
        ends.name(&mut named);
        let names = ends.take_used().expect("one name").over(Arc::new(NameSnapshot::default()));
        assert!(ends.take_used().is_none());
        for _ in 0..10 {
            ends.expire();
            assert_eq!((names.end(&named.source).map(|text| &**text), symbols.count()), (Some("batch"), 2));
        }
        drop(names);
        ends.expire();
        assert_eq!((&*symbols.text(named.source.name), symbols.count()), ("", 1));
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
