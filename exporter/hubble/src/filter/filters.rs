//! The compiled filters of a request.

use eyepiece_flow::record::Observed;

use super::cel;
use super::compile::Compiler;
use super::context::Context;
use super::error::FilterError;
use super::matcher::Filter;
use crate::proto::flow::FlowFilter;

/// The compiled filters of a request. Without filters, everything matches.
#[derive(Debug, Default)]
pub struct Filters {
    whitelist: Vec<Filter>,
    blacklist: Vec<Filter>,
    weight: usize,
    size: usize,
}

impl Filters {
    /// Compiles the two lists of a request.
    ///
    /// # Errors
    /// A field is invalid, or the request exceeds a bound.
    pub fn compile(whitelist: &[FlowFilter], blacklist: &[FlowFilter]) -> Result<Self, FilterError> {
        let mut compiler = Compiler::default();
        let whitelist = compiler.filters("whitelist", whitelist)?;
        let blacklist = compiler.filters("blacklist", blacklist)?;
        Ok(Self { whitelist, blacklist, weight: compiler.weight(), size: compiler.size() })
    }

    /// Returns whether an entry matches the whitelist, or it is empty, and not the blacklist. Losses match always.
    pub fn matches(&self, observed: &Observed, context: &Context<'_>) -> bool {
        if self.is_empty() || matches!(observed, Observed::Lost(_)) {
            return true;
        }
        let shared = cel::EvaluationState::new(context.clock);
        let matches = |filter: &Filter| filter.matches(observed, context, &shared);
        (self.whitelist.is_empty() || self.whitelist.iter().any(matches)) && !self.blacklist.iter().any(matches)
    }

    /// The estimated cost of a flow at most, where one entry of one field costs 1.
    pub const fn weight(&self) -> usize {
        self.weight
    }

    /// Bytes that the filters hold, estimated.
    pub const fn size(&self) -> usize {
        self.size
    }

    /// Returns whether there are no filters.
    pub const fn is_empty(&self) -> bool {
        self.whitelist.is_empty() && self.blacklist.is_empty()
    }
}
