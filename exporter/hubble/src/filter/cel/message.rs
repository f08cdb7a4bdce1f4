//! What was observed as a message that expressions look into.

use eyepiece_flow::record::Observed;
use prost_reflect::DynamicMessage;

use super::check::flow_descriptor;
use crate::encode;
use crate::filter::context::Context;

/// The flow and how many bytes it has; of what is none, one that says nothing, as upstream.
pub(super) fn of(observed: &Observed, context: &Context<'_>) -> Option<(DynamicMessage, usize)> {
    let descriptor = flow_descriptor()?;
    let mut encoded = Vec::new();
    if let Some(flow) = observed.flow() {
        encode::flow(flow, &context.node.full_name(), context.names, &mut encoded);
    }
    Some((DynamicMessage::decode(descriptor, encoded.as_slice()).ok()?, encoded.len()))
}
