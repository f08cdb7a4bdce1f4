//! The outer packets of tunnel devices: IP protocol, and UDP port if there is one.
//!
//! Attributes: Linux `include/uapi/linux/if_link.h`; protocols: IANA's protocol numbers.

use eyepiece_flow::protocol;
use eyepiece_wire::Tunnel;

use super::netlink::Attributes;

/// `IFLA_VXLAN_PORT`.
const VXLAN_PORT: u16 = 15;
/// `IFLA_GENEVE_PORT`.
const GENEVE_PORT: u16 = 5;
/// `IFLA_BAREUDP_PORT`.
const BAREUDP_PORT: u16 = 1;
/// `IFLA_AMT_RELAY_PORT` and `IFLA_AMT_GATEWAY_PORT`: packets go to either side's port.
const AMT_PORTS: [u16; 2] = [2, 3];

/// The outer packets of a device of this kind (`IFLA_INFO_KIND`); `data` is its `IFLA_INFO_DATA`, with ports in network
/// byte order. Empty for other devices, and for those whose outer packets cannot be recognised: netlink does not have
/// WireGuard's port, and behind a tun device is a process.
pub fn outer(kind: &str, data: &[u8]) -> Vec<Tunnel> {
    let protocols = |list: &[u8]| list.iter().map(|&protocol| Tunnel { port: 0, protocol, pad: 0 }).collect();
    match kind {
        "vxlan" => ports(data, &[VXLAN_PORT]),
        "geneve" => ports(data, &[GENEVE_PORT]),
        "bareudp" => ports(data, &[BAREUDP_PORT]),
        "amt" => ports(data, &AMT_PORTS),
        "ipip" => protocols(&[protocol::IPV4]),
        "sit" => protocols(&[protocol::IPV6]),
        // Either protocol may be inside, by its mode.
        "ip6tnl" => protocols(&[protocol::IPV4, protocol::IPV6]),
        "gre" | "gretap" | "erspan" | "ip6gre" | "ip6gretap" | "ip6erspan" => protocols(&[protocol::GRE]),
        "xfrm" | "vti" | "vti6" => protocols(&[protocol::ESP]),
        _ => Vec::new(),
    }
}

fn ports(data: &[u8], wanted: &[u16]) -> Vec<Tunnel> {
    let port = |(kind, value): (u16, &[u8])| {
        let port = u16::from_be_bytes(value.try_into().ok()?);
        (wanted.contains(&kind) && port != 0).then_some(Tunnel { port, protocol: protocol::UDP, pad: 0 })
    };
    Attributes::new(data).filter_map(port).collect()
}

#[cfg(test)]
mod tests {
    use eyepiece_wire::Tunnel;

    use super::outer;
    use crate::source::datapath::links::netlink::Request;

    #[test]
    fn outer_packets_by_kind() {
        let data = Request::nested(&[
            (1, &6635_u16.to_be_bytes()),
            (2, &2268_u16.to_be_bytes()),
            (3, &2269_u16.to_be_bytes()),
            (5, &6081_u16.to_be_bytes()),
            (15, &8472_u16.to_be_bytes()),
        ]);
        for (kind, expected) in [
            ("vxlan", &[(17, 8472)][..]),
            ("geneve", &[(17, 6081)]),
            ("bareudp", &[(17, 6635)]),
            ("amt", &[(17, 2268), (17, 2269)]),
            ("ipip", &[(4, 0)]),
            ("sit", &[(41, 0)]),
            ("ip6tnl", &[(4, 0), (41, 0)]),
            ("gre", &[(47, 0)]),
            ("gretap", &[(47, 0)]),
            ("erspan", &[(47, 0)]),
            ("ip6gre", &[(47, 0)]),
            ("ip6gretap", &[(47, 0)]),
            ("ip6erspan", &[(47, 0)]),
            ("xfrm", &[(50, 0)]),
            ("vti", &[(50, 0)]),
            ("vti6", &[(50, 0)]),
            ("wireguard", &[]),
            ("tun", &[]),
            ("veth", &[]),
        ] {
            let expected: Vec<_> = expected.iter().map(|&(protocol, port)| Tunnel { port, protocol, pad: 0 }).collect();
            assert_eq!(outer(kind, &data), expected, "{kind}");
        }
    }

    #[test]
    fn invalid_ports_are_left_out() {
        for data in [vec![], Request::nested(&[(15, &[0, 0])]), Request::nested(&[(15, &[1])]), vec![6, 0, 15, 0, 1]] {
            assert_eq!(outer("vxlan", &data), [], "{data:?}");
        }
    }
}
