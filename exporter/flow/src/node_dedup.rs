//! Counts each packet once per node: decides which of the hooks on its path counts it for `hubble.flow.io`.

use eyepiece_wire::{AnsweredBy, Hook, InterfaceKind};

use crate::event::TrafficDelta;
use crate::flow::{End, Flow};

/// The kind of a packet's source or destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndKind {
    /// An endpoint of this machine.
    Endpoint,
    /// This machine itself, or another one.
    Other,
}

impl From<&End> for EndKind {
    fn from(end: &End) -> Self {
        if end.endpoint == 0 { Self::Other } else { Self::Endpoint }
    }
}

/// Returns the packets and bytes that count at this hook; (0, 0) if another hook counts them.
///
/// A packet counts at its source's endpoint if that is local, else at its destination's, else at the uplink that it
/// leaves or enters by. A tunnel's device is an uplink for the packets inside; the outer packets, which this machine
/// sends or receives, count nowhere. `ingress` is the kind of the interface with the traffic's `ingress_ifindex`.
#[inline]
pub fn once_per_node(
    traffic: &TrafficDelta,
    source: EndKind,
    destination: EndKind,
    ingress: InterfaceKind,
) -> (u64, u64) {
    if traffic.hook == Hook::FromNetwork {
        // The endpoint's hook counts packets to it.
        return if destination == EndKind::Endpoint { (0, 0) } else { counted_at_uplink(traffic) };
    }
    let at_source = counted_at_source(traffic, source, ingress);
    // Packets that came in by an uplink were counted there, or are an endpoint's.
    let at_uplink = traffic.ingress_ifindex != 0 && ingress == InterfaceKind::Uplink;
    // Encapsulated packets have no ingress interface, and decapsulated ones have the tunnel's device. So packets that
    // look like a tunnel's and have one are forwarded: they were not counted before.
    let is_tunnel = traffic.answered_by == AnsweredBy::Tunnel;
    let is_new = (!is_tunnel & !at_uplink) | (is_tunnel & (traffic.ingress_ifindex != 0));
    // No short circuits: packets of all hooks are mixed, and a mispredicted branch costs more than these operations.
    // Dropped packets were counted, if at all, where they entered.
    let counts = (traffic.hook == Hook::FromEndpoint)
        | ((traffic.hook == Hook::ToEndpoint) & !at_source)
        | ((traffic.hook == Hook::ToNetwork) & !at_source & is_new);
    if counts { (traffic.packets, traffic.bytes) } else { (0, 0) }
}

/// Returns whether a packet came in by an endpoint's interface, where it was counted.
///
/// For interfaces of another kind (an overlay's, a CNI's inner one) the source's address decides. Packets that this
/// machine sends have no ingress interface.
fn counted_at_source(traffic: &TrafficDelta, source: EndKind, ingress: InterfaceKind) -> bool {
    traffic.ingress_ifindex != 0
        && match ingress {
            InterfaceKind::Endpoint | InterfaceKind::EndpointBridge => true,
            InterfaceKind::Other => source == EndKind::Endpoint,
            InterfaceKind::Uplink => false,
        }
}

/// Returns whether a packet of our datapath was observed before on this node: it leaves to an endpoint or an uplink,
/// and came in by its endpoint's interface or an uplink. `kind` looks up an interface's kind.
pub fn observed_before(flow: &Flow, kind: impl FnOnce(u32) -> InterfaceKind) -> bool {
    let leaves = |traffic: &TrafficDelta| {
        traffic.ingress_ifindex != 0 && matches!(traffic.hook, Hook::ToEndpoint | Hook::ToNetwork)
    };
    flow.traffic.as_ref().filter(|traffic| leaves(traffic)).is_some_and(|traffic| {
        let ingress = kind(traffic.ingress_ifindex);
        ingress == InterfaceKind::Uplink || counted_at_source(traffic, EndKind::from(&flow.source), ingress)
    })
}

