//! The connection table's keys and values, and the sweep program's input and output.
//!
//! A key is in canonical order: the smaller (address, port) pair first, compared as loaded words, so both directions
//! find one entry. Half 0 counts packets from the smaller end to the greater, half 1 the others. Packets
//! without addresses (ARP, unknown ethertypes) have zero addresses, the ethertype as both ports, `kind` 1, and half 0
//! for ingress, half 1 for egress.
//!
//! Keys are whole 8-byte words: the kernel compares keys word by word and the rest byte by byte. That costs no memory:
//! the kernel rounds key sizes up.

/// Key of an IPv4 connection, or of a packet that is not IP.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key4 {
    /// Addresses, as on the wire.
    pub address: [u32; 2],
    /// Ports as on the wire; ICMP echo: the identifier twice; other ICMP: type and code; fragments: 0.
    pub port: [u16; 2],
    /// The interface.
    pub ifindex: u32,
    /// IP protocol; 0 if `kind` is 1.
    pub protocol: u8,
    /// 0 = IP, 1 = another ethertype.
    pub kind: u8,
    /// Outer VLAN id in host order, 0 = untagged.
    pub vlan: u16,
    /// Padding: 0.
    pub pad: u32,
}
const _: () = assert!(size_of::<Key4>() == 24);

impl Key4 {
    /// The key of a TCP or UDP packet, written as whole words: a load that spans several narrower stores waits for them
    /// to reach the cache. `ports` holds both ports, the smaller end's in the lower half.
    #[inline(always)]
    pub const fn of_ports(address: [u32; 2], ports: u32, ifindex: u32, protocol: u8, vlan: u16) -> Self {
        let words = [word(address[0], address[1]), word(ports, ifindex), protocol as u64 | (vlan as u64) << 16];
        // SAFETY: of one size, and all bit patterns are valid; the test below checks the layout.
        unsafe { core::mem::transmute::<[u64; 3], Self>(words) }
    }
}

/// Key of an IPv6 connection.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key6 {
    /// Addresses, as on the wire.
    pub address: [[u32; 4]; 2],
    /// As [`Key4::port`].
    pub port: [u16; 2],
    /// The interface.
    pub ifindex: u32,
    /// The upper-layer protocol behind the extension headers.
    pub protocol: u8,
    /// Padding: 0.
    pub kind: u8,
    /// Outer VLAN id in host order, 0 = untagged.
    pub vlan: u16,
    /// Padding: 0.
    pub pad: u32,
}
const _: () = assert!(size_of::<Key6>() == 48);

impl Key6 {
    /// As [`Key4::of_ports`]; each address is two loaded words.
    #[inline(always)]
    pub const fn of_ports(address: [[u64; 2]; 2], ports: u32, ifindex: u32, protocol: u8, vlan: u16) -> Self {
        let [[a, b], [c, d]] = address;
        let words = [a, b, c, d, word(ports, ifindex), protocol as u64 | (vlan as u64) << 16];
        // SAFETY: as above.
        unsafe { core::mem::transmute::<[u64; 6], Self>(words) }
    }
}

/// Two halves of a word as they lie in memory; both sides are little-endian.
#[inline(always)]
pub const fn word(first: u32, second: u32) -> u64 {
    first as u64 | (second as u64) << 32
}

/// One direction of a connection at one interface.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Half {
    /// Segments not yet reported.
    pub packets: u64,
    /// Bytes on the wire not yet reported.
    pub bytes: u64,
    /// Jiffies of the last packet, 0 = none yet.
    pub last: u64,
    /// Jiffies of the last report.
    pub reported: u64,
    /// Reported, but held back until `answered_by` is known.
    pub held_packets: u64,
    /// Bytes of `held_packets`.
    pub held_bytes: u64,
    /// The interface that its packets came in by.
    pub ingress_ifindex: u32,
    /// TCP flags seen, as in byte 13 of the TCP header.
    pub flags: u8,
    /// The [`crate::Hook`] that counts here, plus 1; 0 = none yet.
    pub hook: u8,
    /// Padding: 0.
    pub pad: [u8; 2],
}
const _: () = assert!(size_of::<Half>() == 56);

