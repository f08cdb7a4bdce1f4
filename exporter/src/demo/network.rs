//! The demo's hosts and the node between them: links, addresses and routes, by netlink.
//!
//! ```text
//!  client: eth0 ── client ┐                10.0.1.2, fd01::2
//!     web: eth0 ── web    ┤ node           10.0.2.2, fd02::2
//!     dns: eth0 ── dns    ┘                10.0.3.2, fd03::2
//! ```

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::AsRawFd as _;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use nix::net::if_::if_nametoindex;

use super::namespace::{Inside, Namespace};
use crate::source::datapath::links::netlink::{Attributes, IFINFOMSG, Message, Request, u16_at};
use crate::source::datapath::links::requests::{RequestError, Requests};

/// Name of a host's own interface.
const DEVICE: &str = "eth0";

/// Settings of every namespace, so that only the demo's traffic is on the wire: no duplicate address detection, router
/// solicitations or link-local addresses; group reports at once; no limit on ICMP errors.
const QUIET: &[(&str, &str)] = &[
    ("ipv6/conf/default/accept_dad", "0"),
    ("ipv6/conf/default/accept_ra", "0"),
    ("ipv6/conf/default/router_solicitations", "0"),
    ("ipv6/conf/default/addr_gen_mode", "1"),
    ("ipv6/conf/default/mldv1_unsolicited_report_interval", "1"),
    ("ipv6/conf/default/mldv2_unsolicited_report_interval", "1"),
    ("ipv6/mld_qrv", "1"),
    ("ipv4/icmp_ratelimit", "0"),
    ("ipv6/icmp/ratelimit", "0"),
];

/// Settings of the node: it is a router.
const FORWARDING: &[(&str, &str)] = &[("ipv4/ip_forward", "1"), ("ipv6/conf/all/forwarding", "1")];

/// The hosts, in the order of their numbers.
pub(super) const NAMES: [&str; 3] = ["client", "web", "dns"];

/// The node and its hosts; its drop removes them.
#[derive(Debug)]
pub(super) struct Network {
    /// Runs eyepiece.
    pub(super) node: Namespace,
    /// Starts the traffic.
    pub(super) client: Host,
    /// Serves pages.
    pub(super) web: Host,
    /// Answers DNS queries.
    pub(super) dns: Host,
}

/// A host behind the node.
#[derive(Debug)]
pub(super) struct Host {
    namespace: Namespace,
    number: u8,
}

impl Host {
    /// The way into it.
    pub(super) const fn inside(&self) -> &Inside {
        self.namespace.inside()
    }

    /// Its IPv4 address.
    pub(super) fn v4(&self) -> IpAddr {
        v4(self.number, 2)
    }

    /// Its IPv6 address.
    pub(super) fn v6(&self) -> IpAddr {
        v6(self.number, 2)
    }
}

fn v4(network: u8, host: u8) -> IpAddr {
    Ipv4Addr::new(10, 0, network, host).into()
}

fn v6(network: u8, host: u8) -> IpAddr {
    Ipv6Addr::new(0xfd00 | u16::from(network), 0, 0, 0, 0, 0, 0, host.into()).into()
}

/// A locally administered link layer address.
const fn mac(network: u8, host: u8) -> [u8; 6] {
    [2, 0, 0, 0, network, host]
}

/// Creates the namespaces. Call it while the program has one thread.
///
/// # Errors
/// See [`Namespace::create`].
pub(super) fn namespaces() -> io::Result<Network> {
    let host = |number| Ok::<_, io::Error>(Host { namespace: Namespace::create()?, number });
    Ok(Network { node: Namespace::create()?, client: host(1)?, web: host(2)?, dns: host(3)? })
}

