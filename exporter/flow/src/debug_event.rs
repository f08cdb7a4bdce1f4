//! A debug message of the datapath (monitor message type 2). It has numbers; [`crate::debug_text`] makes its text.

use crate::endpoint::End;

/// One debug message. Field meanings follow Hubble's `flow.DebugEvent`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DebugEvent {
    /// Arrival time, ns since the Unix epoch.
    pub time: u64,
    /// RFC 9562 version 4, set by the pipeline; all zero until then.
    pub uuid: [u8; 16],
    /// The CPU that it happened on.
    pub cpu: u16,
    /// Subtype, and the number in `flow.DebugEventType`.
    pub kind: u8,
    /// The endpoint of the program that sent the message; id 0 = none.
    pub source: End,
    /// Hash of the packet.
    pub hash: u32,
    /// First argument; its meaning depends on the subtype.
    pub arg1: u32,
    /// Second argument.
    pub arg2: u32,
    /// Third argument.
    pub arg3: u32,
}
