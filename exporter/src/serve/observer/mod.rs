//! Hubble's observer: what was observed last, and the API that Hubble's clients ask for it.
//!
//! The pipeline writes batches into the [`ring`]; every client reads from it at its own pace, and is told what it was
//! too slow for.

mod compile_pool;
pub mod namespaces;
pub mod ring;
pub mod service;
mod start;
pub mod status;
pub mod stream;
mod turn;

use std::sync::Arc;

use eyepiece_flow::lookup::NameLookup;
use eyepiece_hubble::encode::Encoder;
use eyepiece_hubble::filter::Context;
use eyepiece_hubble::layout::Masks;
use eyepiece_hubble::node::Node;
use eyepiece_semconv::{attribute, metric};

use self::compile_pool::CompilePool;
use self::namespaces::Namespaces;
use self::ring::Ring;
use self::stream::Cache;
use self::turn::Turns;
use crate::support::shutdown::Stop;
use crate::support::telemetry::{Number, Telemetry};
use crate::support::thread_time::thread_cpu_time;

/// What an observer is made of.
pub struct Parts {
    /// What was observed.
    pub ring: Arc<Ring>,
    /// The namespaces that were seen.
    pub namespaces: Namespaces,
    /// The node that observes.
    pub node: Node,
    /// The machine's names.
    pub names: Arc<dyn NameLookup>,
    /// Our own numbers.
    pub telemetry: Telemetry,
    /// Tells streams to end.
    pub stop: Stop,
    /// Wall-clock time, ns since the Unix epoch.
    pub now: fn() -> u64,
}

/// What all streams share.
pub struct Observer {
    ring: Arc<Ring>,
    namespaces: Namespaces,
    node: Node,
    names: Arc<dyn NameLookup>,
    encoder: Encoder,
    cache: Cache,
    masks: Masks,
    turns: Turns,
    compiling: CompilePool,
    stop: Stop,
    now: fn() -> u64,
    /// When it began, ns since the Unix epoch.
    started: u64,
    overran: Number,
    /// Requests whose filters had no room.
    too_large: Number,
}

impl std::fmt::Debug for Observer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Observer").field("node", &self.node).finish_non_exhaustive()
    }
}

impl Observer {
    /// An observer of a ring.
    pub fn new(parts: Parts) -> Arc<Self> {
        let Parts { ring, namespaces, node, names, telemetry, stop, now } = parts;
        let reason = [(attribute::EYEPIECE_REASON, "hubble_ring")];
        let overran = telemetry.counter(metric::EYEPIECE_EVENTS_LOST.name, &reason);
        let refused =
            |reason| telemetry.counter(metric::EYEPIECE_HUBBLE_REFUSED.name, &[(attribute::EYEPIECE_REASON, reason)]);
        let encoder = Encoder::new(&node.full_name(), Arc::clone(&names));
        Arc::new(Self {
            ring,
            namespaces,
            node,
            names,
            encoder,
            cache: Cache::default(),
            masks: Masks::default(),
            turns: Turns::default(),
            compiling: CompilePool::new(refused("compiling_too_long")),
            stop,
            now,
            started: now(),
            overran,
            too_large: refused("too_many_filter_bytes"),
        })
    }

    /// What was observed.
    pub const fn ring(&self) -> &Arc<Ring> {
        &self.ring
    }

    /// What filters need to know.
    pub fn context(&self) -> Context<'_> {
        Context { node: &self.node, names: &*self.names, clock: thread_cpu_time }
    }

    /// A client was too slow for so many entries.
    fn overrun(&self, count: u64) {
        self.overran.add(count);
    }
}

#[cfg(test)]
mod tests;
