//! Events as sources deliver them to the pipeline.

use std::cell::Cell;
use std::fmt;
use std::net::IpAddr;

use eyepiece_wire::Process;

use crate::record::Observed;

pub use crate::loss::{Lost, LostSource};
pub use crate::traffic_delta::{KernelDrop, TrafficDelta};

/// One event. Raw bytes are borrowed from the source's buffer.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// A monitor payload.
    Raw(RawEvent<'a>),
    /// Packets and bytes that no event carried: read from the kernel's table by the sweeper.
    Totals(Totals),
    /// A process of this machine that connects or listens. It comes before the events of its connections.
    Process(Process),
    /// Events that the source could not deliver.
    Lost(Lost),
    /// A decoded flow or event of another Hubble server, with its own time and uuid.
    Observed(&'a TakeOnce),
    /// A message of another Hubble server that could not be decoded.
    Undecodable(Undecodable<'a>),
    /// A monitor payload that eyepiece made itself, about an endpoint or an address.
    Notification(RawEvent<'a>),
}

/// A value that its first reader takes: events are passed by reference and not copied.
pub struct TakeOnce(Cell<Option<Box<Observed>>>);

impl TakeOnce {
    /// A value that is not taken yet.
    pub const fn new(observed: Box<Observed>) -> Self {
        Self(Cell::new(Some(observed)))
    }

    /// Takes the value. Returns `None` if it was taken before.
    pub const fn take(&self) -> Option<Box<Observed>> {
        self.0.replace(None)
    }
}

impl fmt::Debug for TakeOnce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TakeOnce").finish_non_exhaustive()
    }
}

/// A message of another Hubble server that could not be decoded.
#[derive(Clone, Copy, Debug)]
pub struct Undecodable<'a> {
    /// The reason, as telemetry names it.
    pub reason: &'static str,
    /// Arrival time, ns since the Unix epoch.
    pub time: u64,
    /// Its bytes.
    pub data: &'a [u8],
}

/// A monitor payload in Cilium's format, with what our own datapath reports beside it.
#[derive(Clone, Copy, Debug)]
pub struct RawEvent<'a> {
    /// Time of the event, ns since the Unix epoch.
    pub time: u64,
    /// The CPU that it happened on.
    pub cpu: u16,
    /// The payload; `data[0]` is the message type.
    pub data: &'a [u8],
    /// Packets and bytes; `None` from other sources than our own datapath.
    pub traffic: Option<TrafficDelta>,
    /// The kernel's description of a drop; `None` from other sources than our own datapath.
    pub kernel_drop: Option<KernelDrop>,
}

/// Packets of one direction of a connection that no event carried.
#[derive(Clone, Copy, Debug)]
pub struct Totals {
    /// The hook, and how many.
    pub traffic: TrafficDelta,
    /// Source and destination; `None` for packets without addresses, or without an entry in the kernel's table.
    pub addresses: Option<(IpAddr, IpAddr)>,
    /// The transport protocol.
    pub transport: Transport,
}

/// The transport of packets that no event carried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Transport {
    /// IP protocol number; 0 = unknown.
    pub protocol: u8,
    /// Source and destination port; 0 if the protocol has none.
    pub ports: (u16, u16),
    /// The packets go from the answering side to the side that opened the connection.
    pub is_reply: bool,
}
