//! A subscription to notifications of the kernel, on a tokio runtime.

use std::io;

use libc::c_uint;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::netlink::{Message, Messages};
use super::socket::{DATAGRAM, Socket};

/// Bytes of notifications that may wait in the kernel; a link message takes 2 to 3 KiB there, so this holds the
/// coming and going of about a thousand interfaces. Beyond it the kernel drops them, tells us, and we compare lists.
const RECEIVE_BUFFER: libc::c_int = 4 * 1024 * 1024;

/// Datagrams that are read before others get their turn.
const BATCH: usize = 64;

/// Which notifications.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Topics {
    /// Multicast groups, `RTNLGRP_*`.
    pub groups: &'static [c_uint],
    /// Of all namespaces that have an id in ours, not only of ours.
    pub all_namespaces: bool,
}

/// How a read ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// All messages that were waiting were handed over, or a batch of them.
    Messages,
    /// The kernel dropped messages, or sent what is none: what is known must be compared with what is.
    Lost,
}

/// A subscription.
#[derive(Debug)]
pub struct Subscription {
    socket: AsyncFd<Socket>,
    buffer: Box<[u8]>,
    listens_all: bool,
}

impl Subscription {
    /// Subscribes, in the network namespace that the calling thread is in. Everything that happens from now on will
    /// be read or reported as lost.
    ///
    /// # Errors
    /// Where the socket cannot be opened, or the calling thread has no tokio runtime.
    pub fn open(topics: Topics) -> io::Result<Self> {
        let socket = Socket::open()?;
        socket.set_nonblocking()?;
        socket.set_receive_buffer(RECEIVE_BUFFER)?;
        // Without CAP_NET_BROADCAST the other namespaces must be asked from time to time instead.
        let listens_all = topics.all_namespaces && socket.listen_all_namespaces().is_ok();
        for &group in topics.groups {
            socket.join(group)?;
        }
        // SAFETY: a socket gives the same descriptor always, and keeps it open for as long as it lives.
        let socket = unsafe { AsyncFd::register_with_interest(socket, Interest::READABLE)? };
        Ok(Self { socket, buffer: vec![0; DATAGRAM].into(), listens_all })
    }

    /// Whether notifications of other namespaces come as well.
    pub const fn listens_all(&self) -> bool {
        self.listens_all
    }

    /// Waits for notifications and hands over each, with the id of the namespace that it is of, none for our own.
    ///
    /// Nothing is lost where the future is dropped while it waits.
    ///
    /// # Errors
    /// Where the socket fails for another reason than lost messages.
    pub async fn receive(&mut self, mut take: impl FnMut(Option<i32>, &Message<'_>)) -> io::Result<Received> {
        let mut ready = self.socket.readable().await?;
        for _ in 0..BATCH {
            match ready.get_inner().receive(&mut self.buffer) {
                Ok(datagram) => {
                    let mut messages = Messages::new(&self.buffer[..datagram.length]);
                    messages.by_ref().for_each(|message| take(datagram.netns, &message));
                    if messages.is_broken() {
                        return Ok(Received::Lost);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    ready.clear_ready();
                    break;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if matches!(error.raw_os_error(), Some(libc::ENOBUFS | libc::EMSGSIZE)) => {
                    return Ok(Received::Lost);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(Received::Messages)
    }
}
