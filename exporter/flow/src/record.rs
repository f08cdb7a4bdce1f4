//! The entries that the pipeline hands to the sinks: flows, events and losses, in the order of their arrival.

use std::ops::Deref;
use std::sync::Arc;

use crate::agent_event::AgentEvent;
use crate::debug_event::DebugEvent;
use crate::flow::Flow;
use crate::lookup::BatchNames;
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

/// The entries that the pipeline hands over together, and the names that they refer to. Cloning shares both.
///
/// Names and entities in flows are numbers, which mean something with these names only: a sink that keeps a flow for later
/// has to keep the names, or what it needs of them.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    entries: Arc<Vec<Observed>>,
    names: Option<Arc<dyn BatchNames>>,
}

impl Batch {
    /// Returns a batch whose flows refer to no names.
    pub fn new(entries: Vec<Observed>) -> Self {
        Self { entries: Arc::new(entries), names: None }
    }

    /// Returns a batch with the names that its flows refer to.
    pub fn with_names(entries: Vec<Observed>, names: Arc<dyn BatchNames>) -> Self {
        Self { entries: Arc::new(entries), names: Some(names) }
    }

    /// The entries, to keep them without the names.
    pub const fn entries(&self) -> &Arc<Vec<Observed>> {
        &self.entries
    }

    /// The names.
    pub const fn names(&self) -> Option<&Arc<dyn BatchNames>> {
        self.names.as_ref()
    }
}

impl Deref for Batch {
    type Target = [Observed];

    fn deref(&self) -> &[Observed] {
        &self.entries
    }
}

#[cfg(test)]
mod tests {
    use super::Observed;
    use crate::flow::Flow;

    #[test]
    fn entry_is_as_small_as_flow() {
        assert_eq!(size_of::<Observed>(), size_of::<Flow>());
    }
}
