//! The source or destination of a flow.

use crate::interner::Symbol;

/// The source or destination of a flow. The name is a symbol: the pipeline copies numbers, sinks look up the text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct End {
    /// Local endpoint id; 0 = no local endpoint.
    pub endpoint: u16,
    /// Security identity; 0 = unknown.
    pub identity: u32,
    /// The endpoint's interface name, `host`, or `world`; [`Symbol::EMPTY`] until enriched.
    pub name: Symbol,
}

impl End {
    /// An unknown source or destination.
    pub const UNKNOWN: Self = Self { endpoint: 0, identity: 0, name: Symbol::EMPTY };
}
