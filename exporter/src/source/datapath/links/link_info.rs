//! Decodes `RTM_NEWLINK` and `RTM_NEWADDR` messages of the kernel.
//!
//! Unknown attributes are skipped, so messages of newer kernels decode as well.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use libc::{
    IFA_ADDRESS, IFA_LOCAL, IFLA_ADDRESS, IFLA_IFNAME, IFLA_INFO_DATA, IFLA_INFO_KIND, IFLA_INFO_SLAVE_KIND, IFLA_LINK,
    IFLA_LINK_NETNSID, IFLA_LINKINFO, IFLA_MASTER, IFLA_MTU,
};

use eyepiece_wire::Tunnel;

use super::netlink::{Attributes, IFADDRMSG, IFINFOMSG, i32_at, text, u16_at, u32_at};
use super::tunnel;

/// An interface as a `RTM_NEWLINK` message describes it (Linux `net/core/rtnetlink.c`, `rtnl_fill_ifinfo`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LinkInfo {
    /// `ifi_index`.
    pub ifindex: u32,
    /// `ifi_type`: an `ARPHRD_*` number.
    pub hardware: u16,
    /// `ifi_flags`: `IFF_*` bits.
    pub flags: u32,
    /// `IFLA_IFNAME`.
    pub name: String,
    /// `IFLA_ADDRESS`; `None` unless it has six bytes.
    pub mac: Option<[u8; 6]>,
    /// `IFLA_MTU`, bytes.
    pub mtu: u32,
    /// `IFLA_LINK`: the peer of a pair, or the interface that this one stands on.
    pub link: Option<u32>,
    /// `IFLA_LINK_NETNSID`: the namespace of `link`, if it is another one; the inner `None` if it has no id in ours.
    pub link_netns: Option<Option<i32>>,
    /// `IFLA_MASTER`: the bridge, bond … that this one is a port of.
    pub master: Option<u32>,
    /// `IFLA_INFO_KIND`: `veth`, `bridge` …; `None` for physical devices and loopback.
    pub kind: Option<String>,
    /// Outer packets, if it is a tunnel device.
    pub tunnels: Vec<Tunnel>,
    /// `IFLA_INFO_SLAVE_KIND`: `bridge`, `bond` …: the kind of the master.
    pub slave_kind: Option<String>,
}

impl LinkInfo {
    /// Parses the payload of `RTM_NEWLINK` or `RTM_DELLINK`.
    ///
    /// Returns `None` without an index, and for families other than `AF_UNSPEC`: a bridge reports its ports by the same
    /// types, and a port that leaves it is not a removed interface.
    pub fn parse(payload: &[u8]) -> Option<Self> {
        let family = *payload.first()?;
        let mut info = Self {
            hardware: u16_at(payload, 2)?,
            ifindex: u32_at(payload, 4)?,
            flags: u32_at(payload, 8)?,
            ..Self::default()
        };
        if i32::from(family) != libc::AF_UNSPEC || info.ifindex == 0 || payload.len() < IFINFOMSG {
            return None;
        }
        for (kind, value) in Attributes::after_header(payload, IFINFOMSG) {
            match kind {
                IFLA_IFNAME => info.name = text(value),
                IFLA_ADDRESS => info.mac = value.try_into().ok(),
                IFLA_MTU => info.mtu = u32_at(value, 0).unwrap_or_default(),
                IFLA_LINK => info.link = u32_at(value, 0).filter(|&link| link != 0),
                // The kernel writes −1 if the namespace cannot be given an id.
                IFLA_LINK_NETNSID => info.link_netns = Some(i32_at(value, 0).filter(|&id| id >= 0)),
                IFLA_MASTER => info.master = u32_at(value, 0).filter(|&master| master != 0),
                IFLA_LINKINFO => info.read_info(value),
                _ => {}
            }
        }
        Some(info)
    }

    fn read_info(&mut self, info: &[u8]) {
        let mut data: &[u8] = &[];
        for (kind, value) in Attributes::new(info) {
            match kind {
                IFLA_INFO_DATA => data = value,
                IFLA_INFO_KIND => self.kind = Some(text(value)),
                IFLA_INFO_SLAVE_KIND => self.slave_kind = Some(text(value)),
                _ => {}
            }
        }
        self.tunnels = self.kind.as_deref().map_or_else(Vec::new, |kind| tunnel::outer(kind, data));
    }
}

