//! Addresses of gRPC listeners, our own and those of other nodes: from text, to text, and for serde.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

/// The longest path in `sun_path` (unix(7)), without the zero at its end.
pub(crate) const MAX_SOCKET_PATH: usize = 107;
/// The longest DNS name (RFC 1035, 2.3.4).
const MAX_HOST: usize = 253;
/// A node's name is a DNS subdomain, a cluster's is shorter (Kubernetes, Cilium); both with a `/` between them.
const MAX_NAME: usize = 2 * MAX_HOST;
/// The prefix of a unix socket's address.
pub(crate) const UNIX: &str = "unix://";

/// An address to listen on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Listen {
    /// A unix socket's absolute path.
    Unix(PathBuf),
    /// An IP address and a port; port 0 takes a free one.
    Tcp(SocketAddr),
}

impl Listen {
    /// Returns whether only this machine can reach it.
    pub fn is_local(&self) -> bool {
        match self {
            Self::Unix(_) => true,
            Self::Tcp(address) => address.ip().to_canonical().is_loopback(),
        }
    }
}

impl FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix(UNIX) {
            return socket_path(path)
                .map(|()| Self::Unix(path.into()))
                .map_err(|wrong| format!("in {text:?}, {wrong}"));
        }
        text.parse().map(Self::Tcp).map_err(|_| format!("{text:?} is no IP address with a port, and no unix:// path"))
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "{UNIX}{}", path.display()),
            Self::Tcp(address) => address.fmt(f),
        }
    }
}

/// Checks that a unix socket can have this path.
///
/// # Errors
/// The fault, with the path.
pub(crate) fn socket_path(path: &str) -> Result<(), String> {
    match path {
        _ if !path.starts_with('/') => Err(format!("{path:?} is no absolute path")),
        _ if path.ends_with('/') => Err(format!("{path:?} names a folder")),
        _ if path.contains('\0') => Err(format!("{path:?} is no path")),
        _ if path.len() > MAX_SOCKET_PATH => {
            Err(format!("the path has {} bytes, and a socket's at most {MAX_SOCKET_PATH}", path.len()))
        }
        _ => Ok(()),
    }
}

/// Another node that serves flows.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Peer {
    /// Its name, or `cluster/name`.
    pub name: String,
    /// Its address: host or IP address with or without a port, or a unix socket.
    pub address: String,
}

impl FromStr for Peer {
    type Err = String;

    /// `name=address`.
    fn from_str(text: &str) -> Result<Self, String> {
        let (name, address) = text.split_once('=').ok_or_else(|| format!("{text:?} has no name=address form"))?;
        let (name, address) = (name.trim(), address.trim());
        peer_name(name).map_err(|wrong| format!("{text:?} {wrong}"))?;
        target(address).map_err(|wrong| format!("{text:?} {wrong}"))?;
        Ok(Self { name: name.to_owned(), address: address.to_owned() })
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.name, self.address)
    }
}

fn peer_name(name: &str) -> Result<(), String> {
    let is_name = |part: &str| {
        !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':'))
    };
    match name.split('/').collect::<Vec<_>>()[..] {
        [""] => Err("has no name".to_owned()),
        _ if name.len() > MAX_NAME => Err(format!("has a name of more than {MAX_NAME} bytes")),
        [name] | [_, name] if !is_name(name) => Err(format!("has {name:?} for a name")),
        [cluster, _] if !is_name(cluster) => Err(format!("has {cluster:?} for a cluster")),
        [_] | [_, _] => Ok(()),
        _ => Err("has more than one / in its name".to_owned()),
    }
}

/// Checks that clients can connect to an address.
///
/// # Errors
/// The fault as words that follow the text.
pub(crate) fn target(address: &str) -> Result<(), String> {
    if address.is_empty() {
        return Err("has no address".to_owned());
    }
    if let Some(path) = address.strip_prefix(UNIX) {
        return socket_path(path).map_err(|wrong| format!("has an invalid address: {wrong}"));
    }
    let bare = address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(address);
    if bare.parse::<IpAddr>().is_ok() {
        return Ok(());
    }
    let (host, port) = match address.rsplit_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (address, None),
    };
    if let Some(port) = port
        && !port.parse::<u16>().is_ok_and(|number| number > 0)
    {
        return Err(format!("has the invalid port {port:?}: expected 1 to 65535"));
    }
    if let Some(bracketed) = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return match bracketed.parse::<std::net::Ipv6Addr>() {
            Ok(_) => Ok(()),
            Err(_) => Err(format!("has {bracketed:?} in brackets, which is no IPv6 address")),
        };
    }
    host_name(host).map_err(|wrong| format!("has {host:?} for a host, which {wrong}"))
}

