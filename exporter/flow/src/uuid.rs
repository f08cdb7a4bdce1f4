//! Random UUIDs (RFC 9562, version 4), which identify flows and events.

/// Returns a random UUID. It is not a secret, so a fast generator suffices.
#[inline]
pub fn random(random: &mut fastrand::Rng) -> [u8; 16] {
    let mut bytes = random.u128(..).to_ne_bytes();
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    bytes
}
