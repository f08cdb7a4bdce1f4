//! The header of every record in the ring or perf buffer, and the small maps beside the connection table.

/// The place of a program in a packet's path; travels in [`Header::hook`].
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Hook {
    /// Ingress of an endpoint's interface: the endpoint's sent packets.
    FromEndpoint = 0,
    /// Egress of an endpoint's interface: the endpoint's received packets.
    ToEndpoint = 1,
    /// Ingress of an uplink.
    FromNetwork = 2,
    /// Egress of an uplink.
    ToNetwork = 3,
    /// A drop in the kernel; counted nowhere but in the drop counters.
    Drop = 4,
}

impl Hook {
    /// The hook of a number from the wire.
    pub const fn from_u8(value: u8) -> Option<Self> {
        match value {
            0 => Some(Self::FromEndpoint),
            1 => Some(Self::ToEndpoint),
            2 => Some(Self::FromNetwork),
            3 => Some(Self::ToNetwork),
            4 => Some(Self::Drop),
            _ => None,
        }
    }

    /// Returns whether packets enter the machine's stack here (ingress of the interface).
    pub const fn is_ingress(self) -> bool {
        matches!(self, Self::FromEndpoint | Self::FromNetwork)
    }
}

/// The side of the machine that answers a connection at an uplink.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnsweredBy {
    /// No packet has left by this uplink yet: received packets are held back (see [`Header::held_packets`]).
    Unknown = 0,
    /// Leaving packets come from an endpoint, where they are counted, not at the uplink.
    Endpoint = 1,
    /// Leaving packets come from this machine.
    Local = 2,
    /// Leaving packets come from another interface, which is no endpoint's.
    Forwarded = 3,
    /// Outer packets of a tunnel device of this machine, see [`Tunnel`].
    Tunnel = 4,
}

impl AnsweredBy {
    /// The value of a number from the wire; unknown numbers are [`AnsweredBy::Unknown`].
    pub const fn from_u8(value: u8) -> Self {
        match value {
            1 => Self::Endpoint,
            2 => Self::Local,
            3 => Self::Forwarded,
            4 => Self::Tunnel,
            _ => Self::Unknown,
        }
    }
}

/// The start of every record; `data_len` bytes in Cilium's own format follow.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// `CLOCK_MONOTONIC`, ns.
    pub time: u64,
    /// Packets (segments) of this direction of the connection since its last report, this one included.
    pub packets: u64,
    /// Bytes on the wire of these packets, VLAN tags and Ethernet header included.
    pub bytes: u64,
    /// Packets reported earlier under [`AnsweredBy::Unknown`], released by this record's `answered_by`.
    pub held_packets: u64,
    /// Bytes of [`Header::held_packets`].
    pub held_bytes: u64,
    /// Drops: the kernel address where the packet was freed; else 0.
    pub location: u64,
    /// Drops: the kernel's `skb_drop_reason`; else 0.
    pub drop_reason: u32,
    /// Drops: inode of the network namespace; else 0.
    pub netns: u32,
    /// The interface of the hook; for drops the one the packet came in by, or leaves by, and 0 in another namespace.
    pub ifindex: u32,
    /// The interface that the packet came in by; 0 = sent by this machine, or in another namespace.
    pub ingress_ifindex: u32,
    /// Bytes behind this header.
    pub data_len: u32,
    /// The CPU that wrote the record.
    pub cpu: u16,
    /// A [`Hook`], or [`crate::RECORD_PROCESS`].
    pub hook: u8,
    /// A [`AnsweredBy`].
    pub answered_by: u8,
    /// Id of the control group of this machine's socket in its own network namespace, 0 = unknown: at egress hooks and in
    /// drops without ingress interface it sent the packets, else it receives them.
    pub cgroup: u64,
    /// The [`crate::process_id`] of that socket, 0 = unknown.
    pub process: u64,
}
const _: () = assert!(size_of::<Header>() == 88);

/// The programs' view of an interface; value of `EP_INTERFACES`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Interface {
    /// The endpoint id of an endpoint's interface, else 0.
    pub endpoint: u16,
    /// An [`InterfaceKind`].
    pub kind: u8,
    /// Always 0.
    pub pad: u8,
}
const _: () = assert!(size_of::<Interface>() == 4);

/// The kinds of interfaces that matter to the once-per-node rule.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InterfaceKind {
    /// No endpoint and no uplink.
    Other = 0,
    /// The host side of a container's or pod's pair.
    Endpoint = 1,
    /// A physical or uplink device.
    Uplink = 2,
    /// A bridge with endpoints and no uplink as its ports: its packets come from an endpoint.
    EndpointBridge = 3,
}

/// The outer packets of a tunnel device; key of `EP_TUNNELS`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tunnel {
    /// Destination port, host byte order; 0 if the protocol has none.
    pub port: u16,
    /// IP protocol number.
    pub protocol: u8,
    /// Always 0.
    pub pad: u8,
}
const _: () = assert!(size_of::<Tunnel>() == 4);

/// Key of `EP_UNTRACKED`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct UntrackedKey {
    /// The interface.
    pub ifindex: u32,
    /// A [`Hook`].
    pub hook: u32,
}

