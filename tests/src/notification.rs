//! Monitor payloads and packets, built layer by layer, for tests and benchmarks.

/// A notification header that a packet can follow.
#[derive(Clone, Debug)]
pub struct Notification(Vec<u8>);

impl Notification {
    fn new(kind: u8, subtype: u8, version: u8, length: usize) -> Self {
        let mut bytes = vec![0; length];
        bytes[..2].copy_from_slice(&[kind, subtype]);
        bytes[14] = version;
        Self(bytes)
    }

    /// Writes bytes at an offset of the header.
    pub fn set(mut self, at: usize, bytes: &[u8]) -> Self {
        self.0[at..at + bytes.len()].copy_from_slice(bytes);
        self
    }

    /// The header's bytes alone.
    pub fn bytes(self) -> Vec<u8> {
        self.0
    }

    /// Returns the header followed by a packet, its lengths set, without padding.
    pub fn packet(self, packet: &[u8]) -> Vec<u8> {
        let length = length(packet.len());
        let mut bytes = self.set(8, &u32::from(length).to_le_bytes()).set(12, &length.to_le_bytes()).0;
        bytes.extend_from_slice(packet);
        bytes
    }
}

/// A trace from-endpoint of a version, up to one more than there are.
pub fn trace(version: u8) -> Notification {
    Notification::new(4, 5, version, [32, 48, 56, 56][usize::from(version)])
}

/// A drop "Policy denied" of a version, up to one more than there are.
pub fn drop(version: u8) -> Notification {
    Notification::new(1, 133, version, [36, 36, 40, 48, 48][usize::from(version)])
}

/// A debug capture.
pub fn capture(point: u8) -> Notification {
    Notification::new(3, point, 0, 24)
}

/// A policy verdict of 32 or 40 bytes.
pub fn verdict(length: usize) -> Notification {
    Notification::new(5, 0, 1, length)
}

/// A length as headers have it.
fn length(bytes: usize) -> u16 {
    assert!(bytes <= usize::from(u16::MAX), "no header has a length of {bytes} bytes");
    bytes as u16
}

/// Pads a payload as the kernel does: to 4 more than a multiple of 8, with garbage.
pub fn padded(mut payload: Vec<u8>) -> Vec<u8> {
    while payload.len() % 8 != 4 {
        payload.push(0xee);
    }
    payload
}

/// An Ethernet frame from 02:…:01 to 02:…:02.
pub fn ethernet(ethertype: u16, payload: &[u8]) -> Vec<u8> {
    [&[2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1][..], &ethertype.to_be_bytes(), payload].concat()
}

/// Returns a VLAN tag and its payload; follows the ethertype 0x8100 or 0x88a8.
pub fn tag(id: u16, ethertype: u16, payload: &[u8]) -> Vec<u8> {
    [&(0xe000 | id).to_be_bytes()[..], &ethertype.to_be_bytes(), payload].concat()
}

/// An IPv4 packet from 10.0.0.1 to 10.0.0.2.
pub fn ipv4(protocol: u8, payload: &[u8]) -> Vec<u8> {
    let length = length(20 + payload.len()).to_be_bytes();
    let header = [0x45, 0, length[0], length[1], 0, 0, 0x40, 0, 64, protocol, 0, 0];
    [&header[..], &[10, 0, 0, 1, 10, 0, 0, 2], payload].concat()
}

/// An IPv6 packet from fd00::1 to fd00::2.
pub fn ipv6(next: u8, payload: &[u8]) -> Vec<u8> {
    let length = length(payload.len()).to_be_bytes();
    let mut header = [0; 40];
    header[..8].copy_from_slice(&[0x60, 0, 0, 0, length[0], length[1], next, 64]);
    (header[8], header[23], header[24], header[39]) = (0xfd, 1, 0xfd, 2);
    [&header[..], payload].concat()
}

/// A TCP segment from port 1000 to 80 with a byte of payload.
pub fn tcp(flags: u16) -> Vec<u8> {
    let word = (0x5000 | flags).to_be_bytes();
    [&[3, 232, 0, 80, 0, 0, 0, 1, 0, 0, 0, 2][..], &word, &[0; 6], b"x"].concat()
}

/// A UDP datagram from port 1000 to 53.
pub fn udp(payload: &[u8]) -> Vec<u8> {
    udp_ports(1000, 53, payload)
}

/// A UDP datagram.
pub fn udp_ports(source: u16, destination: u16, payload: &[u8]) -> Vec<u8> {
    let length = length(8 + payload.len());
    [&source.to_be_bytes()[..], &destination.to_be_bytes(), &length.to_be_bytes(), &[0, 0], payload].concat()
}

/// A VXLAN header and what it carries.
pub fn vxlan(vni: u32, payload: &[u8]) -> Vec<u8> {
    [&[8, 0, 0, 0][..], &(vni << 8).to_be_bytes(), payload].concat()
}

/// A Geneve header with `options` words of options, and what it carries.
pub fn geneve(vni: u32, options: u8, ethertype: u16, payload: &[u8]) -> Vec<u8> {
    let option = vec![0; usize::from(options) * 4];
    [&[options, 0][..], &ethertype.to_be_bytes(), &(vni << 8).to_be_bytes(), &option, payload].concat()
}

/// The usual payloads, each with its name: a TCP trace of both families, a drop, a tunnel, a capture, a verdict.
pub fn usual() -> Vec<(&'static str, Vec<u8>)> {
    let tcp4 = ethernet(0x0800, &ipv4(6, &tcp(0x12)));
    let tcp6 = ethernet(0x86dd, &ipv6(6, &tcp(0x12)));
    let tunnel = ethernet(0x0800, &ipv4(17, &udp_ports(40000, 8472, &vxlan(7, &tcp4))));
    vec![
        ("trace TCP4", padded(trace(1).packet(&tcp4))),
        ("trace TCP6", padded(trace(1).set(27, &[1]).packet(&tcp6))),
        ("drop TCP4", padded(drop(3).packet(&tcp4))),
        ("trace VXLAN TCP4", padded(trace(2).set(27, &[4]).packet(&tunnel))),
        ("capture UDP6", padded(capture(4).packet(&ethernet(0x86dd, &ipv6(17, &udp(b"query")))))),
        ("policy verdict TCP4", padded(verdict(40).packet(&tcp4))),
    ]
}
