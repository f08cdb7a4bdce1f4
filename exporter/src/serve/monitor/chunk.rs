//! Encoded payloads of several events in one piece of memory, which all listeners share.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

/// Bytes after which a chunk is handed out: large enough that handing over costs nothing per event, small enough that
/// what a slow listener holds is freed in small steps.
pub const CHUNK_BYTES: usize = 64 * 1024;
/// Payloads after which a chunk is handed out, for small ones.
pub const CHUNK_PAYLOADS: usize = 512;
/// Chunks that wait to be filled again: as many as a listener that keeps up holds, 2 MiB.
pub const POOL: usize = 32;
/// Memory of a chunk in a queue beside what it points to: where events come one by one, as much as they are. A chunk,
/// the two counters of its `Arc`, and a place in the queue with the losses before it.
const PIECE_BYTES: usize = size_of::<Chunk>() + 2 * size_of::<usize>() + size_of::<(u64, Piece)>();

/// Payloads, whole gob messages one behind the other.
#[derive(Debug, Default)]
pub struct Chunk {
    bytes: Vec<u8>,
    /// Where each payload ends.
    ends: Vec<usize>,
    /// Payloads that tell of losses: which one, and how many events it tells of.
    losses: Vec<(usize, u64)>,
}

impl Chunk {
    /// Appends one payload, which `encode` writes behind what is there.
    #[inline]
    pub fn push(&mut self, encode: impl FnOnce(&mut Vec<u8>)) {
        encode(&mut self.bytes);
        self.ends.push(self.bytes.len());
    }

    /// Appends a payload that tells of losses.
    pub fn push_loss(&mut self, count: u64, encode: impl FnOnce(&mut Vec<u8>)) {
        self.losses.push((self.ends.len(), count));
        self.push(encode);
    }

    /// How many payloads.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Whether it is time to hand it out.
    #[inline]
    pub fn is_full(&self) -> bool {
        self.bytes.len() >= CHUNK_BYTES || self.ends.len() >= CHUNK_PAYLOADS
    }

    /// Bytes of the first `payloads` payloads.
    pub fn prefix(&self, payloads: usize) -> usize {
        payloads.checked_sub(1).map_or(0, |last| self.ends[last])
    }

    /// How many payloads from the start have no more than `bytes` bytes together.
    fn within(&self, bytes: usize) -> usize {
        self.ends.partition_point(|&end| end <= bytes)
    }

    /// How many payloads from the start fit into this room.
    pub fn fitting(&self, payloads: usize, bytes: usize) -> usize {
        self.within(bytes).min(payloads)
    }

    /// Events among the payloads of a range.
    pub fn events(&self, payloads: Range<usize>) -> u64 {
        (payloads.len() - self.losses_in(&payloads).count()) as u64
    }

    /// Events that whoever misses these payloads misses: those in it, and those whose loss it tells of.
    pub fn missed(&self, payloads: Range<usize>) -> u64 {
        let told: u64 = self.losses_in(&payloads).fold(0, u64::saturating_add);
        self.events(payloads).saturating_add(told)
    }

    fn losses_in(&self, payloads: &Range<usize>) -> impl Iterator<Item = u64> {
        self.losses.iter().filter(|(at, _)| payloads.contains(at)).map(|&(_, count)| count)
    }

    /// Hands out what was collected and begins anew, with one of the pool where one has come back. What is mostly empty
    /// is copied, so that what is kept holds no memory that it does not use.
    pub fn take(&mut self, pool: &mut Pool) -> Arc<Self> {
        if self.bytes.len() * 2 >= self.bytes.capacity() {
            let chunk = Arc::new(std::mem::replace(self, pool.get()));
            pool.track(&chunk);
            return chunk;
        }
        let copy =
            Self { bytes: self.bytes.clone(), ends: self.ends.clone(), losses: std::mem::take(&mut self.losses) };
        self.bytes.clear();
        self.ends.clear();
        Arc::new(copy)
    }

