//! Encoded messages of the ring's newest blocks: each is made once, however many clients get it.
//!
//! Readers alone have to do with it; whoever writes the ring knows nothing of it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::serve::observer::ring::Block;

/// Bytes of messages that are kept: some 20,000 flows. Clients that follow read the last few hundred.
const KEPT: usize = 8 * 1024 * 1024;

/// Messages by block and layout.
#[derive(Debug, Default)]
pub struct Cache {
    blocks: Mutex<BTreeMap<(u64, u64), Arc<Messages>>>,
    bytes: Arc<AtomicUsize>,
}

/// Messages of one block in one layout.
#[derive(Debug)]
pub(super) struct Messages {
    made: Mutex<Made>,
    bytes: Arc<AtomicUsize>,
}

#[derive(Debug, Default)]
struct Made {
    /// Where in `bytes` the message of an entry is; of no length where it is not made yet.
    places: Box<[(u32, u32)]>,
    bytes: Vec<u8>,
}

impl Cache {
    /// The messages of a block; none where it is too old for it to pay.
    pub(super) fn open(&self, block: &Block, layout: Option<u64>) -> Option<Arc<Messages>> {
        let key = (block.number(), layout?);
        let mut blocks = lock(&self.blocks);
        if let Some(found) = blocks.get(&key) {
            return Some(Arc::clone(found));
        }
        while self.bytes.load(Ordering::Relaxed) > KEPT {
            let oldest = blocks.first_entry()?;
            if *oldest.key() > key {
                return None;
            }
            oldest.remove();
        }
        let places = vec![(0, 0); block.from(block.first()).len()].into_boxed_slice();
        let made = Made { places, bytes: Vec::new() };
        self.bytes.fetch_add(size_of_val(&*made.places), Ordering::Relaxed);
        let messages = Arc::new(Messages { made: Mutex::new(made), bytes: Arc::clone(&self.bytes) });
        blocks.insert(key, Arc::clone(&messages));
        Some(messages)
    }
}

impl Messages {
    /// Shows the message of an entry, which is made where nobody has yet.
    pub(super) fn with(&self, entry: usize, make: impl FnOnce(&mut Vec<u8>), show: impl FnOnce(&[u8])) {
        let made = &mut *lock(&self.made);
        let (mut start, mut length) = made.places[entry];
        if length == 0 {
            let (before, room) = (made.bytes.len(), made.bytes.capacity());
            make(&mut made.bytes);
            (start, length) = (before as u32, (made.bytes.len() - before) as u32);
            made.places[entry] = (start, length);
            self.bytes.fetch_add(made.bytes.capacity() - room, Ordering::Relaxed);
        }
        show(&made.bytes[start as usize..][..length as usize]);
    }
}

impl Drop for Messages {
    fn drop(&mut self) {
        let made = self.made.get_mut().unwrap_or_else(PoisonError::into_inner);
        let bytes = size_of_val(&*made.places) + made.bytes.capacity();
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
