//! Properties of a request's connection, as extensions of the request.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::sync::Semaphore;

/// The client that sent a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Client {
    /// Over a unix socket, with the credentials of `SO_PEERCRED`.
    Unix {
        /// Its process id.
        pid: Option<i32>,
        /// Its user id.
        uid: Option<u32>,
    },
    /// Over TCP.
    Tcp(SocketAddr),
}

impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix { pid: Some(pid), .. } => write!(f, "process {pid}"),
            Self::Unix { pid: None, .. } => f.write_str("a process"),
            Self::Tcp(address) => address.fmt(f),
        }
    }
}

/// Serializes the expensive work of one connection, so that more requests get a client no larger share of the threads.
#[derive(Clone, Debug)]
pub struct ConnectionQueue(pub Arc<Semaphore>);

impl Default for ConnectionQueue {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(1)))
    }
}
