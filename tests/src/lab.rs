//! The lab: a node with endpoints behind veths and an outside behind an uplink, each in its own namespace.
//!
//! ```text
//!  a: eth0 ── ve-a ┐                        10.1.1.2/24, fd00:1:1::2/64
//!  b: eth0 ── ve-b ┤ node ── up0 ── outside: eth0   192.0.2.2/24, 2001:db8:2::2/64
//! ```
//! Neighbours are permanent and the stacks are quiet, so that nothing is on the wire but what a test sends.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::namespace::{Counters, Inside, Namespace, remove_leftovers};
use crate::uplink::{self, TapPair};

/// Before the owner's process id in the names of all namespaces.
const PREFIX: &str = "ep-";

/// Name of the uplink in the node.
pub const UPLINK: &str = "up0";

/// Name of the bridge in the node.
pub const BRIDGE: &str = "br0";

/// Name of the interface in an endpoint and outside.
pub const DEVICE: &str = "eth0";

/// IP version of a piece of traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// Both.
    pub const BOTH: [Self; 2] = [Self::V4, Self::V6];
}

/// The kind of the node's uplink; none is a veth in the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Uplink {
    /// No outside.
    None,
    /// A macvlan child: all in the kernel.
    Macvlan,
    /// A tap, carried by a thread of the lab: exact byte counters with VLAN tags too.
    Tap,
}

/// A host of the lab that is not the node.
#[derive(Debug)]
pub struct Host {
    /// Its short name.
    pub name: String,
    /// Its namespace.
    pub namespace: Inside,
    /// Keeps the namespace alive; the node's is the lab's own.
    owner: Option<Namespace>,
    /// Its own interface.
    pub device: String,
    /// The node's interface towards it: `ve-NAME`, or the uplink.
    pub node_device: String,
    /// Its link layer address.
    pub mac: [u8; 6],
    /// The node's link layer address towards it.
    pub gateway_mac: [u8; 6],
    /// Its IPv4 address.
    pub v4: Ipv4Addr,
    /// Its IPv6 address.
    pub v6: Ipv6Addr,
    /// The node's IPv4 address towards it.
    pub gateway4: Ipv4Addr,
    /// The node's IPv6 address towards it.
    pub gateway6: Ipv6Addr,
}

impl Host {
    /// Its address of a family.
    pub const fn address(&self, family: Family) -> IpAddr {
        match family {
            Family::V4 => IpAddr::V4(self.v4),
            Family::V6 => IpAddr::V6(self.v6),
        }
    }

    /// The same host by another device and addresses: those that it has on an overlay.
    pub fn at(&self, device: &str, v4: Ipv4Addr, v6: Ipv6Addr) -> Self {
        Self {
            name: self.name.clone(),
            namespace: self.namespace.clone(),
            owner: None,
            device: device.to_owned(),
            node_device: self.node_device.clone(),
            v4,
            v6,
            ..*self
        }
    }

    /// Counters of its own interface.
    pub fn counters(&self) -> Result<Counters> {
        self.namespace.counters(&self.device)
    }
}

/// The configuration of a lab; [`Lab::builder`] begins one.
#[derive(Clone, Debug)]
pub struct Builder {
    endpoints: Vec<String>,
    uplink: Uplink,
    bridge: bool,
    nat: bool,
    offloads: bool,
    mtu: u32,
}

