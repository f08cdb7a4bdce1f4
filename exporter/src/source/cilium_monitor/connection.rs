//! Connects to the agent's socket without blocking; classifies why that fails or a connection ends.

use std::io;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::UnixStream;
use std::path::Path;

/// The reason of a missing connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The source is stopped.
    NotStarted,
    /// The path does not exist.
    NotThere,
    /// The path exists, but permission is denied.
    PermissionDenied,
    /// The path exists, but no process listens: its agent is gone.
    Refused,
    /// The agent does not accept connections fast enough.
    Busy,
    /// Another error of the system while connecting.
    ConnectFailed,
    /// The agent closed the connection.
    Closed,
    /// The connection broke.
    Reset,
    /// Another error of the system while reading.
    ReadFailed,
    /// The bytes are no monitor stream.
    Garbage,
    /// A message longer than any of a monitor.
    TooLong,
    /// An incomplete message was not continued.
    Stalled,
    /// Another socket is at the path.
    Replaced,
}

impl Reason {
    /// The value of the attribute `reason`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NotStarted => "not_started",
            Self::NotThere => "not_there",
            Self::PermissionDenied => "permission_denied",
            Self::Refused => "refused",
            Self::Busy => "busy",
            Self::ConnectFailed => "connect_failed",
            Self::Closed => "closed",
            Self::Reset => "reset",
            Self::ReadFailed => "read_failed",
            Self::Garbage => "garbage",
            Self::TooLong => "message_too_long",
            Self::Stalled => "stalled",
            Self::Replaced => "replaced",
        }
    }

    /// The reason of a failed attempt to connect.
    pub fn of_connecting(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Self::NotThere,
            io::ErrorKind::PermissionDenied => Self::PermissionDenied,
            io::ErrorKind::ConnectionRefused => Self::Refused,
            io::ErrorKind::WouldBlock => Self::Busy,
            _ => Self::ConnectFailed,
        }
    }

    /// The reason of a failed read.
    pub fn of_reading(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => Self::Reset,
            _ => Self::ReadFailed,
        }
    }
}

/// The socket address of a path; `None` if the path is empty, too long or has a zero in it.
pub fn address(path: &Path) -> Option<libc::sockaddr_un> {
    // SAFETY: plain data, all zeros are a value.
    let mut address: libc::sockaddr_un = unsafe { std::mem::zeroed() };
    address.sun_family = libc::AF_UNIX as libc::sa_family_t;
    let bytes = path.as_os_str().as_bytes();
    // One byte is left for the zero at the end.
    if bytes.is_empty() || bytes.len() >= address.sun_path.len() || bytes.contains(&0) {
        return None;
    }
    for (place, byte) in address.sun_path.iter_mut().zip(bytes) {
        *place = byte.cast_signed();
    }
    Some(address)
}

/// Connects without blocking. std's own connect waits while the agent's queue of connections is full.
///
/// # Errors
/// The system's error.
pub fn connect(address: &libc::sockaddr_un) -> io::Result<UnixStream> {
    // SAFETY: takes numbers.
    let fd = unsafe { libc::socket(libc::AF_UNIX, libc::SOCK_STREAM | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK, 0) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a new descriptor; no other code has it.
    let socket = unsafe { OwnedFd::from_raw_fd(fd) };
    let size = size_of::<libc::sockaddr_un>() as libc::socklen_t;
    // SAFETY: the address lives until the call returns, and `size` is its size.
    let result = unsafe { libc::connect(socket.as_raw_fd(), std::ptr::from_ref(address).cast(), size) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(socket.into()) }
}

/// The file behind a path: device and inode; `None` without a file.
pub fn identity(path: &Path) -> Option<(u64, u64)> {
    std::fs::metadata(path).ok().map(|found| (found.dev(), found.ino()))
}
