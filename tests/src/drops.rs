//! Traffic that the kernel drops, one function for each cause: the sent and the dropped packets, the place and the
//! reason.
//!
//! Reasons are the names of `enum skb_drop_reason` as Linux 6.18 gives them.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::frame::{self, Ipv4Header, Pair, protocol};
use crate::lab::{Family, Host, Lab};
use crate::traffic::{frames, receive_buffer, udp};

/// Packets that were dropped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dropped {
    /// The number of drops.
    pub packets: u64,
    /// The kernel's name of the reason.
    pub reason: &'static str,
    /// Source address in the packets.
    pub source: IpAddr,
    /// Destination address in the packets.
    pub destination: IpAddr,
    /// Destination port in the packets, if any.
    pub port: Option<u16>,
    /// Inode of the network namespace that dropped them.
    pub netns: u64,
}

/// Datagrams that an nft rule of the node's forward chain drops.
pub fn nft(lab: &Lab, from: &Host, to: &Host, family: Family, packets: u64) -> Result<Dropped> {
    const PORT: u16 = 7001;
    let rule =
        format!("table inet lab_drop {{ chain c {{ type filter hook forward priority 0; udp dport {PORT} drop; }}; }}");
    lab.node().nft(&rule)?;
    udp(from, to).family(family).port(PORT).packets(packets).send()?;
    lab.node().nft("delete table inet lab_drop")?;
    let (source, destination) = (from.address(family), to.address(family));
    let netns = lab.node().inode()?;
    Ok(Dropped { packets, reason: "NETFILTER_DROP", source, destination, port: Some(PORT), netns })
}

/// Datagrams that an iptables rule of the receiving host's INPUT chain drops.
pub fn iptables(from: &Host, to: &Host, packets: u64) -> Result<Dropped> {
    const PORT: u16 = 7002;
    let rule = format!("INPUT -p udp --dport {PORT} -j DROP");
    to.namespace.exec(&format!("iptables -A {rule}"))?;
    udp(from, to).port(PORT).packets(packets).send()?;
    to.namespace.exec(&format!("iptables -D {rule}"))?;
    let (source, destination) = (from.v4.into(), to.v4.into());
    let netns = to.namespace.inode()?;
    Ok(Dropped { packets, reason: "NETFILTER_DROP", source, destination, port: Some(PORT), netns })
}

/// Datagrams to a port without a listener; each is answered with a port unreachable.
pub fn closed_udp(from: &Host, to: &Host, family: Family, packets: u64) -> Result<Dropped> {
    const PORT: u16 = 7003;
    udp(from, to).family(family).port(PORT).packets(packets).send()?;
    let (source, destination) = (from.address(family), to.address(family));
    let netns = to.namespace.inode()?;
    Ok(Dropped { packets, reason: "NO_SOCKET", source, destination, port: Some(PORT), netns })
}

/// Connections to a port without a listener; each SYN is answered with RST.
pub fn closed_tcp(from: &Host, to: &Host, family: Family, connections: u64) -> Result<Dropped> {
    const PORT: u16 = 7004;
    let address = SocketAddr::new(to.address(family), PORT);
    for _ in 0..connections {
        let refused = from.namespace.run(|| TcpStream::connect_timeout(&address, Duration::from_secs(5)));
        ensure!(refused.is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionRefused), "not refused");
    }
    let (source, destination) = (from.address(family), to.address(family));
    let netns = to.namespace.inode()?;
    Ok(Dropped { packets: connections, reason: "NO_SOCKET", source, destination, port: Some(PORT), netns })
}

/// Datagrams to a network that the node has no route to; each is answered with a network unreachable.
pub fn no_route(lab: &Lab, from: &Host, packets: u64) -> Result<Dropped> {
    const PORT: u16 = 7005;
    let destination = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 1));
    let frame = datagram(from, from.v4.into(), destination, PORT, 64);
    send_frames(from, &frame, packets)?;
    let netns = lab.node().inode()?;
    Ok(Dropped { packets, reason: "IP_INNOROUTES", source: from.v4.into(), destination, port: Some(PORT), netns })
}

