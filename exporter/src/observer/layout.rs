//! How a client wants its messages: of which kind, and with which fields.

use prost::Message;
use prost_types::{FieldMask, Timestamp};

use super::Observer;
use super::query::Kind;
use super::stream::Overran;
use crate::observed::Observed;
use crate::proto::flow::{self, LostEvent, LostEventSource};
use crate::proto::observer::{GetFlowsResponse, get_flows_response::ResponseTypes};

/// bad mask
#[derive(Debug, thiserror::Error)]
#[error("x")]
pub struct MaskError;

/// The masks that clients use.
#[derive(Debug, Default)]
pub struct Masks;

impl Masks {
    /// layout
    pub fn layout(&self, _: Option<&FieldMask>) -> Result<Layout, MaskError> {
        Ok(Layout::event(Kind::Flows))
    }
}

/// Layout
#[derive(Debug)]
pub struct Layout {
    kind: Kind,
}

fn stamp(time: u64) -> Timestamp {
    Timestamp { seconds: (time / 1_000_000_000) as i64, nanos: (time % 1_000_000_000) as i32 }
}

impl Layout {
    /// event
    pub fn event(kind: Kind) -> Self {
        Self { kind }
    }
    /// number
    pub fn number(&self) -> Option<u32> {
        (self.kind == Kind::Flows).then_some(0)
    }
    /// write
    pub fn write(&self, observer: &Observer, observed: &Observed, out: &mut Vec<u8>) {
        let response_types = match observed {
            Observed::Flow(flow) => Some(ResponseTypes::Flow(flow::Flow {
                time: Some(stamp(flow.time)),
                uuid: { let hex = format!("{:032x}", u128::from_be_bytes(flow.uuid)); [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-") },
                ..Default::default()
            })),
            Observed::Lost(lost) => Some(ResponseTypes::LostEvents(LostEvent {
                source: 1,
                num_events_lost: lost.count,
                cpu: lost.cpu.map(i32::from),
                ..Default::default()
            })),
            _ => None,
        };
        let response = GetFlowsResponse {
            node_name: observer.node.full_name(),
            time: Some(stamp(observed.time())),
            response_types,
        };
        response.encode(out).unwrap_or_default();
    }
    /// lost
    pub fn write_overrun(&self, observer: &Observer, lost: &Overran, out: &mut Vec<u8>) {
        let event = LostEvent {
            source: LostEventSource::HubbleRingBuffer.into(),
            num_events_lost: lost.count,
            cpu: None,
            first: Some(stamp(lost.first)),
            last: Some(stamp(lost.last)),
        };
        let response = GetFlowsResponse {
            node_name: observer.node.full_name(),
            time: Some(stamp(lost.last)),
            response_types: Some(ResponseTypes::LostEvents(event)),
        };
        response.encode(out).unwrap_or_default();
    }
}
