//! The role of an interface: endpoint, uplink, or ignored, and why.
//!
//! A packet is counted once per node. So an interface that only forwards what another one of this namespace sees is
//! ignored: bridges and VLANs. A tunnel device is an uplink for its inner packets; its outer packets are no traffic of
//! their own (see `tunnel`). A bond or team counts as one uplink, its ports do not: only the master sees both
//! directions of a connection, and thus its opener.

use super::glob::{Admission, Filter, admission};
use super::link_info::LinkInfo;

/// The role of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// The host side of a pair whose other side lives in another network namespace.
    Endpoint,
    /// Packets enter and leave the machine here.
    Uplink,
    /// Not watched.
    Ignored(Ignored),
}

/// The reason for ignoring an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ignored {
    /// An exclude pattern matches its name.
    Excluded,
    /// No include pattern matches its name.
    NotIncluded,
    /// Loopback.
    Loopback,
    /// A bridge or virtual switch: its ports see the packets.
    Bridge,
    /// A routing domain: its members see the packets.
    Vrf,
    /// A port of a bond or team: the master sees the packets.
    BondPort,
    /// A pair with both sides in this namespace: its packets stay here.
    PeerHere,
    /// Stands on another interface of this namespace, which sees the same packets: VLAN, macvlan, ipvlan …
    Stacked,
    /// Not the machine's own IP traffic: dummies, mirrors, monitors, other kinds of networks.
    NoTraffic,
}

impl Ignored {
    /// The reason in a few words, for logs and the status.
    pub const fn why(self) -> &'static str {
        match self {
            Self::Excluded => "excluded by name",
            Self::NotIncluded => "not included by name",
            Self::Loopback => "loopback",
            Self::Bridge => "bridge: counted at its ports",
            Self::Vrf => "VRF: counted at its members",
            Self::BondPort => "port of a bond: counted at the bond",
            Self::PeerHere => "both sides of the pair are in this namespace",
            Self::Stacked => "stands on another interface: counted there",
            Self::NoTraffic => "carries no traffic of the machine",
        }
    }
}

/// `ARPHRD_*` of devices that carry no IP traffic: CAN, AX.25's netrom, IEEE 802.11 monitors, netlink monitors,
/// vsock monitors (Linux `include/uapi/linux/if_arp.h`).
const NO_IP_HARDWARE: [u16; 6] = [280, 0, 802, 803, 824, 826];

/// The role of an interface; a pure function of its arguments.
pub fn classify(info: &LinkInfo, filter: &Filter) -> Role {
    match admission(filter, &info.name) {
        Admission::Excluded => return Role::Ignored(Ignored::Excluded),
        Admission::NotIncluded => return Role::Ignored(Ignored::NotIncluded),
        Admission::Admitted => {}
    }
    if info.flags & libc::IFF_LOOPBACK.cast_unsigned() != 0 || info.hardware == libc::ARPHRD_LOOPBACK {
        return Role::Ignored(Ignored::Loopback);
    }
    if matches!(info.slave_kind.as_deref(), Some("bond" | "team")) {
        return Role::Ignored(Ignored::BondPort);
    }
    if NO_IP_HARDWARE.contains(&info.hardware) {
        return Role::Ignored(Ignored::NoTraffic);
    }
    // The interface below is in another namespace, so no other hook here sees the packets.
    let lower_is_elsewhere = info.link_netns.is_some();
    match info.kind.as_deref() {
        Some("veth" | "netkit") if lower_is_elsewhere => Role::Endpoint,
        Some("veth" | "netkit" | "vxcan") => Role::Ignored(Ignored::PeerHere),
        Some("bridge" | "openvswitch") => Role::Ignored(Ignored::Bridge),
        Some("vrf") => Role::Ignored(Ignored::Vrf),
        Some("dummy" | "ifb" | "nlmon" | "vsockmon" | "vcan" | "netdevsim") => Role::Ignored(Ignored::NoTraffic),
        // Their packets leave inside others, or encrypted, so they are visible here only. They may name the interface
        // of their outer packets, but do not stand on it.
        Some(
            "vxlan" | "geneve" | "gre" | "gretap" | "erspan" | "ip6gre" | "ip6gretap" | "ip6erspan" | "ipip" | "sit"
            | "ip6tnl" | "bareudp" | "amt" | "wireguard" | "tun" | "ppp" | "xfrm" | "vti" | "vti6" | "ovpn",
        ) => Role::Uplink,
        Some("bond" | "team") | None => Role::Uplink,
        Some(_) if info.link.is_some() && !lower_is_elsewhere => Role::Ignored(Ignored::Stacked),
        Some(_) => Role::Uplink,
    }
}