impl Builder {
    /// Names of the endpoints, up to 6 letters each; `a` and `b` by default.
    pub fn endpoints<'a>(mut self, names: impl IntoIterator<Item = &'a str>) -> Self {
        self.endpoints = names.into_iter().map(str::to_owned).collect();
        self
    }

    /// Kind of the uplink; [`Uplink::Macvlan`] by default.
    pub const fn uplink(mut self, uplink: Uplink) -> Self {
        self.uplink = uplink;
        self
    }

    /// Endpoints share a bridge of the node, as Docker's do; otherwise the node routes between them.
    pub const fn bridge(mut self) -> Self {
        self.bridge = true;
        self
    }

    /// The node masquerades what leaves by the uplink.
    pub const fn nat(mut self) -> Self {
        self.nat = true;
        self
    }

    /// Leaves segmentation and checksum offloads on; off by default.
    pub const fn offloads(mut self) -> Self {
        self.offloads = true;
        self
    }

    /// MTU of all links; 1500 by default.
    pub const fn mtu(mut self, mtu: u32) -> Self {
        self.mtu = mtu;
        self
    }

    /// Makes it all, and waits until the links are quiet.
    pub fn build(self) -> Result<Lab> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        remove_leftovers(PREFIX)?;
        let unique = format!("{PREFIX}{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let node = Namespace::create(&format!("{unique}-node"))?;
        node.sysctl("net.ipv4.ip_forward", "1")?;
        node.sysctl("net.ipv6.conf.all.forwarding", "1")?;
        let mut lab = Lab { endpoints: Vec::new(), outside: None, taps: None, node, wire: None, unique, plan: self };
        lab.build_endpoints()?;
        lab.build_uplink()?;
        lab.settle()?;
        Ok(lab)
    }
}

/// A lab that exists; dropping it removes it.
#[derive(Debug)]
pub struct Lab {
    endpoints: Vec<Host>,
    outside: Option<Host>,
    taps: Option<TapPair>,
    node: Namespace,
    /// Holds the lower device of a macvlan uplink, out of the node's sight.
    wire: Option<Namespace>,
    unique: String,
    plan: Builder,
}

impl Lab {
    /// Endpoints `a` and `b`, routed, a macvlan uplink, no NAT, offloads off.
    pub fn builder() -> Builder {
        Builder {
            endpoints: vec!["a".to_owned(), "b".to_owned()],
            uplink: Uplink::Macvlan,
            bridge: false,
            nat: false,
            offloads: false,
            mtu: 1500,
        }
    }

    /// [`Self::builder`] as it is.
    pub fn new() -> Result<Self> {
        Self::builder().build()
    }

    /// The namespace that the product runs in.
    pub const fn node(&self) -> &Namespace {
        &self.node
    }

    /// An endpoint by its short name.
    pub fn endpoint(&self, name: &str) -> &Host {
        self.endpoints.iter().find(|host| host.name == name).unwrap_or_else(|| panic!("no endpoint {name}"))
    }

    /// All endpoints.
    pub fn endpoints(&self) -> &[Host] {
        &self.endpoints
    }

    /// The host behind the uplink.
    pub const fn outside(&self) -> &Host {
        self.outside.as_ref().expect("the lab has no uplink")
    }

    /// The node as a host, as it looks from one of the others: for traffic that the node itself sends or receives.
    pub fn node_towards(&self, host: &Host) -> Host {
        let bridged = self.plan.bridge && host.node_device != UPLINK;
        Host {
            name: "node".to_owned(),
            namespace: self.node.inside(),
            owner: None,
            device: if bridged { BRIDGE.to_owned() } else { host.node_device.clone() },
            node_device: host.node_device.clone(),
            mac: host.gateway_mac,
            gateway_mac: host.mac,
            v4: host.gateway4,
            v6: host.gateway6,
            gateway4: host.v4,
            gateway6: host.v6,
        }
    }

    /// Interfaces of the node that packets pass: endpoints' and the uplink.
    pub fn node_devices(&self) -> Vec<&str> {
        self.endpoints.iter().chain(&self.outside).map(|host| host.node_device.as_str()).collect()
    }

    /// Adds an endpoint while the lab runs.
    pub fn add_endpoint(&mut self, name: &str) -> Result<&Host> {
        let host = self.build_endpoint(name)?;
        self.endpoints.push(host);
        self.acquaint()?;
        Ok(self.endpoint(name))
    }

    /// Removes an endpoint, its namespace and its links.
    pub fn remove_endpoint(&mut self, name: &str) -> Result<()> {
        let at =
            self.endpoints.iter().position(|host| host.name == name).with_context(|| format!("no endpoint {name}"))?;
        let host = self.endpoints.remove(at);
        // A namespace dies in the background; the link goes at once when it is deleted by name.
        self.node.ip(&format!("link del {}", host.node_device))?;
        drop(host.owner);
        Ok(())
    }

