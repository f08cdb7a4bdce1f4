//! The query of a stream.

use eyepiece_flow::record::Observed;

use crate::filter::{Context, Filters};

/// The kind of a stream's entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Flows and losses.
    Flows,
    /// Notifications of the agent.
    AgentEvents,
    /// Debug messages of the datapath.
    DebugEvents,
}

impl Kind {
    /// Returns whether an entry is of this kind. Losses are of no kind: streams of flows send them, uncounted.
    pub const fn has(self, observed: &Observed) -> bool {
        matches!(
            (self, observed),
            (Self::Flows, Observed::Flow(_))
                | (Self::AgentEvents, Observed::Agent(_))
                | (Self::DebugEvents, Observed::Debug(_))
        )
    }
}

/// The query of a stream.
#[derive(Debug)]
pub struct Query {
    /// The kind of entries.
    pub kind: Kind,
    /// Number of entries; 0 = all.
    pub number: u64,
    /// Start with the oldest entry, not with the newest ones.
    pub first: bool,
    /// Go on with new entries; `number` then sets only the start.
    pub follow: bool,
    /// Skip entries before this time, ns since the Unix epoch.
    pub since: Option<u64>,
    /// The first entry of any kind after this time ends the stream, ns since the Unix epoch.
    pub until: Option<u64>,
    /// Filters of flows.
    pub filters: Filters,
}

impl Query {
    /// Returns whether an entry counts towards `number` when the start is searched from the newest entry back.
    pub fn counts_backwards(&self, observed: &Observed, context: &Context<'_>) -> bool {
        match observed {
            Observed::Lost(_) => false,
            _ if self.kind != Kind::Flows => self.kind.has(observed),
            _ => self.filters.matches(observed, context),
        }
    }
}