/// Returns whether packets of this interface have no link-layer header.
///
/// `ARPHRD_ETHER` and loopback are the only types with Ethernet's header that a tc program meets here; for all others
/// (`ARPHRD_NONE` of tun and wireguard, `ARPHRD_PPP`, tunnels, `ARPHRD_RAWIP`) it finds the IP header first.
pub const fn is_l3_device(hardware: u16) -> bool {
    hardware != libc::ARPHRD_ETHER && hardware != libc::ARPHRD_LOOPBACK
}

#[cfg(test)]
mod tests {
    use super::Ignored::{BondPort, Bridge, Excluded, Loopback, NoTraffic, NotIncluded, PeerHere, Stacked, Vrf};
    use super::Role::{Endpoint, Ignored, Uplink};
    use super::{Role, classify, is_l3_device};
    use crate::source::datapath::links::glob::Filter;
    use crate::source::datapath::links::link_info::LinkInfo;
    use crate::source::datapath::links::netlink::Request;

    const ETHERNET: u16 = 1;

    fn info(name: &str, kind: Option<&str>) -> LinkInfo {
        LinkInfo {
            ifindex: 9,
            hardware: ETHERNET,
            name: name.into(),
            kind: kind.map(Into::into),
            ..LinkInfo::default()
        }
    }

    fn here(info: LinkInfo) -> LinkInfo {
        LinkInfo { link: Some(2), ..info }
    }

    fn elsewhere(info: LinkInfo) -> LinkInfo {
        LinkInfo { link: Some(2), link_netns: Some(Some(0)), ..info }
    }

    fn port(of: &str, info: LinkInfo) -> LinkInfo {
        LinkInfo { master: Some(3), slave_kind: Some(of.into()), ..info }
    }

    fn hardware(hardware: u16, info: LinkInfo) -> LinkInfo {
        LinkInfo { hardware, ..info }
    }

    #[test]
    fn roles_follow_kind_and_peer() {
        let filter = Filter { exclude: vec!["no*".into()], ..Filter::default() };
        let unnamed = LinkInfo { link_netns: Some(None), ..here(info("veth1", Some("veth"))) };
        let rows: Vec<(LinkInfo, Role)> = vec![
            (elsewhere(info("veth1", Some("veth"))), Endpoint),
            (elsewhere(info("nk1", Some("netkit"))), Endpoint),
            (port("bridge", elsewhere(info("veth1", Some("veth")))), Endpoint),
            (port("vrf", elsewhere(info("veth1", Some("veth")))), Endpoint),
            (unnamed, Endpoint),
            (here(info("veth1", Some("veth"))), Ignored(PeerHere)),
            (info("veth1", Some("veth")), Ignored(PeerHere)),
            (here(info("nk1", Some("netkit"))), Ignored(PeerHere)),
            (elsewhere(info("noveth", Some("veth"))), Ignored(Excluded)),
            (info("eth0", None), Uplink),
            (port("bridge", info("eth0", None)), Uplink),
            (port("bond", info("eth0", None)), Ignored(BondPort)),
            (port("team", info("eth0", None)), Ignored(BondPort)),
            (port("bond", elsewhere(info("veth1", Some("veth")))), Ignored(BondPort)),
            (info("bond0", Some("bond")), Uplink),
            (port("bridge", info("bond0", Some("bond"))), Uplink),
            (info("team0", Some("team")), Uplink),
            (hardware(772, LinkInfo { flags: 8, ..info("lo", None) }), Ignored(Loopback)),
            (hardware(772, info("lo", None)), Ignored(Loopback)),
            (info("docker0", Some("bridge")), Ignored(Bridge)),
            (info("br-0a1b2c", Some("bridge")), Ignored(Bridge)),
            (info("cni0", Some("bridge")), Ignored(Bridge)),
            (info("ovs-system", Some("openvswitch")), Ignored(Bridge)),
            (info("blue", Some("vrf")), Ignored(Vrf)),
            (info("dummy0", Some("dummy")), Ignored(NoTraffic)),
            (info("ifb0", Some("ifb")), Ignored(NoTraffic)),
            (hardware(824, info("nlmon0", Some("nlmon"))), Ignored(NoTraffic)),
            (hardware(280, info("can0", None)), Ignored(NoTraffic)),
            (hardware(803, info("mon0", None)), Ignored(NoTraffic)),
            (here(info("eth0.7", Some("vlan"))), Ignored(Stacked)),
            (here(info("mv0", Some("macvlan"))), Ignored(Stacked)),
            (here(info("mt0", Some("macvtap"))), Ignored(Stacked)),
            (here(info("iv0", Some("ipvlan"))), Ignored(Stacked)),
            (here(info("ms0", Some("macsec"))), Ignored(Stacked)),
            (elsewhere(info("eth0", Some("macvlan"))), Uplink),
            (elsewhere(info("eth0", Some("ipvlan"))), Uplink),
            (elsewhere(info("eth0", Some("vlan"))), Uplink),
            (info("vxlan.calico", Some("vxlan")), Uplink),
            (here(info("flannel.1", Some("vxlan"))), Uplink),
            (info("genev_sys_6081", Some("geneve")), Uplink),
            (hardware(768, info("tunl0", Some("ipip"))), Uplink),
            (hardware(776, info("sit0", Some("sit"))), Uplink),
            (hardware(65534, info("tun0", Some("tun"))), Uplink),
            (info("tap0", Some("tun")), Uplink),
            (hardware(65534, info("wg0", Some("wireguard"))), Uplink),
            (hardware(512, info("ppp0", Some("ppp"))), Uplink),
            (here(hardware(65534, info("ipsec0", Some("xfrm")))), Uplink),
            (hardware(519, info("rmnet0", Some("new-in-7.2"))), Uplink),
            (here(info("sub0", Some("new-in-7.2"))), Ignored(Stacked)),
        ];
        for (info, expected) in rows {
            assert_eq!(classify(&info, &filter), expected, "{info:?}");
        }
    }

