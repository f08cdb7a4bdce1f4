//! Which kinds of observations become log records.

use eyepiece_flow::record::Observed;

/// The kinds that are exported. Debug messages are many and for few: they are off unless asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Flows, as `hubble.flow`.
    pub flows: bool,
    /// Events of Cilium's agent, as `hubble.agent_event`.
    pub agent: bool,
    /// Losses, as `hubble.lost_events`.
    pub lost: bool,
    /// Debug messages, as `hubble.debug_event`.
    pub debug: bool,
}

impl Default for Wanted {
    fn default() -> Self {
        Self { flows: true, agent: true, lost: true, debug: false }
    }
}

impl Wanted {
    /// Whether this one is exported.
    #[inline]
    pub const fn wants(self, observed: &Observed) -> bool {
        match observed {
            Observed::Flow(_) => self.flows,
            Observed::Agent(_) => self.agent,
            Observed::Lost(_) => self.lost,
            Observed::Debug(_) => self.debug,
        }
    }
}
