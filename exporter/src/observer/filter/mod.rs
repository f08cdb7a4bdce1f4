//! TEMPORARY until the filters are merged.
use super::node::Node;
use crate::names::Names;
use crate::observed::Observed;
use crate::proto::flow::FlowFilter;
/// c
pub struct Context<'a> { /// n
pub node: &'a Node, /// n
pub names: &'a dyn Names }
/// f
#[derive(Debug, Default)]
pub struct Filters { }
/// e
#[derive(Debug, thiserror::Error)]
#[error("x")]
pub struct FilterError;
impl Filters {
    /// c
    pub fn compile(_: &[FlowFilter], _: &[FlowFilter]) -> Result<Self, FilterError> { Ok(Self {}) }
    /// m
    pub fn matches(&self, _: &Observed, _: &Context<'_>) -> bool { true }
    /// e
    pub fn is_empty(&self) -> bool { true }
}
