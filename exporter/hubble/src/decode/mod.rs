//! Hubble's messages as our records: total, and what a record has no place for stays in the flow's own bytes.

mod events;
mod flow;
mod l7;
mod layers;

use eyepiece_flow::record::Observed;
use prost::Message as _;

use crate::proto::observer::GetFlowsResponse;
use crate::proto::observer::get_flows_response::ResponseTypes;
use crate::proto::relay::NodeStatusEvent;
use crate::wire;
use crate::wire::BYTES;

pub use events::{agent, debug, lost};
pub use flow::flow;

/// What a server of flows tells.
#[allow(clippy::large_enum_variant, reason = "flows are nearly all of them, and a box would be an allocation each")]
#[derive(Clone, Debug, PartialEq)]
pub enum Told {
    /// A flow or a loss.
    Observed(Observed),
    /// How a relay's nodes are.
    NodeStatus(NodeStatusEvent),
    /// Something that did not exist yet when this was written.
    Nothing,
}

/// Decodes an `observer.GetFlowsResponse`. A flow keeps its bytes ([`eyepiece_flow::metadata::Metadata::encoded`]), the time and
/// the node of the response where it has none itself.
///
/// # Errors
/// The bytes are no such message.
pub fn flows_response(encoded: &[u8]) -> Result<Told, prost::DecodeError> {
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
            Told::Observed(Observed::Flow(flow))
        }
        Some(ResponseTypes::LostEvents(event)) => Told::Observed(Observed::Lost(lost(&event, time.unwrap_or(0)))),
        Some(ResponseTypes::NodeStatus(event)) => Told::NodeStatus(event),
        None => Told::Nothing,
    })
}

/// The bytes of a response's flow; none where it has several, which count as one that is merged.
fn only_flow(encoded: &[u8]) -> Option<&[u8]> {
    let flows = wire::fields(encoded).filter(|(field, _)| field.number == 1 && field.wire_type == BYTES);
    let mut flows = flows.map(|(_, value)| value);
    flows.next().filter(|_| flows.next().is_none())
}

/// ns since the Unix epoch; what is before or too far behind it ends there.
fn nanoseconds(time: prost_types::Timestamp) -> u64 {
    let seconds = u64::try_from(time.seconds).unwrap_or(0);
    seconds.saturating_mul(1_000_000_000).saturating_add(u64::try_from(time.nanos).unwrap_or(0))
}

/// A number of a narrower field of ours; 0 where it does not fit.
fn narrow<T: TryFrom<i64> + Default>(number: impl Into<i64>) -> T {
    T::try_from(number.into()).unwrap_or_default()
}

/// The same, where 0 is no value.
fn narrow_some<T: TryFrom<i64> + Default + PartialEq>(number: impl Into<i64>) -> Option<T> {
    Some(narrow(number)).filter(|number| *number != T::default())
}

#[cfg(test)]
mod tests;
