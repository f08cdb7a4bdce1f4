//! Fixed-size reads of headers.
//!
//! The array's length and the offset are constants at every call, so the bounds checks are optimized away.

/// Reads a little-endian u16: notification headers (the byte order of the machines that Cilium runs on).
#[inline(always)]
pub(super) const fn u16_le<const N: usize>(header: &[u8; N], at: usize) -> u16 {
    u16::from_le_bytes([header[at], header[at + 1]])
}

/// Reads a little-endian u32.
#[inline(always)]
pub(super) const fn u32_le<const N: usize>(header: &[u8; N], at: usize) -> u32 {
    u32::from_le_bytes(array(header, at))
}

/// Reads a big-endian u16: packets.
#[inline(always)]
pub(super) const fn u16_be<const N: usize>(header: &[u8; N], at: usize) -> u16 {
    u16::from_be_bytes([header[at], header[at + 1]])
}

/// Reads `M` bytes.
#[inline(always)]
pub(super) const fn array<const N: usize, const M: usize>(header: &[u8; N], at: usize) -> [u8; M] {
    let mut out = [0; M];
    let mut i = 0;
    while i < M {
        out[i] = header[at + i];
        i += 1;
    }
    out
}

/// Returns the bytes from an offset on, if any.
#[inline(always)]
pub(super) fn from(data: &[u8], at: usize) -> &[u8] {
    data.get(at..).unwrap_or_default()
}

/// Returns at most the first `length` bytes.
#[inline(always)]
pub(super) fn clip(data: &[u8], length: usize) -> &[u8] {
    data.get(..length).unwrap_or(data)
}
