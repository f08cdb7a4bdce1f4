//! Each packet once per node: which of the hooks that a packet passes counts it for `hubble.flow.io`.

use eyepiece_wire::{Hook, InterfaceKind, Mark};

use crate::event::Meter;
use crate::flow::{End, Flow};

/// What is known of one end of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndKind {
    /// The address belongs to an endpoint of this machine.
    Endpoint,
    /// Everything else: this machine itself, or elsewhere.
    Other,
}

impl From<&End> for EndKind {
    fn from(end: &End) -> Self {
        if end.endpoint == 0 { Self::Other } else { Self::Endpoint }
    }
}

/// Packets and bytes of a meter that count here; (0, 0) where another hook counts them.
///
/// A packet counts at its source's endpoint if that is local, else at its destination's, else at the uplink that it
/// leaves or enters by. A tunnel's device is an uplink for what it carries; its outer packets, which this machine sends
/// or which end here, count nowhere. `ingress` is the kind of the interface with the meter's `ingress_ifindex`.
#[inline]
pub fn once_per_node(meter: &Meter, source: EndKind, destination: EndKind, ingress: InterfaceKind) -> (u64, u64) {
    if meter.hook == Hook::FromNetwork {
        // The endpoint's own hook counts what goes to it.
        return if destination == EndKind::Endpoint { (0, 0) } else { by_mark(meter) };
    }
    let at_source = counted_at_source(meter, source, ingress);
    // What came in by an uplink was counted there, or is of an endpoint.
    let at_uplink = meter.ingress_ifindex != 0 && ingress == InterfaceKind::Uplink;
    // Encapsulation takes the way in off a packet, and what comes out of a tunnel came in by its device. So of packets
    // that look like a tunnel's those that pass through are known when they leave: they were not counted before.
    let is_tunnel = meter.mark == Mark::Tunnel;
    let is_new = (!is_tunnel & !at_uplink) | (is_tunnel & (meter.ingress_ifindex != 0));
    // No short circuits: packets of all hooks are mixed, and a mispredicted branch costs more than these few bits.
    // A drop was counted, if at all, where the packet entered.
    let counts = (meter.hook == Hook::FromEndpoint)
        | ((meter.hook == Hook::ToEndpoint) & !at_source)
        | ((meter.hook == Hook::ToNetwork) & !at_source & is_new);
    if counts { (meter.packets, meter.bytes) } else { (0, 0) }
}

/// Whether a packet came in by an endpoint's interface, where it was counted.
///
/// An interface of another kind (an overlay's, a CNI's inner one) does not tell by itself: there the source's address
/// does. What this machine sends itself came in by none.
fn counted_at_source(meter: &Meter, source: EndKind, ingress: InterfaceKind) -> bool {
    meter.ingress_ifindex != 0
        && match ingress {
            InterfaceKind::Endpoint | InterfaceKind::EndpointBridge => true,
            InterfaceKind::Other => source == EndKind::Endpoint,
            InterfaceKind::Uplink => false,
        }
}

/// Whether a packet of our own datapath was observed before on this node: it leaves for an endpoint or an uplink, and came
/// in by an interface that is watched, the endpoint's that sent it or an uplink. `kind` looks up an interface's kind.
pub fn observed_before(flow: &Flow, kind: impl FnOnce(u32) -> InterfaceKind) -> bool {
    let leaves = |meter: &Meter| meter.ingress_ifindex != 0 && matches!(meter.hook, Hook::ToEndpoint | Hook::ToNetwork);
    flow.meter.as_ref().filter(|meter| leaves(meter)).is_some_and(|meter| {
        let ingress = kind(meter.ingress_ifindex);
        ingress == InterfaceKind::Uplink || counted_at_source(meter, EndKind::from(&flow.source), ingress)
    })
}

/// What came in by an uplink waits in the kernel until it is known who answers.
const fn by_mark(meter: &Meter) -> (u64, u64) {
    match meter.mark {
        // Held back: comes again as `held_packets`.
        Mark::Unknown => (0, 0),
        // Behind a translation was an endpoint: all of it, held or not, was counted there.
        Mark::Endpoint => (0, 0),
        // What is inside counts.
        Mark::Tunnel => (0, 0),
        // Kernel counters never reach 2^64; a broken source must not stop us.
        Mark::Local | Mark::Forwarded => {
            (meter.packets.saturating_add(meter.held_packets), meter.bytes.saturating_add(meter.held_bytes))
        }
    }
}

#[cfg(test)]
mod tests {
    use eyepiece_wire::{Hook, InterfaceKind, Mark};

    use super::{EndKind, observed_before, once_per_node};
    use crate::event::Meter;
    use crate::flow::{End, EventType, Flow};

    const NOTHING: (u64, u64) = (0, 0);
    const OWN: (u64, u64) = (3, 300);
    const ALL: (u64, u64) = (5, 520);

