//! What was observed as a message that expressions look into.

use prost_reflect::DynamicMessage;

use crate::observed::Observed;
use crate::observer::filter::Context;

use super::check::flow_descriptor;

/// The flow; of what is none, one that says nothing, as upstream.
pub(super) fn of(observed: &Observed, _context: &Context<'_>) -> Option<DynamicMessage> {
    let descriptor = flow_descriptor()?;
    let Some(flow) = observed.flow() else { return Some(DynamicMessage::new(descriptor)) };
    let encoded = flow.details.as_ref().map_or(&[][..], |details| &details.encoded);
    DynamicMessage::decode(descriptor, encoded).ok()
}
