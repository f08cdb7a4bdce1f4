//! The state that all streams of the observer share.

use std::sync::Arc;

use eyepiece_flow::lookup::NameLookup;
use eyepiece_hubble::encode::Encoder;
use eyepiece_hubble::filter::Context;
use eyepiece_hubble::layout::Masks;
use eyepiece_hubble::node::Node;
use eyepiece_semconv::{attribute, metric};

use super::compile_pool::CompilePool;
use super::message_cache::MessageCache;
use super::namespaces::Namespaces;
use super::ring::Ring;
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
    pub(super) names: Arc<dyn NameLookup>,
    pub(super) encoder: Encoder,
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
        let encoder = Encoder::new(&node.full_name(), Arc::clone(&names));
        Arc::new(Self {
            ring,
            namespaces,
            node,
            names,
            encoder,
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

    /// Returns the inputs of filters besides the flow.
    pub fn context(&self) -> Context<'_> {
        Context { node: &self.node, names: &*self.names, clock: thread_cpu_time }
    }
}
