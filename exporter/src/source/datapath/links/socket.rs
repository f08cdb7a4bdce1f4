//! A netlink route socket: the only file here with socket system calls.

use std::io;
use std::mem::{size_of, size_of_val};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

use libc::{c_int, c_uint, c_void};

/// Bytes of a receive buffer: the largest dump datagram of the kernel (`NL_DUMP_ALLOC` in Linux
/// `net/netlink/af_netlink.c`).
pub const DATAGRAM: usize = 32 * 1024;

/// A netlink route socket of the network namespace that the thread was in when it was opened.
#[derive(Debug)]
pub struct Socket(OwnedFd);

/// Length and origin of one datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Datagram {
    /// Bytes in the buffer.
    pub length: usize,
    /// Id of the network namespace that sent it; `None` = our own.
    pub netns: Option<i32>,
}

impl Socket {
    /// Opens a blocking socket that is in no group yet.
    ///
    /// # Errors
    /// The error of `socket`, `bind` or `setsockopt`: no descriptor or memory is left.
    pub fn open() -> io::Result<Self> {
        // SAFETY: no pointers; the result is checked before it becomes an owned descriptor.
        let fd = unsafe { libc::socket(libc::AF_NETLINK, libc::SOCK_RAW | libc::SOCK_CLOEXEC, libc::NETLINK_ROUTE) };
        check(fd)?;
        // SAFETY: `fd` was just opened; no other code has it.
        let socket = Self(unsafe { OwnedFd::from_raw_fd(fd) });
        // SAFETY: all zeros is a valid address: the kernel then assigns a port.
        let mut address: libc::sockaddr_nl = unsafe { std::mem::zeroed() };
        address.nl_family = libc::AF_NETLINK as libc::sa_family_t;
        // SAFETY: the pointer and the length describe `address`.
        check(unsafe { libc::bind(fd, (&raw const address).cast(), length_of(&address)) })?;
        // Only strict requests may name a namespace, an interface or a parent to dump (Linux 4.20).
        socket.set(libc::SOL_NETLINK, libc::NETLINK_GET_STRICT_CHK, 1)?;
        // Errors then omit a copy of the request (Linux 4.3).
        socket.set(libc::SOL_NETLINK, libc::NETLINK_CAP_ACK, 1)?;
        Ok(socket)
    }

    /// Joins a multicast group (`RTNLGRP_*`).
    ///
    /// # Errors
    /// The error of `setsockopt`.
    pub fn join(&self, group: c_uint) -> io::Result<()> {
        self.set(libc::SOL_NETLINK, libc::NETLINK_ADD_MEMBERSHIP, group.cast_signed())
    }

    /// Receives notifications of all namespaces that have an id in ours, too (Linux 4.2).
    ///
    /// # Errors
    /// `EPERM` without `CAP_NET_BROADCAST`.
    pub fn listen_all_namespaces(&self) -> io::Result<()> {
        self.set(libc::SOL_NETLINK, libc::NETLINK_LISTEN_ALL_NSID, 1)
    }

    /// Sets the size of the receive queue in bytes: beyond the system's limit if permitted, else up to it.
    ///
    /// # Errors
    /// The error of `setsockopt`.
    pub fn set_receive_buffer(&self, bytes: c_int) -> io::Result<()> {
        self.set(libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, bytes)
            .or_else(|_| self.set(libc::SOL_SOCKET, libc::SO_RCVBUF, bytes))
    }

    /// Makes blocking reads fail with `EAGAIN` after this time.
    ///
    /// # Errors
    /// The error of `setsockopt`.
    pub fn set_timeout(&self, timeout: Duration) -> io::Result<()> {
        // SAFETY: all zeros is a valid time.
        let mut value: libc::timeval = unsafe { std::mem::zeroed() };
        value.tv_sec = libc::time_t::try_from(timeout.as_secs()).unwrap_or(libc::time_t::MAX);
        value.tv_usec = timeout.subsec_micros().into();
        self.set_value(libc::SOL_SOCKET, libc::SO_RCVTIMEO, &value)
    }

