//! The message of the monitor socket.

/// [`Payload::kind`] of a payload that carries an event.
pub const EVENT_SAMPLE: i64 = 9;
/// [`Payload::kind`] of a payload that tells of lost events.
pub const RECORD_LOST: i64 = 2;

/// What one message of the socket carries: Cilium's `payload.Payload`. The default is all zero, as Go's is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Payload<'a> {
    /// The monitor payload: `data[0]` is the message type. Empty where events were lost.
    pub data: &'a [u8],
    /// The CPU that it happened on; 0 for agent and access-log events.
    pub cpu: i64,
    /// Events lost, where the kind is [`RECORD_LOST`].
    pub lost: u64,
    /// [`EVENT_SAMPLE`] or [`RECORD_LOST`]; Go calls it `Type`.
    pub kind: i64,
}