/// Sends datagrams whose source belongs to another interface; the reverse path filter is on while they are sent.
pub fn rp_filter(lab: &Lab, from: &Host, to: &Host, packets: u64) -> Result<Dropped> {
    const PORT: u16 = 7006;
    // Outside the lab's networks and without a route: no interface would be right.
    let source = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 66));
    let key = format!("net.ipv4.conf.{}.rp_filter", from.node_device);
    lab.node().sysctl(&key, "1")?;
    send_frames(from, &datagram(from, source, to.v4.into(), PORT, 64), packets)?;
    lab.node().sysctl(&key, "0")?;
    let netns = lab.node().inode()?;
    Ok(Dropped { packets, reason: "IP_RPFILTER", source, destination: to.v4.into(), port: Some(PORT), netns })
}

/// Datagrams to a socket that is never read: what does not fit into its buffer is dropped.
pub fn full_buffer(from: &Host, to: &Host, packets: u64) -> Result<Dropped> {
    const PORT: u16 = 7007;
    let address = SocketAddr::new(to.v4.into(), PORT);
    let socket = to.namespace.run(|| UdpSocket::bind(address))?;
    receive_buffer(&socket, 4096)?;
    udp(from, to).port(PORT).packets(packets).send()?;
    socket.set_nonblocking(true)?;
    let kept = std::iter::from_fn(|| socket.recv(&mut [0; 2048]).ok()).count() as u64;
    ensure!(kept < packets, "the buffer took all {packets}");
    let (source, destination) = (from.v4.into(), to.v4.into());
    let (packets, netns) = (packets - kept, to.namespace.inode()?);
    Ok(Dropped { packets, reason: "SOCKET_RCVBUFF", source, destination, port: Some(PORT), netns })
}

/// Sends datagrams whose time to live ends at the node; each is answered with time exceeded.
pub fn ttl_expired(lab: &Lab, from: &Host, to: &Host, packets: u64) -> Result<Dropped> {
    const PORT: u16 = 7008;
    send_frames(from, &datagram(from, from.v4.into(), to.v4.into(), PORT, 1), packets)?;
    let (source, destination) = (from.v4.into(), to.v4.into());
    let netns = lab.node().inode()?;
    Ok(Dropped { packets, reason: "IP_INHDR", source, destination, port: Some(PORT), netns })
}

/// Datagrams with a wrong UDP checksum, to a socket that is open.
pub fn bad_udp_checksum(from: &Host, to: &Host, packets: u64) -> Result<Dropped> {
    const PORT: u16 = 7009;
    let socket = to.namespace.run(|| UdpSocket::bind(SocketAddr::new(to.v4.into(), PORT)))?;
    let mut frame = datagram(from, from.v4.into(), to.v4.into(), PORT, 64);
    // The UDP checksum follows 14 bytes of Ethernet and 20 of IPv4.
    frame[14 + 20 + 6] ^= 0x55;
    send_frames(from, &frame, packets)?;
    socket.set_nonblocking(true)?;
    ensure!(socket.recv(&mut [0; 64]).is_err(), "a wrong checksum went through");
    let (source, destination) = (from.v4.into(), to.v4.into());
    let netns = to.namespace.inode()?;
    Ok(Dropped { packets, reason: "UDP_CSUM", source, destination, port: Some(PORT), netns })
}

/// Sends packets with a wrong IPv4 header checksum, which the node drops on arrival.
pub fn bad_ip_checksum(lab: &Lab, from: &Host, to: &Host, packets: u64) -> Result<Dropped> {
    const PORT: u16 = 7010;
    let mut frame = datagram(from, from.v4.into(), to.v4.into(), PORT, 64);
    frame[14 + 10] ^= 0x55;
    send_frames(from, &frame, packets)?;
    let (source, destination) = (from.v4.into(), to.v4.into());
    let netns = lab.node().inode()?;
    Ok(Dropped { packets, reason: "IP_CSUM", source, destination, port: Some(PORT), netns })
}

fn datagram(from: &Host, source: IpAddr, destination: IpAddr, port: u16, ttl: u8) -> Vec<u8> {
    let pair = Pair { source, destination };
    let (IpAddr::V4(source), IpAddr::V4(destination)) = (source, destination) else { return Vec::new() };
    let header = Ipv4Header { ttl, ..Ipv4Header::default() };
    let payload = frame::udp(pair, (30_000, port), &[0x64; 32]);
    let packet = frame::ipv4(source, destination, protocol::UDP, &header, &payload);
    frame::ethernet(from.gateway_mac, from.mac, &[], frame::IPV4, &packet)
}

fn send_frames(from: &Host, frame: &[u8], packets: u64) -> Result<()> {
    let packets = usize::try_from(packets)?;
    frames(from)?.send(std::iter::repeat_n(frame, packets), crate::traffic::RATE).context("frames").map(drop)
}