    /// Makes reads of an empty socket fail with `EAGAIN` at once.
    ///
    /// # Errors
    /// The error of `fcntl`.
    pub fn set_nonblocking(&self) -> io::Result<()> {
        let fd = self.0.as_raw_fd();
        // SAFETY: no pointers.
        let flags = check(unsafe { libc::fcntl(fd, libc::F_GETFL) })?;
        // SAFETY: no pointers.
        check(unsafe { libc::fcntl(fd, libc::F_SETFL, flags | libc::O_NONBLOCK) }).map(|_| ())
    }

    /// Sends a message to the kernel, which handles it before this method returns.
    ///
    /// # Errors
    /// The error of `send`; the kernel's answer is read by [`Socket::receive`].
    pub fn send(&self, message: &[u8]) -> io::Result<()> {
        // SAFETY: the pointer and the length describe `message`.
        let sent = unsafe { libc::send(self.0.as_raw_fd(), message.as_ptr().cast(), message.len(), 0) };
        if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// Receives a datagram.
    ///
    /// # Errors
    /// `ENOBUFS` if the kernel dropped messages; `EAGAIN`; `EMSGSIZE` if the buffer is too small.
    pub fn receive(&self, buffer: &mut [u8]) -> io::Result<Datagram> {
        let mut part = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
        // Room for one control message with an int, aligned for `cmsghdr`.
        let mut control = [0_u64; 8];
        // SAFETY: all zeros is a valid header without buffers.
        let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
        header.msg_iov = &raw mut part;
        header.msg_iovlen = 1;
        header.msg_control = control.as_mut_ptr().cast();
        header.msg_controllen = size_of_val(&control) as _;
        // SAFETY: the header points to `part` and `control`, which live longer than the call.
        let received = unsafe { libc::recvmsg(self.0.as_raw_fd(), &raw mut header, 0) };
        let length = usize::try_from(received).map_err(|_| io::Error::last_os_error())?;
        if header.msg_flags & libc::MSG_TRUNC != 0 {
            return Err(io::Error::from_raw_os_error(libc::EMSGSIZE));
        }
        Ok(Datagram { length, netns: namespace_of(&header) })
    }

    fn set(&self, level: c_int, name: c_int, value: c_int) -> io::Result<()> {
        self.set_value(level, name, &value)
    }

    fn set_value<T>(&self, level: c_int, name: c_int, value: &T) -> io::Result<()> {
        let pointer: *const c_void = (&raw const *value).cast();
        // SAFETY: the pointer and the length describe `value`.
        check(unsafe { libc::setsockopt(self.0.as_raw_fd(), level, name, pointer, length_of(value)) }).map(|_| ())
    }
}

impl AsRawFd for Socket {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// The namespace id of a notification (`NETLINK_LISTEN_ALL_NSID` as a control message).
fn namespace_of(header: &libc::msghdr) -> Option<i32> {
    // SAFETY: the kernel has filled in the header and the control buffer that it points to.
    let mut control = unsafe { libc::CMSG_FIRSTHDR(header) };
    while !control.is_null() {
        // SAFETY: CMSG_FIRSTHDR and CMSG_NXTHDR give null or a whole header within the control buffer.
        let (level, kind) = unsafe { ((*control).cmsg_level, (*control).cmsg_type) };
        if level == libc::SOL_NETLINK && kind == libc::NETLINK_LISTEN_ALL_NSID {
            // SAFETY: this control message's data is one int; it may be unaligned.
            return Some(unsafe { libc::CMSG_DATA(control).cast::<c_int>().read_unaligned() });
        }
        // SAFETY: as above.
        control = unsafe { libc::CMSG_NXTHDR(header, control) };
    }
    None
}

fn check(result: c_int) -> io::Result<c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// Sizes of C structs are far under 4 GiB.
const fn length_of<T>(_: &T) -> libc::socklen_t {
    size_of::<T>() as libc::socklen_t
}
