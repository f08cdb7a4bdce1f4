//! Cilium's notification structs in the oldest layout that has the needed fields.
//!
//! Field meanings and offsets: Cilium `bpf/lib/{trace,drop,dbg}.h`, `pkg/monitor/datapath_*.go`.

/// Message type of a drop.
pub const NOTIFY_DROP: u8 = 1;
/// Message type of a debug message.
pub const NOTIFY_DEBUG: u8 = 2;
/// Message type of a debug capture.
pub const NOTIFY_CAPTURE: u8 = 3;
/// Message type of a trace.
pub const NOTIFY_TRACE: u8 = 4;

/// The packet is IPv6.
pub const CAPTURE_FLAG_IPV6: u8 = 1;
/// The packet has no Ethernet header.
pub const CAPTURE_FLAG_L3_DEVICE: u8 = 2;

/// Trace reason: first packet of a connection.
pub const REASON_NEW: u8 = 0;
/// Trace reason: a packet of the side that opened the connection.
pub const REASON_ESTABLISHED: u8 = 1;
/// Trace reason: a packet of the side that answers.
pub const REASON_REPLY: u8 = 2;
/// Trace reason: an ICMP error about another connection.
pub const REASON_RELATED: u8 = 3;
/// Trace reason: no connection tracked.
pub const REASON_UNKNOWN: u8 = 5;

/// Trace, version 1, 48 bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TraceNotify {
    /// [`NOTIFY_TRACE`].
    pub kind: u8,
    /// Observation point: 0 to-endpoint, 5 from-endpoint, 10 from-network, 11 to-network.
    pub observation_point: u8,
    /// Endpoint id, 0 = none.
    pub source: u16,
    /// The packet's flow hash.
    pub hash: u32,
    /// The packet's length, bytes.
    pub len_orig: u32,
    /// Bytes of it behind this struct.
    pub len_cap: u16,
    /// 1.
    pub version: u8,
    /// Padding: 0.
    pub ext_version: u8,
    /// Security identity of the source; 0: user space fills it in.
    pub source_label: u32,
    /// Security identity of the destination; 0 as above.
    pub destination_label: u32,
    /// Destination endpoint id, 0 = unknown.
    pub destination_id: u16,
    /// A trace reason.
    pub reason: u8,
    /// [`CAPTURE_FLAG_IPV6`], [`CAPTURE_FLAG_L3_DEVICE`].
    pub flags: u8,
    /// The interface.
    pub ifindex: u32,
    /// Address before translation; all zero = none.
    pub original_ip: [u8; 16],
}
const _: () = assert!(size_of::<TraceNotify>() == 48);

/// Drop, version 0 (36 bytes) or, on devices without Ethernet header, version 2 (40 bytes).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DropNotify {
    /// [`NOTIFY_DROP`].
    pub kind: u8,
    /// Cilium's drop reason that is the same as the kernel's, else 0.
    pub reason: u8,
    /// Endpoint id, 0 = none.
    pub source: u16,
    /// The packet's flow hash.
    pub hash: u32,
    /// The packet's length, bytes.
    pub len_orig: u32,
    /// Bytes of it behind this struct.
    pub len_cap: u16,
    /// 0 or 2.
    pub version: u8,
    /// Padding: 0.
    pub ext_version: u8,
    /// Security identity of the source; 0: user space fills it in.
    pub source_label: u32,
    /// Security identity of the destination; 0 as above.
    pub destination_label: u32,
    /// Destination endpoint id, 0 = unknown.
    pub destination_id: u32,
    /// The kernel's drop reason, low 16 bits.
    pub line: u16,
    /// 240 + the subsystem of the kernel's drop reason.
    pub file: u8,
    /// Padding: 0.
    pub ext_error: i8,
    /// The interface.
    pub ifindex: u32,
    /// Version 2 only: [`CAPTURE_FLAG_IPV6`], [`CAPTURE_FLAG_L3_DEVICE`].
    pub flags: u8,
    /// Version 2 only: 0.
    pub pad: [u8; 3],
}
/// Bytes of a version 0 drop.
pub const DROP_V0_LEN: usize = 36;
/// Bytes of a version 2 drop.
pub const DROP_V2_LEN: usize = size_of::<DropNotify>();
const _: () = assert!(DROP_V2_LEN == 40);

/// Debug message, 20 bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DebugMessage {
    /// [`NOTIFY_DEBUG`].
    pub kind: u8,
    /// `flow.DebugEventType`.
    pub subtype: u8,
    /// Endpoint id, 0 = none.
    pub source: u16,
    /// The packet's flow hash.
    pub hash: u32,
    /// First argument.
    pub arg1: u32,
    /// Second argument.
    pub arg2: u32,
    /// Third argument.
    pub arg3: u32,
}
const _: () = assert!(size_of::<DebugMessage>() == 20);

/// Debug capture, 24 bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DebugCapture {
    /// [`NOTIFY_CAPTURE`].
    pub kind: u8,
    /// Capture point: 4 = delivery.
    pub point: u8,
    /// Endpoint id, 0 = none.
    pub source: u16,
    /// The packet's flow hash.
    pub hash: u32,
    /// The packet's length, bytes.
    pub len_orig: u32,
    /// Bytes of it behind this struct.
    pub len_cap: u16,
    /// Padding: 0.
    pub version: u8,
    /// Padding: 0.
    pub ext_version: u8,
    /// Delivery: the interface.
    pub arg1: u32,
    /// Unused, 0.
    pub arg2: u32,
}
const _: () = assert!(size_of::<DebugCapture>() == 24);
