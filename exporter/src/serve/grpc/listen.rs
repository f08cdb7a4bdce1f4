//! Binds the server's addresses: unix sockets and IP addresses.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use nix::sys::socket::{setsockopt, sockopt};
use tokio::net::{TcpListener, TcpSocket};

use crate::support::socket_owner;
use crate::support::unix_listener;
use crate::support::unix_listener::ListenError;

/// Connections that wait in the kernel's accept queue.
const BACKLOG: u32 = 256;

/// An address to listen on.
#[derive(Clone, Debug)]
pub enum Bind {
    /// A unix socket, always without TLS.
    Unix(unix_listener::Config),
    /// An IP address and a port; port 0 selects a free one. With TLS if there is a certificate.
    Tcp(SocketAddr),
}

/// A bound address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// A unix socket's path.
    Unix(PathBuf),
    /// An IP address with the bound port.
    Tcp(SocketAddr),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Tcp(address) => address.fmt(f),
        }
    }
}

/// The error of binding an address.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages name the fields")]
pub enum BindError {
    /// A unix socket.
    #[error(transparent)]
    Unix(#[from] ListenError),
    /// An IP address.
    #[error("cannot listen on {address}: {source}{owner}")]
    Tcp {
        /// The address.
        address: SocketAddr,
        /// The process that holds the address, after a colon; empty if it is not in use.
        owner: String,
        /// The system's error.
        source: io::Error,
    },
}

/// A listening socket.
#[derive(Debug)]
pub(super) enum Listener {
    Unix(unix_listener::Listener),
    Tcp(TcpListener, SocketAddr),
}

impl Listener {
    pub(super) fn address(&self) -> Address {
        match self {
            Self::Unix(listener) => Address::Unix(listener.path().to_owned()),
            Self::Tcp(_, address) => Address::Tcp(*address),
        }
    }
}

/// Binds all addresses, or none.
pub(super) async fn bind(binds: Vec<Bind>) -> Result<Vec<Listener>, BindError> {
    let tcp = binds.iter().filter_map(|bind| if let Bind::Tcp(address) = bind { Some(*address) } else { None });
    let v4: Vec<_> = tcp.filter(SocketAddr::is_ipv4).map(|address| address.port()).collect();
    let mut listeners = Vec::with_capacity(binds.len());
    for bind in binds {
        listeners.push(match bind {
            Bind::Unix(config) => Listener::Unix(config.listen().await?),
            Bind::Tcp(address) => {
                // [::] takes IPv4 too, unless another address of ours does.
                let only_v6 = address.is_ipv6() && v4.contains(&address.port());
                let bound = tcp_listener(address, only_v6).and_then(|listener| {
                    let address = listener.local_addr()?;
                    Ok(Listener::Tcp(listener, address))
                });
                let owner = |error: &io::Error| socket_owner::describe_conflict(error, address);
                bound.map_err(|source| BindError::Tcp { address, owner: owner(&source), source })?
            }
        });
    }
    Ok(listeners)
}

fn tcp_listener(address: SocketAddr, only_v6: bool) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    if address.is_ipv6() {
        setsockopt(&socket, sockopt::Ipv6V6Only, &only_v6)?;
    }
    // A restart does not wait for connections of the previous process (TIME_WAIT).
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}
