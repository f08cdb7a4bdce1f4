//! The last things that were observed: one writer, any number of readers, none of which can make it wait.
//!
//! What is kept are the pipeline's batches as they are, so an entry costs the writer a share of one pointer. Positions
//! count entries, not batches: the ring holds exactly its capacity of them.

mod bell;
mod reader;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwapOption;

use self::bell::Bell;
pub use self::bell::Followers;
pub use self::reader::{Overrun, Reader, Run};
use eyepiece_flow::event::LostSource;
use eyepiece_flow::record::{Batch, Observed};

use crate::pipeline::Sink;

/// Entries that a ring has at most: Hubble's own limit, 2^16 - 1.
pub const MAX_CAPACITY: u32 = 65_535;

/// The shared part, as readers see it.
#[derive(Debug)]
pub struct Ring {
    capacity: u64,
    /// Block `n` is at `n % slots.len()`. There is a place for each entry, should every block hold only one.
    slots: Box<[ArcSwapOption<Block>]>,
    /// How many blocks were written.
    blocks: AtomicU64,
    /// Position behind the newest entry: how many were written.
    end: AtomicU64,
    /// How many of them were flows.
    flows: AtomicU64,
    bell: Bell,
}

/// A batch in its place.
#[derive(Debug)]
pub struct Block {
    number: u64,
    first: u64,
    batch: Batch,
    flows: u32,
    lost: u32,
    earliest: u64,
    latest: u64,
}

impl Block {
    fn new(number: u64, first: u64, batch: Batch) -> Self {
        let (mut flows, mut lost, mut earliest, mut latest) = (0, 0, u64::MAX, 0);
        for observed in batch.iter() {
            match observed {
                Observed::Flow(_) => flows += 1,
                Observed::Lost(_) => lost += 1,
                Observed::Agent(_) | Observed::Debug(_) => {}
            }
            earliest = earliest.min(observed.time());
            latest = latest.max(observed.time());
        }
        Self { number, first, batch, flows, lost, earliest, latest }
    }

    /// Which block it is, counted from 0.
    pub const fn number(&self) -> u64 {
        self.number
    }

    /// Position of its first entry.
    pub const fn first(&self) -> u64 {
        self.first
    }

    /// Position behind its last entry.
    pub fn end(&self) -> u64 {
        self.first + self.batch.len() as u64
    }

    /// Its entries from a position on, the oldest first.
    pub fn from(&self, position: u64) -> &[Observed] {
        let start = usize::try_from(position.saturating_sub(self.first)).unwrap_or(usize::MAX);
        self.batch.get(start..).unwrap_or_default()
    }

    /// How many of its entries are flows.
    pub const fn flows(&self) -> u32 {
        self.flows
    }

    /// How many of its entries are losses.
    pub const fn lost(&self) -> u32 {
        self.lost
    }

    /// The earliest and the latest time of its entries, ns since the Unix epoch.
    pub const fn times(&self) -> (u64, u64) {
        (self.earliest, self.latest)
    }
}

impl Ring {
    /// A ring of so many entries, 1 to [`MAX_CAPACITY`], and the one hand that writes it.
    pub fn new(capacity: u32) -> (Arc<Self>, Writer) {
        let capacity = capacity.clamp(1, MAX_CAPACITY);
        let slots = (capacity as usize + 1).next_power_of_two();
        let ring = Arc::new(Self {
            capacity: capacity.into(),
            slots: (0..slots).map(|_| ArcSwapOption::empty()).collect(),
            blocks: AtomicU64::new(0),
            end: AtomicU64::new(0),
            flows: AtomicU64::new(0),
            bell: Bell::default(),
        });
        let writer = Writer { ring: Arc::clone(&ring), oldest: 0 };
        (ring, writer)
    }

    /// How many entries it holds when it is full.
    pub const fn capacity(&self) -> u64 {
        self.capacity
    }

    /// How many entries it holds.
    pub fn len(&self) -> u64 {
        self.end().min(self.capacity)
    }

    /// Whether nothing was written yet.
    pub fn is_empty(&self) -> bool {
        self.end() == 0
    }

    /// How many flows were written since the start.
    pub fn flows(&self) -> u64 {
        self.flows.load(Ordering::Relaxed)
    }

    /// Position of the oldest entry.
    pub fn oldest(&self) -> u64 {
        self.end().saturating_sub(self.capacity)
    }

    /// Position behind the newest entry.
    pub fn end(&self) -> u64 {
        self.end.load(Ordering::Acquire)
    }

    /// Who wants to hear of new entries.
    pub fn followers(self: &Arc<Self>) -> Followers {
        Followers::new(Arc::clone(self))
    }

    /// Its blocks from the newest to the oldest that is still there.
    pub fn newest_first(&self) -> impl Iterator<Item = Arc<Block>> + '_ {
        (0..self.blocks()).rev().map_while(|number| self.block(number)).take_while(|block| block.end() > self.oldest())
    }

    /// How many blocks were written.
    pub(super) fn blocks(&self) -> u64 {
        self.blocks.load(Ordering::Acquire)
    }

    /// A block by its number, from 0; none where it is gone or not yet there.
    pub(super) fn block(&self, number: u64) -> Option<Arc<Block>> {
        self.slot(number).load_full().filter(|block| block.number == number)
    }

    /// The block that holds a position, or the oldest one behind it; none where nothing is there yet.
    fn find(&self, position: u64) -> Option<Arc<Block>> {
        let mut end = self.blocks.load(Ordering::Acquire);
        let mut start = end.saturating_sub(self.slots.len() as u64);
        let mut found = None;
        // Gone blocks are those of the lowest numbers, so the end of a block tells which way to go, and so does a gap.
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
        // The count of slots is a power of two.
        &self.slots[(number & (self.slots.len() as u64 - 1)) as usize]
    }
}

/// The one hand that writes a ring.
#[derive(Debug)]
pub struct Writer {
    ring: Arc<Ring>,
    /// The oldest block that is still there.
    oldest: u64,
}

impl Writer {
    /// Appends a batch, and lets go of what is too old then.
    pub fn write(&mut self, batch: Batch) {
        if batch.is_empty() {
            return;
        }
        let ring = &*self.ring;
        // Nobody else stores these.
        let number = ring.blocks.load(Ordering::Relaxed);
        let first = ring.end.load(Ordering::Relaxed);
        let block = Block::new(number, first, batch);
        let (end, flows) = (block.end(), u64::from(block.flows));
        ring.slot(number).store(Some(Arc::new(block)));
        ring.flows.fetch_add(flows, Ordering::Relaxed);
        ring.blocks.store(number + 1, Ordering::Release);
        // In one order with the bell's flag: see there.
        ring.end.store(end, Ordering::SeqCst);
        let oldest = end.saturating_sub(ring.capacity);
        while self.oldest < number && ring.block(self.oldest).is_none_or(|block| block.end() <= oldest) {
            ring.slot(self.oldest).store(None);
            self.oldest += 1;
        }
        ring.bell.ring();
    }
}

impl Sink for Writer {
    fn send(&mut self, batch: Batch) {
        self.write(batch);
    }
}

/// What a reader that was overrun is told.
pub const OVERRUN: LostSource = LostSource::HubbleRing;

#[cfg(test)]
mod tests;
