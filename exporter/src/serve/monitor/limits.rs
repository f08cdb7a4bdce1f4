//! Limits on the memory of monitor clients.

/// Listeners at the same time: a node has a handful of monitor clients.
pub const MAX_LISTENERS: usize = 32;
/// The most bytes of one listener's queue: a burst of 100,000 packets cut at 128 bytes takes 22 MiB.
pub const QUEUE_BYTES: usize = 32 << 20;
/// Bytes of each queue that are its own, so that slow listeners never take the room of one that keeps up. It is the
/// memory of a queue of Cilium's size, 16,384 payloads of packets cut at 128 bytes.
pub const QUEUE_SHARE_BYTES: usize = 4 << 20;
/// Bytes of all queues beyond their shares: four listeners with full queues.
pub const QUEUE_POOL_BYTES: usize = 128 << 20;
