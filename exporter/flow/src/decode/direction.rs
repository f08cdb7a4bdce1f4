//! Hubble's rule for a flow's direction, seen from the endpoint that the datapath event belongs to.

use super::trace::{REASON_REPLY, REASON_UNKNOWN};
use crate::flow::{Direction, EVENT_DROP, EVENT_TRACE, Flow};

/// The direction of a flow, as far as its source's endpoint is known.
///
/// Drops: the endpoint that dropped is the source (egress) or not (ingress). Traces: the same, turned round for
/// replies; a translated source is egress. Without an endpoint in the event, or without connection tracking, a drop
/// or trace has none. Everything else keeps the direction that it has (policy verdicts carry it).
pub fn direction(flow: &Flow) -> Direction {
    let from_source = flow.datapath_endpoint == flow.source.endpoint;
    match flow.event_type.kind {
        EVENT_DROP | EVENT_TRACE if flow.datapath_endpoint == 0 => Direction::Unknown,
        EVENT_DROP if from_source => Direction::Egress,
        EVENT_DROP => Direction::Ingress,
        EVENT_TRACE => match flow.trace_reason {
            None | Some(REASON_UNKNOWN) => Direction::Unknown,
            Some(reason) if from_source != (reason == REASON_REPLY) || flow.original_ip => Direction::Egress,
            Some(_) => Direction::Ingress,
        },
        _ => flow.direction,
    }
}