/// Returns the packets and bytes that count at an uplink. The kernel holds them back until the answering side is known.
const fn counted_at_uplink(traffic: &TrafficDelta) -> (u64, u64) {
    match traffic.answered_by {
        // Held back: reported again as `held_packets`.
        AnsweredBy::Unknown => (0, 0),
        // An endpoint behind a translation: all packets, held or not, were counted there.
        AnsweredBy::Endpoint => (0, 0),
        // The packets inside count.
        AnsweredBy::Tunnel => (0, 0),
        // Kernel counters never reach 2^64; an invalid source must not stop the pipeline.
        AnsweredBy::Local | AnsweredBy::Forwarded => {
            (traffic.packets.saturating_add(traffic.held_packets), traffic.bytes.saturating_add(traffic.held_bytes))
        }
    }
}

#[cfg(test)]
mod tests {
    use eyepiece_wire::{AnsweredBy, Hook, InterfaceKind};

    use super::{EndKind, observed_before, once_per_node};
    use crate::event::TrafficDelta;
    use crate::flow::{End, EventType, Flow};
    use crate::traffic_delta::SAMPLE;

    const NOTHING: (u64, u64) = (0, 0);
    const OWN: (u64, u64) = (3, 300);
    const ALL: (u64, u64) = (5, 520);

    #[test]
    fn one_hook_counts_each_packet() {
        use EndKind::{Endpoint as Local, Other as Remote};
        use Hook::{Drop, FromEndpoint, FromNetwork, ToEndpoint, ToNetwork};
        use InterfaceKind::{Endpoint, EndpointBridge, Other, Uplink};
        let unknown = AnsweredBy::Unknown;
        #[rustfmt::skip]
        let table = [
            // hook, answered_by, came in by, its kind, source, destination, expected
            (FromEndpoint, unknown, 5, Endpoint, Local, Remote, OWN),
            (FromEndpoint, unknown, 5, Endpoint, Local, Local, OWN),
            (FromEndpoint, unknown, 5, Endpoint, Remote, Local, OWN),
            (FromEndpoint, AnsweredBy::Endpoint, 5, Endpoint, Local, Remote, OWN),
            (FromEndpoint, unknown, 0, Other, Remote, Remote, OWN),
            (ToEndpoint, unknown, 5, Endpoint, Local, Local, NOTHING),
            (ToEndpoint, unknown, 5, Endpoint, Remote, Local, NOTHING),
            (ToEndpoint, unknown, 6, EndpointBridge, Local, Local, NOTHING),
            (ToEndpoint, unknown, 6, EndpointBridge, Remote, Local, NOTHING),
            (ToEndpoint, unknown, 2, Uplink, Remote, Local, OWN),
            (ToEndpoint, unknown, 2, Uplink, Local, Local, OWN),
            (ToEndpoint, unknown, 9, Other, Remote, Local, OWN),
            (ToEndpoint, unknown, 9, Other, Local, Local, NOTHING),
            (ToEndpoint, unknown, 0, Other, Remote, Local, OWN),
            (ToEndpoint, unknown, 0, Other, Local, Local, OWN),
            (ToNetwork, unknown, 0, Other, Remote, Remote, OWN),
            (ToNetwork, unknown, 0, Uplink, Remote, Remote, OWN),
            (ToNetwork, unknown, 5, Endpoint, Local, Remote, NOTHING),
            (ToNetwork, unknown, 6, EndpointBridge, Remote, Remote, NOTHING),
            (ToNetwork, unknown, 2, Uplink, Remote, Remote, NOTHING),
            (ToNetwork, unknown, 9, Other, Remote, Remote, OWN),
            (ToNetwork, unknown, 9, Other, Local, Remote, NOTHING),
            (FromNetwork, unknown, 2, Uplink, Remote, Remote, NOTHING),
            (FromNetwork, AnsweredBy::Endpoint, 2, Uplink, Remote, Remote, NOTHING),
            (FromNetwork, AnsweredBy::Local, 2, Uplink, Remote, Remote, ALL),
            (FromNetwork, AnsweredBy::Forwarded, 2, Uplink, Remote, Remote, ALL),
            (FromNetwork, unknown, 2, Uplink, Remote, Local, NOTHING),
            (FromNetwork, AnsweredBy::Local, 2, Uplink, Remote, Local, NOTHING),
            (FromNetwork, AnsweredBy::Forwarded, 2, Uplink, Remote, Local, NOTHING),
            // Packets from and to a tunnel's device; then forwarded packets that only look like it.
            (ToNetwork, AnsweredBy::Tunnel, 0, Other, Remote, Remote, NOTHING),
            (FromNetwork, AnsweredBy::Tunnel, 2, Uplink, Remote, Remote, NOTHING),
            (FromNetwork, AnsweredBy::Tunnel, 2, Uplink, Remote, Local, NOTHING),
            (ToNetwork, AnsweredBy::Tunnel, 2, Uplink, Remote, Remote, OWN),
            (ToNetwork, AnsweredBy::Tunnel, 9, Other, Remote, Remote, OWN),
            (ToNetwork, AnsweredBy::Tunnel, 5, Endpoint, Local, Remote, NOTHING),
            (FromEndpoint, AnsweredBy::Tunnel, 5, Endpoint, Local, Remote, OWN),
            (ToEndpoint, AnsweredBy::Tunnel, 2, Uplink, Remote, Local, OWN),
            (Drop, unknown, 2, Uplink, Remote, Local, NOTHING),
            (Drop, AnsweredBy::Local, 0, Other, Remote, Remote, NOTHING),
        ];
        for (hook, answered_by, ingress_ifindex, ingress, source, destination, expected) in table {
            let (packets, bytes, held_packets, held_bytes) = (3, 300, 2, 220);
            let traffic =
                TrafficDelta { hook, answered_by, ingress_ifindex, packets, bytes, held_packets, held_bytes, ..SAMPLE };
            let counted = once_per_node(&traffic, source, destination, ingress);
            assert_eq!(counted, expected, "{traffic:?} from {source:?} to {destination:?} in by {ingress:?}");
        }
    }

