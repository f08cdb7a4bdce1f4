//! eyepiece's tc filters at clsact: adds them, finds them, and removes them and no others.
//!
//! A filter is eyepiece's if it is a bpf filter with its handle, its priority and its prefix of program names, all
//! three. Its run may still live: only an exporter that is alone in its network namespace removes stale filters, at the
//! start.
//!
//! The clsact qdisc stays: an earlier run may have found it there, and other programs may use it. An empty one costs a
//! packet a few nanoseconds. Only the run that created it may call [`remove_empty_clsact`].

use std::io;

use std::os::fd::{AsRawFd, BorrowedFd};

use libc::{
    NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL, NLM_F_REQUEST, RTM_DELQDISC, RTM_DELTFILTER, RTM_GETTFILTER,
    RTM_NEWQDISC, RTM_NEWTFILTER,
};

use super::netlink::{Attributes, Message, Request, TCMSG, text, u32_at};
use super::requests::{RequestError, Requests};

/// `TCA_KIND` and `TCA_OPTIONS` (Linux `include/uapi/linux/rtnetlink.h`).
const TCA_KIND: u16 = 1;
const TCA_OPTIONS: u16 = 2;
/// `TCA_BPF_FD`, `TCA_BPF_NAME`, `TCA_BPF_FLAGS` and its direct action (Linux `include/uapi/linux/pkt_cls.h`).
const TCA_BPF_FD: u16 = 6;
const TCA_BPF_NAME: u16 = 7;
const TCA_BPF_FLAGS: u16 = 8;
const TCA_BPF_FLAG_ACT_DIRECT: u32 = 1;
/// Handle of a clsact qdisc: `TC_H_MAKE(TC_H_CLSACT, 0)`.
const CLSACT_HANDLE: u32 = 0xffff_0000;
/// Parent of a clsact qdisc: `TC_H_CLSACT`.
const CLSACT_PARENT: u32 = 0xffff_fff1;

/// Properties of eyepiece's filters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OwnFilters {
    /// Their handle.
    pub handle: u32,
    /// Their priority: the lowest one runs first.
    pub priority: u16,
    /// Prefix of their programs' names.
    pub prefix: &'static str,
}

impl Default for OwnFilters {
    fn default() -> Self {
        // ASCII "eye": unlikely to be another program's.
        Self { handle: 0x65_7965, priority: 1, prefix: "eyepiece_" }
    }
}

/// The side of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Received packets.
    Ingress,
    /// Sent packets.
    Egress,
}

impl Direction {
    /// `tcm_parent`: `TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_INGRESS or TC_H_MIN_EGRESS)`.
    pub const fn parent(self) -> u32 {
        match self {
            Self::Ingress => 0xffff_fff2,
            Self::Egress => 0xffff_fff3,
        }
    }
}

/// A tc filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TcFilter {
    /// The interface.
    pub ifindex: u32,
    /// The side.
    pub direction: Direction,
    /// Handle within its priority.
    pub handle: u32,
    /// Priority.
    pub priority: u16,
    /// Ethertype that it matches, in network byte order as the kernel keeps it.
    pub protocol: u16,
    /// `bpf`, `matchall` …
    pub kind: String,
    /// The program's name; bpf filters only.
    pub name: Option<String>,
}

