//! The latest observed entries: one writer, any number of readers, none of which delays the writer.
//!
//! The ring keeps the pipeline's batches as they are, so an entry costs the writer a share of one pointer. Positions
//! count entries, not batches: the ring holds exactly its capacity of them.

mod block;
mod buffer;
mod follower;
mod reader;
mod wakeup;

pub use block::Block;
pub use buffer::{MAX_CAPACITY, Ring, Writer};
pub use follower::Follower;
pub use reader::{Overrun, Reader, Run};

#[cfg(test)]
mod tests;