impl Network {
    /// Connects the hosts to the node.
    ///
    /// # Errors
    /// The request that the kernel refused.
    pub(super) fn connect(&self) -> anyhow::Result<()> {
        self.node
            .inside()
            .run(|| {
                quiet();
                FORWARDING.iter().try_for_each(|(key, value)| sysctl(key, value))
            })
            .context("cannot make the node a router: /proc/sys/net must be writable")?;
        let on_node = |work: &(dyn Fn(&mut Links) -> Result<(), LinkError> + Sync)| {
            self.node.inside().run(|| Ok(Links::open().and_then(|mut links| work(&mut links))))
        };
        on_node(&|links| links.up("lo"))??;
        for (host, name) in [&self.client, &self.web, &self.dns].into_iter().zip(NAMES) {
            let number = host.number;
            host.inside().run(|| {
                quiet();
                Ok(())
            })?;
            on_node(&|links| {
                links.veth((name, mac(number, 1)), (DEVICE, mac(number, 2)), host.inside())?;
                links.configure(name, [v4(number, 1), v6(number, 1)], [v4(number, 2), v6(number, 2)], mac(number, 2))
            })?
            .with_context(|| format!("cannot connect {name}"))?;
            host.inside()
                .run(|| Ok(Links::open().and_then(|mut links| links.configure_host(number))))?
                .with_context(|| format!("cannot set up {name}"))?;
        }
        for host in [&self.client, &self.web, &self.dns] {
            host.inside().run(|| Ok(Links::open().and_then(|mut links| links.settle())))??;
        }
        Ok(())
    }
}

/// Ignores settings that the kernel lacks: the namespace is only less quiet.
fn quiet() {
    for (key, value) in QUIET {
        if let Err(error) = sysctl(key, value) {
            tracing::debug!(%error, key, "cannot set a key of a namespace");
        }
    }
}

/// Sets a key of the namespace that the calling thread is in.
fn sysctl(key: &str, value: &str) -> io::Result<()> {
    std::fs::write(format!("/proc/sys/net/{key}"), value)
}

/// A request that failed.
#[derive(Debug, thiserror::Error)]
#[error("{step}: {source}")]
struct LinkError {
    step: &'static str,
    source: RequestError,
}

/// A netlink socket of a namespace.
struct Links(Requests);

impl Links {
    fn open() -> Result<Self, LinkError> {
        Requests::open().map(Self).map_err(|source| LinkError { step: "opening a netlink socket", source })
    }

    fn request(&mut self, step: &'static str, request: &Request) -> Result<(), LinkError> {
        self.0.list(request, |_| None::<()>).map(drop).map_err(|source| LinkError { step, source })
    }

    /// Adds a veth: one end here, one in a host's namespace.
    fn veth(&mut self, here: (&str, [u8; 6]), there: (&str, [u8; 6]), host: &Inside) -> Result<(), LinkError> {
        let name = |name: &str| [name.as_bytes(), &[0]].concat();
        let mut peer = vec![0; 16];
        peer.extend(Request::nested(&[
            (libc::IFLA_IFNAME, &name(there.0)),
            (libc::IFLA_ADDRESS, &there.1),
            (libc::IFLA_NET_NS_FD, &host.as_fd().as_raw_fd().to_ne_bytes()),
        ]));
        // IFLA_INFO_KIND, IFLA_INFO_DATA; VETH_INFO_PEER within (Linux `include/uapi/linux/veth.h`).
        let info = Request::nested(&[(1, b"veth"), (2 | NESTED, &Request::nested(&[(1 | NESTED, &peer)]))]);
        let request = Request::new(libc::RTM_NEWLINK, create(), &[0; 16])
            .attribute(libc::IFLA_IFNAME, &name(here.0))
            .attribute(libc::IFLA_ADDRESS, &here.1)
            .attribute(libc::IFLA_LINKINFO | NESTED, &info);
        self.request("making a veth (kernel module veth)", &request)
    }

    /// Sets a link up, and adds its addresses and its only neighbour.
    fn configure(
        &mut self,
        device: &str,
        own: [IpAddr; 2],
        neighbours: [IpAddr; 2],
        lladdr: [u8; 6],
    ) -> Result<(), LinkError> {
        self.up(device)?;
        let index = index(device)?;
        for address in own {
            let prefix = if address.is_ipv4() { 24 } else { 64 };
            // IFA_F_NODAD: usable at once.
            let mut fixed = vec![family(address), prefix, 2, 0];
            fixed.extend(index.to_ne_bytes());
            let request = Request::new(libc::RTM_NEWADDR, create(), &fixed)
                .attribute(libc::IFA_LOCAL, &octets(address))
                .attribute(libc::IFA_ADDRESS, &octets(address));
            self.request("adding an address", &request)?;
        }
        for neighbour in neighbours {
            let mut fixed = vec![family(neighbour), 0, 0, 0];
            fixed.extend(index.to_ne_bytes());
            fixed.extend(libc::NUD_PERMANENT.to_ne_bytes());
            fixed.extend([0, 0]);
            let request = Request::new(libc::RTM_NEWNEIGH, create(), &fixed)
                .attribute(libc::NDA_DST, &octets(neighbour))
                .attribute(libc::NDA_LLADDR, &lladdr);
            self.request("adding a neighbour", &request)?;
        }
        Ok(())
    }