/// Parses the payload of `RTM_NEWADDR`: interface index and address. `None` for families other than IPv4 and IPv6.
pub fn parse_address(payload: &[u8]) -> Option<(u32, IpAddr)> {
    let family = i32::from(*payload.first()?);
    let ifindex = u32_at(payload, 4)?;
    let mut found = None;
    for (kind, value) in Attributes::after_header(payload, IFADDRMSG) {
        let address = match (family, kind) {
            (libc::AF_INET, IFA_ADDRESS | IFA_LOCAL) => {
                value.try_into().ok().map(|octets: [u8; 4]| IpAddr::V4(Ipv4Addr::from(octets)))
            }
            (libc::AF_INET6, IFA_ADDRESS | IFA_LOCAL) => {
                value.try_into().ok().map(|octets: [u8; 16]| IpAddr::V6(Ipv6Addr::from(octets)))
            }
            _ => None,
        };
        // On point-to-point links `IFA_ADDRESS` is the far end's. IPv6 omits `IFA_LOCAL`, the own one, if both are
        // equal.
        if address.is_some() && (kind == IFA_LOCAL || found.is_none()) {
            found = address;
        }
    }
    found.map(|address| (ifindex, address))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{LinkInfo, parse_address};
    use crate::source::datapath::links::netlink::Request;

    /// `struct ifinfomsg` for Ethernet, up and running, and attributes.
    fn link(family: u8, attributes: &[(u16, &[u8])]) -> Vec<u8> {
        let mut bytes = vec![family, 0, 1, 0, 7, 0, 0, 0, 0x43, 0x10, 1, 0, 0, 0, 0, 0];
        bytes.extend(Request::nested(attributes));
        bytes
    }

    #[test]
    fn veth_peer_elsewhere_is_parsed() {
        let info = Request::nested(&[(1, b"veth\0"), (4, b"bridge\0"), (99, b"?")]);
        let bytes = link(
            0,
            &[
                (3, b"veth7\0"),
                (4, &1500_u32.to_ne_bytes()),
                (5, &2_u32.to_ne_bytes()),
                (10, &3_u32.to_ne_bytes()),
                (1, &[2, 0, 0, 0, 0, 9]),
                (18, &info),
                (37, &0_i32.to_ne_bytes()),
                (4000, b"from the future"),
            ],
        );
        let expected = LinkInfo {
            ifindex: 7,
            hardware: 1,
            flags: 0x11043,
            name: "veth7".into(),
            mac: Some([2, 0, 0, 0, 0, 9]),
            mtu: 1500,
            link: Some(2),
            link_netns: Some(Some(0)),
            master: Some(3),
            kind: Some("veth".into()),
            tunnels: vec![],
            slave_kind: Some("bridge".into()),
        };
        assert_eq!(LinkInfo::parse(&bytes), Some(expected));
    }

    #[test]
    fn bridge_port_message_is_no_interface() {
        assert!(LinkInfo::parse(&link(0, &[])).is_some());
        assert_eq!(LinkInfo::parse(&link(7, &[(3, b"veth7\0")])), None, "AF_BRIDGE");
    }

    #[test]
    fn odd_attribute_lengths_are_tolerated() {
        let bytes = link(0, &[(37, &(-1_i32).to_ne_bytes()), (1, &[0; 20]), (5, &[0; 4]), (4, &[1])]);
        let info = LinkInfo::parse(&bytes).unwrap();
        assert_eq!((info.link_netns, info.mac, info.link, info.mtu), (Some(None), None, None, 0));
        for length in 0..16 {
            assert_eq!(LinkInfo::parse(&bytes[..length]), None, "{length}");
        }
    }

    #[test]
    fn address_messages_are_parsed() {
        let message = |family: u8, attributes: &[(u16, &[u8])]| {
            let mut bytes = vec![family, 24, 0, 0, 9, 0, 0, 0];
            bytes.extend(Request::nested(attributes));
            bytes
        };
        let v6 = [0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7];
        for (bytes, expected) in [
            (message(2, &[(1, &[10, 0, 0, 2]), (2, &[10, 0, 0, 1])]), Some("10.0.0.1")),
            (message(2, &[(2, &[10, 0, 0, 1]), (1, &[10, 0, 0, 2])]), Some("10.0.0.1")),
            (message(2, &[(1, &[10, 0, 0, 2])]), Some("10.0.0.2")),
            (message(10, &[(1, &v6)]), Some("fd00::7")),
            (message(10, &[(1, &[1, 2, 3, 4])]), None),
            (message(2, &[]), None),
            (message(7, &[(1, &[10, 0, 0, 2])]), None),
            (vec![2], None),
        ] {
            let expected = expected.map(|text| (9, text.parse().unwrap()));
            assert_eq!(parse_address(&bytes), expected, "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_give_link_or_none(bytes in proptest::collection::vec(any::<u8>(), 0..256)) {
            let info = LinkInfo::parse(&bytes);
            prop_assert!(info.is_none_or(|info| info.ifindex != 0));
            prop_assert!(parse_address(&bytes).is_none_or(|_| bytes.len() > 12));
        }
    }
}
