//! Go's `encoding/gob` for what travels on the monitor 1.2 socket: payloads, and the values inside of some of them.
//!
//! A gob stream is self-describing: every message is a length, a type id and a body; a negative id defines the type of
//! that number, any other names the type of the value behind it. Ids differ between processes and releases, so nothing
//! is decoded by position: a descriptor is read, then its fields are looked for by name. Source of the format: the
//! documentation of Go's `encoding/gob`, and bytes that it wrote.
//!
//! Pure and total: any bytes give a value or a [`GobError`], within bounds that [`Limits`] and constants set.

mod cursor;
mod descriptor;
pub mod encode;
mod error;
mod skip;
pub mod stream;
pub mod value;

pub use error::{Fault, GobError};
pub use stream::{Limits, PayloadDecoder};
pub use value::{Struct, Value, value};

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

/// Ids of the types that gob knows without a descriptor.
mod builtin {
    /// An unsigned number, 0 or 1.
    pub(super) const BOOL: i64 = 1;
    /// A signed number of any width.
    pub(super) const INT: i64 = 2;
    /// An unsigned number of any width.
    pub(super) const UINT: i64 = 3;
    /// A float of any width: the bits of an f64 in reversed byte order, as an unsigned number.
    pub(super) const FLOAT: i64 = 4;
    /// `[]byte`: a length and as many bytes.
    pub(super) const BYTES: i64 = 5;
    /// Text: as bytes.
    pub(super) const STRING: i64 = 6;
    /// Two floats.
    pub(super) const COMPLEX: i64 = 7;
    /// The name of a type, its id, and a value of it behind its length.
    pub(super) const INTERFACE: i64 = 8;
}

/// How deep values may nest; Cilium's nest five levels. Bounds the stack.
const MAX_DEPTH: usize = 32;

/// The least bytes that any value takes: a count, a length, a number or the end of a structure. Counts are checked by it.
const LEAST_VALUE: usize = 1;
