//! Names for what is told once and must be known again: random UUIDs, RFC 9562 version 4.

/// A random UUID. Not a secret: a fast generator does.
#[inline]
pub fn random(random: &mut fastrand::Rng) -> [u8; 16] {
    let mut bytes = random.u128(..).to_ne_bytes();
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    bytes
}
