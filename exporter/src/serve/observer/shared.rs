//! The state that all streams of the observer share.

use std::sync::Arc;

use eyepiece_flow::lookup::{BatchLookup, NameLookup};
use eyepiece_hubble::encode::Encoder;
use eyepiece_hubble::filter::Context;
use eyepiece_hubble::layout::Masks;
use eyepiece_hubble::node::Node;
use eyepiece_semconv::{attribute, metric};

use super::compile_pool::CompilePool;
use super::message_cache::MessageCache;
use super::namespaces::Namespaces;
use super::ring::{Block, Ring};
use super::time_slice::ScanLimiter;
use crate::support::shutdown::Stop;
use crate::support::telemetry::{Number, Telemetry};
use crate::support::thread_time::thread_cpu_time;

/// The dependencies of an observer.
pub struct Deps {
    /// The ring that the pipeline writes.
    pub ring: Arc<Ring>,
    /// The namespaces of recent flows.
    pub namespaces: Namespaces,
    /// The node that observes.
    pub node: Node,
    /// The machine's names.
    pub names: Arc<dyn NameLookup>,
    /// The registry of our own metrics.
    pub telemetry: Telemetry,
    /// Ends streams at a shutdown.
    pub stop: Stop,
    /// Wall-clock time, ns since the Unix epoch.
    pub now: fn() -> u64,
}

/// The shared state of all streams.
pub struct Observer {
    pub(super) ring: Arc<Ring>,
    pub(super) namespaces: Namespaces,
    pub(super) node: Node,
    /// The names of this machine, used if a block lacks one.
    names: Arc<dyn NameLookup>,
    /// The node's name in responses.
    node_name: String,
    pub(super) cache: MessageCache,
    pub(super) masks: Masks,
    pub(super) scans: ScanLimiter,
    pub(super) compile_pool: CompilePool,
    pub(super) stop: Stop,
    pub(super) now: fn() -> u64,
    /// Time of the start, ns since the Unix epoch.
    pub(super) started: u64,
    /// Entries that clients were too slow for.
    pub(super) overrun: Number,
    /// Requests whose filters exceeded the limit of bytes.
    pub(super) too_large: Number,
}

impl std::fmt::Debug for Observer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Observer").field("node", &self.node).finish_non_exhaustive()
    }
}

impl Observer {
    /// Returns an observer of a ring.
    pub fn new(deps: Deps) -> Arc<Self> {
        let Deps { ring, namespaces, node, names, telemetry, stop, now } = deps;
        let reason = [(attribute::EYEPIECE_REASON, "hubble_ring")];
        let overrun = telemetry.counter(metric::EYEPIECE_EVENTS_LOST.name, &reason);
        let refused =
            |reason| telemetry.counter(metric::EYEPIECE_HUBBLE_REFUSED.name, &[(attribute::EYEPIECE_REASON, reason)]);
        let node_name = node.full_name();
        Arc::new(Self {
            ring,
            namespaces,
            node,
            names,
            node_name,
            cache: MessageCache::default(),
            masks: Masks::default(),
            scans: ScanLimiter::default(),
            compile_pool: CompilePool::new(refused("compiling_too_long")),
            stop,
            now,
            started: now(),
            overrun,
            too_large: refused("too_many_filter_bytes"),
        })
    }

    /// The ring that the pipeline writes.
    pub const fn ring(&self) -> &Arc<Ring> {
        &self.ring
    }

    /// The names that encoders and filters look up for the entries of a block.
    pub(super) fn names_of<'a>(&'a self, block: &'a Block) -> BatchLookup<'a> {
        BatchLookup { batch: Some(block.names()), machine: &*self.names }
    }

    /// Returns the inputs of filters besides the flow.
    pub(super) fn context<'a>(&'a self, names: &'a dyn NameLookup) -> Context<'a> {
        Context { node: &self.node, names, clock: thread_cpu_time }
    }

    /// Appends the message of entries that a client was too slow for; `times` are those of the first and the last loss, ns
    /// since the Unix epoch.
    pub(super) fn write_overrun(&self, count: u64, (first, last): (u64, u64), out: &mut Vec<u8>) {
        self.encoder(&*self.names).overrun(count, first, last, out);
    }

    /// Encodes entries with these names.
    pub(super) fn encoder<'a>(&'a self, names: &'a dyn NameLookup) -> Encoder<'a> {
        Encoder::new(&self.node_name, names)
    }
}
