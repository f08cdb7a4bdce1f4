//! Encoded payloads of several events in one allocation, which all listeners share.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

/// Bytes after which a chunk is published: large enough that publishing costs little per event, small enough that a
/// slow listener frees memory in small steps.
pub const CHUNK_BYTES: usize = 64 * 1024;
/// Payloads after which a chunk is published, for small payloads.
pub const CHUNK_PAYLOADS: usize = 512;
/// Published chunks that are tracked for reuse: as many as a listener that keeps up holds, 2 MiB.
pub const POOL_CHUNKS: usize = 32;
/// Memory of a piece in a queue beside its payloads, in bytes: the chunk, the two counters of its `Arc`, and the entry
/// of the queue. With one event per chunk that is as much as the event.
const PIECE_BYTES: usize = size_of::<Chunk>() + 2 * size_of::<usize>() + size_of::<(u64, Piece)>();

/// Payloads: whole gob messages, one after the other.
#[derive(Debug, Default)]
pub struct Chunk {
    bytes: Vec<u8>,
    /// End of each payload in `bytes`.
    ends: Vec<usize>,
    /// Payloads that report losses: index and number of lost events.
    losses: Vec<(usize, u64)>,
}

impl Chunk {
    /// Appends the payload that `encode` writes at the end.
    #[inline]
    pub fn push(&mut self, encode: impl FnOnce(&mut Vec<u8>)) {
        encode(&mut self.bytes);
        self.ends.push(self.bytes.len());
    }

    /// Appends a payload that reports the loss of `count` events.
    pub fn push_loss(&mut self, count: u64, encode: impl FnOnce(&mut Vec<u8>)) {
        self.losses.push((self.ends.len(), count));
        self.push(encode);
    }

    /// Number of payloads.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Returns whether there is no payload.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Returns whether the chunk should be published.
    #[inline]
    pub fn is_full(&self) -> bool {
        self.bytes.len() >= CHUNK_BYTES || self.ends.len() >= CHUNK_PAYLOADS
    }

    /// Bytes of the first `payloads` payloads.
    pub fn prefix(&self, payloads: usize) -> usize {
        payloads.checked_sub(1).map_or(0, |last| self.ends[last])
    }

    /// Number of payloads from the start that end within `bytes` bytes.
    fn within(&self, bytes: usize) -> usize {
        self.ends.partition_point(|&end| end <= bytes)
    }

    /// Number of payloads from the start that fit into `payloads` and `bytes`.
    pub fn fitting(&self, payloads: usize, bytes: usize) -> usize {
        self.within(bytes).min(payloads)
    }

    /// Events in a range of payloads, without reports of losses.
    pub fn events(&self, payloads: Range<usize>) -> u64 {
        (payloads.len() - self.losses_in(&payloads).count()) as u64
    }

    /// Events that a listener without these payloads misses: those in them, and those whose loss they report.
    pub fn missed(&self, payloads: Range<usize>) -> u64 {
        let lost: u64 = self.losses_in(&payloads).fold(0, u64::saturating_add);
        self.events(payloads).saturating_add(lost)
    }

    fn losses_in(&self, payloads: &Range<usize>) -> impl Iterator<Item = u64> {
        self.losses.iter().filter(|(at, _)| payloads.contains(at)).map(|&(_, count)| count)
    }

