//! Observes whether a connection begins with HTTP/2's preface.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::support::lock::lock;

/// The client's connection preface (RFC 9113, 3.4).
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The first bytes of a connection, up to the length of the preface; clones share them.
#[derive(Clone, Debug, Default)]
pub(super) struct Preface(Arc<Mutex<Vec<u8>>>);

impl Preface {
    /// Returns whether the whole preface was received.
    pub(super) fn is_complete(&self) -> bool {
        *self.bytes() == PREFACE
    }

    /// The bytes that were received.
    pub(super) fn first_bytes(&self) -> Vec<u8> {
        self.bytes().clone()
    }

    fn bytes(&self) -> MutexGuard<'_, Vec<u8>> {
        lock(&self.0)
    }

    fn record(&self, new: &[u8]) {
        let mut bytes = self.bytes();
        let missing = PREFACE.len() - bytes.len();
        bytes.extend_from_slice(&new[..new.len().min(missing)]);
    }
}

/// A stream that records its first bytes.
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
    use super::{PREFACE, Preface};

    #[test]
    fn split_preface_is_recognized() {
        let preface = Preface::default();
        for split in [0, 2, 7, 23] {
            preface.record(&PREFACE[preface.first_bytes().len()..split]);
            assert_eq!(preface.first_bytes(), PREFACE[..split]);
            assert!(!preface.is_complete());
        }
        for rest in [&b"\n"[..], b"frames"] {
            preface.record(rest);
            assert!(preface.is_complete());
        }
        let other = Preface::default();
        other.record(&[0x16; 100]);
        assert!(!other.is_complete());
    }
}
