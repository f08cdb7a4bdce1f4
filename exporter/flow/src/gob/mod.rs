//! Go's `encoding/gob`, as far as the monitor 1.2 socket uses it: payloads, and the values inside of some of them.
//!
//! A gob stream is self-describing. Every message is a length, a type id and a body: a negative id defines the type of
//! that number, any other one precedes a value of its type. Ids differ between processes and releases, so fields are
//! found by name, not by position. Source: the documentation of Go's `encoding/gob`.
//!
//! Any bytes give a value or a [`GobError`], within the bounds of [`Limits`] and constants.

mod bounds;
mod builtin;
mod cursor;
mod descriptor;
pub mod encode;
mod error;
mod payload;
mod skip;
pub mod stream;
pub mod value;

pub use error::{Fault, GobError};
pub use payload::{EVENT_SAMPLE, Payload, RECORD_LOST};
pub use stream::{Limits, PayloadDecoder};
pub use value::{Struct, Value, value};