    /// Returns the collected payloads and starts a new chunk, from the pool if one is free. A mostly empty chunk is
    /// copied, so that queues hold no unused memory.
    pub fn take(&mut self, pool: &mut ChunkPool) -> Arc<Self> {
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

/// Published chunks, reused as soon as all listeners have dropped them: their memory is in the CPU's cache, and only
/// the publishing thread frees it.
#[derive(Debug, Default)]
pub struct ChunkPool(VecDeque<Arc<Chunk>>);

impl ChunkPool {
    /// Returns a chunk that no listener holds any more, or a new one.
    fn get(&mut self) -> Chunk {
        let free = self.0.iter().position(|chunk| Arc::strong_count(chunk) == 1);
        let chunk = free.and_then(|at| self.0.remove(at)).and_then(Arc::into_inner);
        chunk.map_or_else(Chunk::with_room, |mut chunk| {
            chunk.clear();
            chunk
        })
    }

    /// Tracks a published chunk. The oldest ones are dropped: only slow listeners still hold them.
    fn track(&mut self, chunk: &Arc<Chunk>) {
        // The memory of a large payload is not reused.
        if chunk.bytes.capacity() > CHUNK_BYTES * 2 {
            return;
        }
        if self.0.len() == POOL_CHUNKS {
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
    /// Returns the first `payloads` of a chunk: shared, or copied if they are less than half of the chunk.
    pub fn of(chunk: &Arc<Chunk>, payloads: usize) -> Self {
        let bytes = chunk.prefix(payloads);
        if bytes * 2 >= chunk.bytes.len() {
            return Self { chunk: Arc::clone(chunk), payloads };
        }
        let copy = Chunk { bytes: chunk.bytes[..bytes].to_vec(), ..Chunk::default() };
        let ends = chunk.ends[..payloads].to_vec();
        Self { chunk: Arc::new(Chunk { ends, ..copy }), payloads }
    }

    /// The payloads' bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.chunk.bytes[..self.chunk.prefix(self.payloads)]
    }

    /// Number of payloads.
    pub const fn payloads(&self) -> usize {
        self.payloads
    }

    /// Number of payloads that are complete in the first `bytes` bytes.
    pub fn whole(&self, bytes: usize) -> usize {
        self.chunk.within(bytes).min(self.payloads)
    }

    /// Bytes of memory that the piece keeps allocated, alone or together with others.
    pub fn memory(&self) -> usize {
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

    use super::{CHUNK_BYTES, CHUNK_PAYLOADS, Chunk, ChunkPool, POOL_CHUNKS, Piece};

    fn chunk(payloads: usize, bytes: usize) -> Chunk {
        let mut chunk = Chunk::default();
        for n in 0..payloads {
            chunk.push(|out| out.extend(std::iter::repeat_n(n as u8, bytes)));
        }
        chunk
    }

    #[test]
    fn fitting_counts_whole_payloads() {
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
    fn only_complete_payloads_are_whole() {
        let piece = Piece::of(&Arc::new(chunk(10, 7)), 8);
        for (bytes, whole) in [(0, 0), (1, 0), (6, 0), (7, 1), (13, 1), (55, 7), (56, 8), (70, 8), (usize::MAX, 8)] {
            assert_eq!(piece.whole(bytes), whole, "{bytes}");
        }
        assert!(piece.memory() >= 70 + 10 * size_of::<usize>(), "the whole chunk: {}", piece.memory());
        assert!(Piece::of(&Arc::new(chunk(100, 700)), 1).memory() < 1000, "a copy");
    }

    #[test]
    fn loss_report_counts_lost_events() {
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
    fn full_by_bytes_or_payloads() {
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
    fn dropped_chunk_is_reused_empty() {
        let (mut building, mut pool) = (Chunk::with_room(), ChunkPool::default());
        let mut fill = |pool: &mut ChunkPool| {
            (0..CHUNK_PAYLOADS).for_each(|_| building.push_loss(1, |out| out.extend([1; 128])));
            let taken = building.take(pool);
            assert_eq!((taken.len(), taken.missed(0..CHUNK_PAYLOADS)), (CHUNK_PAYLOADS, CHUNK_PAYLOADS as u64));
            taken
        };
        let held = fill(&mut pool);
        let first = fill(&mut pool).bytes.as_ptr();
        // The reused chunk is the one being filled meanwhile.
        assert_ne!(fill(&mut pool).bytes.as_ptr(), first);
        assert_eq!(fill(&mut pool).bytes.as_ptr(), first);
        let many: Vec<_> = (0..POOL_CHUNKS * 2).map(|_| fill(&mut pool)).collect();
        assert_eq!((pool.0.len(), held.len(), many.len()), (POOL_CHUNKS, CHUNK_PAYLOADS, POOL_CHUNKS * 2));
    }

    #[test]
    fn kept_chunk_has_no_unused_memory() {
        let (mut building, mut pool) = (Chunk::with_room(), ChunkPool::default());
        for (payloads, bytes) in [(1, 100), (300, 200), (1, CHUNK_BYTES * 3), (2, 100)] {
            for n in 0..payloads {
                building.push(|out| out.extend(std::iter::repeat_n(n as u8, bytes)));
            }
            let taken = building.take(&mut pool);
            assert!(building.is_empty() && taken.len() == payloads && taken.prefix(payloads) == payloads * bytes);
            assert!(taken.bytes.capacity() <= taken.bytes.len() * 2, "{payloads} {bytes}");
        }
        assert!(pool.0.is_empty(), "large chunks are not reused, and the usual one is being filled");
        let whole = Arc::new(chunk(10, 100));
        for (payloads, shared) in [(1, false), (4, false), (5, true), (10, true)] {
            let piece = Piece::of(&whole, payloads);
            assert_eq!(Arc::ptr_eq(&piece.chunk, &whole), shared, "{payloads}");
            assert_eq!((piece.bytes().len(), piece.payloads()), (payloads * 100, payloads));
            assert_eq!(piece.bytes().last(), Some(&(payloads as u8 - 1)));
        }
    }
}
