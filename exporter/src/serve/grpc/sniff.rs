//! A connection's bytes, with an eye on how it begins.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// HTTP/2's preface (RFC 9113, 3.4).
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Bytes of the beginning that are kept: they fit an integer, beside none of which are there.
const KEPT: usize = 7;

/// How a connection has begun; cloning shares it.
#[derive(Clone, Debug, Default)]
pub(super) struct Beginning {
    read: Arc<AtomicU64>,
    /// Whether it differs from the preface.
    is_other: Arc<AtomicBool>,
    /// The first bytes, at most [`KEPT`], and how many in the highest byte.
    first: Arc<AtomicU64>,
}

impl Beginning {
    /// Whether the preface is there.
    pub(super) fn is_over(&self) -> bool {
        self.read.load(Ordering::Relaxed) >= PREFACE.len() as u64 && !self.is_other.load(Ordering::Relaxed)
    }

    /// The first bytes, as far as they are there.
    pub(super) fn bytes(&self) -> Vec<u8> {
        let bytes = self.first.load(Ordering::Relaxed).to_le_bytes();
        bytes[..usize::from(bytes[KEPT]).min(KEPT)].to_vec()
    }

    fn note(&self, new: &[u8]) {
        let before = self.read.fetch_add(new.len() as u64, Ordering::Relaxed);
        let rest = usize::try_from(before).ok().and_then(|before| PREFACE.get(before..)).unwrap_or_default();
        if rest.iter().zip(new).any(|(wanted, byte)| wanted != byte) {
            self.is_other.store(true, Ordering::Relaxed);
        }
        if before < KEPT as u64 {
            let mut bytes = self.first.load(Ordering::Relaxed).to_le_bytes();
            let mut count = usize::from(bytes[KEPT]);
            for &byte in new.iter().take(KEPT - count) {
                bytes[count] = byte;
                count += 1;
            }
            bytes[KEPT] = u8::try_from(count).unwrap_or(0);
            self.first.store(u64::from_le_bytes(bytes), Ordering::Relaxed);
        }
    }
}

/// A stream whose beginning is noted.
pub(super) struct Sniffed<S> {
    stream: S,
    beginning: Beginning,
}

impl<S> Sniffed<S> {
    pub(super) fn new(stream: S) -> (Self, Beginning) {
        let beginning = Beginning::default();
        (Self { stream, beginning: beginning.clone() }, beginning)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Sniffed<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buffer);
        self.beginning.note(&buffer.filled()[before..]);
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Sniffed<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::Beginning;

    #[test]
    fn the_beginning_in_pieces() {
        let beginning = Beginning::default();
        assert_eq!(beginning.bytes(), b"");
        for (piece, kept) in [("", ""), ("PR", "PR"), ("I * H", "PRI * H"), ("TTP/2.0\r\n\r\nSM\r\n\r", "PRI * H")] {
            beginning.note(piece.as_bytes());
            assert_eq!(beginning.bytes(), kept.as_bytes());
            assert!(!beginning.is_over());
        }
        beginning.note(b"\n");
        assert!(beginning.is_over());
        beginning.note(b"frames");
        assert!(beginning.is_over());
        let other = Beginning::default();
        other.note(&[0x16; 100]);
        assert!(!other.is_over());
    }
}
