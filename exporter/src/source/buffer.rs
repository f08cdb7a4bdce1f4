//! The bytes between a stream and its decoder: one allocation that is used again, and a bound.

use std::io::{self, Read};

/// Room that a buffer has from the start: a socket's queue holds some 200 KiB.
const FIRST: usize = 256 << 10;

/// A bounded buffer: filled at the end, emptied at the front.
#[derive(Debug)]
pub struct Buffer {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
    limit: usize,
}

impl Buffer {
    /// An empty buffer that grows to at most `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self { bytes: vec![0; FIRST.min(limit)], start: 0, end: 0, limit }
    }

    /// What is in it.
    pub fn filled(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    /// Removes bytes from the front; at most all that are there.
    pub fn consume(&mut self, count: usize) {
        self.start = (self.start + count).min(self.end);
    }

    /// Forgets everything.
    pub const fn clear(&mut self) {
        (self.start, self.end) = (0, 0);
    }

    /// Whether nothing can be added, even by growing.
    pub fn is_full(&self) -> bool {
        self.end - self.start >= self.limit
    }

    /// Reads once. Gives how many bytes came; 0 is the stream's end. Must not be called when it is full.
    ///
    /// # Errors
    /// What the stream said.
    pub fn fill(&mut self, stream: &mut impl Read) -> io::Result<usize> {
        self.make_room();
        let count = stream.read(&mut self.bytes[self.end..])?;
        self.end += count;
        Ok(count)
    }

    /// Moves what is left to the front where that is cheap or needed, and grows where all is in use.
    fn make_room(&mut self) {
        if self.start == self.end {
            self.clear();
        } else if self.start > 0 && self.end == self.bytes.len() {
            self.bytes.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        if self.end == self.bytes.len() {
            let wanted = self.bytes.len().saturating_mul(2).clamp(1, self.limit.max(1));
            self.bytes.resize(wanted, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::{Buffer, FIRST};

    /// Gives at most `step` bytes a read.
    struct Trickle<'a>(&'a [u8], usize);

    impl Read for Trickle<'_> {
        fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
            let count = self.1.min(out.len());
            self.0.read(&mut out[..count])
        }
    }

    #[test]
    fn bytes_come_out_as_they_went_in() {
        let data: Vec<u8> = (0..3 * FIRST).map(|at| (at % 251) as u8).collect();
        for (step, taken) in [(1000, 999), (FIRST, 1), (70_000, 60_000)] {
            let mut buffer = Buffer::new(4 * FIRST);
            let mut stream = Trickle(&data, step);
            let mut seen = 0;
            while buffer.fill(&mut stream).unwrap() > 0 {
                assert!(data[seen..].starts_with(buffer.filled()));
                let count = taken.min(buffer.filled().len());
                buffer.consume(count);
                seen += count;
            }
            assert_eq!(data[seen..], *buffer.filled(), "{step} {taken}");
        }
    }

    #[test]
    fn it_grows_to_its_limit_and_not_beyond() {
        for limit in [1, 10, FIRST - 1, FIRST, FIRST + 1, 5 * FIRST] {
            let mut buffer = Buffer::new(limit);
            let mut stream = std::io::repeat(7);
            while !buffer.is_full() {
                assert!(buffer.fill(&mut stream).unwrap() > 0);
            }
            assert_eq!((buffer.filled().len(), buffer.bytes.len()), (limit, limit));
            buffer.consume(usize::MAX);
            assert!(buffer.filled().is_empty() && !buffer.is_full());
        }
    }
}
