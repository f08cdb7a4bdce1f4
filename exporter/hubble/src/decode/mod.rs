//! Decodes Hubble's messages to our records. Fields without a place in a record stay in the flow's encoded bytes.

mod events;
mod flow;
mod l7;
mod layers;
mod number;

use eyepiece_flow::record::Observed;
use prost::Message as _;

use crate::proto::observer::GetFlowsResponse;
use crate::proto::observer::get_flows_response::ResponseTypes;
use crate::proto::relay::NodeStatusEvent;
use crate::wire;
use crate::wire::BYTES;

pub use events::{agent, debug, lost};
pub use flow::flow;
pub use number::nanoseconds;

/// The content of an `observer.GetFlowsResponse`.
#[allow(clippy::large_enum_variant, reason = "flows are nearly all of them, and a box would be an allocation each")]
#[derive(Clone, Debug, PartialEq)]
pub enum FlowsResponse {
    /// A flow or a loss.
    Observed(Observed),
    /// The states of a relay's nodes.
    NodeStatus(NodeStatusEvent),
    /// A response of a type that this version does not know.
    Unknown,
}

/// Decodes an `observer.GetFlowsResponse`. A flow keeps its bytes ([`eyepiece_flow::metadata::Metadata::encoded`]), and
/// gets the time and the node of the response if it has none.
///
/// # Errors
/// The bytes are not such a message.
pub fn flows_response(encoded: &[u8]) -> Result<FlowsResponse, prost::DecodeError> {
    let GetFlowsResponse { node_name, time, response_types } = GetFlowsResponse::decode(encoded)?;
    let time = time.map(nanoseconds);
    Ok(match response_types {
        Some(ResponseTypes::Flow(message)) => {
            let own = only_flow(encoded).map_or_else(|| message.encode_to_vec().into(), Box::from);
            let has_time = message.time.is_some();
            let mut flow = flow(message, own);
            if !has_time {
                flow.time = time.unwrap_or(0);
            }
            if let Some(metadata) = flow.metadata.as_mut().filter(|metadata| metadata.node_name.is_empty()) {
                metadata.node_name = node_name;
            }
            FlowsResponse::Observed(Observed::Flow(flow))
        }
        Some(ResponseTypes::LostEvents(event)) => {
            FlowsResponse::Observed(Observed::Lost(lost(&event, time.unwrap_or(0))))
        }
        Some(ResponseTypes::NodeStatus(event)) => FlowsResponse::NodeStatus(event),
        None => FlowsResponse::Unknown,
    })
}

/// Returns the bytes of a response's flow; `None` if there are several, which protobuf merges.
fn only_flow(encoded: &[u8]) -> Option<&[u8]> {
    let flows = wire::fields(encoded).filter(|(field, _)| field.number == 1 && field.wire_type == BYTES);
    let mut flows = flows.map(|(_, value)| value);
    flows.next().filter(|_| flows.next().is_none())
}

#[cfg(test)]
mod tests;