    #[test]
    fn one_hook_counts_a_packet() {
        use EndKind::{Endpoint as Local, Other as Remote};
        use Hook::{Drop, FromEndpoint, FromNetwork, ToEndpoint, ToNetwork};
        use InterfaceKind::{Endpoint, EndpointBridge, Other, Uplink};
        let unknown = Mark::Unknown;
        #[rustfmt::skip]
        let table = [
            // hook, mark, came in by, its kind, source, destination, expected
            (FromEndpoint, unknown, 5, Endpoint, Local, Remote, OWN),
            (FromEndpoint, unknown, 5, Endpoint, Local, Local, OWN),
            (FromEndpoint, unknown, 5, Endpoint, Remote, Local, OWN),
            (FromEndpoint, Mark::Endpoint, 5, Endpoint, Local, Remote, OWN),
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
            (FromNetwork, Mark::Endpoint, 2, Uplink, Remote, Remote, NOTHING),
            (FromNetwork, Mark::Local, 2, Uplink, Remote, Remote, ALL),
            (FromNetwork, Mark::Forwarded, 2, Uplink, Remote, Remote, ALL),
            (FromNetwork, unknown, 2, Uplink, Remote, Local, NOTHING),
            (FromNetwork, Mark::Local, 2, Uplink, Remote, Local, NOTHING),
            (FromNetwork, Mark::Forwarded, 2, Uplink, Remote, Local, NOTHING),
            // What a tunnel's device sends and what ends there; then what only looks like it and passes through.
            (ToNetwork, Mark::Tunnel, 0, Other, Remote, Remote, NOTHING),
            (FromNetwork, Mark::Tunnel, 2, Uplink, Remote, Remote, NOTHING),
            (FromNetwork, Mark::Tunnel, 2, Uplink, Remote, Local, NOTHING),
            (ToNetwork, Mark::Tunnel, 2, Uplink, Remote, Remote, OWN),
            (ToNetwork, Mark::Tunnel, 9, Other, Remote, Remote, OWN),
            (ToNetwork, Mark::Tunnel, 5, Endpoint, Local, Remote, NOTHING),
            (FromEndpoint, Mark::Tunnel, 5, Endpoint, Local, Remote, OWN),
            (ToEndpoint, Mark::Tunnel, 2, Uplink, Remote, Local, OWN),
            (Drop, unknown, 2, Uplink, Remote, Local, NOTHING),
            (Drop, Mark::Local, 0, Other, Remote, Remote, NOTHING),
        ];
        for (hook, mark, ingress_ifindex, ingress, source, destination, expected) in table {
            let meter = Meter {
                hook,
                mark,
                ifindex: 2,
                ingress_ifindex,
                packets: 3,
                bytes: 300,
                held_packets: 2,
                held_bytes: 220,
            };
            let counted = once_per_node(&meter, source, destination, ingress);
            assert_eq!(counted, expected, "{meter:?} from {source:?} to {destination:?} in by {ingress:?}");
        }
    }

    #[test]
    fn packet_is_observed_before_where_it_came_in() {
        use Hook::{Drop, FromEndpoint, FromNetwork, ToEndpoint, ToNetwork};
        use InterfaceKind::{Endpoint, EndpointBridge, Other, Uplink};
        for (hook, ingress_ifindex, kind, from_endpoint, expected) in [
            (ToEndpoint, 5, Endpoint, true, true),
            (ToEndpoint, 5, EndpointBridge, false, true),
            (ToEndpoint, 5, Uplink, false, true),
            // An overlay's inner device: the source's address tells.
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
            let meter = Meter {
                hook,
                mark: Mark::Unknown,
                ifindex: 2,
                ingress_ifindex,
                packets: 1,
                bytes: 60,
                held_packets: 0,
                held_bytes: 0,
            };
            let mut flow = Flow { meter: Some(meter), ..Flow::empty(EventType::default()) };
            flow.source.endpoint = u16::from(from_endpoint);
            let kind_of = |ifindex| {
                assert_eq!(ifindex, ingress_ifindex);
                kind
            };
            assert_eq!(observed_before(&flow, kind_of), expected, "{hook:?} {ingress_ifindex} {kind:?}");
            assert!(!observed_before(&Flow { meter: None, ..flow }, |_| kind), "another's datapath");
        }
    }

    #[test]
    fn absurd_counts_do_not_overflow() {
        let meter = Meter {
            hook: Hook::FromNetwork,
            mark: Mark::Local,
            ifindex: 2,
            ingress_ifindex: 2,
            packets: u64::MAX,
            bytes: u64::MAX,
            held_packets: 1,
            held_bytes: u64::MAX,
        };
        let counted = once_per_node(&meter, EndKind::Other, EndKind::Other, InterfaceKind::Uplink);
        assert_eq!(counted, (u64::MAX, u64::MAX));
    }

    #[test]
    fn an_end_with_an_endpoint_is_local() {
        assert_eq!(EndKind::from(&End { endpoint: 1, ..End::default() }), EndKind::Endpoint);
        assert_eq!(EndKind::from(&End { identity: 1, ..End::default() }), EndKind::Other);
    }
}
