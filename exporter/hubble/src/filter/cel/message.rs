//! Converts an entry to the message that expressions read.

use eyepiece_flow::record::Observed;
use prost_reflect::DynamicMessage;

use super::check::flow_descriptor;
use crate::encode;
use crate::filter::context::Context;

/// Returns the flow and its encoded bytes; an empty flow for other events, as upstream does.
pub(super) fn of(observed: &Observed, context: &Context<'_>) -> Option<(DynamicMessage, usize)> {
    let descriptor = flow_descriptor()?;
    let mut encoded = Vec::new();
    if let Some(flow) = observed.flow() {
        encode::flow(flow, &context.node.full_name(), context.names, &mut encoded);
    }
    Some((DynamicMessage::decode(descriptor, encoded.as_slice()).ok()?, encoded.len()))
}
