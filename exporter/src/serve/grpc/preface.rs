//! Observes whether a connection begins with HTTP/2's preface.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The client's connection preface (RFC 9113, 3.4).
const PREFACE_BYTES: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// First bytes that are kept: with their count they fit into one `u64`.
const KEPT_BYTES: usize = 7;

/// The first bytes of a connection; clones share them.
#[derive(Clone, Debug, Default)]
pub(super) struct Preface {
    read: Arc<AtomicU64>,
    /// Whether the bytes differ from the preface.
    is_different: Arc<AtomicBool>,
    /// The first bytes, at most [`KEPT_BYTES`]; the highest byte is their count.
    first: Arc<AtomicU64>,
}

impl Preface {
    /// Whether the whole preface was received.
    pub(super) fn is_complete(&self) -> bool {
        self.read.load(Ordering::Relaxed) >= PREFACE_BYTES.len() as u64 && !self.is_different.load(Ordering::Relaxed)
    }

    /// The first bytes that were received, at most [`KEPT_BYTES`].
    pub(super) fn first_bytes(&self) -> Vec<u8> {
        let bytes = self.first.load(Ordering::Relaxed).to_le_bytes();
        bytes[..usize::from(bytes[KEPT_BYTES]).min(KEPT_BYTES)].to_vec()
    }

    fn record(&self, new: &[u8]) {
        let before = self.read.fetch_add(new.len() as u64, Ordering::Relaxed);
        let rest = usize::try_from(before).ok().and_then(|before| PREFACE_BYTES.get(before..)).unwrap_or_default();
        if rest.iter().zip(new).any(|(expected, byte)| expected != byte) {
            self.is_different.store(true, Ordering::Relaxed);
        }
        if before < KEPT_BYTES as u64 {
            let mut bytes = self.first.load(Ordering::Relaxed).to_le_bytes();
            let mut count = usize::from(bytes[KEPT_BYTES]);
            for &byte in new.iter().take(KEPT_BYTES - count) {
                bytes[count] = byte;
                count += 1;
            }
            bytes[KEPT_BYTES] = u8::try_from(count).unwrap_or(0);
            self.first.store(u64::from_le_bytes(bytes), Ordering::Relaxed);
        }
    }
}

/// A stream that records what it reads first.
pub(super) struct PrefaceStream<S> {
    stream: S,
    preface: Preface,
}

impl<S> PrefaceStream<S> {
    pub(super) fn new(stream: S) -> (Self, Preface) {
        let preface = Preface::default();
        (Self { stream, preface: preface.clone() }, preface)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for PrefaceStream<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buffer);
        self.preface.record(&buffer.filled()[before..]);
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for PrefaceStream<S> {
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
    use super::Preface;

    #[test]
    fn split_preface_is_recognized() {
        let preface = Preface::default();
        assert_eq!(preface.first_bytes(), b"");
        for (piece, kept) in [("", ""), ("PR", "PR"), ("I * H", "PRI * H"), ("TTP/2.0\r\n\r\nSM\r\n\r", "PRI * H")] {
            preface.record(piece.as_bytes());
            assert_eq!(preface.first_bytes(), kept.as_bytes());
            assert!(!preface.is_complete());
        }
        preface.record(b"\n");
        assert!(preface.is_complete());
        preface.record(b"frames");
        assert!(preface.is_complete());
        let other = Preface::default();
        other.record(&[0x16; 100]);
        assert!(!other.is_complete());
    }
}
