//! Go's `encoding/gob` for what travels on the monitor 1.2 socket: payloads, and the values inside of some of them.
//!
//! A gob stream is self-describing: every message is a length, a type id and a body; a negative id defines the type of
//! that number, any other names the type of the value behind it. Ids differ between processes and releases, so nothing
//! is decoded by position: a descriptor is read, then its fields are looked for by name. Source of the format: the
//! documentation of Go's `encoding/gob`, and bytes that it wrote.
//!
//! Pure and total: any bytes give a value or a [`GobError`], within bounds that [`Limits`] and constants set.

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
