//! ICMP echo by raw sockets: a request, its reply, the next one.

use std::net::{SocketAddr, UdpSocket};
use std::os::fd::{FromRawFd, OwnedFd};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::errno::Errno;

use crate::frame::{self, Pair};
use crate::lab::{Family, Host};

/// Echo requests; [`echo`] begins.
#[derive(Debug)]
pub struct Echo<'a> {
    from: &'a Host,
    to: &'a Host,
    family: Family,
    count: u16,
    payload: usize,
    ttl: u32,
}

/// The numbers of requests and replies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EchoReport {
    /// Requests sent.
    pub requests: u64,
    /// Replies received.
    pub replies: u64,
    /// Bytes of a request with Ethernet and IP header; a reply has the same.
    pub frame: u64,
}

/// Echo requests from one host to another: 10 of 56 bytes over IPv4.
pub const fn echo<'a>(from: &'a Host, to: &'a Host) -> Echo<'a> {
    Echo { from, to, family: Family::V4, count: 10, payload: 56, ttl: 64 }
}

impl Echo<'_> {
    /// IP version.
    pub const fn family(mut self, family: Family) -> Self {
        self.family = family;
        self
    }

    /// Sets the number of requests.
    pub const fn count(mut self, count: u16) -> Self {
        self.count = count;
        self
    }

    /// Sets the bytes after the ICMP header.
    pub const fn payload(mut self, bytes: usize) -> Self {
        self.payload = bytes;
        self
    }

    /// Time to live, or hop limit.
    pub const fn ttl(mut self, ttl: u32) -> Self {
        self.ttl = ttl;
        self
    }

    /// Sends each request when the one before was answered, or after a second.
    pub fn run(self) -> Result<EchoReport> {
        self.exchange(Duration::from_secs(1))
    }

    /// Sends all requests without waiting for replies.
    pub fn send(self) -> Result<EchoReport> {
        self.exchange(Duration::ZERO)
    }

    fn exchange(&self, patience: Duration) -> Result<EchoReport> {
        let pair = Pair { source: self.from.address(self.family), destination: self.to.address(self.family) };
        let socket = self.from.namespace.run(|| self.open(pair)).context("a raw ICMP socket")?;
        let payload = vec![0x69; self.payload];
        let mut replies = 0;
        for sequence in 0..self.count {
            socket.send(&frame::echo(pair, ID, sequence, &payload))?;
            replies += u64::from(self.replied(&socket, sequence, patience)?);
        }
        let headers = 14 + 8 + if self.family == Family::V4 { 20 } else { 40 };
        Ok(EchoReport { requests: self.count.into(), replies, frame: headers + self.payload as u64 })
    }

    /// A raw socket in the shape of a UDP socket: what std offers of it (connect, send, receive) does the same.
    fn open(&self, pair: Pair) -> Result<UdpSocket> {
        let (domain, protocol) = match self.family {
            Family::V4 => (libc::AF_INET, libc::IPPROTO_ICMP),
            Family::V6 => (libc::AF_INET6, libc::IPPROTO_ICMPV6),
        };
        // SAFETY: a plain system call; its result is checked.
        let descriptor = Errno::result(unsafe { libc::socket(domain, libc::SOCK_RAW | libc::SOCK_CLOEXEC, protocol) })?;
        // SAFETY: the descriptor was just opened and nothing else has it.
        let socket = UdpSocket::from(unsafe { OwnedFd::from_raw_fd(descriptor) });
        match self.family {
            Family::V4 => socket.set_ttl(self.ttl)?,
            Family::V6 => super::set_option(&socket, libc::IPPROTO_IPV6, libc::IPV6_UNICAST_HOPS, &self.ttl)?,
        }
        socket.connect(SocketAddr::new(pair.destination, 0))?;
        Ok(socket)
    }

    fn replied(&self, socket: &UdpSocket, sequence: u16, patience: Duration) -> Result<bool> {
        let end = Instant::now() + patience;
        let mut buffer = [0; 2048];
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(false);
            }
            socket.set_read_timeout(Some(left))?;
            let Ok(length) = socket.recv(&mut buffer) else { continue };
            // IPv4 raw sockets give the IP header too, of 20 bytes without options.
            let (start, kind) = if self.family == Family::V4 { (20, 0) } else { (0, 129) };
            let wanted = [ID.to_be_bytes(), sequence.to_be_bytes()].concat();
            if length >= start + 8 && buffer[start] == kind && buffer[start + 4..start + 8] == wanted {
                return Ok(true);
            }
        }
    }
}

/// The lab's echo identifier.
const ID: u16 = 0x6579;