/// Checks a host's name: letters, digits, `-`, `_` and dots.
pub(crate) fn host_name(host: &str) -> Result<(), String> {
    let is_label =
        |label: &str| !label.is_empty() && label.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'));
    match host {
        "" => Err("is empty".to_owned()),
        _ if host.len() > MAX_HOST => Err(format!("has more than {MAX_HOST} bytes")),
        _ if host.strip_suffix('.').unwrap_or(host).split('.').all(is_label) => Ok(()),
        _ => Err("is no name of one".to_owned()),
    }
}

/// A DNS name that resolves to the addresses of nodes that serve flows, and their port.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PeerDomain {
    /// The DNS name.
    pub host: String,
    /// The port of all of them.
    pub port: u16,
}

/// Hubble's default port.
const HUBBLE_PORT: u16 = 4244;

impl FromStr for PeerDomain {
    type Err = String;

    /// `host` or `host:port`.
    fn from_str(text: &str) -> Result<Self, String> {
        let (host, port) = match text.split_once(':') {
            Some((host, port)) => (host, port.parse().ok().filter(|port| *port > 0)),
            None => (text, Some(HUBBLE_PORT)),
        };
        let port = port.ok_or_else(|| format!("{text:?} has an invalid port: expected 1 to 65535"))?;
        if text.parse::<IpAddr>().is_ok() || host.parse::<IpAddr>().is_ok() {
            return Err(format!("{text:?} is an address, not a name"));
        }
        host_name(host).map_err(|wrong| format!("{text:?} has {host:?} for a host, which {wrong}"))?;
        Ok(Self { host: host.to_owned(), port })
    }
}

impl fmt::Display for PeerDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// Implements serde by the text form.
macro_rules! by_text {
    ($($name:ident),+) => {$(
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(Error::custom)
            }
        }
    )+};
}

by_text!(Listen, Peer, PeerDomain);

#[cfg(test)]
mod tests {
    use super::{Listen, Peer, PeerDomain};

    #[test]
    fn listen_addresses_round_trip() {
        for text in ["unix:///run/eyepiece/hubble.sock", "127.0.0.1:4245", "[::]:4244", "0.0.0.0:0"] {
            assert_eq!(text.parse::<Listen>().map(|listen| listen.to_string()), Ok(text.to_owned()));
        }
        for (text, local) in [
            ("unix:///s", true),
            ("127.9.9.9:1", true),
            ("[::1]:1", true),
            ("[::ffff:127.0.0.1]:1", true),
            ("[::]:1", false),
        ] {
            assert_eq!(text.parse::<Listen>().map(|listen| listen.is_local()), Ok(local), "{text}");
        }
        for text in [
            "",
            "unix://",
            "unix://run/x",
            "unix:///run/",
            "unix:/x",
            "/x",
            ":4244",
            "localhost:1",
            "1.2.3.4",
            "1.2.3.4:65536",
        ] {
            assert!(text.parse::<Listen>().is_err(), "{text}");
        }
    }

    #[test]
    fn peers_round_trip() {
        for text in [
            "b=10.0.0.2:4244",
            "b=10.0.0.2",
            "prod/b.example=b.example:4244",
            "b=b",
            "b=[fd00::2]:4244",
            "b=fd00::2",
            "b=[fd00::2]",
            "b=unix:///run/b.sock",
            "10.0.0.2=10.0.0.2",
            "b=b.example.",
        ] {
            assert_eq!(text.parse::<Peer>().map(|peer| peer.to_string()), Ok(text.to_owned()));
        }
        for text in [
            "",
            "b",
            "=b",
            "b=",
            "a/b/c=d",
            "/b=c",
            "b/=c",
            "a b=c",
            "b=c:0",
            "b=c:65536",
            "b=c:",
            "b=[c]:1",
            "b=c d:1",
            "b=http://c",
            "b=unix://c",
            "b=.c",
        ] {
            assert!(text.parse::<Peer>().is_err(), "{text}");
        }
    }

    #[test]
    fn domains_round_trip() {
        for (text, expected) in [("a.b", "a.b:4244"), ("a:1", "a:1"), ("localhost:65535", "localhost:65535")] {
            assert_eq!(text.parse::<PeerDomain>().map(|domain| domain.to_string()), Ok(expected.to_owned()));
        }
        for text in ["", ":1", "a:0", "a:b", "10.0.0.1", "10.0.0.1:1", "::1", "a b"] {
            assert!(text.parse::<PeerDomain>().is_err(), "{text}");
        }
    }
}
