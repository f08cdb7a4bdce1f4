//! Decodes the messages of a stream, and derives a key that identifies each.

use std::hash::{BuildHasher as _, Hasher as _};

use eyepiece_flow::record::Observed;
use eyepiece_hubble::decode;
use eyepiece_hubble::decode::FlowsResponse;
use eyepiece_hubble::proto::observer::{GetAgentEventsResponse, GetDebugEventsResponse};
use eyepiece_hubble::proto::relay::NodeStatusEvent;
use foldhash::fast::FixedState;
use prost::Message as _;

use super::item::Item;
use super::window::Offered;

/// A stream of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Flows,
    AgentEvents,
    DebugEvents,
}

impl Kind {
    /// `/package.Service/Method`.
    pub(super) const fn path(self) -> &'static str {
        match self {
            Self::Flows => "/observer.Observer/GetFlows",
            Self::AgentEvents => "/observer.Observer/GetAgentEvents",
            Self::DebugEvents => "/observer.Observer/GetDebugEvents",
        }
    }
}

/// A decoded message.
pub(super) struct DecodedMessage {
    pub(super) content: Content,
    node: String,
    time: u64,
    key: u128,
    is_timed: bool,
}

/// The content of a message.
pub(super) enum Content {
    Item(Item),
    NodeStatus(NodeStatusEvent),
    /// A message of an unknown kind.
    Nothing,
}

impl DecodedMessage {
    /// The fields that the window needs.
    pub(super) fn offered(&self) -> Offered<'_> {
        Offered { node: &self.node, time: self.time, key: self.key, is_timed: self.is_timed }
    }
}

/// Node and time of any response.
#[derive(Clone, PartialEq, prost::Message)]
struct Head {
    #[prost(string, tag = "1000")]
    node_name: String,
    #[prost(message, optional, tag = "1001")]
    time: Option<prost_types::Timestamp>,
}

/// Decodes a message of a stream.
///
/// # Errors
/// The bytes are no message.
pub(super) fn read(kind: Kind, message: &[u8]) -> Result<DecodedMessage, prost::DecodeError> {
    match kind {
        Kind::Flows => flows(message),
        Kind::AgentEvents => {
            let GetAgentEventsResponse { node_name, time, agent_event } = GetAgentEventsResponse::decode(message)?;
            let time = time.map_or(0, decode::nanoseconds);
            let event = agent_event.map(|event| Observed::Agent(Box::new(decode::agent(event, time))));
            Ok(timed(event, node_name, time, message))
        }
        Kind::DebugEvents => {
            let GetDebugEventsResponse { node_name, time, debug_event } = GetDebugEventsResponse::decode(message)?;
            let time = time.map_or(0, decode::nanoseconds);
            let event = debug_event.map(|event| Observed::Debug(Box::new(decode::debug(&event, time))));
            Ok(timed(event, node_name, time, message))
        }
    }
}

fn timed(event: Option<Observed>, node: String, time: u64, message: &[u8]) -> DecodedMessage {
    let content = event.map_or(Content::Nothing, |event| Content::Item(Item::Observed(Box::new(event))));
    DecodedMessage { content, node, time, key: hash(message), is_timed: true }
}

fn flows(message: &[u8]) -> Result<DecodedMessage, prost::DecodeError> {
    Ok(match decode::flows_response(message)? {
        FlowsResponse::Observed(Observed::Flow(flow)) => {
            let node = flow.metadata.as_ref().map(|metadata| metadata.node_name.clone()).unwrap_or_default();
            let (time, uuid) = (flow.time, u128::from_be_bytes(flow.uuid));
            let key = if uuid == 0 { hash(message) } else { uuid };
            DecodedMessage {
                content: Content::Item(Item::Observed(Box::new(Observed::Flow(flow)))),
                node,
                time,
                key,
                is_timed: true,
            }
        }
        FlowsResponse::Observed(other) => {
            let Head { node_name, time } = Head::decode(message)?;
            let content = Content::Item(Item::Observed(Box::new(other)));
            DecodedMessage {
                content,
                node: node_name,
                time: time.map_or(0, decode::nanoseconds),
                key: hash(message),
                is_timed: false,
            }
        }
        FlowsResponse::NodeStatus(event) => none(Content::NodeStatus(event)),
        FlowsResponse::Unknown => none(Content::Nothing),
    })
}

const fn none(content: Content) -> DecodedMessage {
    DecodedMessage { content, node: String::new(), time: 0, key: 0, is_timed: false }
}

/// A 128-bit hash of a message: collisions within a window are practically impossible.
fn hash(message: &[u8]) -> u128 {
    let half = |seed| {
        let mut hasher = FixedState::with_seed(seed).build_hasher();
        hasher.write(message);
        u128::from(hasher.finish())
    };
    half(1) << 64 | half(2)
}
