//! A subscription to notifications of the kernel, on a tokio runtime.

use std::io;

use libc::c_uint;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::netlink::{Message, Messages};
use super::socket::{DATAGRAM, Socket};

/// Bytes of notifications that the kernel queues; a link message takes 2 to 3 KiB, so this holds the coming and going
/// of about a thousand interfaces. Beyond it the kernel drops them and reports that, and lists are compared.
const RECEIVE_BUFFER: libc::c_int = 4 * 1024 * 1024;

/// The most datagrams per call: other tasks get their turn.
const BATCH: usize = 64;

/// The notifications to subscribe to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Topics {
    /// Multicast groups, `RTNLGRP_*`.
    pub groups: &'static [c_uint],
    /// Whether notifications of all namespaces with an id in ours are received, not of ours only.
    pub all_namespaces: bool,
}

/// The result of a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// All queued messages were passed on, or a batch of them.
    Messages,
    /// The kernel dropped messages, or sent an invalid one: the state must be compared with a list.
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
    /// Subscribes in the calling thread's network namespace. Every later change is either read or reported as lost.
    ///
    /// # Errors
    /// The socket cannot be opened, or the calling thread has no tokio runtime.
    pub fn open(topics: Topics) -> io::Result<Self> {
        let socket = Socket::open()?;
        socket.set_nonblocking()?;
        socket.set_receive_buffer(RECEIVE_BUFFER)?;
        // Without CAP_NET_BROADCAST the other namespaces are listed regularly instead.
        let listens_all = topics.all_namespaces && socket.listen_all_namespaces().is_ok();
        for &group in topics.groups {
            socket.join(group)?;
        }
        // SAFETY: the socket's descriptor is constant, and open as long as the socket lives.
        let socket = unsafe { AsyncFd::register_with_interest(socket, Interest::READABLE)? };
        Ok(Self { socket, buffer: vec![0; DATAGRAM].into(), listens_all })
    }

    /// Returns whether notifications of other namespaces are received as well.
    pub const fn listens_all(&self) -> bool {
        self.listens_all
    }

    /// Waits for notifications; calls `take` with each and the id of its namespace, `None` for our own.
    ///
    /// Nothing is lost if the future is dropped while it waits.
    ///
    /// # Errors
    /// The socket failed for another reason than lost messages.
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
