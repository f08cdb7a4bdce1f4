//! Who a flow's ends are: filled in from one snapshot, without allocation, by one look-up per end.

use std::net::IpAddr;

use eyepiece_flow::debug_event::DebugEvent;
use eyepiece_flow::decode::direction;
use eyepiece_flow::event::Totals;
use eyepiece_flow::flow::{EVENT_DROP, End, Flow};
use eyepiece_wire::Hook;

use crate::metadata::{EndInfo, EndKind, IDENTITY_WORLD, Tables};

/// Observation point of packets that an endpoint receives (Cilium `pkg/monitor/api`, `TraceToLxc`).
const TO_ENDPOINT: u8 = 0;
/// Observation point of packets that an endpoint sends (`TraceFromLxc`).
const FROM_ENDPOINT: u8 = 5;

/// Fills in both ends, and the direction, which depends on them.
///
/// An end whose address nobody knows, or several have, is the event's own endpoint where one of our own hooks says so.
/// An identity that is set stays. A flow without addresses gets that end only. Events of another's datapath are filled
/// in as Hubble does it: by addresses alone, and an access-log record says itself who its ends are.
///
/// Returns true where the source sends from an address that is not known to be its own, or only learned: the caller
/// may tell the watcher of interfaces then.
#[inline]
pub fn enrich(flow: &mut Flow, tables: &Tables) -> bool {
    if flow.traffic.is_none() && flow.kernel_drop.is_none() {
        foreign(flow, tables);
        return false;
    }
    let (mut source, mut destination) = match &flow.ip {
        Some(ip) => (Some(tables.end(&ip.source)), Some(tables.end(&ip.destination))),
        None => (None, None),
    };
    let mut is_news = false;
    if flow.datapath_endpoint != 0 {
        match flow.observation_point {
            Some(FROM_ENDPOINT) => {
                let is_known = source.is_some_and(|end| end.kind != EndKind::World && !end.learned);
                is_news = source.is_some() && !is_known && flow.traffic.is_some();
                own(&mut source, flow.datapath_endpoint, tables);
            }
            Some(TO_ENDPOINT) => own(&mut destination, flow.datapath_endpoint, tables),
            // A drop says no side: only an address that several have can be settled by it.
            None if flow.event_type.kind == EVENT_DROP => {
                for end in [&mut source, &mut destination] {
                    if end.is_some_and(|end| end.shared) {
                        own(end, flow.datapath_endpoint, tables);
                    }
                }
            }
            _ => {}
        }
    }
    fill(&mut flow.source, source);
    fill(&mut flow.destination, destination);
    flow.direction = direction(flow);
    is_news
}

/// Fills in the ends of a flow of another's datapath.
fn foreign(flow: &mut Flow, tables: &Tables) {
    let Some(ip) = &flow.ip else {
        flow.direction = direction(flow);
        return;
    };
    for (end, address, is_absent) in [
        (&mut flow.source, ip.source, flow.no_source_address),
        (&mut flow.destination, ip.destination, flow.no_destination_address),
    ] {
        if is_absent {
            continue;
        }
        // To Hubble, an IPv4-mapped address is none of IPv4.
        let is_mapped = matches!(address, IpAddr::V6(address) if address.to_ipv4_mapped().is_some());
        let info = if is_mapped { tables.world() } else { tables.end(&address) };
        if flow.l7.is_none() {
            end.endpoint = info.endpoint;
            if end.identity == 0 {
                end.identity = tables.identity(&address, info);
            }
        }
        // That its address is not known does not make it the world: its identity says that.
        if info.kind != EndKind::World || end.identity == IDENTITY_WORLD {
            end.name = info.name;
        }
    }
    flow.direction = direction(flow);
}

/// Fills in the address of a socket event's own end, which only its control group tells. False: nobody knows the group,
/// or no address of the event's family in it.
#[inline]
pub fn socket(flow: &mut Flow, tables: &Tables) -> bool {
    let (Some(sock), Some(ip)) = (&flow.sock, &mut flow.ip) else { return true };
    let Some(address) = tables.control_group(sock.cgroup, ip.version) else { return false };
    if sock.point.is_reverse() {
        ip.destination = address;
        flow.no_destination_address = false;
    } else {
        ip.source = address;
        flow.no_source_address = false;
    }
    true
}

