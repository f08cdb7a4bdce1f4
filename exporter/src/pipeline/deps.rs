//! The components of a pipeline.

use std::net::IpAddr;

use eyepiece_flow::cilium_release::Producer;
use eyepiece_flow::interner::Symbols;
use eyepiece_wire::Process;

use super::event_handlers::EventHandler;
use super::metrics::Aggregation;
use super::sink::Sink;
use crate::metadata::Reader;
use crate::source::Source;
use crate::support::telemetry::Telemetry;

/// Called with an interface index, an address and a time (ns since the Unix epoch): the endpoint of the interface sent
/// from an address that is not known as its own.
pub type Learn = Box<dyn FnMut(u32, IpAddr, u64) + Send>;

/// Called with a process that connects or listens, before the events of its connections. Names that it publishes hold for
/// them.
pub type LearnProcess = Box<dyn FnMut(&Process) + Send>;

/// The components of a pipeline.
pub struct Deps {
    /// The source of events.
    pub source: Box<dyn Source>,
    /// The release of Cilium that writes the source's payloads, for those that do not carry it. Payloads of our own
    /// datapath are the same for every release.
    pub producer: Producer,
    /// The source's name in telemetry.
    pub source_kind: &'static str,
    /// Names and identities of addresses and interfaces.
    pub names: Reader,
    /// Interns names: those of the snapshots, and those that flows of another Hubble carry.
    pub symbols: Symbols,
    /// Receives new addresses of endpoints.
    pub learn: Learn,
    /// Receives processes of this machine.
    pub learn_process: LearnProcess,
    /// The series.
    pub aggregation: Aggregation,
    /// Called for each event; each may stop it.
    pub event_handlers: Vec<Box<dyn EventHandler>>,
    /// Receive flows and events.
    pub sinks: Vec<Box<dyn Sink>>,
    /// Own metrics.
    pub telemetry: Telemetry,
    /// Returns the wall-clock time, ns since the Unix epoch.
    pub now: fn() -> u64,
}