/// Packets that no connection entry could hold: the table was full, or the entry on its way out.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Untracked {
    /// Segments.
    pub packets: u64,
    /// Bytes on the wire.
    pub bytes: u64,
}

/// Key of `EP_DROPS`: every reported drop is counted here, emitted or not.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct DropKey {
    /// The kernel's `skb_drop_reason`.
    pub reason: u32,
    /// Inode of the network namespace.
    pub netns: u32,
}

/// Rule of `EP_IGNORED`: frees with the reason are no drops.
pub const IGNORE_ALWAYS: u32 = 1;
/// Rule of `EP_IGNORED`: frees with the reason are no drops in the functions of `EP_FUNCTIONS`.
pub const IGNORE_IN_FUNCTIONS: u32 = 2;
/// Rule of `EP_IGNORED`: frees with the reason are no drops between the loopback and a receiver of `EP_RECEIVERS`.
pub const IGNORE_RECEIVER: u32 = 4;

/// Bytes of a function's name in a rule; the rest is zeros.
pub const FUNCTION_LEN: usize = 44;

/// A reason that is no drop in one function of the kernel; key of `EP_FUNCTIONS`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IgnoredFunction {
    /// The kernel's `skb_drop_reason`.
    pub reason: u32,
    /// The function's name.
    pub name: [u8; FUNCTION_LEN],
}

/// Zeroes what follows the function's name in a symbol as the kernel prints it: the end of the text, suffixes of the
/// compiler (`.isra.0`, `.cold`) and the kernel's ` [module]`.
#[inline(always)]
pub const fn cut_symbol(name: &mut [u8; FUNCTION_LEN]) {
    let mut is_suffix = false;
    let mut index = 0;
    while index < FUNCTION_LEN {
        is_suffix |= matches!(name[index], b'.' | b' ' | 0);
        if is_suffix {
            name[index] = 0;
        }
        index += 1;
    }
}

/// The most entries of `EP_RECEIVERS`: two addresses (`localhost`) for each signal's endpoint.
pub const MAX_RECEIVERS: usize = 16;

/// Address and port of an OTLP receiver that this process exports to; key of `EP_RECEIVERS`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Receiver {
    /// The address in network byte order; the first word of IPv4, the others 0.
    pub address: [u32; 4],
    /// The port in network byte order.
    pub port: u16,
    /// Padding: 0.
    pub pad: u16,
}
const _: () = assert!(size_of::<Receiver>() == 20);

/// A kernel address and the reason that it frees with; key of `EP_PLACES`, whose value is 1 for no drop.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IgnoredPlace {
    /// The address.
    pub location: u64,
    /// The kernel's `skb_drop_reason`.
    pub reason: u64,
}

/// Returns a length counted from `before` bytes further up front, within the range of `u32`.
#[inline(always)]
pub const fn shifted(length: u32, before: i64) -> u32 {
    let length = length as i64 + before;
    if length < 0 {
        0
    } else if length > u32::MAX as i64 {
        u32::MAX
    } else {
        length as u32
    }
}

/// Indices of `EP_COUNTERS`, each a u64 per CPU.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counter {
    /// Records that were to be written.
    Offered = 0,
    /// Records that found no room, on both transports.
    Lost = 1,
    /// Frees left out because their reason is on the ignored list.
    IgnoredReason = 2,
    /// Frees left out because their namespace is not watched.
    ForeignNamespace = 3,
    /// Frees left out because the buffer was no packet (no protocol: unix sockets, netlink).
    NoPacket = 4,
    /// Frees left out because their namespace is unknown.
    UnknownNamespace = 5,
    /// Drops or untracked packets whose map was full: no other counter of the kernel has them.
    TableFull = 6,
}

/// The number of entries of `EP_COUNTERS`.
pub const fn counter_count() -> u32 {
    7
}

#[cfg(test)]
mod tests {
    use super::{FUNCTION_LEN, cut_symbol, shifted};

    #[test]
    fn symbol_without_suffix_is_name() {
        let filled = |text: &str| {
            let mut name = [0; FUNCTION_LEN];
            name[..text.len()].copy_from_slice(text.as_bytes());
            name
        };
        let full = "f".repeat(FUNCTION_LEN);
        for (symbol, expected) in [
            ("", ""),
            ("ip_rcv", "ip_rcv"),
            ("ip_rcv.isra.0", "ip_rcv"),
            ("f [module]", "f"),
            ("f.cold [module]", "f"),
            ("f\0of an earlier text", "f"),
            (&full, &full),
            (&full.replacen("fff", "ff.", 1), "ff"),
        ] {
            let mut name = filled(symbol);
            cut_symbol(&mut name);
            assert_eq!(name, filled(expected), "{symbol}");
        }
    }

    #[test]
    fn shifted_lengths_stay_in_range() {
        for (length, before, expected) in [
            (100, 0, 100),
            (100, 14, 114),
            (100, -14, 86),
            (100, -100, 0),
            (100, -101, 0),
            (0, i64::MIN, 0),
            (u32::MAX, 1, u32::MAX),
            (1, i64::from(u32::MAX), u32::MAX),
        ] {
            assert_eq!(shifted(length, before), expected, "{length} {before}");
        }
    }
}
