//! The inputs of matching besides the flow.

use std::time::Duration;

use eyepiece_flow::lookup::NameLookup;

use crate::node::Node;

/// Returns CPU time of the current thread since some fixed time; only differences count.
pub type CpuClock = fn() -> Duration;

/// A clock that stands still: expressions are bounded by steps and bytes only.
pub const fn no_clock() -> Duration {
    Duration::ZERO
}

/// The inputs of matching besides the flow.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// The node that observes: flows that name no node are its own.
    pub node: &'a Node,
    /// Names of the node's interfaces.
    pub names: &'a dyn NameLookup,
    /// Bounds the time of expressions in CEL.
    pub clock: CpuClock,
}
