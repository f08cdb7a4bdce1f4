//! Fills in the ends of flows from one snapshot of names, without allocation, by one look-up for each end.

mod entity;

pub use entity::{Unnamed, unnamed};

use std::net::IpAddr;

use eyepiece_flow::debug_event::DebugEvent;
use eyepiece_flow::decode::direction;
use eyepiece_flow::event::Totals;
use eyepiece_flow::flow::{Direction, EVENT_DROP, End, Flow};
use eyepiece_wire::Hook;

use crate::metadata::{EndInfo, EndKind, IDENTITY_WORLD, LinkTables, NameSnapshot};

/// Observation point of packets that an endpoint receives (Cilium `pkg/monitor/api`, `TraceToLxc`).
const TO_ENDPOINT: u8 = 0;
/// Observation point of packets that an endpoint sends (`TraceFromLxc`).
const FROM_ENDPOINT: u8 = 5;

/// Results of the enrichment of a flow that its caller acts on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Enriched {
    /// The source sends from an address that is not known as its own, or only learned: the watcher of interfaces may be
    /// notified.
    pub is_new_address: bool,
    /// No provider names an endpoint of the flow by its network namespace. Only of flows of our own datapath.
    pub has_unnamed_endpoint: bool,
}

/// Fills in both ends, and the direction, which depends on them. Entities name ends that have one.
///
/// An end with an unknown, shared or only learned address is the event's own endpoint, if one of our hooks determines the side. An
/// identity that is set stays. A flow without addresses gets that end only. Events of another datapath are filled in
/// as in Hubble: by addresses alone. An access-log record has its ends already.
#[inline]
pub fn enrich(flow: &mut Flow, names: &NameSnapshot) -> Enriched {
    let links = &**names.links();
    if flow.traffic.is_none() && flow.kernel_drop.is_none() {
        foreign(flow, links);
        entity::name_flow(flow, names);
        return Enriched::default();
    }
    let (mut source, mut destination) = match &flow.ip {
        Some(ip) => (Some(links.end_at(&ip.source, flow.time)), Some(links.end_at(&ip.destination, flow.time))),
        None => (None, None),
    };
    let mut is_new_address = false;
    if flow.datapath_endpoint != 0 {
        match flow.observation_point {
            Some(FROM_ENDPOINT) => {
                let is_known = source.is_some_and(|end| end.kind != EndKind::World && !end.learned);
                is_new_address = source.is_some() && !is_known && flow.traffic.is_some();
                set_own_endpoint(&mut source, flow.datapath_endpoint, links);
            }
            Some(TO_ENDPOINT) => set_own_endpoint(&mut destination, flow.datapath_endpoint, links),
            // A drop has no side, so it only settles a shared address, unless the endpoint is the other end.
            None if flow.event_type.kind == EVENT_DROP => {
                let endpoint = flow.datapath_endpoint;
                let is_own = |end: &Option<EndInfo>| end.is_some_and(|end| end.endpoint == endpoint && !end.shared);
                let is_other = [is_own(&destination), is_own(&source)];
                for (end, is_other) in [&mut source, &mut destination].into_iter().zip(is_other) {
                    if !is_other && end.is_some_and(|end| end.shared) {
                        set_own_endpoint(end, endpoint, links);
                    }
                }
            }
            _ => {}
        }
    }
    fill(&mut flow.source, source);
    fill(&mut flow.destination, destination);
    flow.direction = direction(flow);
    Enriched { is_new_address, has_unnamed_endpoint: entity::name_flow(flow, names) }
}

/// Names the ends of a flow again; an older snapshot named them first. Its endpoints stay. An end without one is the endpoint
/// that sent from its address (`senders`, 0 = none), if the address is listed there by now.
pub fn rename(flow: &mut Flow, senders: [u16; 2], names: &NameSnapshot) {
    let (source, destination) = flow.ip.as_ref().map(|ip| (&ip.source, &ip.destination)).unzip();
    reset(&mut flow.source, source, senders[0], names.links());
    reset(&mut flow.destination, destination, senders[1], names.links());
    flow.direction = direction(flow);
    entity::name_flow(flow, names);
}

/// Names the ends of totals anew, as [`rename`].
pub fn rename_totals(totals: &Totals, ends: &mut TotalsEnds, senders: [u16; 2], names: &NameSnapshot) {
    let (source, destination) = totals.addresses.as_ref().map(|(source, destination)| (source, destination)).unzip();
    reset(&mut ends.source, source, senders[0], names.links());
    reset(&mut ends.destination, destination, senders[1], names.links());
    entity::name_totals(totals, &mut ends.source, &mut ends.destination, names);
}

