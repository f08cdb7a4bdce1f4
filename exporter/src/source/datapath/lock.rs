//! Tells whether another exporter of this network namespace lives that is attached by clsact.
//!
//! Filters of clsact outlive who made them, and do not say whether he lives. Without this a second exporter would take
//! the first one's filters for leavings, and remove them.

use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// An abstract socket: it belongs to the network namespace as the filters do, and goes with its process, however that
/// ends.
const NAME: &[u8] = b"eyepiece/clsact";

/// Held by the exporter that is attached by clsact; nobody sends to it.
#[derive(Debug)]
pub struct Lock {
    _socket: UnixDatagram,
}

/// Takes the lock of this network namespace; none where another process has it.
///
/// # Errors
/// No socket can be opened.
pub fn take() -> io::Result<Option<Lock>> {
    match UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(NAME)?) {
        Ok(socket) => Ok(Some(Lock { _socket: socket })),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => Ok(None),
        Err(error) => Err(error),
    }
}