/// Fills in who a debug message's endpoint is.
pub fn debug(event: &mut DebugEvent, tables: &Tables) {
    if event.source.endpoint != 0 {
        event.source.name = tables.endpoint_name(event.source.endpoint);
        event.source.identity = tables.endpoint_identity(event.source.endpoint);
    }
}

/// Both ends of totals that no event carried, by the same rules as [`enrich`].
pub fn ends(totals: &Totals, tables: &Tables) -> (End, End) {
    let (mut source, mut destination) = match &totals.addresses {
        Some((source, destination)) => (Some(tables.end(source)), Some(tables.end(destination))),
        None => (None, None),
    };
    let endpoint = tables.interface(totals.traffic.ifindex).endpoint;
    if endpoint != 0 {
        match totals.traffic.hook {
            Hook::FromEndpoint => own(&mut source, endpoint, tables),
            Hook::ToEndpoint => own(&mut destination, endpoint, tables),
            Hook::FromNetwork | Hook::ToNetwork | Hook::Drop => {}
        }
    }
    let mut ends = (End::default(), End::default());
    fill(&mut ends.0, source);
    fill(&mut ends.1, destination);
    ends
}

/// The event's own endpoint takes an end that is nobody's, or that several could be.
#[inline]
fn own(end: &mut Option<EndInfo>, endpoint: u16, tables: &Tables) {
    if end.is_none_or(|end| end.kind == EndKind::World || end.shared) {
        let name = tables.endpoint_name(endpoint);
        let identity = tables.endpoint_identity(endpoint);
        *end = Some(EndInfo { endpoint, identity, name, kind: EndKind::Endpoint, shared: false, learned: false });
    }
}

