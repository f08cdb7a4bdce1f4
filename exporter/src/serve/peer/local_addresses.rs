//! The addresses at which other nodes reach this one, from the listeners and the machine's interfaces.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use nix::ifaddrs::getifaddrs;
use nix::net::if_::InterfaceFlags;

use crate::serve::grpc::Address;
use crate::support::source_address::{is_link_local, source_address};

/// This node's addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct LocalAddresses {
    /// The address that clients receive; empty if there is no listener.
    pub(super) advertised: String,
    /// All addresses of the TCP listeners: a resolved name with one of them is this node.
    pub(super) reachable: BTreeSet<SocketAddr>,
}

impl LocalAddresses {
    /// Finds the current addresses of these listeners.
    pub(super) fn find(listen: &[Address]) -> Self {
        let host = HostAddresses::find();
        Self { advertised: host.advertised(listen), reachable: host.reachable(listen) }
    }
}

/// The addresses of the machine's interfaces.
#[derive(Clone, Debug, Default)]
struct HostAddresses {
    /// The source address of packets to the outside.
    v4: Option<IpAddr>,
    v6: Option<IpAddr>,
    all: Vec<IpAddr>,
}

impl HostAddresses {
    fn find() -> Self {
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
        let first = |is_ipv4| {
            let of_family = |ip: &&IpAddr| ip.is_ipv4() == is_ipv4;
            source_address(is_ipv4).or_else(|| others.iter().find(of_family).copied())
        };
        Self { v4: first(true), v6: first(false), all }
    }

    /// Returns the best address for other nodes: not loopback, IPv4 before IPv6; without TCP the first unix socket.
    fn advertised(&self, listen: &[Address]) -> String {
        let mut candidates = Vec::new();
        for address in listen {
            let Address::Tcp(address) = address else { continue };
            match address.ip() {
                IpAddr::V4(ip) if ip.is_unspecified() => {
                    candidates.push((self.v4.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)), address.port()));
                }
                // [::] takes IPv4 too, or another listener does.
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

    fn reachable(&self, listen: &[Address]) -> BTreeSet<SocketAddr> {
        let mut reachable = BTreeSet::new();
        for address in listen {
            let Address::Tcp(address) = address else { continue };
            if address.ip().is_unspecified() {
                reachable.extend(self.all.iter().map(|ip| SocketAddr::new(*ip, address.port())));
            } else {
                reachable.insert(*address);
            }
        }
        reachable
    }
}

#[cfg(test)]
mod tests {
    use super::HostAddresses;
    use crate::serve::grpc::Address;

    fn listen(texts: &[&str]) -> Vec<Address> {
        let address = |text: &&str| match text.strip_prefix("unix://") {
            Some(path) => Address::Unix(path.into()),
            None => Address::Tcp(text.parse().unwrap()),
        };
        texts.iter().map(address).collect()
    }

    #[test]
    fn listeners_decide_the_addresses() {
        let ip = |text: &str| text.parse().unwrap();
        let both = HostAddresses {
            v4: Some(ip("10.0.0.1")),
            v6: Some(ip("fd00::1")),
            all: vec![ip("127.0.0.1"), ip("10.0.0.1")],
        };
        let (only_v6, none) = (HostAddresses { v4: None, ..both.clone() }, HostAddresses::default());
        for (host, texts, expected) in [
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
            assert_eq!(host.advertised(&listen(texts)), expected, "{texts:?}");
        }
        let reachable: Vec<_> = both.reachable(&listen(&["0.0.0.0:1", "[::1]:2", "unix:///a"])).into_iter().collect();
        assert_eq!(
            reachable.iter().map(ToString::to_string).collect::<Vec<_>>(),
            ["10.0.0.1:1", "127.0.0.1:1", "[::1]:2"]
        );
    }
}