/// An entry of the connection table.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Connection {
    /// The two directions, in the key's order.
    pub half: [Half; 2],
    /// Jiffies of its first packet.
    pub created: u64,
    /// Id of the control group of this machine's socket that sent a packet of it; 0 = none seen.
    pub cgroup: u64,
    /// The [`crate::process_id`] of that socket; 0 = unknown.
    pub process: u64,
    /// 1 = about to be removed: packets count as untracked.
    pub dead: u32,
    /// The half that opened the connection.
    pub origin: u8,
    /// A [`crate::AnsweredBy`].
    pub answered_by: u8,
    /// 1 once a FIN or RST was seen: expires soon.
    pub closing: u8,
    /// Padding: 0.
    pub pad: u8,
}
const _: () = assert!(size_of::<Connection>() == 144);

/// Items that one call of the sweep program handles.
pub const SWEEP_BATCH: usize = 16;
/// Sweep operation: take unreported totals out of live entries.
pub const SWEEP_TAKE: u32 = 1;
/// Sweep operation: mark entries dead, unless a packet came since `last`.
pub const SWEEP_KILL: u32 = 2;
/// Sweep result of an item: the entry is there and was handled.
pub const SWEEP_ALIVE: u64 = 1;

/// The start of the sweep program's "packet".
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SweepHeader {
    /// Zeros in place of an Ethernet header, which the kernel requires; padded to 8 bytes.
    pub ethernet: [u8; 16],
    /// [`SWEEP_TAKE`] or [`SWEEP_KILL`].
    pub operation: u32,
    /// 4 or 6: which table, and which item type follows.
    pub family: u32,
    /// The number of filled items.
    pub count: u32,
    /// Padding: 0.
    pub pad: u32,
    /// Set by the program: jiffies now.
    pub jiffies: u64,
}
const _: () = assert!(size_of::<SweepHeader>() == 40);

/// Totals taken from one half.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SweepTotals {
    /// Segments.
    pub packets: u64,
    /// Bytes on the wire.
    pub bytes: u64,
    /// As [`crate::Header::held_packets`].
    pub held_packets: u64,
    /// As [`crate::Header::held_bytes`].
    pub held_bytes: u64,
    /// As [`Half::ingress_ifindex`].
    pub ingress_ifindex: u32,
    /// As [`Half::hook`].
    pub hook: u32,
}

/// One IPv4 item of a sweep.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SweepItem4 {
    /// The entry.
    pub key: Key4,
    /// Set by the program: [`SWEEP_ALIVE`] or 0.
    pub result: u64,
    /// Kill: the newest packet's jiffies that user space has seen.
    pub last: u64,
    /// Take: set by the program.
    pub totals: [SweepTotals; 2],
    /// Take: set by the program, a [`crate::AnsweredBy`].
    pub answered_by: u64,
}
const _: () = assert!(size_of::<SweepItem4>() == 128);

/// One IPv6 item of a sweep.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SweepItem6 {
    /// The entry.
    pub key: Key6,
    /// Set by the program: [`SWEEP_ALIVE`] or 0.
    pub result: u64,
    /// Kill: the newest packet's jiffies that user space has seen.
    pub last: u64,
    /// Take: set by the program.
    pub totals: [SweepTotals; 2],
    /// Take: set by the program, a [`crate::AnsweredBy`].
    pub answered_by: u64,
}
const _: () = assert!(size_of::<SweepItem6>() == 152);

#[cfg(test)]
mod tests {
    use super::{Key4, Key6, word};

    /// Ports 0x0102 and 0x0304 as they lie in a packet, and as a load of both gives them.
    const PORTS: [u8; 4] = [1, 2, 3, 4];

    #[test]
    fn word_key_equals_field_key() {
        let port = [u16::from_ne_bytes([1, 2]), u16::from_ne_bytes([3, 4])];
        let address = [u32::from_ne_bytes([10, 0, 0, 1]), u32::from_ne_bytes([10, 0, 0, 2])];
        let made = Key4::of_ports(address, u32::from_ne_bytes(PORTS), 7, 6, 4095);
        assert_eq!(made, Key4 { address, port, ifindex: 7, protocol: 6, kind: 0, vlan: 4095, pad: 0 });

        let address = [[1, 2, 3, 4], [5, 6, 7, u32::MAX]];
        let words = address.map(|[a, b, c, d]| [word(a, b), word(c, d)]);
        let made = Key6::of_ports(words, u32::from_ne_bytes(PORTS), u32::MAX, 17, 1);
        assert_eq!(made, Key6 { address, port, ifindex: u32::MAX, protocol: 17, kind: 0, vlan: 1, pad: 0 });
    }
}