    fn with_room() -> Self {
        Self {
            bytes: Vec::with_capacity(CHUNK_BYTES + CHUNK_BYTES / 8),
            ends: Vec::with_capacity(CHUNK_PAYLOADS),
            losses: Vec::new(),
        }
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
        self.losses.clear();
    }
}

/// Chunks that are handed out, to be filled again as soon as all listeners have let go of them: memory that is in the
/// cache, and that no other thread frees.
#[derive(Debug, Default)]
pub struct Pool(VecDeque<Arc<Chunk>>);

impl Pool {
    /// One that nobody holds any more, or a new one.
    fn get(&mut self) -> Chunk {
        let free = self.0.iter().position(|chunk| Arc::strong_count(chunk) == 1);
        let chunk = free.and_then(|at| self.0.remove(at)).and_then(Arc::into_inner);
        chunk.map_or_else(Chunk::with_room, |mut chunk| {
            chunk.clear();
            chunk
        })
    }

    /// Takes note of one that is handed out. The oldest ones are forgotten: whoever still holds them is slow.
    fn track(&mut self, chunk: &Arc<Chunk>) {
        // A large payload's memory is given back.
        if chunk.bytes.capacity() > CHUNK_BYTES * 2 {
            return;
        }
        if self.0.len() == POOL {
            self.0.pop_front();
        }
        self.0.push_back(Arc::clone(chunk));
    }
}

/// The first payloads of a chunk.
#[derive(Clone, Debug)]
pub struct Piece {
    chunk: Arc<Chunk>,
    payloads: usize,
}

impl Piece {
    /// The first `payloads` of a chunk: shared, or copied where most of the chunk would be held for nothing.
    pub fn of(chunk: &Arc<Chunk>, payloads: usize) -> Self {
        let bytes = chunk.prefix(payloads);
        if bytes * 2 >= chunk.bytes.len() {
            return Self { chunk: Arc::clone(chunk), payloads };
        }
        let copy = Chunk { bytes: chunk.bytes[..bytes].to_vec(), ..Chunk::default() };
        let ends = chunk.ends[..payloads].to_vec();
        Self { chunk: Arc::new(Chunk { ends, ..copy }), payloads }
    }