    /// Waits until no link has carried a packet for a quarter of a second.
    pub fn settle(&self) -> Result<()> {
        let read = || -> Result<Vec<Counters>> {
            self.node_devices().into_iter().map(|device| self.node.counters(device)).collect()
        };
        let mut before = read()?;
        crate::eventually(Duration::from_secs(10), "the lab's links are not quiet", || {
            std::thread::sleep(Duration::from_millis(250));
            match read() {
                Ok(now) if now == before => Some(Ok(())),
                Ok(now) => {
                    before = now;
                    None
                }
                Err(error) => Some(Err(error)),
            }
        })?
    }

    fn namespace(&self, name: &str) -> Result<Namespace> {
        Namespace::create(&format!("{}-{name}", self.unique))
    }

    fn build_endpoints(&mut self) -> Result<()> {
        if self.plan.bridge {
            self.node.ip_batch(&format!(
                "link add {BRIDGE} address 02:00:00:00:fe:00 mtu {} type bridge stp_state 0 mcast_snooping 0\n\
                 link set {BRIDGE} up\n\
                 addr add 10.1.0.1/24 dev {BRIDGE}\n\
                 addr add fd00:1::1/64 dev {BRIDGE}\n",
                self.plan.mtu
            ))?;
            if !self.plan.offloads {
                self.node.offloads(BRIDGE, false)?;
            }
        }
        for name in self.plan.endpoints.clone() {
            let host = self.build_endpoint(&name)?;
            self.endpoints.push(host);
        }
        self.acquaint()
    }

    fn build_endpoint(&self, name: &str) -> Result<Host> {
        let taken = |number: u8| self.endpoints.iter().any(|host| host.mac[5] == number);
        let number = (1..=200).find(|&number| !taken(number)).context("no number is free")?;
        let namespace = self.namespace(name)?;
        let host = self.host(name, namespace, format!("ve-{name}"), number);
        self.node.ip(&format!(
            "link add {} type veth peer name {DEVICE} netns {}",
            host.node_device,
            host.namespace.name()
        ))?;
        if self.plan.bridge {
            self.node.ip(&format!("link set {} master {BRIDGE}", host.node_device))?;
        }
        self.connect(&host, !self.plan.bridge)?;
        host.namespace
            .ip_batch(&format!("route add default via {}\nroute add default via {}\n", host.gateway4, host.gateway6))?;
        Ok(host)
    }

    /// Addresses of the endpoint of a number, by the lab's plan.
    fn host(&self, name: &str, namespace: Namespace, node_device: String, number: u8) -> Host {
        let wide = u16::from(number);
        let (v4, gateway4, v6, gateway6, gateway_mac) = if self.plan.bridge {
            let v6 = |last| Ipv6Addr::new(0xfd00, 1, 0, 0, 0, 0, 0, last);
            let own = Ipv4Addr::new(10, 1, 0, number + 1);
            (own, Ipv4Addr::new(10, 1, 0, 1), v6(wide + 1), v6(1), [2, 0, 0, 0, 0xfe, 0])
        } else {
            let v6 = |last| Ipv6Addr::new(0xfd00, 1, wide, 0, 0, 0, 0, last);
            let own = Ipv4Addr::new(10, 1, number, 2);
            (own, Ipv4Addr::new(10, 1, number, 1), v6(2), v6(1), [2, 0, 0, 0, 0xfe, number])
        };
        let mac = [2, 0, 0, 0, 0, number];
        Host {
            name: name.to_owned(),
            namespace: namespace.inside(),
            owner: Some(namespace),
            device: DEVICE.to_owned(),
            node_device,
            mac,
            gateway_mac,
            v4,
            v6,
            gateway4,
            gateway6,
        }
    }

