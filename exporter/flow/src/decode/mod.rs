//! Decodes monitor payloads to flows and events. Any bytes give a result or an error, never a panic.
//!
//! The datapath's events ([`decode_flow`]) are decoded without an allocation. An error means that the notification header
//! is invalid; a truncated or invalid packet behind a valid header gives a flow with the layers that did decode.
//! Notifications of the agent and access-log records of its proxies are gob values, within the decoder's bounds;
//! [`decode`] handles all kinds.

pub mod access_log;
mod agent;
mod bytes;
mod capture;
mod debug;
mod direction;
mod drop;
mod error;
mod header;
mod layers;
mod packet;
mod pairing;
mod policy_verdict;
mod recorder;
mod sock;
mod trace;

pub use direction::direction;
pub use error::{DecodeError, Fault, HeaderError, Message, RecordError};
pub use pairing::{CAPACITY as PAIRING_CAPACITY, Paired, Pairing, Trace};

use crate::cilium_release::Producer;
use crate::event::RawEvent;
use crate::flow::{
    EVENT_CAPTURE, EVENT_DROP, EVENT_L7, EVENT_POLICY_VERDICT, EVENT_RECORDER_CAPTURE, EVENT_SOCK, EVENT_TRACE,
    EventType, Flow,
};
use crate::record::Observed;

/// Monitor message type: debug message.
pub const EVENT_DEBUG: u8 = 2;
/// Monitor message type: notification of the agent.
pub const EVENT_AGENT: u8 = 130;

/// Decodes a payload of any kind. `pairing` finds the request of a response.
///
/// # Errors
/// As [`decode_flow`], or an invalid notification or record.
pub fn decode(event: &RawEvent<'_>, producer: Producer, pairing: &mut Pairing) -> Result<Observed, DecodeError> {
    Ok(match event.data.first() {
        Some(&EVENT_DEBUG) => Observed::Debug(Box::new(debug::decode(event)?)),
        Some(&EVENT_AGENT) => Observed::Agent(Box::new(agent::decode(event, producer).map_err(DecodeError::Agent)?)),
        Some(&EVENT_L7) => Observed::Flow(access_log::decode(event, pairing).map_err(DecodeError::AccessLog)?),
        _ => return observed(event, producer),
    })
}

/// As [`decode_flow_from`], inlined for the same reason.
#[inline]
fn observed(event: &RawEvent<'_>, producer: Producer) -> Result<Observed, DecodeError> {
    const BLANK: Result<Observed, DecodeError> = Ok(Observed::Flow(Flow::empty(EventType { kind: 0, subtype: 0 })));
    let mut outcome = BLANK;
    if let Ok(Observed::Flow(flow)) = &mut outcome
        && let Err(error) = fill(event, producer, flow)
    {
        outcome = Err(error.into());
    }
    outcome
}

/// Decodes a trace, drop, capture, policy verdict, recorder capture or socket event into a flow.
///
/// Endpoint ids are unknown here: `source.endpoint` and `destination.endpoint` are 0, and identities are the datapath's.
/// [`direction`] has to be called again once the source's endpoint is set.
///
/// # Errors
/// [`HeaderError::Incomplete`] if the bytes end inside the notification header, [`HeaderError::Invalid`] for other
/// message types and for unknown versions.
#[inline]
pub fn decode_flow(event: &RawEvent<'_>) -> Result<Flow, HeaderError> {
    decode_flow_from(event, Producer::default())
}

/// As [`decode_flow`], for a known producer. Its release decides the form of socket events and damaged verdicts, file
/// names in drops, and trace reasons.
///
/// # Errors
/// As [`decode_flow`].
#[inline]
pub fn decode_flow_from(event: &RawEvent<'_>, producer: Producer) -> Result<Flow, HeaderError> {
    /// The initial result. Filling in the whole result is faster than wrapping a finished flow, since copies of flows
    /// are most of the cost. For the same reason this function is inlined and the work is not: the result is built in
    /// the caller's place.
    const BLANK: Result<Flow, HeaderError> = Ok(Flow::empty(EventType { kind: 0, subtype: 0 }));
    let mut outcome = BLANK;
    if let Ok(flow) = &mut outcome
        && let Err(error) = fill(event, producer, flow)
    {
        outcome = Err(error);
    }
    outcome
}

#[inline(never)]
fn fill(event: &RawEvent<'_>, producer: Producer, flow: &mut Flow) -> Result<(), HeaderError> {
    let Some(&kind) = event.data.first() else {
        return Err(HeaderError::Incomplete { message: Message::Unknown, needed: 1, have: 0 });
    };
    flow.event_type = header::event_type(event.data);
    flow.time = event.time;
    flow.cpu = event.cpu;
    flow.kernel_drop = event.kernel_drop;
    flow.traffic = event.traffic;
    match kind {
        EVENT_TRACE => trace::decode(event.data, producer.release, flow)?,
        EVENT_DROP => drop::decode(event.data, producer.release, flow)?,
        EVENT_CAPTURE => capture::decode(event.data, flow)?,
        EVENT_POLICY_VERDICT => policy_verdict::decode(event.data, producer.release, flow)?,
        EVENT_SOCK => sock::decode(event.data, producer, flow)?,
        EVENT_RECORDER_CAPTURE => recorder::decode(event.data, flow)?,
        _ => {
            return Err(HeaderError::Invalid { message: Message::Unknown, fault: Fault::Kind, offset: 0, value: kind });
        }
    }
    flow.direction = direction(flow);
    Ok(())
}
