//! One batch in the ring, with its names and what readers need to skip it.

use std::sync::Arc;

use eyepiece_flow::record::Observed;

use super::block_names::BlockNames;

/// The entries of a batch and their position.
#[derive(Debug)]
pub struct Block {
    number: u64,
    first: u64,
    entries: Arc<Vec<Observed>>,
    names: Arc<BlockNames>,
    flows: u32,
    lost: u32,
    earliest: u64,
    latest: u64,
}

impl Block {
    pub(super) fn new(number: u64, first: u64, entries: Arc<Vec<Observed>>, names: Arc<BlockNames>) -> Self {
        let (mut flows, mut lost, mut earliest, mut latest) = (0, 0, u64::MAX, 0);
        for observed in entries.iter() {
            match observed {
                Observed::Flow(_) => flows += 1,
                Observed::Lost(_) => lost += 1,
                Observed::Agent(_) | Observed::Debug(_) => {}
            }
            earliest = earliest.min(observed.time());
            latest = latest.max(observed.time());
        }
        Self { number, first, entries, names, flows, lost, earliest, latest }
    }

    /// Its number, from 0.
    pub const fn number(&self) -> u64 {
        self.number
    }

    /// Position of its first entry.
    pub const fn first(&self) -> u64 {
        self.first
    }

    /// Position after its last entry.
    pub fn end(&self) -> u64 {
        self.first + self.entries.len() as u64
    }

    /// Its entries from a position on, the oldest first.
    pub fn from(&self, position: u64) -> &[Observed] {
        let start = usize::try_from(position.saturating_sub(self.first)).unwrap_or(usize::MAX);
        self.entries.get(start..).unwrap_or_default()
    }

    /// The names that its entries refer to.
    pub fn names(&self) -> &BlockNames {
        &self.names
    }

    /// The number of its flows.
    pub const fn flows(&self) -> u32 {
        self.flows
    }

    /// The number of its losses.
    pub const fn lost(&self) -> u32 {
        self.lost
    }

    /// The earliest and the latest time of its entries, ns since the Unix epoch.
    pub const fn times(&self) -> (u64, u64) {
        (self.earliest, self.latest)
    }
}
