//! Names the ends of flows by the entities of providers.

use std::net::IpAddr;

use eyepiece_flow::event::{Totals, TrafficDelta};
use eyepiece_flow::flow::{End, Flow, L4};
use eyepiece_flow::interner::Symbol;
use eyepiece_flow::protocol;
use eyepiece_wire::Hook;

use crate::metadata::{EntityLink, IDENTITY_HOST, IDENTITY_WORLD, NameSnapshot};

/// The keys of an end's entity.
#[derive(Clone, Copy, Debug, Default)]
struct Hints<'a> {
    /// 0 = none.
    endpoint: u16,
    address: Option<&'a IpAddr>,
    /// Port and protocol.
    service: Option<(u16, u8)>,
    /// The control group of the end's socket; 0 = unknown.
    control_group: u64,
    /// The process of the end's socket; 0 = unknown.
    process: u64,
    /// The datapath knows no identities: that of the world is as good as none.
    is_identity_ours: bool,
}

/// Names both ends of a flow, whose endpoints are known. Returns whether no provider names one of the endpoints.
#[inline]
pub(super) fn name_flow(flow: &mut Flow, names: &NameSnapshot) -> bool {
    if names.has_no_entities() {
        return flow.source.endpoint != 0 || flow.destination.endpoint != 0;
    }
    let addresses = flow.ip.as_ref().map(|ip| (&ip.source, &ip.destination));
    let is_ours = flow.traffic.is_some() || flow.kernel_drop.is_some();
    let (mut source, mut destination) = hints(addresses, service(&flow.l4), is_ours);
    (source.endpoint, destination.endpoint) = (flow.source.endpoint, flow.destination.endpoint);
    if flow.l7.is_some() {
        // A record has endpoints of its own. As in Hubble, its names are those of the addresses.
        let at =
            |address: Option<&IpAddr>| address.map_or(0, |address| names.links().end_at(address, flow.time).endpoint);
        (source.endpoint, destination.endpoint) = (at(source.address), at(destination.address));
    }
    if flow.no_source_address {
        source.address = None;
    }
    if flow.no_destination_address {
        destination.address = None;
    }
    if let Some(sock) = &flow.sock {
        let own = if sock.point.is_reverse() { &mut destination } else { &mut source };
        own.control_group = sock.cgroup;
    }
    if let Some(traffic) = &flow.traffic {
        by_socket(traffic, (&flow.source, &mut source), (&flow.destination, &mut destination));
    }
    // Both are named.
    name(&mut flow.source, source, names) | name(&mut flow.destination, destination, names)
}

/// Names both ends of totals, as [`name_flow`].
pub(super) fn name_totals(totals: &Totals, from: &mut End, to: &mut End, names: &NameSnapshot) -> bool {
    if names.has_no_entities() {
        return from.endpoint != 0 || to.endpoint != 0;
    }
    let addresses = totals.addresses.as_ref().map(|(source, destination)| (source, destination));
    let transport = &totals.transport;
    let service = (transport.protocol, transport.ports);
    let (mut source, mut destination) = hints(addresses, Some(service), true);
    (source.endpoint, destination.endpoint) = (from.endpoint, to.endpoint);
    by_socket(&totals.traffic, (from, &mut source), (to, &mut destination));
    name(from, source, names) | name(to, destination, names)
}

/// Why a local end of a flow has no entity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unnamed {
    /// No provider has an entry for the endpoint's network namespace, nor for the end's address.
    UnknownEndpoint,
    /// The host's end, of which no socket was seen.
    NoSocket,
    /// The host's end, whose socket's control group and process no provider knows.
    UnknownControlGroup,
}