    /// Their bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.chunk.bytes[..self.chunk.prefix(self.payloads)]
    }

    /// How many.
    pub const fn payloads(&self) -> usize {
        self.payloads
    }

    /// How many payloads are whole in the first `bytes` bytes.
    pub fn whole(&self, bytes: usize) -> usize {
        self.chunk.within(bytes).min(self.payloads)
    }

    /// Bytes of memory that it keeps from being freed, alone or with others.
    pub fn held(&self) -> usize {
        let Chunk { bytes, ends, losses } = &*self.chunk;
        PIECE_BYTES
            + bytes.capacity()
            + ends.capacity() * size_of::<usize>()
            + losses.capacity() * size_of::<(usize, u64)>()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{CHUNK_BYTES, CHUNK_PAYLOADS, Chunk, POOL, Piece, Pool};

    fn chunk(payloads: usize, bytes: usize) -> Chunk {
        let mut chunk = Chunk::default();
        for n in 0..payloads {
            chunk.push(|out| out.extend(std::iter::repeat_n(n as u8, bytes)));
        }
        chunk
    }

    #[test]
    fn what_fits() {
        let chunk = chunk(10, 7);
        for (payloads, bytes, fitting) in [
            (0, 100, 0),
            (1, 100, 1),
            (9, 100, 9),
            (10, 100, 10),
            (80, 100, 10),
            (10, 0, 0),
            (10, 6, 0),
            (10, 7, 1),
            (10, 69, 9),
        ] {
            assert_eq!(chunk.fitting(payloads, bytes), fitting, "{payloads} {bytes}");
        }
    }

    #[test]
    fn only_what_is_there_to_its_last_byte_is_whole() {
        let piece = Piece::of(&Arc::new(chunk(10, 7)), 8);
        for (bytes, whole) in [(0, 0), (1, 0), (6, 0), (7, 1), (13, 1), (55, 7), (56, 8), (70, 8), (usize::MAX, 8)] {
            assert_eq!(piece.whole(bytes), whole, "{bytes}");
        }
        assert!(piece.held() >= 70 + 10 * size_of::<usize>(), "the whole chunk: {}", piece.held());
        assert!(Piece::of(&Arc::new(chunk(100, 700)), 1).held() < 1000, "a copy");
    }

    #[test]
    fn payloads_that_tell_of_losses_weigh_what_they_tell() {
        let mut chunk = chunk(2, 1);
        chunk.push_loss(500, |out| out.push(9));
        chunk.push(|out| out.push(3));
        for (range, events, missed) in
            [(0..4, 3, 503), (0..2, 2, 2), (2..3, 0, 500), (2..4, 1, 501), (3..4, 1, 1), (4..4, 0, 0)]
        {
            assert_eq!((chunk.events(range.clone()), chunk.missed(range.clone())), (events, missed), "{range:?}");
        }
        chunk.push_loss(u64::MAX, |out| out.push(9));
        assert_eq!(chunk.missed(0..5), u64::MAX);
    }

    #[test]
    fn full_by_bytes_or_by_number() {
        for (payloads, bytes, full) in [
            (CHUNK_PAYLOADS - 1, 1, false),
            (CHUNK_PAYLOADS, 1, true),
            (1, CHUNK_BYTES - 1, false),
            (1, CHUNK_BYTES, true),
            (0, 0, false),
        ] {
            assert_eq!(chunk(payloads, bytes).is_full(), full, "{payloads} {bytes}");
        }
    }

    #[test]
    fn a_chunk_comes_back_empty_once_nobody_holds_it() {
        let (mut building, mut pool) = (Chunk::with_room(), Pool::default());
        let mut fill = |pool: &mut Pool| {
            (0..CHUNK_PAYLOADS).for_each(|_| building.push_loss(1, |out| out.extend([1; 128])));
            let taken = building.take(pool);
            assert_eq!((taken.len(), taken.missed(0..CHUNK_PAYLOADS)), (CHUNK_PAYLOADS, CHUNK_PAYLOADS as u64));
            taken
        };
        let held = fill(&mut pool);
        let first = fill(&mut pool).bytes.as_ptr();
        // The one that is built meanwhile is the one that came back.
        assert_ne!(fill(&mut pool).bytes.as_ptr(), first);
        assert_eq!(fill(&mut pool).bytes.as_ptr(), first);
        let many: Vec<_> = (0..POOL * 2).map(|_| fill(&mut pool)).collect();
        assert_eq!((pool.0.len(), held.len(), many.len()), (POOL, CHUNK_PAYLOADS, POOL * 2));
    }

    #[test]
    fn what_is_kept_holds_no_more_than_it_uses() {
        let (mut building, mut pool) = (Chunk::with_room(), Pool::default());
        for (payloads, bytes) in [(1, 100), (300, 200), (1, CHUNK_BYTES * 3), (2, 100)] {
            for n in 0..payloads {
                building.push(|out| out.extend(std::iter::repeat_n(n as u8, bytes)));
            }
            let taken = building.take(&mut pool);
            assert!(building.is_empty() && taken.len() == payloads && taken.prefix(payloads) == payloads * bytes);
            assert!(taken.bytes.capacity() <= taken.bytes.len() * 2, "{payloads} {bytes}");
        }
        assert!(pool.0.is_empty(), "a large one does not come back, and the usual one is being filled");
        let whole = Arc::new(chunk(10, 100));
        for (payloads, shared) in [(1, false), (4, false), (5, true), (10, true)] {
            let piece = Piece::of(&whole, payloads);
            assert_eq!(Arc::ptr_eq(&piece.chunk, &whole), shared, "{payloads}");
            assert_eq!((piece.bytes().len(), piece.payloads()), (payloads * 100, payloads));
            assert_eq!(piece.bytes().last(), Some(&(payloads as u8 - 1)));
        }
    }
}