/// Adds the clsact qdisc to an interface; returns false if it has one already.
///
/// # Errors
/// See [`RequestError`].
pub fn add_clsact(requests: &mut Requests, ifindex: u32) -> Result<bool, RequestError> {
    let request = Request::new(RTM_NEWQDISC, creating(), &tcmsg(ifindex, CLSACT_HANDLE, CLSACT_PARENT, 0));
    match requests.list(&request.attribute(TCA_KIND, b"clsact\0"), |_| None::<()>) {
        Ok(_) => Ok(true),
        Err(RequestError::Refused { source }) if source.raw_os_error() == Some(libc::EEXIST) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Adds a program as a filter for all packets at one side of an interface that has a clsact qdisc.
///
/// # Errors
/// See [`RequestError`]; refused with `EEXIST` if a filter has the same handle and priority.
pub fn add(
    requests: &mut Requests,
    ifindex: u32,
    direction: Direction,
    program: BorrowedFd<'_>,
    name: &str,
) -> Result<TcFilter, RequestError> {
    let OwnFilters { handle, priority, .. } = OwnFilters::default();
    let protocol = (libc::ETH_P_ALL as u16).to_be();
    let options = Request::nested(&[
        (TCA_BPF_FD, &program.as_raw_fd().to_ne_bytes()),
        (TCA_BPF_NAME, format!("{name}\0").as_bytes()),
        (TCA_BPF_FLAGS, &TCA_BPF_FLAG_ACT_DIRECT.to_ne_bytes()),
    ]);
    let filter = TcFilter {
        ifindex,
        direction,
        handle,
        priority,
        protocol,
        kind: "bpf".to_owned(),
        name: Some(name.to_owned()),
    };
    let request = Request::new(RTM_NEWTFILTER, creating(), &filter.tcmsg()).attribute(TCA_KIND, b"bpf\0");
    requests.list(&request.attribute(TCA_OPTIONS, &options), |_| None::<()>).map(|_| filter)
}

impl TcFilter {
    /// All fields are set: with a handle of 0 the kernel would take the whole priority.
    fn tcmsg(&self) -> [u8; TCMSG] {
        let info = u32::from(self.priority) << 16 | u32::from(self.protocol);
        tcmsg(self.ifindex, self.handle, self.direction.parent(), info)
    }
}

/// Removes all of eyepiece's filters in this network namespace, and returns them.
///
/// # Errors
/// See [`RequestError`]; filters removed before the error stay removed. A vanished interface is no error.
pub fn remove_stale(requests: &mut Requests, ours: &OwnFilters) -> Result<Vec<TcFilter>, RequestError> {
    let mut removed = Vec::new();
    for filter in stale_filters(requests, ours)? {
        match remove(requests, &filter) {
            Ok(()) => removed.push(filter),
            Err(error) if is_gone(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(removed)
}

/// eyepiece's filters at all interfaces of this network namespace.
///
/// # Errors
/// See [`RequestError`].
pub fn stale_filters(requests: &mut Requests, ours: &OwnFilters) -> Result<Vec<TcFilter>, RequestError> {
    let mut found = Vec::new();
    for link in requests.links()? {
        for direction in [Direction::Ingress, Direction::Egress] {
            found
                .extend(filters(requests, link.ifindex, direction)?.into_iter().filter(|filter| is_ours(filter, ours)));
        }
    }
    Ok(found)
}

/// All filters at one side of an interface; none if it has no clsact qdisc, or is gone.
///
/// # Errors
/// See [`RequestError`].
pub fn filters(requests: &mut Requests, ifindex: u32, direction: Direction) -> Result<Vec<TcFilter>, RequestError> {
    let fixed = tcmsg(ifindex, 0, direction.parent(), 0);
    let request = Request::new(RTM_GETTFILTER, (NLM_F_REQUEST | NLM_F_DUMP) as u16, &fixed);
    match requests.list(&request, |message| parse(message, direction)) {
        Err(error) if is_gone(&error) => Ok(Vec::new()),
        result => result,
    }
}

/// Removes the clsact qdisc of an interface if it has no filter; returns whether it did.
///
/// Called only by the run that created the qdisc. Another program's filter that is added between the check and the
/// removal is lost: the kernel cannot remove a qdisc on condition that it is empty.
///
/// # Errors
/// See [`RequestError`].
pub fn remove_empty_clsact(requests: &mut Requests, ifindex: u32) -> Result<bool, RequestError> {
    for direction in [Direction::Ingress, Direction::Egress] {
        if !filters(requests, ifindex, direction)?.is_empty() {
            return Ok(false);
        }
    }
    let request = Request::new(RTM_DELQDISC, acknowledged(), &tcmsg(ifindex, CLSACT_HANDLE, CLSACT_PARENT, 0));
    match requests.list(&request.attribute(TCA_KIND, b"clsact\0"), |_| None::<()>) {
        Ok(_) => Ok(true),
        Err(error) if is_gone(&error) => Ok(false),
        Err(error) => Err(error),
    }
}

fn is_ours(filter: &TcFilter, ours: &OwnFilters) -> bool {
    filter.kind == "bpf"
        && (filter.handle, filter.priority) == (ours.handle, ours.priority)
        && filter.name.as_ref().is_some_and(|name| name.starts_with(ours.prefix))
}

/// Removes one filter; a missing one, or a missing interface, is no error.
///
/// # Errors
/// See [`RequestError`].
pub fn remove_if_there(requests: &mut Requests, filter: &TcFilter) -> Result<(), RequestError> {
    remove(requests, filter).or_else(|error| if is_gone(&error) { Ok(()) } else { Err(error) })
}

fn remove(requests: &mut Requests, filter: &TcFilter) -> Result<(), RequestError> {
    let request = Request::new(RTM_DELTFILTER, acknowledged(), &filter.tcmsg()).attribute(TCA_KIND, b"bpf\0");
    requests.list(&request, |_| None::<()>).map(|_| ())
}

/// Returns whether the interface, its qdisc or the filter is missing.
fn is_gone(error: &RequestError) -> bool {
    let gone = [libc::ENODEV, libc::ENOENT, libc::EINVAL];
    let code = |source: &io::Error| source.raw_os_error().is_some_and(|code| gone.contains(&code));
    matches!(error, RequestError::Refused { source } if code(source))
}

fn parse(message: &Message<'_>, direction: Direction) -> Option<TcFilter> {
    let payload = message.payload;
    let info = u32_at(payload, 16)?;
    let mut filter = TcFilter {
        ifindex: u32_at(payload, 4)?,
        direction,
        handle: u32_at(payload, 8)?,
        priority: (info >> 16) as u16,
        protocol: info as u16,
        kind: String::new(),
        name: None,
    };
    let mut has_options = false;
    for (kind, value) in Attributes::after_header(payload, TCMSG) {
        match kind {
            TCA_KIND => filter.kind = text(value),
            TCA_OPTIONS => {
                has_options = true;
                let name = Attributes::new(value).find(|&(kind, _)| kind == TCA_BPF_NAME);
                filter.name = name.map(|(_, value)| text(value));
            }
            _ => {}
        }
    }
    // Before its filters, the kernel sends each priority once without options.
    (message.kind == RTM_NEWTFILTER && has_options).then_some(filter)
}

/// `struct tcmsg` (Linux `include/uapi/linux/rtnetlink.h`).
fn tcmsg(ifindex: u32, handle: u32, parent: u32, info: u32) -> [u8; TCMSG] {
    let mut fixed = [0; TCMSG];
    for (at, value) in [(4, ifindex), (8, handle), (12, parent), (16, info)] {
        fixed[at..at + 4].copy_from_slice(&value.to_ne_bytes());
    }
    fixed
}

/// Request flags all fit into the header's 16 bits.
const fn acknowledged() -> u16 {
    (NLM_F_REQUEST | NLM_F_ACK) as u16
}

const fn creating() -> u16 {
    acknowledged() | (NLM_F_CREATE | NLM_F_EXCL) as u16
}
