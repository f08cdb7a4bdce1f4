//! The entries that the pipeline hands to the sinks: flows, events and losses, in the order of their arrival.

use std::sync::Arc;

use crate::agent_event::AgentEvent;
use crate::debug_event::DebugEvent;
use crate::flow::Flow;
use crate::loss::Lost;

/// One entry.
#[allow(clippy::large_enum_variant, reason = "flows are nearly all of them, and a box would be an allocation each")]
#[derive(Clone, Debug, PartialEq)]
pub enum Observed {
    /// A flow, inline: nearly all entries are flows, and their path does not allocate.
    Flow(Flow),
    /// A notification of Cilium's agent.
    Agent(Box<AgentEvent>),
    /// A debug message of the datapath.
    Debug(Box<DebugEvent>),
    /// Events that were lost at this place of the order.
    Lost(Lost),
}

impl Observed {
    /// Returns the flow, if the entry is one.
    pub const fn flow(&self) -> Option<&Flow> {
        match self {
            Self::Flow(flow) => Some(flow),
            Self::Agent(_) | Self::Debug(_) | Self::Lost(_) => None,
        }
    }

    /// When it happened, ns since the Unix epoch.
    pub const fn time(&self) -> u64 {
        match self {
            Self::Flow(flow) => flow.time,
            Self::Agent(event) => event.time,
            Self::Debug(event) => event.time,
            Self::Lost(lost) => lost.time,
        }
    }
}

/// The entries that the pipeline hands over together.
///
/// A batch keeps the names of its flows alive: a sink that keeps a flow for later has to keep its batch.
pub type Batch = Arc<Vec<Observed>>;

#[cfg(test)]
mod tests {
    use super::Observed;
    use crate::flow::Flow;

    #[test]
    fn entry_is_as_small_as_flow() {
        assert_eq!(size_of::<Observed>(), size_of::<Flow>());
    }
}