    #[test]
    fn forwarded_packet_was_observed_before() {
        use Hook::{Drop, FromEndpoint, FromNetwork, ToEndpoint, ToNetwork};
        use InterfaceKind::{Endpoint, EndpointBridge, Other, Uplink};
        for (hook, ingress_ifindex, kind, from_endpoint, expected) in [
            (ToEndpoint, 5, Endpoint, true, true),
            (ToEndpoint, 5, EndpointBridge, false, true),
            (ToEndpoint, 5, Uplink, false, true),
            // An overlay's inner device: the source's address decides.
            (ToEndpoint, 5, Other, true, true),
            (ToEndpoint, 5, Other, false, false),
            // This machine sends.
            (ToEndpoint, 0, Endpoint, true, false),
            (ToNetwork, 5, Endpoint, true, true),
            (ToNetwork, 5, Uplink, false, true),
            (ToNetwork, 0, Uplink, false, false),
            (FromEndpoint, 5, Endpoint, true, false),
            (FromNetwork, 5, Uplink, false, false),
            (Drop, 5, Endpoint, true, false),
        ] {
            let traffic = TrafficDelta { hook, ingress_ifindex, ..SAMPLE };
            let mut flow = Flow { traffic: Some(traffic), ..Flow::empty(EventType::default()) };
            flow.source.endpoint = u16::from(from_endpoint);
            let kind_of = |ifindex| {
                assert_eq!(ifindex, ingress_ifindex);
                kind
            };
            assert_eq!(observed_before(&flow, kind_of), expected, "{hook:?} {ingress_ifindex} {kind:?}");
            assert!(!observed_before(&Flow { traffic: None, ..flow }, |_| kind), "another datapath");
        }
    }

    #[test]
    fn implausible_counts_do_not_overflow() {
        let traffic = TrafficDelta {
            hook: Hook::FromNetwork,
            answered_by: AnsweredBy::Local,
            ingress_ifindex: 2,
            packets: u64::MAX,
            bytes: u64::MAX,
            held_packets: 1,
            held_bytes: u64::MAX,
            ..SAMPLE
        };
        let counted = once_per_node(&traffic, EndKind::Other, EndKind::Other, InterfaceKind::Uplink);
        assert_eq!(counted, (u64::MAX, u64::MAX));
    }

    #[test]
    fn end_with_endpoint_is_local() {
        assert_eq!(EndKind::from(&End { endpoint: 1, ..End::default() }), EndKind::Endpoint);
        assert_eq!(EndKind::from(&End { identity: 1, ..End::default() }), EndKind::Other);
    }
}
