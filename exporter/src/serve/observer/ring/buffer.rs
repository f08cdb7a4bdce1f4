//! The ring's memory, shared by its writer and its readers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwapOption;
use eyepiece_flow::record::Batch;

use super::block::Block;
use super::block_names::NameCollector;
use super::wakeup::FollowerWakeup;
use crate::pipeline::Sink;

/// The largest capacity, in entries: Hubble's own limit, 2^16 - 1.
pub const MAX_CAPACITY: u32 = 65_535;

/// The shared part of a ring, as readers see it.
#[derive(Debug)]
pub struct Ring {
    capacity: u64,
    /// Block `n` is at `n % slots.len()`. There are as many slots as entries, for blocks of one entry each.
    slots: Box<[ArcSwapOption<Block>]>,
    /// The number of written blocks.
    blocks: AtomicU64,
    /// Position after the newest entry: the number of entries written.
    pub(super) end: AtomicU64,
    /// The number of written flows.
    flows: AtomicU64,
    pub(super) wakeup: FollowerWakeup,
}

impl Ring {
    /// Returns a ring of `capacity` entries, 1 to [`MAX_CAPACITY`], and its single writer.
    pub fn new(capacity: u32) -> (Arc<Self>, Writer) {
        let capacity = capacity.clamp(1, MAX_CAPACITY);
        let slots = (capacity as usize + 1).next_power_of_two();
        let ring = Arc::new(Self {
            capacity: capacity.into(),
            slots: (0..slots).map(|_| ArcSwapOption::empty()).collect(),
            blocks: AtomicU64::new(0),
            end: AtomicU64::new(0),
            flows: AtomicU64::new(0),
            wakeup: FollowerWakeup::default(),
        });
        let writer = Writer { ring: Arc::clone(&ring), oldest: 0, collector: NameCollector::default() };
        (ring, writer)
    }

    /// Entries of a full ring.
    pub const fn capacity(&self) -> u64 {
        self.capacity
    }

    /// Entries in the ring.
    pub fn len(&self) -> u64 {
        self.end().min(self.capacity)
    }

    /// Returns whether no entry was written yet.
    pub fn is_empty(&self) -> bool {
        self.end() == 0
    }

    /// Flows written since the start.
    pub fn flows(&self) -> u64 {
        self.flows.load(Ordering::Relaxed)
    }

    /// Position of the oldest entry.
    pub fn oldest(&self) -> u64 {
        self.end().saturating_sub(self.capacity)
    }

    /// Position after the newest entry.
    pub fn end(&self) -> u64 {
        self.end.load(Ordering::Acquire)
    }

    /// Wakes followers of new entries; never returns. Without this task no follower wakes.
    pub async fn wake_followers(self: Arc<Self>) {
        self.wakeup.run().await;
    }

    /// The blocks from the newest to the oldest that is still in the ring.
    pub fn newest_first(&self) -> impl Iterator<Item = Arc<Block>> + '_ {
        (0..self.blocks()).rev().map_while(|number| self.block(number)).take_while(|block| block.end() > self.oldest())
    }

    /// Returns the number of written blocks.
    pub(in crate::serve::observer) fn blocks(&self) -> u64 {
        self.blocks.load(Ordering::Acquire)
    }

    /// Returns a block by its number, from 0; `None` if it is overwritten or not yet written.
    pub(in crate::serve::observer) fn block(&self, number: u64) -> Option<Arc<Block>> {
        self.slot(number).load_full().filter(|block| block.number() == number)
    }

    /// Returns the block that holds a position, or the oldest one after it, if any.
    pub(super) fn find(&self, position: u64) -> Option<Arc<Block>> {
        let mut end = self.blocks.load(Ordering::Acquire);
        let mut start = end.saturating_sub(self.slots.len() as u64);
        let mut found = None;
        // Overwritten blocks have the lowest numbers: a gap means that the position is in the upper half.
        while start < end {
            let middle = start + (end - start) / 2;
            match self.block(middle) {
                Some(block) if block.end() > position => (end, found) = (middle, Some(block)),
                Some(_) | None => start = middle + 1,
            }
        }
        found
    }

    fn slot(&self, number: u64) -> &ArcSwapOption<Block> {
        // The number of slots is a power of two.
        &self.slots[(number & (self.slots.len() as u64 - 1)) as usize]
    }
}

/// The single writer of a ring.
#[derive(Debug)]
pub struct Writer {
    ring: Arc<Ring>,
    /// The oldest block that is still in the ring.
    oldest: u64,
    collector: NameCollector,
}

impl Writer {
    /// Appends a batch and drops the blocks that are too old then.
    pub fn write(&mut self, batch: &Batch) {
        if batch.is_empty() {
            return;
        }
        let ring = &*self.ring;
        // This is the only writer.
        let number = ring.blocks.load(Ordering::Relaxed);
        let first = ring.end.load(Ordering::Relaxed);
        let names = self.collector.names(batch);
        let block = Block::new(number, first, Arc::clone(batch.entries()), names);
        let (end, flows) = (block.end(), u64::from(block.flows()));
        ring.slot(number).store(Some(Arc::new(block)));
        ring.flows.fetch_add(flows, Ordering::Relaxed);
        ring.blocks.store(number + 1, Ordering::Release);
        // Sequentially consistent with the flag in `FollowerWakeup`: see `Follower::wait_beyond`.
        ring.end.store(end, Ordering::SeqCst);
        let oldest = end.saturating_sub(ring.capacity);
        while self.oldest < number && ring.block(self.oldest).is_none_or(|block| block.end() <= oldest) {
            ring.slot(self.oldest).store(None);
            self.oldest += 1;
        }
        ring.wakeup.notify();
    }
}

impl Sink for Writer {
    fn send(&mut self, batch: Batch) {
        self.write(&batch);
    }
}
