//! The message of the monitor socket.

/// [`Payload::kind`] of a payload that carries an event.
pub const EVENT_SAMPLE: i64 = 9;
/// [`Payload::kind`] of a payload that reports lost events.
pub const RECORD_LOST: i64 = 2;

/// The content of one message of the socket: Cilium's `payload.Payload`. The default is all zero, as Go's is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Payload<'a> {
    /// The monitor payload: `data[0]` is the message type. Empty if events were lost.
    pub data: &'a [u8],
    /// The CPU that it happened on; 0 for agent and access-log events.
    pub cpu: i64,
    /// Number of lost events, if the kind is [`RECORD_LOST`].
    pub lost: u64,
    /// [`EVENT_SAMPLE`] or [`RECORD_LOST`]; `Type` in Go.
    pub kind: i64,
}
