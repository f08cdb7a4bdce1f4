//! Netlink requests: interfaces, addresses, counters and namespace ids. They block: send them on a thread that may.

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::Duration;

use libc::{
    NLM_F_ACK, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NLMSG_DONE, NLMSG_ERROR, RTM_GETADDR, RTM_GETLINK,
    RTM_GETNSID, RTM_NEWADDR, RTM_NEWLINK, RTM_NEWNSID,
};

use super::link_info::{LinkInfo, parse_address};
use super::netlink::{Attributes, IFADDRMSG, IFINFOMSG, Message, Messages, Request, i32_at, u64_at};
use super::socket::{DATAGRAM, Socket};

/// The most repetitions of a dump whose list changes meanwhile.
const ATTEMPTS: usize = 16;
/// After this time the kernel's configuration lock is considered stuck; the next survey sends the request again.
const TIMEOUT: Duration = Duration::from_secs(10);
/// `IFLA_EXT_MASK` value `RTEXT_FILTER_SKIP_STATS`: leaves out the counters, two thirds of a link message.
const SKIP_STATS: u32 = 8;
/// `IFA_TARGET_NETNSID` (Linux `include/uapi/linux/if_addr.h`, since 4.20).
const IFA_TARGET_NETNSID: u16 = 10;
/// `NETNSA_NSID` and `NETNSA_FD` (Linux `include/uapi/linux/net_namespace.h`).
const NETNSA_NSID: u16 = 1;
const NETNSA_FD: u16 = 3;
/// `RTM_NEWSTATS`, `RTM_GETSTATS` (Linux `include/uapi/linux/rtnetlink.h`), and `IFLA_STATS_LINK_64` with its bit of a
/// filter (`if_link.h`).
const RTM_NEWSTATS: u16 = 92;
const RTM_GETSTATS: u16 = 94;
const IFLA_STATS_LINK_64: u16 = 1;
const STATS_LINK_64: u32 = 1;
/// Bytes of `struct if_stats_msg`.
const IF_STATS_MSG: usize = 12;

/// Counters of an interface since its creation: the first members of `struct rtnl_link_stats64`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Packets received.
    pub rx_packets: u64,
    /// Packets sent.
    pub tx_packets: u64,
    /// Bytes received.
    pub rx_bytes: u64,
    /// Bytes sent.
    pub tx_bytes: u64,
}

/// The error of a request.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages name the fields")]
pub enum RequestError {
    /// The socket failed.
    #[error("cannot use the netlink socket: {source}")]
    Socket {
        #[from]
        source: io::Error,
    },
    /// The kernel refused.
    #[error("cannot complete a netlink request: the kernel refused it: {source}")]
    Refused { source: io::Error },
    /// A list changed in each of several attempts to dump it.
    #[error("interfaces or addresses changed during each of {ATTEMPTS} attempts to list them")]
    Unstable,
    /// The answer was no netlink message.
    #[error("invalid netlink answer: expected a netlink message")]
    Malformed,
}

/// A netlink socket with its buffer.
#[derive(Debug)]
pub struct Requests {
    socket: Socket,
    buffer: Box<[u8]>,
    sequence: u32,
}

fn link_info(message: &Message<'_>) -> Option<LinkInfo> {
    if message.kind == RTM_NEWLINK { LinkInfo::parse(message.payload) } else { None }
}

/// Returns the answer about one interface; `None` if it is gone.
fn if_there<T>(answer: Result<Vec<T>, RequestError>) -> Result<Option<T>, RequestError> {
    match answer {
        Ok(found) => Ok(found.into_iter().next()),
        Err(RequestError::Refused { source }) if source.raw_os_error() == Some(libc::ENODEV) => Ok(None),
        Err(error) => Err(error),
    }
}

impl Requests {
    /// Opens a socket in the namespace that the calling thread is in.
    ///
    /// # Errors
    /// No socket can be opened.
    pub fn open() -> Result<Self, RequestError> {
        let socket = Socket::open()?;
        socket.set_timeout(TIMEOUT)?;
        Ok(Self { socket, buffer: vec![0; DATAGRAM].into(), sequence: 0 })
    }

    /// All interfaces of this namespace.
    ///
    /// # Errors
    /// See [`RequestError`].
    pub fn links(&mut self) -> Result<Vec<LinkInfo>, RequestError> {
        let request = Request::new(RTM_GETLINK, dump(), &[0; IFINFOMSG])
            .attribute(libc::IFLA_EXT_MASK, &SKIP_STATS.to_ne_bytes());
        self.list(&request, link_info)
    }

    /// One interface of this namespace; `None` if it is gone.
    ///
    /// # Errors
    /// See [`RequestError`].
    pub fn link(&mut self, ifindex: u32) -> Result<Option<LinkInfo>, RequestError> {
        let mut fixed = [0; IFINFOMSG];
        fixed[4..8].copy_from_slice(&ifindex.to_ne_bytes());
        let request = Request::new(RTM_GETLINK, flags(NLM_F_REQUEST | NLM_F_ACK), &fixed)
            .attribute(libc::IFLA_EXT_MASK, &SKIP_STATS.to_ne_bytes());
        if_there(self.list(&request, link_info))
    }

