//! Sending many packets with few system calls: frames through AF_PACKET, datagrams through a UDP socket.

use std::net::UdpSocket;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::errno::Errno;

use crate::namespace::Inside;

/// Packets given to the kernel at once.
const BATCH: usize = 32;

/// A raw socket on one interface, for sending only.
#[derive(Debug)]
pub struct PacketSocket(OwnedFd);

impl PacketSocket {
    /// Opens one on an interface of a namespace. It receives nothing.
    pub fn open(namespace: &Inside, device: &str) -> Result<Self> {
        let index = i32::try_from(namespace.ifindex(device)?)?;
        namespace
            .run(|| {
                // SAFETY: a plain system call; its result is checked. Protocol 0: no packets are delivered.
                let descriptor =
                    Errno::result(unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) })?;
                // SAFETY: the descriptor was just opened and nothing else has it.
                let socket = unsafe { OwnedFd::from_raw_fd(descriptor) };
                // SAFETY: sockaddr_ll is plain data, for which all zeros is a value.
                let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
                address.sll_family = u16::try_from(libc::AF_PACKET).unwrap_or_default();
                address.sll_ifindex = index;
                let length = u32::try_from(size_of_val(&address)).unwrap_or_default();
                // SAFETY: the address lives on the stack and has the length that is passed.
                Errno::result(unsafe { libc::bind(descriptor, (&raw const address).cast(), length) })?;
                Ok::<_, Errno>(Self(socket))
            })
            .with_context(|| format!("a packet socket on {device}"))
    }

    /// Sends frames in order, at most so many a second (0: as fast as it goes).
    pub fn send<'a>(&self, frames: impl IntoIterator<Item = &'a [u8]>, rate: u64) -> Result<u64> {
        send_all(self.0.as_raw_fd(), frames.into_iter(), rate)
    }
}

/// Sends datagrams through a connected socket in order, at most so many a second (0: as fast as it goes).
pub fn send_datagrams<'a>(socket: &UdpSocket, datagrams: impl Iterator<Item = &'a [u8]>, rate: u64) -> Result<u64> {
    send_all(socket.as_raw_fd(), datagrams, rate)
}

fn send_all<'a>(socket: i32, mut packets: impl Iterator<Item = &'a [u8]>, rate: u64) -> Result<u64> {
    let start = Instant::now();
    let mut sent = 0u64;
    loop {
        let batch: Vec<&[u8]> = packets.by_ref().take(BATCH).collect();
        if batch.is_empty() {
            return Ok(sent);
        }
        send_batch(socket, &batch)?;
        sent += batch.len() as u64;
        if let Some(due) = (sent * 1_000_000_000).checked_div(rate) {
            std::thread::sleep(Duration::from_nanos(due).saturating_sub(start.elapsed()));
        }
    }
}

fn send_batch(socket: i32, batch: &[&[u8]]) -> Result<()> {
    let mut pieces: Vec<libc::iovec> = batch
        .iter()
        .map(|packet| libc::iovec { iov_base: packet.as_ptr().cast_mut().cast(), iov_len: packet.len() })
        .collect();
    let mut messages: Vec<libc::mmsghdr> = pieces
        .iter_mut()
        .map(|piece| {
            // SAFETY: mmsghdr is plain data, for which all zeros is a value: no address, no control data.
            let mut message: libc::mmsghdr = unsafe { std::mem::zeroed() };
            message.msg_hdr.msg_iov = piece;
            message.msg_hdr.msg_iovlen = 1;
            message
        })
        .collect();
    let mut done = 0;
    while done < messages.len() {
        let rest = &mut messages[done..];
        let length = u32::try_from(rest.len())?;
        // SAFETY: each message points to one piece, each piece to a packet; all of them outlive the call.
        match Errno::result(unsafe { libc::sendmmsg(socket, rest.as_mut_ptr(), length, 0) }) {
            Ok(count) => done += usize::try_from(count)?,
            // An ICMP error for an earlier datagram, which the caller expects, or a full queue: try again.
            Err(Errno::ECONNREFUSED | Errno::EINTR | Errno::EHOSTUNREACH | Errno::ENETUNREACH) => {}
            Err(Errno::ENOBUFS | Errno::EAGAIN) => std::thread::sleep(Duration::from_micros(100)),
            Err(error) => return Err(error).context("sendmmsg"),
        }
    }
    Ok(())
}
