//! Checks whether the host reaches an address through an endpoint: by routes, or by a bridge's neighbours and ports.

use std::net::IpAddr;

use libc::{NLM_F_ACK, NLM_F_REQUEST, RTM_GETNEIGH, RTM_GETROUTE, RTM_NEWNEIGH, RTM_NEWROUTE};

use super::netlink::{Attributes, Message, NDMSG, RTMSG, Request, u32_at};
use super::requests::{RequestError, Requests};

/// Requests the matching route itself, with its prefix (Linux `include/uapi/linux/rtnetlink.h`).
const RTM_F_FIB_MATCH: u32 = 0x2000;
const RTA_DST: u16 = 1;
const RTA_OIF: u16 = 4;
const RTA_GATEWAY: u16 = 5;
/// Linux `include/uapi/linux/neighbour.h`.
const NDA_DST: u16 = 1;
const NDA_LLADDR: u16 = 2;
const NDA_MASTER: u16 = 9;

/// A source address of an endpoint's packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RouteCheck {
    /// The endpoint's interface.
    pub ifindex: u32,
    /// The packet's source.
    pub address: IpAddr,
    /// The bridge that the interface is a port of.
    pub bridge: Option<u32>,
}

/// The needed fields of a route.
#[derive(Debug, Default, PartialEq, Eq)]
struct Route {
    /// Length of its prefix, bits.
    prefix: u8,
    /// `RTN_UNICAST` and its like.
    kind: u8,
    /// The interface that packets leave by; `None` if there are several.
    ifindex: Option<u32>,
    /// The next hop; `None` if the destination itself is on the link.
    gateway: Option<IpAddr>,
}

/// Returns whether the host's route to the address leads to the endpoint: by its interface, or by its bridge and the
/// neighbour's port. A default route confirms nothing: it leads everywhere.
///
/// # Errors
/// See [`RequestError`]. A missing route, neighbour or port is no error.
pub fn confirm(requests: &mut Requests, check: &RouteCheck) -> Result<bool, RequestError> {
    let Some(route) = route(requests, check.address)? else { return Ok(false) };
    if route.prefix == 0 || route.kind != libc::RTN_UNICAST {
        return Ok(false);
    }
    match (route.ifindex, check.bridge) {
        (Some(ifindex), _) if ifindex == check.ifindex => Ok(true),
        (Some(ifindex), Some(bridge)) if ifindex == bridge => {
            let next = route.gateway.unwrap_or(check.address);
            let Some(link_layer) = neighbour(requests, bridge, next)? else { return Ok(false) };
            Ok(port(requests, bridge, &link_layer)? == Some(check.ifindex))
        }
        _ => Ok(false),
    }
}

fn route(requests: &mut Requests, address: IpAddr) -> Result<Option<Route>, RequestError> {
    let bytes = octets(address);
    let mut fixed = [0; RTMSG];
    (fixed[0], fixed[1]) = (family(address), if address.is_ipv4() { 32 } else { 128 });
    fixed[8..].copy_from_slice(&RTM_F_FIB_MATCH.to_ne_bytes());
    let request = Request::new(RTM_GETROUTE, acknowledged(), &fixed).attribute(RTA_DST, &bytes);
    first(requests, &request, |message| if message.kind == RTM_NEWROUTE { parse_route(message.payload) } else { None })
}

/// Parses the payload of `RTM_NEWROUTE`.
fn parse_route(payload: &[u8]) -> Option<Route> {
    let mut route = Route { prefix: *payload.get(1)?, kind: *payload.get(7)?, ..Route::default() };
    for (kind, value) in Attributes::after_header(payload, RTMSG) {
        match kind {
            RTA_OIF => route.ifindex = u32_at(value, 0),
            RTA_GATEWAY => route.gateway = address(value),
            _ => {}
        }
    }
    Some(route)
}

/// The link-layer address of a neighbour at an interface.
fn neighbour(requests: &mut Requests, ifindex: u32, address: IpAddr) -> Result<Option<Vec<u8>>, RequestError> {
    let request = Request::new(RTM_GETNEIGH, acknowledged(), &ndmsg(family(address), ifindex));
    first(requests, &request.attribute(NDA_DST, &octets(address)), |message| {
        let mut attributes = Attributes::after_header(message.payload, NDMSG);
        let found = attributes.find(|&(kind, _)| kind == NDA_LLADDR).map(|(_, value)| value.to_vec());
        found.filter(|_| message.kind == RTM_NEWNEIGH)
    })
}

/// The port of a bridge that a link-layer address is behind.
fn port(requests: &mut Requests, bridge: u32, link_layer: &[u8]) -> Result<Option<u32>, RequestError> {
    let request = Request::new(RTM_GETNEIGH, acknowledged(), &ndmsg(libc::AF_BRIDGE as u8, 0))
        .attribute(NDA_MASTER, &bridge.to_ne_bytes())
        .attribute(NDA_LLADDR, link_layer);
    first(requests, &request, |message| u32_at(message.payload, 4).filter(|_| message.kind == RTM_NEWNEIGH))
}

/// The first answer; `None` if the kernel refuses, which means not found.
fn first<T>(
    requests: &mut Requests,
    request: &Request,
    pick: impl FnMut(&Message<'_>) -> Option<T>,
) -> Result<Option<T>, RequestError> {
    match requests.list(request, pick) {
        Ok(found) => Ok(found.into_iter().next()),
        Err(RequestError::Refused { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// `struct ndmsg`.
fn ndmsg(family: u8, ifindex: u32) -> [u8; NDMSG] {
    let mut fixed = [0; NDMSG];
    fixed[0] = family;
    fixed[4..8].copy_from_slice(&ifindex.to_ne_bytes());
    fixed
}

const fn family(address: IpAddr) -> u8 {
    // Both values fit.
    (if address.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 }) as u8
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().into(),
        IpAddr::V6(address) => address.octets().into(),
    }
}

fn address(octets: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(octets).ok().map(IpAddr::from);
    v4.or_else(|| <[u8; 16]>::try_from(octets).ok().map(IpAddr::from))
}

/// Request flags all fit into the header's 16 bits.
const fn acknowledged() -> u16 {
    (NLM_F_REQUEST | NLM_F_ACK) as u16
}

#[cfg(test)]
mod tests {
    use super::{RTA_GATEWAY, RTA_OIF, Route, parse_route};
    use crate::source::datapath::links::netlink::Request;

    #[test]
    fn route_message_gives_interface_and_gateway() {
        let mut bytes = vec![2, 24, 0, 0, 254, 3, 0, 1, 0, 0, 0, 0];
        assert_eq!(parse_route(&bytes), Some(Route { prefix: 24, kind: 1, ifindex: None, gateway: None }));
        bytes.extend(Request::nested(&[(RTA_OIF, &7_u32.to_ne_bytes()), (RTA_GATEWAY, &[10, 0, 0, 1])]));
        let gateway = Some([10, 0, 0, 1].into());
        assert_eq!(parse_route(&bytes), Some(Route { prefix: 24, kind: 1, ifindex: Some(7), gateway }));
        assert_eq!(parse_route(&bytes[..7]), None, "truncated");
    }
}
