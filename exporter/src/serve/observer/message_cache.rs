//! Encoded messages of the ring's newest blocks: each is encoded once, for any number of clients.
//!
//! Only readers use the cache; the ring's writer does not.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::ring::Block;
use crate::support::lock::lock;

/// Bytes of cached messages: some 20,000 flows. Followers read the last few hundred.
const CAPACITY: usize = 8 * 1024 * 1024;

/// Messages by block and layout.
#[derive(Debug, Default)]
pub(super) struct MessageCache {
    blocks: Mutex<BTreeMap<(u64, u64), Arc<CachedMessages>>>,
    bytes: Arc<AtomicUsize>,
}

/// Messages of one block in one layout.
#[derive(Debug)]
pub(super) struct CachedMessages {
    encoded: Mutex<Encoded>,
    bytes: Arc<AtomicUsize>,
}

#[derive(Debug, Default)]
struct Encoded {
    /// Start and length of each entry's message in `bytes`; length 0 if it is not encoded yet.
    ranges: Box<[(u32, u32)]>,
    bytes: Vec<u8>,
}

impl MessageCache {
    /// Returns the messages of a block; `None` if the layout is not cacheable or the block is too old.
    pub(super) fn open(&self, block: &Block, layout: Option<u64>) -> Option<Arc<CachedMessages>> {
        let key = (block.number(), layout?);
        let mut blocks = lock(&self.blocks);
        if let Some(found) = blocks.get(&key) {
            return Some(Arc::clone(found));
        }
        while self.bytes.load(Ordering::Relaxed) > CAPACITY {
            let oldest = blocks.first_entry()?;
            if *oldest.key() > key {
                return None;
            }
            oldest.remove();
        }
        let ranges = vec![(0, 0); block.from(block.first()).len()].into_boxed_slice();
        let encoded = Encoded { ranges, bytes: Vec::new() };
        self.bytes.fetch_add(size_of_val(&*encoded.ranges), Ordering::Relaxed);
        let messages = Arc::new(CachedMessages { encoded: Mutex::new(encoded), bytes: Arc::clone(&self.bytes) });
        blocks.insert(key, Arc::clone(&messages));
        Some(messages)
    }
}

impl CachedMessages {
    /// Passes the message of an entry to `consume`; `encode` makes it if the cache lacks it.
    pub(super) fn with(&self, entry: usize, encode: impl FnOnce(&mut Vec<u8>), consume: impl FnOnce(&[u8])) {
        let encoded = &mut *lock(&self.encoded);
        let (mut start, mut length) = encoded.ranges[entry];
        if length == 0 {
            let (before, capacity) = (encoded.bytes.len(), encoded.bytes.capacity());
            encode(&mut encoded.bytes);
            (start, length) = (before as u32, (encoded.bytes.len() - before) as u32);
            encoded.ranges[entry] = (start, length);
            self.bytes.fetch_add(encoded.bytes.capacity() - capacity, Ordering::Relaxed);
        }
        consume(&encoded.bytes[start as usize..][..length as usize]);
    }
}

impl Drop for CachedMessages {
    fn drop(&mut self) {
        let encoded = self.encoded.get_mut().unwrap_or_else(PoisonError::into_inner);
        let bytes = size_of_val(&*encoded.ranges) + encoded.bytes.capacity();
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }
}