#[inline]
fn fill(end: &mut End, info: Option<EndInfo>) {
    let Some(info) = info else { return };
    end.endpoint = info.endpoint;
    end.name = info.name;
    if end.identity == 0 {
        end.identity = info.identity;
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use eyepiece_flow::event::TrafficDelta;
    use eyepiece_flow::flow::{Direction, EVENT_DROP, EVENT_TRACE, EventType, Flow, Ip, Sock, TranslationPoint};
    use eyepiece_flow::interner::Symbols;
    use eyepiece_wire::{AnsweredBy, Hook, InterfaceKind};

    use super::{Tables, enrich, socket};
    use crate::metadata::InterfaceInfo;

    const NEW: Option<u8> = Some(0);
    const REPLY: Option<u8> = Some(2);
    const FROM: Option<u8> = Some(5);
    const TO: Option<u8> = Some(0);
    const FROM_NETWORK: Option<u8> = Some(10);

    fn tables(symbols: &Symbols) -> Tables {
        let mut tables = Tables::new(symbols);
        for (ifindex, endpoint, name) in [(7, 1, "a"), (8, 2, "b")] {
            let (name, kind) = (symbols.intern(name), InterfaceKind::Endpoint);
            tables.add_interface(ifindex, InterfaceInfo { name, kind, endpoint });
        }
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        tables.add_host(ip("192.0.2.1"));
        tables.add_endpoint_address(ip("10.0.0.1"), 1, false);
        tables.add_endpoint_address(ip("10.0.0.2"), 2, false);
        tables.add_endpoint_address(ip("fe80::1"), 1, false);
        tables.add_endpoint_address(ip("fe80::1"), 2, false);
        tables.add_endpoint_address(ip("10.9.9.9"), 2, true);
        tables
    }

    fn flow(kind: u8, point: Option<u8>, reason: Option<u8>, endpoint: u16, ends: Option<(&str, &str)>) -> Flow {
        let mut flow = Flow::empty(EventType { kind, subtype: point.unwrap_or(0) });
        flow.observation_point = point;
        flow.trace_reason = reason;
        flow.datapath_endpoint = endpoint;
        flow.ip = ends.map(|(source, destination)| Ip {
            source: source.parse().unwrap(),
            source_translated: None,
            destination: destination.parse().unwrap(),
            version: 4,
        });
        flow.traffic = Some(TrafficDelta {
            hook: Hook::FromEndpoint,
            mark: AnsweredBy::Unknown,
            ifindex: 7,
            ingress_ifindex: 0,
            packets: 1,
            bytes: 60,
            held_packets: 0,
            held_bytes: 0,
        });
        flow
    }

    #[test]
    fn ends_and_direction() {
        use Direction::{Egress, Ingress, Unknown};
        let symbols = Symbols::default();
        let tables = tables(&symbols);
        let ends = |source, destination| Some((source, destination));
        for (row, (flow, source, destination, direction, is_news)) in [
            // From an endpoint, by its own address, and the answer at its other hook.
            (flow(EVENT_TRACE, FROM, NEW, 1, ends("10.0.0.1", "9.9.9.9")), "1 a 0", "0 world 2", Egress, false),
            (flow(EVENT_TRACE, TO, REPLY, 1, ends("9.9.9.9", "10.0.0.1")), "0 world 2", "1 a 0", Egress, false),
            (flow(EVENT_TRACE, TO, NEW, 2, ends("10.0.0.1", "10.0.0.2")), "1 a 0", "2 b 0", Ingress, false),
            (flow(EVENT_TRACE, FROM, REPLY, 2, ends("10.0.0.2", "192.0.2.1")), "2 b 0", "0 host 1", Ingress, false),
            // Addresses that nobody knows belong to the endpoint of the event, at its side.
            (flow(EVENT_TRACE, FROM, NEW, 2, ends("10.7.7.7", "9.9.9.9")), "2 b 0", "0 world 2", Egress, true),
            (flow(EVENT_TRACE, TO, NEW, 2, ends("9.9.9.9", "10.7.7.7")), "0 world 2", "2 b 0", Ingress, false),
            (flow(EVENT_TRACE, FROM, NEW, 2, ends("10.9.9.9", "10.7.7.7")), "2 b 0", "0 world 2", Egress, true),
            // Those that several have, too.
            (flow(EVENT_TRACE, FROM, NEW, 2, ends("fe80::1", "ff02::1")), "2 b 0", "0 world 2", Egress, false),
            (flow(EVENT_TRACE, TO, NEW, 2, ends("fe80::9", "fe80::1")), "0 world 2", "2 b 0", Ingress, false),
            (flow(EVENT_DROP, None, None, 2, ends("fe80::1", "9.9.9.9")), "2 b 0", "0 world 2", Egress, false),
            (flow(EVENT_DROP, None, None, 2, ends("9.9.9.9", "10.0.0.2")), "0 world 2", "2 b 0", Ingress, false),
            (flow(EVENT_DROP, None, None, 2, ends("9.9.9.9", "8.8.8.8")), "0 world 2", "0 world 2", Ingress, false),
            // Another's address at an endpoint's hook stays the other's.
            (flow(EVENT_TRACE, FROM, NEW, 2, ends("10.0.0.1", "9.9.9.9")), "1 a 0", "0 world 2", Ingress, false),
            // At an uplink no endpoint is meant.
            (
                flow(EVENT_TRACE, FROM_NETWORK, NEW, 0, ends("9.9.9.9", "10.0.0.1")),
                "0 world 2",
                "1 a 0",
                Unknown,
                false,
            ),
            // Without addresses only the endpoint's own side is known.
            (flow(EVENT_TRACE, FROM, NEW, 1, None), "1 a 0", "0  0", Egress, false),
            (flow(EVENT_TRACE, TO, NEW, 1, None), "0  0", "1 a 0", Ingress, false),
        ]
        .into_iter()
        .enumerate()
        {
            let mut flow = flow;
            let news = enrich(&mut flow, &tables);
            let text =
                |end: eyepiece_flow::flow::End| format!("{} {} {}", end.endpoint, symbols.text(end.name), end.identity);
            let found = (text(flow.source), text(flow.destination), flow.direction, news);
            assert_eq!(found, (source.into(), destination.into(), direction, is_news), "row {row}");
        }
    }

    #[test]
    fn identities_that_are_set_stay() {
        let symbols = Symbols::default();
        let mut flow = flow(EVENT_TRACE, FROM, NEW, 1, Some(("10.0.0.1", "9.9.9.9")));
        flow.source.identity = 4711;
        flow.destination.identity = 6;
        enrich(&mut flow, &tables(&symbols));
        assert_eq!((flow.source.identity, flow.destination.identity), (4711, 6));
    }

    #[test]
    fn other_sources_teach_nothing() {
        let symbols = Symbols::default();
        let mut flow = flow(EVENT_TRACE, FROM, NEW, 1, Some(("10.7.7.7", "9.9.9.9")));
        flow.traffic = None;
        assert!(!enrich(&mut flow, &tables(&symbols)));
    }

    #[test]
    fn of_another_datapath_addresses_alone_count() {
        use Direction::{Egress, Ingress};
        let symbols = Symbols::default();
        let mut tables = tables(&symbols);
        tables.add_prefix("10.7.0.0".parse().unwrap(), 16, 4711);
        tables.add_prefix("10.0.0.2".parse().unwrap(), 32, 4712);
        tables.set_endpoint_identity(1, 1001);
        let text =
            |end: eyepiece_flow::flow::End| format!("{} {} {}", end.endpoint, symbols.text(end.name), end.identity);
        for (source, destination, ends, direction) in [
            ("10.0.0.1", "10.7.7.7", ["1 a 1001", "0  4711"], Egress),
            // The hook's endpoint is not put in the place of an address that nobody knows.
            ("10.9.9.8", "10.0.0.1", ["0  0", "1 a 1001"], Ingress),
            ("192.0.2.1", "10.0.0.2", ["0 host 1", "2 b 0"], Ingress),
        ] {
            let mut flow = flow(EVENT_TRACE, FROM, NEW, 1, Some((source, destination)));
            flow.traffic = None;
            assert!(!enrich(&mut flow, &tables));
            assert_eq!([text(flow.source), text(flow.destination)], ends, "{source}");
            assert_eq!(flow.direction, direction, "{source}");
        }
        let mut flow = flow(EVENT_TRACE, FROM, NEW, 1, Some(("10.0.0.1", "9.9.9.9")));
        (flow.traffic, flow.source.identity, flow.destination.identity) = (None, 5, 2);
        enrich(&mut flow, &tables);
        assert_eq!([text(flow.source), text(flow.destination)], ["1 a 5", "0 world 2"]);
    }

    #[test]
    fn sockets_are_known_by_their_control_group() {
        let symbols = Symbols::default();
        let mut tables = tables(&symbols);
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        tables.add_control_group(9001, [address("10.0.0.1"), address("fe80::7"), address("10.0.0.9")]);
        for (cgroup, point, version, expected) in [
            (9001, 1, 4, Some(("10.0.0.1", "9.9.9.9"))),
            (9001, 4, 4, Some(("9.9.9.9", "10.0.0.1"))),
            (9001, 2, 6, Some(("fe80::7", "9.9.9.9"))),
            (9002, 1, 4, None),
        ] {
            let mut flow = flow(7, None, None, 0, Some(("9.9.9.9", "9.9.9.9")));
            let point = TranslationPoint::from_number(point);
            flow.sock = Some(Sock { point, cookie: 1, cgroup });
            flow.traffic = None;
            (flow.no_source_address, flow.no_destination_address) = (!point.is_reverse(), point.is_reverse());
            flow.ip.as_mut().unwrap().version = version;
            assert_eq!(socket(&mut flow, &tables), expected.is_some());
            if let Some((source, destination)) = expected {
                let ip = flow.ip.unwrap();
                assert_eq!((ip.source, ip.destination), (address(source), address(destination)));
                assert!(!flow.no_source_address && !flow.no_destination_address);
            }
        }
    }
}