/// Replaces the name and identity that an older snapshot gave an end.
fn reset(end: &mut End, address: Option<&IpAddr>, sender: u16, links: &LinkTables) {
    let endpoint = end.endpoint;
    let info = match address.map(|address| links.end(address)) {
        _ if endpoint != 0 => EndInfo { endpoint, name: links.endpoint_name(endpoint), ..EndInfo::default() },
        Some(info) if info.endpoint == 0 => info,
        Some(info) if info.endpoint == sender => info,
        // Another endpoint that has the address now did not have it then.
        Some(_) => links.world(),
        None => return,
    };
    *end = End::default();
    fill(end, Some(info));
}

/// Fills in the ends of a flow of another datapath.
fn foreign(flow: &mut Flow, links: &LinkTables) {
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
        // Hubble does not treat an IPv4-mapped address as IPv4.
        let is_mapped = matches!(address, IpAddr::V6(address) if address.to_ipv4_mapped().is_some());
        let info = if is_mapped { links.world() } else { links.end_at(&address, flow.time) };
        if flow.l7.is_none() {
            end.endpoint = info.endpoint;
            if end.identity == 0 && info.kind != EndKind::World {
                end.identity = info.identity;
            }
        }
        // An end with an unknown address is the world only by its identity.
        if info.kind != EndKind::World || end.identity == IDENTITY_WORLD {
            end.name = info.name;
        }
    }
    flow.direction = direction(flow);
}

/// Fills in the address of a socket event's own end, by its control group. Returns false if the group, or an address of
/// the event's family in it, is unknown.
#[inline]
pub fn socket(flow: &mut Flow, names: &NameSnapshot) -> bool {
    let (Some(sock), Some(ip)) = (&flow.sock, &mut flow.ip) else { return true };
    let Some(address) = names.address_of_control_group(sock.cgroup, ip.version) else { return false };
    if sock.point.is_reverse() {
        ip.destination = address;
        flow.no_destination_address = false;
    } else {
        ip.source = address;
        flow.no_source_address = false;
    }
    true
}

/// Fills in the endpoint of a debug message.
pub fn debug(event: &mut DebugEvent, names: &NameSnapshot) {
    if event.source.endpoint != 0 {
        event.source.name = names.links().endpoint_name(event.source.endpoint);
        entity::name_endpoint(&mut event.source, names);
    }
}

/// The ends of totals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TotalsEnds {
    /// The source.
    pub source: End,
    /// The destination.
    pub destination: End,
    /// The direction of the connection, as that of its flows.
    pub direction: Direction,
}

/// Returns the ends of totals, by the rules of [`enrich`], and whether no provider names one of their endpoints.
pub fn ends(totals: &Totals, names: &NameSnapshot) -> (TotalsEnds, bool) {
    let links = &**names.links();
    let (mut source, mut destination) = match &totals.addresses {
        Some((source, destination)) => (Some(links.end(source)), Some(links.end(destination))),
        None => (None, None),
    };
    let endpoint = links.interface(totals.traffic.ifindex).endpoint;
    if endpoint != 0 {
        match totals.traffic.hook {
            Hook::FromEndpoint => set_own_endpoint(&mut source, endpoint, links),
            Hook::ToEndpoint => set_own_endpoint(&mut destination, endpoint, links),
            Hook::FromNetwork | Hook::ToNetwork | Hook::Drop => {}
        }
    }
    let mut ends = (End::default(), End::default());
    fill(&mut ends.0, source);
    fill(&mut ends.1, destination);
    let has_unnamed_endpoint = entity::name_totals(totals, &mut ends.0, &mut ends.1, names);
    let (source, destination) = ends;
    let direction = match endpoint {
        0 => Direction::Unknown,
        _ if (source.endpoint == endpoint) != totals.transport.is_reply => Direction::Egress,
        _ => Direction::Ingress,
    };
    (TotalsEnds { source, destination, direction }, has_unnamed_endpoint)
}

