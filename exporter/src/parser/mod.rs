//! The L3/L4 decoder: monitor payloads in, flows out; pure, total and without allocation.
//!
//! Any bytes give a flow or a [`ParseError`], never a panic. An error means that the notification header itself cannot
//! be read; a packet behind a good header that is cut short or odd gives a flow with the layers that did decode.

mod bytes;
mod capture;
mod direction;
mod drop;
mod error;
mod header;
mod layers;
pub mod names;
mod packet;
mod policy_verdict;
pub mod summary;
mod trace;

pub use direction::direction;
pub use error::{Fault, Message, ParseError};

use crate::event::RawEvent;
use crate::flow::{EVENT_CAPTURE, EVENT_DROP, EVENT_POLICY_VERDICT, EVENT_TRACE, Flow};

/// Decodes a trace, drop, capture or policy verdict into a flow.
///
/// No endpoint is known here: `source.endpoint` and `destination.endpoint` are 0, identities are the datapath's, and
/// the direction is what follows from that; [`direction`] tells it again once the source's endpoint is filled in.
///
/// # Errors
/// [`ParseError::Incomplete`] where the bytes end before the notification header does, [`ParseError::Invalid`] for
/// message types that are not decoded here and for versions that are not known.
pub fn parse(event: &RawEvent<'_>) -> Result<Flow, ParseError> {
    let Some(&kind) = event.data.first() else {
        return Err(ParseError::Incomplete { message: Message::Unknown, needed: 1, have: 0 });
    };
    let mut flow = Flow::empty(header::event_type(event.data));
    flow.time = event.time;
    flow.cpu = event.cpu;
    flow.kernel_drop = event.kernel_drop;
    flow.meter = event.meter;
    match kind {
        EVENT_TRACE => trace::decode(event.data, &mut flow)?,
        EVENT_DROP => drop::decode(event.data, &mut flow)?,
        EVENT_CAPTURE => capture::decode(event.data, &mut flow)?,
        EVENT_POLICY_VERDICT => policy_verdict::decode(event.data, &mut flow)?,
        _ => return Err(ParseError::Invalid { message: Message::Unknown, fault: Fault::Kind, offset: 0, value: kind }),
    }
    flow.direction = direction(&flow);
    Ok(flow)
}
