//! What the pipeline hands to the sinks: flows, events and losses, in the order in which they came.

use std::sync::Arc;

use crate::agent_event::AgentEvent;
use crate::debug_event::DebugEvent;
use crate::event::Lost;
use crate::flow::Flow;

/// One thing that was observed.
#[allow(clippy::large_enum_variant, reason = "flows are nearly all of them, and a box would be an allocation each")]
#[derive(Clone, Debug, PartialEq)]
pub enum Observed {
    /// A flow. It stays inline: nearly everything is a flow, and its way allocates nothing.
    Flow(Flow),
    /// A notification of Cilium's agent.
    Agent(Box<AgentEvent>),
    /// A debug message of the datapath.
    Debug(Box<DebugEvent>),
    /// Events that were lost here, between those before and those behind.
    Lost(Lost),
}

impl Observed {
    /// The flow, where it is one.
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

/// What travels together from the pipeline to the sinks.
///
/// As long as a batch lives, the names in its flows can be looked up: who keeps a flow for later keeps its batch.
pub type Batch = Arc<Vec<Observed>>;

#[cfg(test)]
mod tests {
    use super::Observed;
    use crate::flow::Flow;

    #[test]
    fn a_flow_is_no_larger_for_being_one_of_four() {
        assert_eq!(size_of::<Observed>(), size_of::<Flow>());
    }
}