impl Unnamed {
    /// The reasons, as metrics have them.
    pub const NAMES: [&'static str; 3] = ["unknown_endpoint", "no_socket", "unknown_control_group"];
}

/// Why the local ends of a flow of the datapath, source and destination, have no entity; `None` for one that has, and
/// while no provider has any entry.
#[inline]
pub fn unnamed(flow: &Flow, names: &NameSnapshot) -> [Option<Unnamed>; 2] {
    let Some(traffic) = &flow.traffic else { return [None; 2] };
    if flow.source.entity != 0 && flow.destination.entity != 0 || names.has_no_entities() {
        return [None; 2];
    }
    let has_socket = traffic.cgroup != 0 || traffic.process != 0;
    let why = |end: &End, is_own| match (end.endpoint, end.identity) {
        _ if end.entity != 0 => None,
        (1.., _) => Some(Unnamed::UnknownEndpoint),
        (0, IDENTITY_HOST) if is_own && has_socket => Some(Unnamed::UnknownControlGroup),
        (0, IDENTITY_HOST) => Some(Unnamed::NoSocket),
        _ => None,
    };
    let is_source = traffic.is_sent_here();
    [why(&flow.source, is_source), why(&flow.destination, !is_source)]
}

/// Adds control group and process of the machine's own socket at one end. The process of a drop may be that which listens
/// at the packet's port: it counts if the address is the machine's.
#[inline]
fn by_socket<'a>(traffic: &TrafficDelta, source: (&End, &mut Hints<'a>), destination: (&End, &mut Hints<'a>)) {
    let (end, hints) = if traffic.is_sent_here() { source } else { destination };
    hints.control_group = traffic.cgroup;
    if traffic.hook != Hook::Drop || end.identity == IDENTITY_HOST {
        hints.process = traffic.process;
    }
}

/// Names the end of an event that has its endpoint only.
pub(super) fn name_endpoint(end: &mut End, names: &NameSnapshot) {
    name(end, Hints { endpoint: end.endpoint, ..Hints::default() }, names);
}

/// Protocol and ports of a transport that has services.
const fn service(l4: &L4) -> Option<(u8, (u16, u16))> {
    match *l4 {
        L4::Tcp { source_port, destination_port, .. } => Some((protocol::TCP, (source_port, destination_port))),
        L4::Udp { source_port, destination_port } => Some((protocol::UDP, (source_port, destination_port))),
        L4::Sctp { source_port, destination_port, .. } => Some((protocol::SCTP, (source_port, destination_port))),
        _ => None,
    }
}

#[inline]
fn hints<'a>(
    addresses: Option<(&'a IpAddr, &'a IpAddr)>,
    service: Option<(u8, (u16, u16))>,
    is_identity_ours: bool,
) -> (Hints<'a>, Hints<'a>) {
    let (from, to) = addresses.unzip();
    let mut source = Hints { address: from, is_identity_ours, ..Hints::default() };
    let mut destination = Hints { address: to, is_identity_ours, ..Hints::default() };
    if let Some((protocol, (source_port, destination_port))) = service {
        source.service = Some((source_port, protocol));
        destination.service = Some((destination_port, protocol));
    }
    (source, destination)
}

/// Sets name and entity of an end, and the identity if the datapath gave none. Returns whether it is an endpoint that no
/// provider names by its network namespace: an address may still be that of its former owner.
#[inline]
fn name(end: &mut End, hints: Hints<'_>, names: &NameSnapshot) -> bool {
    let of_endpoint = if hints.endpoint == 0 { None } else { names.entity_of_endpoint(hints.endpoint) };
    let is_unnamed = of_endpoint.is_none() && hints.endpoint != 0;
    let Some(EntityLink { entity, name, identity }) = of_endpoint.or_else(|| find(end, hints, names)) else {
        return is_unnamed;
    };
    end.entity = entity;
    if name != Symbol::EMPTY {
        end.name = name;
    }
    let is_unknown = end.identity == 0 || hints.is_identity_ours && end.identity == IDENTITY_WORLD;
    if identity != 0 && is_unknown {
        end.identity = identity;
    }
    is_unnamed
}

/// Finds the entity of an end by its control group or address, else by the identity that its datapath gave it.
#[inline]
fn find(end: &End, hints: Hints<'_>, names: &NameSnapshot) -> Option<EntityLink> {
    let Hints { endpoint, address, service, control_group, process, is_identity_ours } = hints;
    if endpoint != 0 {
        return names.entity_at_address_of(endpoint, address?, service);
    }
    let at_address = || match address? {
        // Hubble does not treat an IPv4-mapped address as IPv4.
        IpAddr::V6(mapped) if !is_identity_ours && mapped.to_ipv4_mapped().is_some() => {
            names.entity_in_prefix(&IpAddr::V6(*mapped))
        }
        address => names.entity_at_address(address, service),
    };
    let found = names.entity_of_socket(control_group, process).or_else(at_address);
    if found.is_some() || is_identity_ours { found } else { names.entity_of_identity(end.identity) }
}

#[cfg(test)]
mod tests;
