//! A client's response: matching entries of the ring, as messages, at the pace of the client.
//!
//! The ring is the only queue. A client that is too slow finds entries overwritten and receives their number.

mod chunk;
mod messages;
mod overruns;
mod scan;

pub use messages::MessageStream;
pub use scan::Scan;
