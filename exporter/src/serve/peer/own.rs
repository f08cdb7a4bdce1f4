//! Where others reach us: by what we listen on, and by the machine's addresses.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use nix::ifaddrs::getifaddrs;
use nix::net::if_::InterfaceFlags;

use crate::serve::grpc::Address;

/// Addresses of documentation (RFC 5737, RFC 3849): nothing is sent to them, the kernel only says where it would go out.
const OUTSIDE: [IpAddr; 2] =
    [IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1))];
/// Any port but 0 (discard, RFC 863).
const PORT: u16 = 9;

/// What is known of us.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Own {
    /// What clients are told; empty where we listen nowhere.
    pub(super) address: String,
    /// Addresses by which a name would lead to ourselves.
    pub(super) ways: BTreeSet<SocketAddr>,
}

impl Own {
    /// As it is now.
    pub(super) fn look(listen: &[Address]) -> Self {
        let machine = Machine::look();
        Self { address: machine.address(listen), ways: machine.ways(listen) }
    }
}

/// The machine's addresses.
#[derive(Clone, Debug, Default)]
struct Machine {
    /// By which it reaches others: IPv4, IPv6.
    v4: Option<IpAddr>,
    v6: Option<IpAddr>,
    all: Vec<IpAddr>,
}

impl Machine {
    fn look() -> Self {
        let (mut all, mut others) = (Vec::new(), Vec::new());
        match getifaddrs() {
            Ok(list) => {
                for entry in list {
                    let Some(storage) = entry.address else { continue };
                    let v4 = storage.as_sockaddr_in().map(|address| IpAddr::V4(address.ip()));
                    let Some(ip) = v4.or_else(|| storage.as_sockaddr_in6().map(|address| IpAddr::V6(address.ip())))
                    else {
                        continue;
                    };
                    all.push(ip);
                    let is_up = entry.flags.contains(InterfaceFlags::IFF_UP);
                    if is_up && !ip.is_loopback() && !is_link_local(ip) {
                        others.push(ip);
                    }
                }
            }
            Err(error) => tracing::debug!(%error, "cannot list the machine's addresses"),
        }
        let first = |outside: IpAddr| {
            let of_family = |ip: &&IpAddr| ip.is_ipv4() == outside.is_ipv4();
            way_out(outside).or_else(|| others.iter().find(of_family).copied())
        };
        Self { v4: first(OUTSIDE[0]), v6: first(OUTSIDE[1]), all }
    }

    /// The address that others reach best: not loopback, then IPv4; without TCP the first unix socket's.
    fn address(&self, listen: &[Address]) -> String {
        let mut candidates = Vec::new();
        for address in listen {
            let Address::Tcp(address) = address else { continue };
            match address.ip() {
                IpAddr::V4(ip) if ip.is_unspecified() => {
                    candidates.push((self.v4.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)), address.port()));
                }
                // It takes IPv4 too, or another one of ours does.
                IpAddr::V6(ip) if ip.is_unspecified() => {
                    let best = self.v4.or(self.v6).unwrap_or(IpAddr::V6(Ipv6Addr::LOCALHOST));
                    candidates.push((best, address.port()));
                }
                ip => candidates.push((ip.to_canonical(), address.port())),
            }
        }
        let best = candidates.into_iter().min_by_key(|(ip, _)| (ip.is_loopback(), ip.is_ipv6()));
        if let Some((ip, port)) = best {
            return SocketAddr::new(ip, port).to_string();
        }
        listen.first().map(ToString::to_string).unwrap_or_default()
    }

    fn ways(&self, listen: &[Address]) -> BTreeSet<SocketAddr> {
        let mut ways = BTreeSet::new();
        for address in listen {
            let Address::Tcp(address) = address else { continue };
            if address.ip().is_unspecified() {
                ways.extend(self.all.iter().map(|ip| SocketAddr::new(*ip, address.port())));
            } else {
                ways.insert(*address);
            }
        }
        ways
    }
}

fn is_link_local(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    }
}

/// The address that packets to the outside would have for their source; none without a route.
fn way_out(outside: IpAddr) -> Option<IpAddr> {
    let any: IpAddr = if outside.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0)).ok()?;
    socket.connect((outside, PORT)).ok()?;
    let ip = socket.local_addr().ok()?.ip();
    (!ip.is_loopback() && !ip.is_unspecified() && !is_link_local(ip)).then_some(ip)
}

#[cfg(test)]
mod tests {
    use super::Machine;
    use crate::serve::grpc::Address;

    fn listen(texts: &[&str]) -> Vec<Address> {
        let address = |text: &&str| match text.strip_prefix("unix://") {
            Some(path) => Address::Unix(path.into()),
            None => Address::Tcp(text.parse().unwrap()),
        };
        texts.iter().map(address).collect()
    }

    #[test]
    fn what_others_are_told() {
        let ip = |text: &str| text.parse().unwrap();
        let both =
            Machine { v4: Some(ip("10.0.0.1")), v6: Some(ip("fd00::1")), all: vec![ip("127.0.0.1"), ip("10.0.0.1")] };
        let (only_v6, none) = (Machine { v4: None, ..both.clone() }, Machine::default());
        for (machine, texts, expected) in [
            (&both, &["unix:///a", "0.0.0.0:1"][..], "10.0.0.1:1"),
            (&both, &["[::]:1"], "10.0.0.1:1"),
            (&both, &["127.0.0.1:1", "[fd00::7]:2"], "[fd00::7]:2"),
            (&both, &["[fd00::7]:2", "10.0.0.7:3"], "10.0.0.7:3"),
            (&both, &["127.0.0.1:1"], "127.0.0.1:1"),
            (&both, &["unix:///a", "unix:///b"], "unix:///a"),
            (&both, &[], ""),
            (&only_v6, &["[::]:1"], "[fd00::1]:1"),
            (&only_v6, &["0.0.0.0:1"], "127.0.0.1:1"),
            (&none, &["[::]:1"], "[::1]:1"),
        ] {
            assert_eq!(machine.address(&listen(texts)), expected, "{texts:?}");
        }
        let ways: Vec<_> = both.ways(&listen(&["0.0.0.0:1", "[::1]:2", "unix:///a"])).into_iter().collect();
        assert_eq!(ways.iter().map(ToString::to_string).collect::<Vec<_>>(), ["10.0.0.1:1", "127.0.0.1:1", "[::1]:2"]);
    }
}
