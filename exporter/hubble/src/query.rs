//! What a client asks for.

use eyepiece_flow::record::Observed;

use crate::filter::{Context, Filters};

/// Which entries are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Flows, and what was lost of them.
    Flows,
    /// Notifications of the agent.
    AgentEvents,
    /// Debug messages of the datapath.
    DebugEvents,
}

impl Kind {
    /// Whether an entry is of this kind. A loss is of none: it is told to those who ask for flows, uncounted.
    pub const fn has(self, observed: &Observed) -> bool {
        matches!(
            (self, observed),
            (Self::Flows, Observed::Flow(_))
                | (Self::AgentEvents, Observed::Agent(_))
                | (Self::DebugEvents, Observed::Debug(_))
        )
    }
}

/// A request of one of the streams.
#[derive(Debug)]
pub struct Query {
    /// Which entries.
    pub kind: Kind,
    /// How many, 0 = all that are there.
    pub number: u64,
    /// The oldest, not the newest.
    pub first: bool,
    /// Those to come, too; how many then says only where to begin.
    pub follow: bool,
    /// None that happened before, ns since the Unix epoch.
    pub since: Option<u64>,
    /// The first entry of any kind that happened later ends the answer, ns since the Unix epoch.
    pub until: Option<u64>,
    /// Which flows.
    pub filters: Filters,
}

impl Query {
    /// Whether an entry counts towards `number` when the start is searched for from the newest entry back.
    pub fn counts_backwards(&self, observed: &Observed, context: &Context<'_>) -> bool {
        match observed {
            Observed::Lost(_) => false,
            _ if self.kind != Kind::Flows => self.kind.has(observed),
            _ => self.filters.matches(observed, context),
        }
    }
}
