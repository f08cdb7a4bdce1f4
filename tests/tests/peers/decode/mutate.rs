//! Payloads from a seed that are nearly valid: every header is at its expected offset, and one to three bytes, lengths
//! or ends are not as they should be. Of built packets, and of the reference vectors.

use eyepiece_flow::gob::encode::agent_notify;
use eyepiece_tests::reference::vectors;

use super::notices::Notices;
use super::packets::{Packets, Tunnel};
use eyepiece_tests::notification::{Notification, capture, drop, trace, verdict};

/// Bytes that mean something to some header: types, versions, protocols, first bytes of IP headers.
const BYTES: [u8; 24] =
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 17, 41, 43, 44, 51, 58, 59, 60, 112, 132, 135, 0x45, 0x46, 0x60, 0xff];
/// Pairs of bytes that do: ethertypes, lengths, ports.
const PAIRS: [u16; 22] = [
    0x0800, 0x86dd, 0x8100, 0x88a8, 0x6558, 0x0806, 0xffff, 0x05ff, 0, 1, 7, 8, 12, 19, 20, 39, 40, 4789, 6081, 3868,
    53, 0x2000,
];

/// Mutated payloads, one after the other.
pub(crate) struct Mutator {
    random: fastrand::Rng,
    packets: Packets,
    notices: Notices,
    vectors: Vec<Vec<u8>>,
}

impl Mutator {
    pub(crate) fn new(seed: u64) -> Self {
        // Values of the agent are gob, which has separate tests.
        let vectors =
            vectors::payloads().into_iter().filter(|payload| payload.first().is_some_and(|kind| *kind < 128)).collect();
        // A packet and a mutation are the random numbers of generators of their own: a change of one keeps the other's.
        let mut random = fastrand::Rng::with_seed(seed);
        let (packets, notices) = (Packets::new(random.fork()), Notices::new(random.fork()));
        Self { random, packets, notices, vectors }
    }

    /// The next.
    pub(crate) fn payload(&mut self) -> Vec<u8> {
        match self.random.u8(..20) {
            0..11 => self.built(),
            11..17 => {
                let mut payload = self.random.choice(&self.vectors).cloned().unwrap_or_default();
                self.mutate(&mut payload);
                payload
            }
            17 => self.edge(),
            _ => {
                let (kind, text) = self.notices.next();
                let mut payload = vec![130];
                agent_notify(&mut payload, kind, &text);
                payload
            }
        }
    }

    /// A notification with a built packet; two in three are mutated.
    fn built(&mut self) -> Vec<u8> {
        let mut flags = self.random.choice([0, 0, 0, 2, 4, 4, 4, 6, 8, 8, 8, 10]).unwrap_or(0);
        let tunnel = match flags & 12 {
            4 => Some(Tunnel::Vxlan),
            8 => Some(Tunnel::Geneve),
            _ => None,
        };
        let (packet, is_ipv6) = self.packets.packet(flags & 2 != 0, tunnel);
        flags |= u8::from(is_ipv6);
        let notification = self.notification(flags);
        let mut payload = notification.packet(&packet);
        if self.random.u8(..3) != 0 {
            self.mutate(&mut payload);
        }
        payload
    }

    fn notification(&mut self, flags: u8) -> Notification {
        let notification = match self.random.u8(..8) {
            0..3 => {
                let version = if flags & !1 == 0 { self.random.u8(..3) } else { self.random.u8(1..3) };
                self.header(trace(version)).set(26, &[self.random.u8(..10)]).set(27, &[flags])
            }
            3..5 => {
                let version = if flags & !1 == 0 { self.random.u8(..4) } else { self.random.u8(2..4) };
                let notification = self.header(drop(version));
                if version < 2 { notification } else { notification.set(36, &[flags]) }
            }
            5 => {
                let point = self.random.u8(4..12);
                self.header(capture(point))
            }
            _ => {
                // IPv6 and L3 device have other bits here; only the new form has the second.
                let (is_ipv6, is_l3) = (flags & 1, flags >> 1 & 1);
                let form = if is_l3 == 0 && self.random.bool() { 32 } else { 40 };
                let flags = self.random.u8(..4) | is_ipv6 << 2 | self.random.u8(..16) << 3 | is_l3 << 7;
                self.header(verdict(form)).set(27, &[flags])
            }
        };
        notification.set(4, &self.random.u32(..).to_le_bytes())
    }

    /// Endpoint and identities.
    fn header(&mut self, notification: Notification) -> Notification {
        let endpoint = self.random.choice([0u16, 7, 4711]).unwrap_or(0);
        let identity = self.random.choice([0u32, 1, 2, 70_000]).unwrap_or(0);
        notification.set(2, &endpoint.to_le_bytes()).set(16, &identity.to_le_bytes())
    }

    /// A header of any kind, some bytes shorter or longer than it should be, with few captured bytes or many.
    fn edge(&mut self) -> Vec<u8> {
        let (kind, length) = self
            .random
            .choice([
                (1, 36),
                (1, 40),
                (1, 48),
                (2, 20),
                (3, 24),
                (4, 32),
                (4, 48),
                (4, 56),
                (5, 32),
                (5, 40),
                (7, 38),
                (7, 40),
            ])
            .unwrap_or((1, 36));
        let mut payload = vec![0; length + 9 - self.random.usize(..18).min(length + 8)];
        payload[0] = kind;
        if let Some(captured) = payload.get_mut(12..14) {
            captured.copy_from_slice(&self.random.choice([0u16, 1, 7, 8, 14, 128]).unwrap_or(0).to_le_bytes());
        }
        if let Some(version) = payload.get_mut(14) {
            *version = self.random.u8(..5);
        }
        payload
    }

    /// Changes one to three things.
    fn mutate(&mut self, payload: &mut Vec<u8>) {
        for _ in 0..self.random.usize(1..4) {
            let length = payload.len();
            if length < 2 {
                return;
            }
            let at = self.random.usize(..length - 1);
            match self.random.u8(..16) {
                0..3 => payload[at] = self.random.choice(BYTES).unwrap_or(0),
                3..7 => {
                    let pair = self.random.choice(PAIRS).unwrap_or(0).to_be_bytes();
                    payload[at..at + 2].copy_from_slice(&pair);
                }
                7 => payload[at] ^= 1 << self.random.u8(..8),
                8 => payload[at] = payload[at].wrapping_add(self.random.choice([1, 8, 0xff, 0xf8]).unwrap_or(1)),
                9..12 => payload.truncate(at + 1),
                12 => drop_range(payload, at, self.random.usize(1..9)),
                13 => {
                    let bytes: Vec<u8> = (0..self.random.usize(1..9)).map(|_| self.random.u8(..)).collect();
                    payload.splice(at..at, bytes);
                }
                14 => payload.extend((0..self.random.usize(1..24)).map(|_| self.random.u8(..))),
                _ => {
                    let captured = self.random.choice([0, 1, 13, 14, 34, 54, 128]).unwrap_or(0_u16);
                    if let Some(bytes) = payload.get_mut(12..14) {
                        bytes.copy_from_slice(&captured.to_le_bytes());
                    }
                }
            }
        }
    }
}

/// Takes bytes out of the middle.
fn drop_range(payload: &mut Vec<u8>, at: usize, count: usize) {
    let end = payload.len().min(at + count);
    // The first byte, the type, stays.
    payload.drain(at.max(1)..end.max(1));
}
