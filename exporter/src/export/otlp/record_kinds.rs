//! The kinds of observations that become log records.

use eyepiece_flow::record::Observed;

/// The exported kinds. Debug messages are many, so they are off by default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordKinds {
    /// Flows, as `hubble.flow`.
    pub flows: bool,
    /// Events of Cilium's agent, as `hubble.agent_event`.
    pub agent: bool,
    /// Losses, as `hubble.lost_events`.
    pub lost: bool,
    /// Debug messages, as `hubble.debug_event`.
    pub debug: bool,
}

impl Default for RecordKinds {
    fn default() -> Self {
        Self { flows: true, agent: true, lost: true, debug: false }
    }
}

impl RecordKinds {
    /// Returns whether an observation is exported.
    #[inline]
    pub const fn includes(self, observed: &Observed) -> bool {
        match observed {
            Observed::Flow(_) => self.flows,
            Observed::Agent(_) => self.agent,
            Observed::Lost(_) => self.lost,
            Observed::Debug(_) => self.debug,
        }
    }
}
