//! An overlay from the node to the outside, as CNIs lay it between nodes: VXLAN, with a pod at its far end.

use std::net::{Ipv4Addr, Ipv6Addr};

use anyhow::Result;

use crate::{Host, Lab};

/// Name of the overlay's device at both ends.
pub const DEVICE: &str = "vx0";
/// UDP port of the outer packets.
pub const PORT: u16 = 8472;
/// The MTU inside an encapsulation over IPv4 with an MTU of 1500.
const MTU: u32 = 1450;

const NODE: (Ipv4Addr, Ipv6Addr) = (Ipv4Addr::new(10, 200, 0, 1), Ipv6Addr::new(0xfd00, 0x200, 0, 0, 0, 0, 0, 1));
const FAR: (Ipv4Addr, Ipv6Addr) = (Ipv4Addr::new(10, 200, 0, 2), Ipv6Addr::new(0xfd00, 0x200, 0, 0, 0, 0, 0, 2));
const POD: (Ipv4Addr, Ipv6Addr) = (Ipv4Addr::new(10, 201, 0, 2), Ipv6Addr::new(0xfd00, 0x201, 0, 0, 0, 0, 0, 2));

/// The overlay's ends as traffic knows them.
#[derive(Debug)]
pub struct Overlay {
    /// The node, by its address on the overlay.
    pub node: Host,
    /// A pod of another node: what endpoints and the node reach through the overlay only.
    pub pod: Host,
}

/// Lays the overlay; endpoints are reached through it from the far end.
pub fn lay(lab: &Lab) -> Result<Overlay> {
    let outside = lab.outside();
    let ends = [
        (lab.node().inside(), outside.gateway4, outside.v4, [2, 0, 0, 0, 0xcc, 1], NODE, FAR, [2, 0, 0, 0, 0xcc, 2]),
        (
            outside.namespace.clone(),
            outside.v4,
            outside.gateway4,
            [2, 0, 0, 0, 0xcc, 2],
            FAR,
            NODE,
            [2, 0, 0, 0, 0xcc, 1],
        ),
    ];
    for (inside, local, remote, mac, own, other, other_mac) in ends {
        let (mac, other_mac) = (crate::lab::text(mac), crate::lab::text(other_mac));
        inside.ip_batch(&format!(
            "link add {DEVICE} address {mac} mtu {MTU} type vxlan id 1 dstport {PORT} local {local} nolearning\n\
             link set {DEVICE} up\n\
             addr add {}/24 dev {DEVICE}\naddr add {}/64 dev {DEVICE} nodad\n\
             neigh replace {} lladdr {other_mac} dev {DEVICE} nud permanent\n\
             neigh replace {} lladdr {other_mac} dev {DEVICE} nud permanent\n",
            own.0, own.1, other.0, other.1
        ))?;
        // Neighbours are configured per address, as Flannel does: nothing is sent to all.
        inside.exec(&format!("bridge fdb add {other_mac} dev {DEVICE} dst {remote}"))?;
        inside.offloads(DEVICE, false)?;
    }
    lab.node().ip_batch(&format!("route add 10.201.0.0/16 via {}\nroute add fd00:201::/32 via {}\n", FAR.0, FAR.1))?;
    // What the pod's node sends over the overlay comes from the pod.
    outside.namespace.ip_batch(&format!(
        "addr add {pod4}/32 dev {DEVICE}\naddr add {pod6}/128 dev {DEVICE} nodad\n\
         route replace 10.1.0.0/16 via {node4} src {pod4}\nroute replace fd00:1::/32 via {node6} src {pod6}\n\
         route replace 10.200.0.0/24 dev {DEVICE} src {pod4}\n\
         route add fd00:200::/64 dev {DEVICE} src {pod6} metric 100\n",
        pod4 = POD.0,
        pod6 = POD.1,
        node4 = NODE.0,
        node6 = NODE.1
    ))?;
    // What endpoints send fits into the overlay, as a CNI sees to it.
    for endpoint in lab.endpoints() {
        endpoint.namespace.ip(&format!("link set {} mtu {MTU}", endpoint.device))?;
    }
    let node = lab.node_towards(outside).at(DEVICE, NODE.0, NODE.1);
    Ok(Overlay { node, pod: outside.at(DEVICE, POD.0, POD.1) })
}
