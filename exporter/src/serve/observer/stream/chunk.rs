//! Encoded messages that wait to be sent.

use bytes::{Bytes, BytesMut};

/// Bytes after which a chunk is sent: an HTTP/2 frame, so that a client that does not read costs little memory.
const CHUNK_BYTES: usize = 16 * 1024;
/// Room beyond [`CHUNK_BYTES`] for the message that reaches it.
const LAST_MESSAGE_BYTES: usize = 2048;

/// Messages, one after the other.
#[derive(Debug)]
pub(super) struct Chunk {
    bytes: BytesMut,
    /// Length of each message.
    lengths: Vec<u32>,
}

impl Chunk {
    /// Returns an empty chunk that reuses the memory of `lengths`.
    pub(super) fn new(mut lengths: Vec<u32>) -> Self {
        lengths.clear();
        Self { bytes: BytesMut::with_capacity(CHUNK_BYTES + LAST_MESSAGE_BYTES), lengths }
    }

    pub(super) fn push(&mut self, message: &[u8]) {
        self.bytes.extend_from_slice(message);
        self.lengths.push(message.len() as u32);
    }

    pub(super) fn is_full(&self) -> bool {
        self.bytes.len() >= CHUNK_BYTES
    }

    /// The messages' bytes, and their lengths with the first one last.
    pub(super) fn into_parts(mut self) -> (Bytes, Vec<u32>) {
        self.lengths.reverse();
        (self.bytes.freeze(), self.lengths)
    }
}