/// Sets an end with an unknown, shared or only learned address to the event's own endpoint.
#[inline]
fn set_own_endpoint(end: &mut Option<EndInfo>, endpoint: u16, links: &LinkTables) {
    if end.is_none_or(|end| end.kind == EndKind::World || end.shared || end.learned) {
        let name = links.endpoint_name(endpoint);
        *end = Some(EndInfo { endpoint, name, kind: EndKind::Endpoint, ..EndInfo::default() });
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

    use eyepiece_flow::flow::{Direction, EVENT_DROP, EVENT_TRACE, EventType, Flow, Ip};
    use eyepiece_flow::interner::Symbols;
    use eyepiece_tests::sample;
    use eyepiece_wire::{Hook, InterfaceKind};

    use super::{Enriched, LinkTables, enrich};
    use crate::metadata::{InterfaceInfo, NameSnapshot};

    /// When all packets pass.
    const TIME: u64 = 1_700_000_000_000_000_000;
    const NEW: Option<u8> = Some(0);
    const REPLY: Option<u8> = Some(2);
    const FROM: Option<u8> = Some(5);
    const TO: Option<u8> = Some(0);
    const FROM_NETWORK: Option<u8> = Some(10);

    fn links(symbols: &Symbols) -> LinkTables {
        let mut links = LinkTables::new(symbols);
        for (ifindex, endpoint, name) in [(7, 1, "a"), (8, 2, "b")] {
            let (name, kind) = (symbols.intern(name), InterfaceKind::Endpoint);
            links.add_interface(ifindex, InterfaceInfo { name, kind, endpoint });
        }
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        links.add_host(ip("192.0.2.1"));
        links.add_endpoint_address(ip("10.0.0.1"), 1, false);
        links.add_endpoint_address(ip("10.0.0.2"), 2, false);
        links.add_endpoint_address(ip("fe80::1"), 1, false);
        links.add_endpoint_address(ip("fe80::1"), 2, false);
        links.add_endpoint_address(ip("10.9.9.9"), 2, true);
        links.add_retired_address(ip("10.9.9.8"), 1, TIME - 2);
        links.add_retired_address(ip("10.9.9.8"), 2, TIME - 1);
        links.add_retired_address(ip("10.9.9.7"), 2, TIME);
        links.add_retired_address(ip("10.0.0.1"), 2, TIME);
        links
    }

    fn flow(kind: u8, point: Option<u8>, reason: Option<u8>, endpoint: u16, ends: Option<(&str, &str)>) -> Flow {
        let mut flow = Flow::empty(EventType { kind, subtype: point.unwrap_or(0) });
        flow.time = TIME;
        flow.observation_point = point;
        flow.trace_reason = reason;
        flow.datapath_endpoint = endpoint;
        flow.ip = ends.map(|(source, destination)| Ip {
            source: source.parse().unwrap(),
            source_translated: None,
            destination: destination.parse().unwrap(),
            version: 4,
        });
        flow.traffic = Some(sample::traffic(Hook::FromEndpoint, (7, 0), (1, 60)));
        flow
    }

    #[test]
    fn ends_and_direction_follow_hooks() {
        use Direction::{Egress, Ingress, Unknown};
        let symbols = Symbols::default();
        let names = NameSnapshot::from(links(&symbols));
        let ends = |source, destination| Some((source, destination));
        for (row, (flow, source, destination, direction, is_new_address)) in [
            // From an endpoint with its own address, and the reply at its other hook.
            (flow(EVENT_TRACE, FROM, NEW, 1, ends("10.0.0.1", "9.9.9.9")), "1 a 0", "0 world 2", Egress, false),
            (flow(EVENT_TRACE, TO, REPLY, 1, ends("9.9.9.9", "10.0.0.1")), "0 world 2", "1 a 0", Egress, false),
            (flow(EVENT_TRACE, TO, NEW, 2, ends("10.0.0.1", "10.0.0.2")), "1 a 0", "2 b 0", Ingress, false),
            (flow(EVENT_TRACE, FROM, REPLY, 2, ends("10.0.0.2", "192.0.2.1")), "2 b 0", "0 host 1", Ingress, false),
            // So are addresses that another endpoint only sent from, and those of an endpoint that was removed.
            (flow(EVENT_TRACE, FROM, NEW, 1, ends("10.9.9.9", "9.9.9.9")), "1 a 0", "0 world 2", Egress, true),
            (flow(EVENT_TRACE, TO, NEW, 1, ends("9.9.9.9", "10.9.9.8")), "0 world 2", "1 a 0", Ingress, false),
            // For its peers it is unknown, after the removal.
            (flow(EVENT_TRACE, TO, NEW, 1, ends("10.9.9.8", "10.0.0.1")), "0 world 2", "1 a 0", Ingress, false),
            (flow(EVENT_TRACE, TO, NEW, 1, ends("10.9.9.7", "10.0.0.1")), "2 b 0", "1 a 0", Ingress, false),
            // Unknown addresses belong to the endpoint of the event, on its side.
            (flow(EVENT_TRACE, FROM, NEW, 2, ends("10.7.7.7", "9.9.9.9")), "2 b 0", "0 world 2", Egress, true),
            (flow(EVENT_TRACE, TO, NEW, 2, ends("9.9.9.9", "10.7.7.7")), "0 world 2", "2 b 0", Ingress, false),
            (flow(EVENT_TRACE, FROM, NEW, 2, ends("10.9.9.9", "10.7.7.7")), "2 b 0", "0 world 2", Egress, true),
            // Shared addresses as well.
            (flow(EVENT_TRACE, FROM, NEW, 2, ends("fe80::1", "ff02::1")), "2 b 0", "0 world 2", Egress, false),
            (flow(EVENT_TRACE, TO, NEW, 2, ends("fe80::9", "fe80::1")), "0 world 2", "2 b 0", Ingress, false),
            (flow(EVENT_DROP, None, None, 2, ends("fe80::1", "9.9.9.9")), "2 b 0", "0 world 2", Egress, false),
            (flow(EVENT_DROP, None, None, 2, ends("9.9.9.9", "10.0.0.2")), "0 world 2", "2 b 0", Ingress, false),
            (flow(EVENT_DROP, None, None, 2, ends("fe80::1", "10.0.0.2")), "1 a 0", "2 b 0", Ingress, false),
            (flow(EVENT_DROP, None, None, 2, ends("9.9.9.9", "8.8.8.8")), "0 world 2", "0 world 2", Ingress, false),
            // An address of another endpoint stays with that endpoint.
            (flow(EVENT_TRACE, FROM, NEW, 2, ends("10.0.0.1", "9.9.9.9")), "1 a 0", "0 world 2", Ingress, false),
            // An uplink has no endpoint.
            (
                flow(EVENT_TRACE, FROM_NETWORK, NEW, 0, ends("9.9.9.9", "10.0.0.1")),
                "0 world 2",
                "1 a 0",
                Unknown,
                false,
            ),
            // Without addresses only the endpoint's side is known.
            (flow(EVENT_TRACE, FROM, NEW, 1, None), "1 a 0", "0  0", Egress, false),
            (flow(EVENT_TRACE, TO, NEW, 1, None), "0  0", "1 a 0", Ingress, false),
        ]
        .into_iter()
        .enumerate()
        {
            let mut flow = flow;
            let is_new = enrich(&mut flow, &names).is_new_address;
            let text =
                |end: eyepiece_flow::flow::End| format!("{} {} {}", end.endpoint, symbols.text(end.name), end.identity);
            let found = (text(flow.source), text(flow.destination), flow.direction, is_new);
            assert_eq!(found, (source.into(), destination.into(), direction, is_new_address), "row {row}");
        }
    }

    #[test]
    fn given_identities_stay() {
        let symbols = Symbols::default();
        let mut flow = flow(EVENT_TRACE, FROM, NEW, 1, Some(("10.0.0.1", "9.9.9.9")));
        flow.source.identity = 4711;
        flow.destination.identity = 6;
        enrich(&mut flow, &links(&symbols).into());
        assert_eq!((flow.source.identity, flow.destination.identity), (4711, 6));
    }

    #[test]
    fn other_sources_have_no_new_addresses() {
        let symbols = Symbols::default();
        let mut flow = flow(EVENT_TRACE, FROM, NEW, 1, Some(("10.7.7.7", "9.9.9.9")));
        flow.traffic = None;
        assert_eq!(enrich(&mut flow, &links(&symbols).into()), Enriched::default());
    }

    #[test]
    fn other_datapaths_use_addresses_alone() {
        use Direction::{Egress, Ingress};
        let symbols = Symbols::default();
        let names = NameSnapshot::from(links(&symbols));
        let text =
            |end: eyepiece_flow::flow::End| format!("{} {} {}", end.endpoint, symbols.text(end.name), end.identity);
        for (source, destination, ends, direction) in [
            ("10.0.0.1", "10.7.7.7", ["1 a 0", "0  0"], Egress),
            // The hook's endpoint does not replace an unknown address.
            ("10.9.9.8", "10.0.0.1", ["0  0", "1 a 0"], Ingress),
            ("192.0.2.1", "10.0.0.2", ["0 host 1", "2 b 0"], Ingress),
        ] {
            let mut flow = flow(EVENT_TRACE, FROM, NEW, 1, Some((source, destination)));
            flow.traffic = None;
            assert_eq!(enrich(&mut flow, &names), Enriched::default());
            assert_eq!([text(flow.source), text(flow.destination)], ends, "{source}");
            assert_eq!(flow.direction, direction, "{source}");
        }
        let mut flow = flow(EVENT_TRACE, FROM, NEW, 1, Some(("10.0.0.1", "9.9.9.9")));
        (flow.traffic, flow.source.identity, flow.destination.identity) = (None, 5, 2);
        enrich(&mut flow, &names);
        assert_eq!([text(flow.source), text(flow.destination)], ["1 a 5", "0 world 2"]);
    }
}