    /// Configures a host's interface, with the node as its gateway.
    fn configure_host(&mut self, number: u8) -> Result<(), LinkError> {
        let gateways = [v4(number, 1), v6(number, 1)];
        self.up("lo")?;
        self.configure(DEVICE, [v4(number, 2), v6(number, 2)], gateways, mac(number, 1))?;
        for gateway in gateways {
            // A default route: prefix length 0 in the main table.
            let kind = [libc::RT_TABLE_MAIN, libc::RTPROT_STATIC, libc::RT_SCOPE_UNIVERSE, libc::RTN_UNICAST];
            let fixed = [[family(gateway), 0, 0, 0], kind, [0; 4]].concat();
            let request =
                Request::new(libc::RTM_NEWROUTE, create(), &fixed).attribute(libc::RTA_GATEWAY, &octets(gateway));
            self.request("adding a route", &request)?;
        }
        Ok(())
    }

    /// Waits until the kernel has propagated that the host's link is up, which takes up to a second. The host then reports
    /// its multicast groups, which would otherwise be the first flows of the demo.
    fn settle(&mut self) -> Result<(), LinkError> {
        let dump = (libc::NLM_F_REQUEST | libc::NLM_F_DUMP) as u16;
        let request = Request::new(libc::RTM_GETLINK, dump, &[0; IFINFOMSG]);
        let is_waiting = |message: &Message<'_>| {
            let state = |&(kind, _): &(u16, &[u8])| kind == IFLA_OPERSTATE;
            let (_, value) = Attributes::after_header(message.payload, IFINFOMSG).find(state)?;
            let is_loopback = u16_at(message.payload, 2) == Some(libc::ARPHRD_LOOPBACK);
            (!is_loopback && value != [OPERATES]).then_some(())
        };
        let end = Instant::now() + SETTLE;
        let step = "reading a link";
        while !self.0.list(&request, is_waiting).map_err(|source| LinkError { step, source })?.is_empty()
            && Instant::now() < end
        {
            std::thread::sleep(Duration::from_millis(20));
        }
        // Time for the reports themselves.
        std::thread::sleep(Duration::from_millis(20));
        Ok(())
    }

    fn up(&mut self, device: &str) -> Result<(), LinkError> {
        let up = libc::IFF_UP.cast_unsigned().to_ne_bytes();
        let fixed = [[0; 4], index(device)?.to_ne_bytes(), up, up].concat();
        let flags = (libc::NLM_F_REQUEST | libc::NLM_F_ACK) as u16;
        self.request("setting a link up", &Request::new(libc::RTM_NEWLINK, flags, &fixed))
    }
}

/// `IFLA_OPERSTATE`, and `IF_OPER_UP` for its value (Linux `include/uapi/linux/if_link.h`, `if.h`).
const IFLA_OPERSTATE: u16 = 16;
const OPERATES: u8 = 6;
/// The kernel's time to propagate that a link is up; it batches such events over a second.
const SETTLE: Duration = Duration::from_secs(3);
/// `NLA_F_NESTED`.
const NESTED: u16 = 0x8000;

/// Flags of a request that creates; they fit the header's 16 bits.
const fn create() -> u16 {
    (libc::NLM_F_REQUEST | libc::NLM_F_ACK | libc::NLM_F_CREATE | libc::NLM_F_EXCL) as u16
}

fn index(device: &str) -> Result<u32, LinkError> {
    if_nametoindex(device)
        .map_err(|error| LinkError { step: "finding an interface", source: io::Error::from(error).into() })
}

fn family(address: IpAddr) -> u8 {
    (if address.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 }) as u8
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}
