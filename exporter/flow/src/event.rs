//! The seam that every source feeds: raw monitor events, totals without a packet, what another observed, and losses; and
//! what we tell ourselves.

use std::cell::Cell;
use std::fmt;
use std::net::IpAddr;

use eyepiece_wire::{AnsweredBy, Hook};

use crate::record::Observed;

/// One event as a source delivers it. Raw bytes are borrowed from the source's buffer.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// A monitor payload.
    Raw(RawEvent<'a>),
    /// Packets and bytes that no event carried: taken from the kernel's table by the sweeper.
    Totals(Totals),
    /// Events that the source could not deliver.
    Lost(Lost),
    /// What another Hubble observed: decoded, with its own time and uuid, and named by who observed it.
    Observed(&'a TakeOnce),
    /// A message of another Hubble that is none.
    Undecodable(Undecodable<'a>),
    /// A monitor payload of our own, which tells of an endpoint or an address: no source has delivered it.
    Notification(RawEvent<'a>),
}

/// Something that was observed, for the one who takes it: events are passed by without being copied.
pub struct TakeOnce(Cell<Option<Box<Observed>>>);

impl TakeOnce {
    /// Not taken yet.
    pub const fn new(observed: Box<Observed>) -> Self {
        Self(Cell::new(Some(observed)))
    }

    /// Takes it; none where somebody has.
    pub const fn take(&self) -> Option<Box<Observed>> {
        self.0.replace(None)
    }
}

impl fmt::Debug for TakeOnce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TakeOnce").finish_non_exhaustive()
    }
}

/// A message of another Hubble that is none.
#[derive(Clone, Copy, Debug)]
pub struct Undecodable<'a> {
    /// Why, in words for telemetry.
    pub reason: &'static str,
    /// When it came, ns since the Unix epoch.
    pub time: u64,
    /// Its bytes.
    pub data: &'a [u8],
}

/// A monitor payload in Cilium's format, and what our own datapath knows beside it.
#[derive(Clone, Copy, Debug)]
pub struct RawEvent<'a> {
    /// When it happened, ns since the Unix epoch.
    pub time: u64,
    /// The CPU that it happened on.
    pub cpu: u16,
    /// `data[0]` is the message type.
    pub data: &'a [u8],
    /// Totals of our own datapath; none from other sources.
    pub traffic: Option<TrafficDelta>,
    /// The kernel's own words about a drop; none from other sources.
    pub kernel_drop: Option<KernelDrop>,
}

/// What a packet event of our own datapath says about the packets since the last one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrafficDelta {
    /// Where it was counted.
    pub hook: Hook,
    /// Who answers on the connection, at an uplink.
    pub mark: AnsweredBy,
    /// The interface of the hook.
    pub ifindex: u32,
    /// The interface the packet came in by; 0 = sent by this machine.
    pub ingress_ifindex: u32,
    /// Segments since the last report.
    pub packets: u64,
    /// Bytes on the wire since the last report.
    pub bytes: u64,
    /// Segments reported under [`AnsweredBy::Unknown`] before, now released.
    pub held_packets: u64,
    /// Bytes of `held_packets`.
    pub held_bytes: u64,
}

/// The kernel's own words about a drop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KernelDrop {
    /// `enum skb_drop_reason`; the upper 16 bits are the subsystem.
    pub reason: u32,
    /// The kernel address where the packet was freed.
    pub location: u64,
    /// Inode of the network namespace.
    pub netns: u32,
}

/// Packets of one direction of a connection that no event carried.
#[derive(Clone, Copy, Debug)]
pub struct Totals {
    /// Where and how many.
    pub traffic: TrafficDelta,
    /// Source and destination; none for packets without addresses, and for packets that no entry could hold.
    pub addresses: Option<(IpAddr, IpAddr)>,
    /// What they were carried by.
    pub transport: Transport,
}

/// The transport of packets that no event carried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Transport {
    /// IP protocol number; 0 = not known.
    pub protocol: u8,
    /// Source and destination port; 0 where the protocol has none.
    pub ports: (u16, u16),
    /// The packets go from the answering side to the one that opened the connection.
    pub is_reply: bool,
}

/// Who lost events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LostSource {
    /// The kernel's buffer had no room (`PERF_EVENT_RING_BUFFER` in Hubble, for the ring buffer too).
    KernelBuffer,
    /// A queue of ours between the source and the observer.
    ObserverQueue,
    /// A reader of the flow ring was overrun.
    HubbleRing,
}

/// Events that were lost: data, told to whom it concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lost {
    /// Who lost them.
    pub source: LostSource,
    /// The CPU, where the source knows it.
    pub cpu: Option<u16>,
    /// How many.
    pub count: u64,
    /// When it was noticed, ns since the Unix epoch.
    pub time: u64,
}
