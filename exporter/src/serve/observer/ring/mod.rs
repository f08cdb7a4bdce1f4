//! The latest observed entries: one writer, any number of readers, none of which delays the writer.
//!
//! The ring keeps the entries of the pipeline's batches as they are, so an entry costs the writer a share of one pointer.
//! It does not keep the batches' snapshots of names: a block has the names of its own entries. Positions count entries, not
//! batches: the ring holds exactly its capacity of them.

mod block;
mod block_names;
mod buffer;
mod follower;
mod reader;
mod wakeup;

pub use block::Block;
pub use block_names::BlockNames;
pub use buffer::{MAX_CAPACITY, Ring, Writer};
pub use follower::Follower;
pub use reader::{Overrun, Reader, Run};

#[cfg(test)]
mod tests;
