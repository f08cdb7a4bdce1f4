//! The source or destination of a flow.

use crate::interner::Symbol;

/// The source or destination of a flow. Name and entity are numbers: the names that the flow's batch holds resolve them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct End {
    /// Local endpoint id; 0 = no local endpoint.
    pub endpoint: u16,
    /// Security identity; 0 = unknown.
    pub identity: u32,
    /// The entity's name, else the endpoint's interface name, `host`, or `world`; [`Symbol::EMPTY`] until enriched.
    pub name: Symbol,
    /// Number of the entity that stands here, valid within the flow's batch only; 0 = none.
    pub entity: u32,
}

impl End {
    /// An unknown source or destination.
    pub const UNKNOWN: Self = Self { endpoint: 0, identity: 0, name: Symbol::EMPTY, entity: 0 };
}

/// One end of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlowEnd {
    /// The source.
    Source,
    /// The destination.
    Destination,
}

impl FlowEnd {
    /// Returns the one of the two that belongs to this end.
    pub fn of<T>(self, source: T, destination: T) -> T {
        match self {
            Self::Source => source,
            Self::Destination => destination,
        }
    }
}
