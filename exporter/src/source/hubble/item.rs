//! The items that the stream's task passes to the pipeline's thread.

use bytes::Bytes;
use eyepiece_flow::record::Observed;

/// An item for the pipeline's thread.
pub(super) enum Item {
    Observed(Box<Observed>),
    Undecodable { time: u64, data: Bytes },
}
