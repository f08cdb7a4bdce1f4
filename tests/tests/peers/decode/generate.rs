//! Monitor payloads from a seed, of the types and versions that Cilium 1.15 knows.

use eyepiece_tests::notification::{Notification, capture, drop, ethernet, ipv4, ipv6, tcp, trace, udp_ports, verdict};

/// Random payloads, one after the other.
pub(crate) struct Generator(fastrand::Rng);

/// Trace reasons that 1.15 has.
const REASONS: [u8; 6] = [0, 1, 2, 3, 4, 5];
/// Observation points that 1.15 has.
const POINTS: u8 = 12;
/// Debug messages that 1.15 has texts for.
const DEBUG_KINDS: u8 = 66;

impl Generator {
    pub(crate) fn new(seed: u64) -> Self {
        Self(fastrand::Rng::with_seed(seed))
    }

    /// The next; one in twenty is cut.
    pub(crate) fn payload(&mut self) -> Vec<u8> {
        let mut payload = match self.0.u8(..20) {
            0..6 => self.trace(),
            6..10 => self.drop(),
            10..14 => self.verdict(),
            14..16 => self.capture(),
            16 => self.sock(),
            _ => self.debug(),
        };
        if self.0.u8(..20) == 0 {
            payload.truncate(self.0.usize(1..=payload.len()));
        }
        payload
    }

    /// A few values come often, so that rules about equal and zero ones are met.
    fn endpoint(&mut self) -> [u8; 2] {
        self.0.choice([0, 0, 7, self.0.clone().u16(..)]).unwrap_or(0).to_le_bytes()
    }

    fn identity(&mut self) -> [u8; 4] {
        self.0.choice([0, 1, 2, 4711, self.0.clone().u32(..)]).unwrap_or(0).to_le_bytes()
    }

    /// Returns the common fields of all four with a packet.
    fn common(&mut self, notification: Notification) -> Notification {
        let (source, hash) = (self.endpoint(), self.0.u32(..).to_le_bytes());
        notification.set(2, &source).set(4, &hash)
    }

    fn trace(&mut self) -> Vec<u8> {
        let version = self.0.u8(..2);
        let reason = self.0.choice(REASONS).unwrap_or(0) | if self.0.u8(..4) == 0 { 0x80 } else { 0 };
        let notification = self.common(trace(version));
        let mut notification = notification
            .set(1, &[self.0.u8(..POINTS)])
            .set(16, &self.identity())
            .set(20, &self.identity())
            .set(24, &self.endpoint())
            .set(26, &[reason])
            .set(28, &self.0.u32(..9).to_le_bytes());
        let (packet, is_ipv6) = self.packet();
        notification = notification.set(27, &[u8::from(is_ipv6)]);
        if version == 1 && self.0.u8(..3) == 0 {
            let length = if is_ipv6 { 16 } else { 4 };
            let address: Vec<u8> = (0..length).map(|_| self.0.u8(..)).collect();
            notification = notification.set(32, &address);
        }
        notification.packet(&packet)
    }

    fn drop(&mut self) -> Vec<u8> {
        let version = self.0.u8(..2);
        let notification = self.common(drop(version));
        let reason = if self.0.bool() { self.0.u8(130..204) } else { self.0.u8(..) };
        let notification = notification
            .set(1, &[reason])
            .set(16, &self.identity())
            .set(20, &self.identity())
            .set(28, &self.0.u16(..).to_le_bytes())
            .set(30, &[self.0.u8(..)]);
        let packet = self.packet().0;
        notification.packet(&packet)
    }

    fn verdict(&mut self) -> Vec<u8> {
        let notification = self.common(verdict(32));
        let outcome = match self.0.u8(..4) {
            0 => 0,
            1 => i32::from(self.0.u16(..)),
            2 => -133,
            _ => -i32::from(self.0.u8(1..)),
        };
        // Bit 0x80 is new in 1.19.
        let notification = notification
            .set(16, &self.identity())
            .set(20, &outcome.to_le_bytes())
            .set(27, &[self.0.u8(..0x80)])
            .set(28, &[self.0.u8(..4)]);
        let packet = self.packet().0;
        notification.packet(&packet)
    }

    fn capture(&mut self) -> Vec<u8> {
        let point = self.0.u8(4..12);
        let notification = self.common(capture(point)).set(16, &self.0.u32(..).to_le_bytes());
        let packet = self.packet().0;
        notification.packet(&packet)
    }

    fn sock(&mut self) -> Vec<u8> {
        let mut payload: Vec<u8> = (0..38).map(|_| self.0.u8(..)).collect();
        payload[0] = 7;
        payload
    }

    fn debug(&mut self) -> Vec<u8> {
        let mut payload = vec![2, self.0.u8(..DEBUG_KINDS)];
        payload.extend(self.endpoint());
        for _ in 0..4 {
            let argument = [0, 1, 2, 3, 0x0a00_000b, self.0.u32(..256), self.0.u32(..)];
            payload.extend(self.0.choice(argument).unwrap_or(0).to_le_bytes());
        }
        payload
    }

    /// An Ethernet frame, and whether it is IPv6.
    fn packet(&mut self) -> (Vec<u8>, bool) {
        let is_ipv6 = self.0.bool();
        let (protocol, payload) = self.transport(is_ipv6);
        let (ethertype, mut packet) =
            if is_ipv6 { (0x86dd, ipv6(protocol, &payload)) } else { (0x0800, ipv4(protocol, &payload)) };
        let addresses = if is_ipv6 { 8..40 } else { 12..20 };
        self.0.fill(&mut packet[addresses]);
        match self.0.u8(..30) {
            0 => (Vec::new(), is_ipv6),
            1 => (ethernet(0x0806, &[0; 28]), is_ipv6),
            _ => (ethernet(ethertype, &packet), is_ipv6),
        }
    }

    fn transport(&mut self, is_ipv6: bool) -> (u8, Vec<u8>) {
        let (source, destination) = (self.0.u16(..), self.0.u16(..));
        match self.0.u8(..6) {
            0 | 1 => {
                let mut segment = tcp(self.0.u16(..0x200));
                segment[..2].copy_from_slice(&source.to_be_bytes());
                segment[2..4].copy_from_slice(&destination.to_be_bytes());
                (6, segment)
            }
            2 | 3 => (17, udp_ports(source, destination, b"payload")),
            4 => {
                let mut message = vec![0; 8];
                message[..2].copy_from_slice(&[self.0.u8(..), self.0.u8(..20)]);
                (if is_ipv6 { 58 } else { 1 }, message)
            }
            _ => {
                let mut message = [source.to_be_bytes(), destination.to_be_bytes()].concat();
                message.extend([0; 8]);
                (132, message)
            }
        }
    }
}