    #[test]
    fn name_patterns_come_first() {
        let filter = Filter { include: vec!["eth*".into()], exclude: vec!["eth9".into(), "lo".into()] };
        for (name, expected) in [("eth0", Uplink), ("eth9", Ignored(Excluded)), ("wlan0", Ignored(NotIncluded))] {
            assert_eq!(classify(&info(name, None), &filter), expected, "{name}");
        }
        assert_eq!(classify(&hardware(772, info("lo", None)), &filter), Ignored(Excluded));
    }

    /// `RTM_NEWLINK` of a netkit pair's host side as Linux 6.7 `drivers/net/netkit.c` (`netkit_fill_info`) and
    /// `rtnl_fill_ifinfo` write it: not every kernel has netkit.
    #[test]
    fn netkit_host_side_is_endpoint() {
        let data = Request::nested(&[
            (2, &[1]),                 // IFLA_NETKIT_PRIMARY
            (3, &0_u32.to_ne_bytes()), // IFLA_NETKIT_POLICY: pass
            (5, &1_u32.to_ne_bytes()), // IFLA_NETKIT_MODE: L3
            (4, &0_u32.to_ne_bytes()), // IFLA_NETKIT_PEER_POLICY
        ]);
        let info = Request::nested(&[(1, b"netkit\0"), (2 | 0x8000, &data)]);
        // AF_UNSPEC, ARPHRD_ETHER, index 12, IFF_UP | IFF_BROADCAST | IFF_RUNNING | IFF_NOARP | IFF_LOWER_UP.
        let mut bytes = vec![0, 0, 1, 0, 12, 0, 0, 0, 0xc3, 0, 1, 0, 0, 0, 0, 0];
        bytes.extend(Request::nested(&[
            (3, b"lxc4a1b2c3d\0"),
            (13, &1000_u32.to_ne_bytes()),
            (4, &1500_u32.to_ne_bytes()),
            (1, &[0; 6]),
            (5, &2_u32.to_ne_bytes()),
            (37, &4_i32.to_ne_bytes()),
            (18 | 0x8000, &info),
        ]));
        let info = LinkInfo::parse(&bytes).unwrap();
        assert_eq!((info.ifindex, info.name.as_str(), info.kind.as_deref()), (12, "lxc4a1b2c3d", Some("netkit")));
        assert_eq!((info.link, info.link_netns), (Some(2), Some(Some(4))));
        assert_eq!(classify(&info, &Filter::default()), Endpoint);
    }

    #[test]
    fn l3_devices_follow_hardware_type() {
        for (hardware, expected) in [(1, false), (772, false), (65534, true), (512, true), (519, true), (768, true)] {
            assert_eq!(is_l3_device(hardware), expected, "{hardware}");
        }
    }
}
