//! The traffic of the hosts: two servers, and the client's steps, one after the other.

use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsRawFd as _;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrIn, SockaddrIn6, recv, sendto, setsockopt,
    socket, sockopt,
};
use nix::sys::time::TimeVal;

use super::network::Network;
use super::packets;

/// The port that the node's firewall rule is for: telnet.
pub(super) const FIREWALLED: u16 = 23;
/// A port without a listener.
const CLOSED: u16 = 8080;
/// An address of a network for documentation (RFC 5737): there is no route to it.
const NOWHERE: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 9);
/// Timeout of an answer; no wire delays it.
const TIMEOUT: Duration = Duration::from_millis(800);
/// The wait for a dropped packet: less than the second after which TCP retransmits.
const DROP_TIMEOUT: Duration = Duration::from_millis(150);
/// Bytes of a page.
const PAGE: usize = 4000;

/// One step of the client.
pub(super) struct TrafficStep {
    pub(super) heading: &'static str,
    /// Whether it needs the node's firewall rule.
    pub(super) needs_firewall: bool,
    send: fn(&Network) -> io::Result<()>,
}

/// All steps, in order.
pub(super) const TRAFFIC_STEPS: [TrafficStep; 9] = [
    step("client asks dns for a name (UDP)", |network| ask(network.dns.v4())),
    step("client gets a page from web (TCP)", |network| get(network.web.v4())),
    step("client pings web (ICMP)", |network| ping(network.web.v4())),
    step("client asks dns for a name, by IPv6", |network| ask(network.dns.v6())),
    step("client gets a page from web, by IPv6", |network| get(network.web.v6())),
    step("client pings web, by IPv6", |network| ping(network.web.v6())),
    TrafficStep {
        heading: "client tries telnet to web: the node's firewall drops it",
        needs_firewall: true,
        send: |network| filtered(network.web.v4()),
    },
    step("client tries port 8080 of web: nothing listens there", |network| refused(network.web.v4())),
    step("client sends to 203.0.113.9: the node has no route there", |_| nowhere()),
];

const fn step(heading: &'static str, send: fn(&Network) -> io::Result<()>) -> TrafficStep {
    TrafficStep { heading, needs_firewall: false, send }
}

impl TrafficStep {
    /// Runs it in the client's namespace.
    ///
    /// # Errors
    /// It had another result than expected.
    pub(super) fn run(&self, network: &Network) -> io::Result<()> {
        network.client.inside().run(|| (self.send)(network))
    }
}

/// Starts the servers, which serve until the program ends.
///
/// # Errors
/// They cannot listen.
pub(super) fn serve(network: &Network) -> io::Result<()> {
    let any = Ipv6Addr::UNSPECIFIED;
    let listener = network.web.inside().run(|| TcpListener::bind((any, 80)))?;
    let socket = network.dns.inside().run(|| UdpSocket::bind((any, 53)))?;
    let (v4, v6) = (network.web.v4(), network.web.v6());
    network.web.inside().spawn("web", move || web(&listener))?;
    network.dns.inside().spawn("dns", move || dns(&socket, v4, v6))?;
    Ok(())
}

/// A web server for one client at a time. A broken connection does not end it.
fn web(listener: &TcpListener) -> io::Result<()> {
    loop {
        let (mut stream, _) = listener.accept()?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        let page = format!("HTTP/1.1 200 OK\r\nContent-Length: {PAGE}\r\nConnection: close\r\n\r\n{:PAGE$}", "hello");
        let served = stream.read(&mut [0; 1024]).and_then(|_| stream.write_all(page.as_bytes()));
        if let Err(error) = served {
            tracing::debug!(%error, "a connection to the demo's web server failed");
        }
    }
}

fn dns(socket: &UdpSocket, v4: IpAddr, v6: IpAddr) -> io::Result<()> {
    let mut buffer = [0; 512];
    loop {
        let (length, client) = socket.recv_from(&mut buffer)?;
        // The query's type is before its class, at the end: 28 = AAAA.
        let asks_v6 = length > 4 && buffer[length - 3] == 28;
        let address = match if asks_v6 { v6 } else { v4 } {
            IpAddr::V4(address) => address.octets().to_vec(),
            IpAddr::V6(address) => address.octets().to_vec(),
        };
        if let Some(answer) = packets::answer(&buffer[..length], &address) {
            socket.send_to(&answer, client)?;
        }
    }
}

fn unspecified(family_of: IpAddr) -> SocketAddr {
    let any: IpAddr = if family_of.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    SocketAddr::new(any, 0)
}

fn ask(server: IpAddr) -> io::Result<()> {
    let socket = UdpSocket::bind(unspecified(server))?;
    socket.set_read_timeout(Some(TIMEOUT))?;
    socket.send_to(&packets::question(next_number(), server.is_ipv6()), (server, 53))?;
    socket.recv(&mut [0; 512]).map(drop)
}

fn get(server: IpAddr) -> io::Result<()> {
    let mut stream = TcpStream::connect_timeout(&SocketAddr::new(server, 80), TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: web.demo\r\nConnection: close\r\n\r\n")?;
    stream.read_to_end(&mut Vec::with_capacity(2 * PAGE)).map(drop)
}

fn ping(to: IpAddr) -> io::Result<()> {
    let (family, protocol) = match to {
        IpAddr::V4(_) => (AddressFamily::Inet, SockProtocol::Icmp),
        IpAddr::V6(_) => (AddressFamily::Inet6, SockProtocol::IcmpV6),
    };
    let socket = socket(family, SockType::Raw, SockFlag::SOCK_CLOEXEC, protocol)?;
    setsockopt(&socket, sockopt::ReceiveTimeout, &TimeVal::new(0, 800_000))?;
    let request = packets::echo(to.is_ipv6(), next_number());
    let fd = socket.as_raw_fd();
    match to {
        IpAddr::V4(to) => {
            sendto(fd, &request, &SockaddrIn::from(std::net::SocketAddrV4::new(to, 0)), MsgFlags::empty())
        }
        IpAddr::V6(to) => {
            let to = SockaddrIn6::from(std::net::SocketAddrV6::new(to, 0, 0, 0));
            sendto(fd, &request, &to, MsgFlags::empty())
        }
    }?;
    // The host has no other raw socket, so the first ICMP message is the reply.
    recv(fd, &mut [0; 256], MsgFlags::empty())?;
    Ok(())
}

/// A connection that the firewall rule drops; without the rule it would be refused.
fn filtered(server: IpAddr) -> io::Result<()> {
    expect_failure(SocketAddr::new(server, FIREWALLED), DROP_TIMEOUT, io::ErrorKind::TimedOut)
}

fn refused(server: IpAddr) -> io::Result<()> {
    expect_failure(SocketAddr::new(server, CLOSED), TIMEOUT, io::ErrorKind::ConnectionRefused)
}

/// Connects, and expects an error of this kind.
fn expect_failure(to: SocketAddr, timeout: Duration, how: io::ErrorKind) -> io::Result<()> {
    match TcpStream::connect_timeout(&to, timeout) {
        Ok(_) => Err(io::Error::other(format!("a connection to {to} succeeded"))),
        Err(error) if error.kind() == how => Ok(()),
        Err(error) => Err(error),
    }
}

fn nowhere() -> io::Result<()> {
    let socket = UdpSocket::bind(unspecified(NOWHERE.into()))?;
    socket.send_to(b"hello?", (NOWHERE, 9)).map(drop)
}

/// The next number of queries and echo requests.
fn next_number() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}
