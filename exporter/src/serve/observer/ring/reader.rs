//! A place in the ring, for one reader.

use std::sync::Arc;

use super::{Block, Ring};

/// Where a reader is. It keeps a position only: what it was too slow for is not kept for it.
#[derive(Clone, Debug)]
pub struct Reader {
    ring: Arc<Ring>,
    position: u64,
    /// The block that was read last: most likely the one with the next position, or the one before it.
    block: u64,
}

/// Entries that follow each other.
#[derive(Debug)]
pub struct Run {
    block: Arc<Block>,
    position: u64,
}

impl Run {
    /// The block that they are in.
    pub fn block(&self) -> &Block {
        &self.block
    }

    /// Position of the first one.
    pub const fn position(&self) -> u64 {
        self.position
    }
}

/// So many entries were overwritten before they could be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overrun(pub u64);

impl Reader {
    /// A reader that begins at a position.
    pub fn new(ring: Arc<Ring>, position: u64) -> Self {
        Self { ring, position, block: 0 }
    }

    /// The ring.
    pub fn ring(&self) -> &Arc<Ring> {
        &self.ring
    }

    /// The position of the next entry.
    pub const fn position(&self) -> u64 {
        self.position
    }

    /// The entries from here to the end of their block; none where there is nothing to read now. What is read is told
    /// by [`Reader::advance`].
    ///
    /// # Errors
    /// Entries were overwritten; the next call goes on behind them.
    #[expect(clippy::should_implement_trait, reason = "what it gives is not taken by giving it")]
    pub fn next(&mut self) -> Result<Option<Run>, Overrun> {
        if self.position >= self.ring.end() {
            return Ok(None);
        }
        let hinted = [self.block, self.block + 1]
            .into_iter()
            .find_map(|number| self.ring.block(number).filter(|block| block.end() > self.position));
        let hinted = hinted.filter(|block| block.first() <= self.position);
        let Some(block) = hinted.or_else(|| self.ring.find(self.position)) else {
            // Overwritten while it was looked for: the next attempt sees newer blocks.
            return self.skip(self.ring.oldest());
        };
        // An entry that is too old may be in a block that is not: the ring holds no more than its capacity.
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

    /// So many entries were read.
    pub fn advance(&mut self, entries: u64) {
        self.position += entries;
    }
}
