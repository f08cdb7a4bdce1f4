//! A bounded, reused buffer between a stream and its decoder.

use std::io::{self, Read};

/// The initial size: a socket's queue holds some 200 KiB.
const INITIAL_BYTES: usize = 256 << 10;

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
        Self { bytes: vec![0; INITIAL_BYTES.min(limit)], start: 0, end: 0, limit }
    }

    /// The unread bytes.
    pub fn filled(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    /// Removes bytes from the front, at most all.
    pub fn consume(&mut self, count: usize) {
        self.start = (self.start + count).min(self.end);
    }

    /// Removes all bytes.
    pub const fn clear(&mut self) {
        (self.start, self.end) = (0, 0);
    }

    /// Returns whether it holds `limit` bytes.
    pub fn is_full(&self) -> bool {
        self.end - self.start >= self.limit
    }

    /// Reads once; returns the number of bytes, 0 at the stream's end. Must not be called on a full buffer.
    ///
    /// # Errors
    /// The stream's error.
    pub fn fill(&mut self, stream: &mut impl Read) -> io::Result<usize> {
        self.make_room();
        let count = stream.read(&mut self.bytes[self.end..])?;
        self.end += count;
        Ok(count)
    }

    /// Moves the unread bytes to the front if that is cheap or needed; grows if all space is in use.
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

    use super::{Buffer, INITIAL_BYTES};

    /// A reader that returns at most `step` bytes per call.
    struct Trickle<'a>(&'a [u8], usize);

    impl Read for Trickle<'_> {
        fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
            let count = self.1.min(out.len());
            self.0.read(&mut out[..count])
        }
    }

    #[test]
    fn bytes_pass_unchanged_in_order() {
        let data: Vec<u8> = (0..3 * INITIAL_BYTES).map(|at| (at % 251) as u8).collect();
        for (step, taken) in [(1000, 999), (INITIAL_BYTES, 1), (70_000, 60_000)] {
            let mut buffer = Buffer::new(4 * INITIAL_BYTES);
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
    fn buffer_grows_to_its_limit() {
        for limit in [1, 10, INITIAL_BYTES - 1, INITIAL_BYTES, INITIAL_BYTES + 1, 5 * INITIAL_BYTES] {
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
