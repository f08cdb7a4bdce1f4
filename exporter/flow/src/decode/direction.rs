//! Hubble's rule for the direction of a flow, seen from the endpoint of the datapath's event.

use super::trace::{REASON_REPLY, REASON_UNKNOWN};
use crate::flow::{Direction, EVENT_DROP, EVENT_TRACE, Flow};

/// Returns the direction of a flow, as far as its source's endpoint is known.
///
/// Drops are egress if the event's endpoint is the source, else ingress. Traces follow the same rule, reversed for
/// replies; a translated source is egress. Drops and traces without an endpoint, and traces without connection tracking,
/// have no direction. Other flows keep theirs (policy verdicts carry it).
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
