//! Hubble's filters for flows, compiled once for a request and asked for every flow, without protobuf in between.
//!
//! Upstream is Cilium 1.20; what differs by intent: `flow.Flow` is open in its enums where our record is closed, and
//! requests are bounded (see the constants below).

mod address;
mod cel;
mod compile;
mod error;
mod expression;
mod http;
mod label;
mod matcher;
mod names;
mod pattern;
mod selector;

pub use error::FilterError;

use eyepiece_flow::lookup::NameLookup;
use eyepiece_flow::record::Observed;

use crate::node::Node;
use crate::proto::flow::FlowFilter;
use compile::Compiler;
use matcher::Matcher;

/// Filters of a request at most, both lists together. Clients make a handful; scripts one for each pod.
pub const MOST_FILTERS: usize = 10_000;
/// Entries of a request at most, all fields of all filters together.
pub const MOST_ENTRIES: usize = 100_000;
/// Bytes of all texts of a request at most: no more than a gRPC message has by default.
const MOST_BYTES: usize = 4 << 20;

/// One end of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Source,
    Destination,
}

impl Side {
    /// That of the two which belongs to it.
    fn of<T>(self, source: T, destination: T) -> T {
        match self {
            Self::Source => source,
            Self::Destination => destination,
        }
    }
}

/// What a flow of this machine doesn't say itself.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// The node that observes: flows that name no other are its.
    pub node: &'a Node,
    /// NameLookup of its interfaces.
    pub names: &'a dyn NameLookup,
}

/// The compiled filters of a request. Without any, everything passes.
#[derive(Debug, Default)]
pub struct Filters {
    whitelist: Vec<Filter>,
    blacklist: Vec<Filter>,
    weight: usize,
    size: usize,
}

/// One filter: every field has to be met. Without any it matches everything.
#[derive(Debug)]
struct Filter(Box<[Matcher]>);

impl Filter {
    fn matches(&self, observed: &Observed, context: &Context<'_>, shared: &cel::Shared) -> bool {
        self.0.iter().all(|matcher| matcher.matches(observed, context, shared))
    }
}

impl Filters {
    /// Compiles the two lists of a request.
    ///
    /// # Errors
    /// Where a field can't be, or there is more than a request may ask for.
    pub fn compile(whitelist: &[FlowFilter], blacklist: &[FlowFilter]) -> Result<Self, FilterError> {
        let mut compiler = Compiler::new();
        let whitelist = compiler.filters("whitelist", whitelist)?;
        let blacklist = compiler.filters("blacklist", blacklist)?;
        Ok(Self { whitelist, blacklist, weight: compiler.weight(), size: compiler.size() })
    }

    /// Whether a client wants this: some filter of the whitelist matches it, or there is none, and none of the
    /// blacklist does. Losses concern every client.
    pub fn matches(&self, observed: &Observed, context: &Context<'_>) -> bool {
        if matches!(observed, Observed::Lost(_)) {
            return true;
        }
        if self.is_empty() {
            return true;
        }
        let shared = cel::Shared::default();
        let is_met = |filter: &Filter| filter.matches(observed, context, &shared);
        (self.whitelist.is_empty() || self.whitelist.iter().any(is_met)) && !self.blacklist.iter().any(is_met)
    }

    /// What a flow costs about at most, where one entry of one field costs 1.
    pub const fn weight(&self) -> usize {
        self.weight
    }

    /// Bytes that the filters hold, about.
    pub const fn size(&self) -> usize {
        self.size
    }

    /// Whether everything passes because nobody filters.
    pub const fn is_empty(&self) -> bool {
        self.whitelist.is_empty() && self.blacklist.is_empty()
    }
}
