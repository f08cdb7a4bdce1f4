//! One reader's position in the ring.

use std::sync::Arc;

use super::block::Block;
use super::buffer::Ring;

/// A position in the ring. It does not keep entries: a slow reader finds them overwritten.
#[derive(Clone, Debug)]
pub struct Reader {
    ring: Arc<Ring>,
    position: u64,
    /// The block of the last read: the next position is most likely in it or in the one after it.
    block: u64,
}

/// Consecutive entries of one block.
#[derive(Debug)]
pub struct Run {
    block: Arc<Block>,
    position: u64,
}

impl Run {
    /// The block that contains the entries.
    pub fn block(&self) -> &Block {
        &self.block
    }

    /// Position of the first entry.
    pub const fn position(&self) -> u64 {
        self.position
    }
}

/// The number of entries that were overwritten before they were read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overrun(pub u64);

impl Reader {
    /// Returns a reader that starts at a position.
    pub fn new(ring: Arc<Ring>, position: u64) -> Self {
        Self { ring, position, block: 0 }
    }

    /// The position of the next entry.
    pub const fn position(&self) -> u64 {
        self.position
    }

    /// Returns the entries up to the end of their block; `None` without a new one. [`Reader::advance`] moves the
    /// position.
    ///
    /// # Errors
    /// Entries were overwritten; the next call continues after them.
    #[expect(clippy::should_implement_trait, reason = "it does not advance, and fails")]
    pub fn next(&mut self) -> Result<Option<Run>, Overrun> {
        if self.position >= self.ring.end() {
            return Ok(None);
        }
        let hinted = [self.block, self.block + 1]
            .into_iter()
            .find_map(|number| self.ring.block(number).filter(|block| block.end() > self.position));
        let hinted = hinted.filter(|block| block.first() <= self.position);
        let Some(block) = hinted.or_else(|| self.ring.find(self.position)) else {
            // Overwritten during the search: the next attempt sees newer blocks.
            return self.skip(self.ring.oldest());
        };
        // A block may contain entries that the ring's capacity excludes already.
        let oldest = self.ring.oldest().max(block.first());
        if self.position < oldest {
            return self.skip(oldest);
        }
        self.block = block.number();
        Ok(Some(Run { block, position: self.position }))
    }

    fn skip(&mut self, oldest: u64) -> Result<Option<Run>, Overrun> {
        let lost = oldest.saturating_sub(self.position);
        self.position += lost;
        if lost == 0 { Ok(None) } else { Err(Overrun(lost)) }
    }

    /// Moves the position past entries that were read.
    pub fn advance(&mut self, entries: u64) {
        self.position += entries;
    }
}