    fn build_uplink(&mut self) -> Result<()> {
        if self.plan.uplink == Uplink::None {
            return Ok(());
        }
        let namespace = self.namespace("outside")?;
        let v6 = |last| Ipv6Addr::new(0x2001, 0xdb8, 2, 0, 0, 0, 0, last);
        let host = Host {
            name: "outside".to_owned(),
            namespace: namespace.inside(),
            owner: Some(namespace),
            device: DEVICE.to_owned(),
            node_device: UPLINK.to_owned(),
            mac: [2, 0, 0, 0, 0, 0xff],
            gateway_mac: [2, 0, 0, 0, 0xfe, 0xff],
            v4: Ipv4Addr::new(192, 0, 2, 2),
            v6: v6(2),
            gateway4: Ipv4Addr::new(192, 0, 2, 1),
            gateway6: v6(1),
        };
        if self.plan.uplink == Uplink::Macvlan {
            let wire = self.namespace("wire")?;
            uplink::macvlan(&wire, &self.node, &host.namespace, (UPLINK, DEVICE))?;
            wire.ip(&format!("link set up0 mtu {}", self.plan.mtu))?;
            if !self.plan.offloads {
                wire.offloads("up0", false)?;
            }
            self.wire = Some(wire);
        } else {
            let ends = ((&*self.node, UPLINK), (&host.namespace, DEVICE));
            self.taps = Some(TapPair::open(ends.0, ends.1, self.plan.offloads)?);
            // The thread that carries may be off the CPU for a while: room for a fifth of a second at full speed.
            for (inside, device) in [ends.0, ends.1] {
                inside.ip(&format!("link set {device} txqueuelen 50000"))?;
            }
        }
        self.connect(&host, true)?;
        host.namespace.ip_batch(&format!(
            "route add 10.1.0.0/16 via {}\nroute add fd00:1::/32 via {}\n",
            host.gateway4, host.gateway6
        ))?;
        if self.plan.nat {
            self.node.nft(&format!(
                "table inet lab {{ chain nat {{ type nat hook postrouting priority 100; oif {UPLINK} masquerade; }}; }}"
            ))?;
        }
        self.outside = Some(host);
        Ok(())
    }

    /// Link up, addresses and permanent neighbours on both ends; the node's address only on its own links.
    fn connect(&self, host: &Host, addresses: bool) -> Result<()> {
        let (device, mtu) = (&host.node_device, self.plan.mtu);
        // A macvlan in passthru mode has its lower device's address: both ends are set by name.
        let node_mac = if addresses { host.gateway_mac } else { [2, 0, 0, 0, 0xfd, host.mac[5]] };
        self.node.ip_batch(&format!("link set {device} address {} mtu {mtu} up\n", text(node_mac)))?;
        host.namespace.ip_batch(&format!(
            "link set {DEVICE} address {} mtu {mtu} up\naddr add {}/24 dev {DEVICE}\naddr add {}/64 dev {DEVICE}\n",
            text(host.mac),
            host.v4,
            host.v6
        ))?;
        if addresses {
            self.node.ip_batch(&format!(
                "addr add {}/24 dev {device}\naddr add {}/64 dev {device}\n",
                host.gateway4, host.gateway6
            ))?;
        }
        let node_device = if addresses { device } else { BRIDGE };
        self.node.ip_batch(&neighbours(node_device, host.mac, host.v4, host.v6))?;
        host.namespace.ip_batch(&neighbours(DEVICE, host.gateway_mac, host.gateway4, host.gateway6))?;
        if !self.plan.offloads {
            self.node.offloads(device, false)?;
            host.namespace.offloads(DEVICE, false)?;
        }
        Ok(())
    }

    /// On a bridge the endpoints are each other's neighbours.
    fn acquaint(&self) -> Result<()> {
        for host in self.endpoints.iter().filter(|_| self.plan.bridge) {
            let others = self.endpoints.iter().filter(|other| other.name != host.name);
            let lines: String = others.map(|other| neighbours(DEVICE, other.mac, other.v4, other.v6)).collect();
            host.namespace.ip_batch(&lines)?;
        }
        Ok(())
    }
}

fn neighbours(device: &str, mac: [u8; 6], v4: Ipv4Addr, v6: Ipv6Addr) -> String {
    let mac = text(mac);
    format!(
        "neigh replace {v4} lladdr {mac} dev {device} nud permanent\n\
         neigh replace {v6} lladdr {mac} dev {device} nud permanent\n"
    )
}

/// A link layer address as `ip` writes it.
pub fn text(mac: [u8; 6]) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}