    /// The counters of an interface of this namespace; `None` if it is gone.
    ///
    /// # Errors
    /// See [`RequestError`].
    pub fn counters(&mut self, ifindex: u32) -> Result<Option<Counters>, RequestError> {
        let mut fixed = [0; IF_STATS_MSG];
        fixed[4..8].copy_from_slice(&ifindex.to_ne_bytes());
        fixed[8..].copy_from_slice(&STATS_LINK_64.to_ne_bytes());
        let request = Request::new(RTM_GETSTATS, flags(NLM_F_REQUEST | NLM_F_ACK), &fixed);
        let answer = self.list(&request, |message| {
            let mut attributes = Attributes::after_header(message.payload, IF_STATS_MSG);
            let found = attributes.find(|&(kind, _)| kind == IFLA_STATS_LINK_64).map(|(_, value)| value)?;
            let [rx_packets, tx_packets, rx_bytes, tx_bytes] = [0, 8, 16, 24].map(|at| u64_at(found, at));
            let counters =
                Counters { rx_packets: rx_packets?, tx_packets: tx_packets?, rx_bytes: rx_bytes?, tx_bytes: tx_bytes? };
            (message.kind == RTM_NEWSTATS).then_some(counters)
        });
        if_there(answer)
    }

    /// All addresses of this namespace, or of another one by its id, each with the index of its interface there.
    ///
    /// The kernel looks into the other namespace: the thread need not enter it.
    ///
    /// # Errors
    /// See [`RequestError`]; refused with `EINVAL` if no namespace has that id, with `EACCES` without `CAP_NET_ADMIN`
    /// there.
    pub fn addresses(&mut self, netns: Option<i32>) -> Result<Vec<(u32, IpAddr)>, RequestError> {
        let mut request = Request::new(RTM_GETADDR, dump(), &[0; IFADDRMSG]);
        if let Some(id) = netns {
            request = request.attribute(IFA_TARGET_NETNSID, &id.to_ne_bytes());
        }
        self.list(&request, |message| if message.kind == RTM_NEWADDR { parse_address(message.payload) } else { None })
    }

    /// The id that an open namespace has in this one; `None` if it has none, as no interface here leads to it.
    ///
    /// # Errors
    /// See [`RequestError`].
    pub fn netns_id(&mut self, namespace: BorrowedFd<'_>) -> Result<Option<i32>, RequestError> {
        // `struct rtgenmsg`, padded.
        let request = Request::new(RTM_GETNSID, flags(NLM_F_REQUEST | NLM_F_ACK), &[0; 4])
            .attribute(NETNSA_FD, &namespace.as_raw_fd().to_ne_bytes());
        let found = self.list(&request, |message| {
            let is_id = |&(kind, _): &(u16, &[u8])| kind == NETNSA_NSID;
            let value =
                Attributes::after_header(message.payload, 4).find(is_id).and_then(|(_, value)| i32_at(value, 0));
            if message.kind == RTM_NEWNSID { value } else { None }
        })?;
        Ok(found.into_iter().find(|&id| id >= 0))
    }

    /// Sends a request; collects the results of `pick` on the answers. Repeats a dump that the kernel reports as
    /// changed.
    ///
    /// # Errors
    /// See [`RequestError`].
    pub fn list<T>(
        &mut self,
        request: &Request,
        mut pick: impl FnMut(&Message<'_>) -> Option<T>,
    ) -> Result<Vec<T>, RequestError> {
        for _ in 0..ATTEMPTS {
            if let Some(found) = self.attempt(request, &mut pick)? {
                return Ok(found);
            }
        }
        Err(RequestError::Unstable)
    }

    fn attempt<T>(
        &mut self,
        request: &Request,
        pick: &mut impl FnMut(&Message<'_>) -> Option<T>,
    ) -> Result<Option<Vec<T>>, RequestError> {
        self.sequence = self.sequence.wrapping_add(1);
        self.socket.send(&request.clone().finish(self.sequence))?;
        let mut found = Vec::new();
        let mut interrupted = false;
        loop {
            let datagram = self.socket.receive(&mut self.buffer)?;
            let mut messages = Messages::new(&self.buffer[..datagram.length]);
            for message in messages.by_ref() {
                // The answer of an earlier request that timed out.
                if message.sequence != self.sequence {
                    continue;
                }
                interrupted |= message.flags & flags(NLM_F_DUMP_INTR) != 0;
                match libc::c_int::from(message.kind) {
                    // Both carry an error number, 0 for none.
                    NLMSG_DONE | NLMSG_ERROR => {
                        return match i32_at(message.payload, 0) {
                            Some(0) => Ok((!interrupted).then_some(found)),
                            Some(error) => {
                                let source = io::Error::from_raw_os_error(error.wrapping_neg());
                                Err(RequestError::Refused { source })
                            }
                            None => Err(RequestError::Malformed),
                        };
                    }
                    _ => found.extend(pick(&message)),
                }
            }
            if messages.is_broken() {
                return Err(RequestError::Malformed);
            }
        }
    }
}

/// Request flags all fit into the header's 16 bits.
const fn flags(bits: libc::c_int) -> u16 {
    bits as u16
}

const fn dump() -> u16 {
    flags(NLM_F_REQUEST | NLM_F_DUMP)
}
