//! The direction rule, before and after the source's endpoint is known.

use eyepiece_flow::decode::direction;
use eyepiece_flow::flow::{Direction, EVENT_CAPTURE, EVENT_DROP, EVENT_POLICY_VERDICT, EVENT_TRACE, EventType, Flow};

/// (message, datapath's endpoint, source's endpoint, trace reason, original address) → direction.
const TABLE: [(u8, u16, u16, Option<u8>, bool, Direction); 17] = [
    (EVENT_DROP, 0, 0, None, false, Direction::Unknown),
    (EVENT_DROP, 0, 7, None, false, Direction::Unknown),
    (EVENT_DROP, 7, 0, None, false, Direction::Ingress),
    (EVENT_DROP, 7, 8, None, false, Direction::Ingress),
    (EVENT_DROP, 7, 7, None, false, Direction::Egress),
    (EVENT_TRACE, 0, 0, Some(0), true, Direction::Unknown),
    (EVENT_TRACE, 7, 7, Some(5), true, Direction::Unknown),
    (EVENT_TRACE, 7, 7, Some(0), false, Direction::Egress),
    (EVENT_TRACE, 7, 7, Some(1), false, Direction::Egress),
    (EVENT_TRACE, 7, 7, Some(2), false, Direction::Ingress),
    (EVENT_TRACE, 7, 8, Some(0), false, Direction::Ingress),
    (EVENT_TRACE, 7, 0, Some(3), false, Direction::Ingress),
    (EVENT_TRACE, 7, 0, Some(2), false, Direction::Egress),
    (EVENT_TRACE, 7, 8, Some(0), true, Direction::Egress),
    (EVENT_TRACE, 7, 7, Some(2), true, Direction::Egress),
    (EVENT_TRACE, 7, 8, None, true, Direction::Unknown),
    (EVENT_CAPTURE, 7, 7, None, false, Direction::Unknown),
];

#[test]
fn of_drops_traces_and_captures() {
    for (kind, datapath_endpoint, endpoint, trace_reason, original_ip, expected) in TABLE {
        let mut flow = Flow::empty(EventType { kind, subtype: 0 });
        flow.datapath_endpoint = datapath_endpoint;
        flow.source.endpoint = endpoint;
        flow.trace_reason = trace_reason;
        flow.original_ip = original_ip;
        assert_eq!(direction(&flow), expected, "{kind} {datapath_endpoint} {endpoint} {trace_reason:?} {original_ip}");
    }
}

#[test]
fn of_verdicts_stays() {
    for expected in [Direction::Ingress, Direction::Egress] {
        let mut flow = Flow::empty(EventType { kind: EVENT_POLICY_VERDICT, subtype: 0 });
        (flow.direction, flow.datapath_endpoint, flow.source.endpoint) = (expected, 7, 7);
        assert_eq!(direction(&flow), expected);
    }
}
