//! The tc programs: find the packet's connection, count the packet, and report it if the aggregation requires it.

use aya_ebpf::EbpfContext as _;
use aya_ebpf::bindings::__sk_buff;
use aya_ebpf::helpers::generated::bpf_jiffies64;
use aya_ebpf::programs::TcContext;
use eyepiece_wire::{Connection, Hook, Key4, Key6};

use crate::TC_ACT_UNSPEC;
use crate::connection;
use crate::headers::*;
use crate::maps::{EP_CONN4, EP_CONN6};
use crate::packet::{self, Packet};
use crate::report::PacketInfo;

/// Bytes that the fast path looks at: Ethernet, IPv4 without options, TCP without options.
const FAST4: usize = ETHERNET_LEN + 20 + 20;
/// The same for IPv6.
const FAST6: usize = ETHERNET_LEN + 40 + 20;

#[inline(always)]
pub(crate) fn classify<const HOOK: u8, const L3: bool>(ctx: &TcContext) -> i32 {
    let skb: *mut __sk_buff = ctx.as_ptr().cast();
    // SAFETY: `skb` is the program's context; packet bytes are read only below `end`, which the verifier checks too.
    unsafe {
        let data = (*skb).data as usize;
        let end = (*skb).data_end as usize;
        if !L3 && data + FAST4 <= end {
            let ethertype = *((data + 12) as *const u16);
            if ethertype == ETH_IPV4 {
                if fast4::<HOOK>(skb, data) {
                    return TC_ACT_UNSPEC;
                }
            } else if ethertype == ETH_IPV6 && data + FAST6 <= end && fast6::<HOOK>(skb, data) {
                return TC_ACT_UNSPEC;
            }
        }
    }
    read_slow(skb, HOOK, L3);
    TC_ACT_UNSPEC
}

/// Outer VLAN id and bytes of a tag that the kernel has lifted off the packet.
#[inline(always)]
unsafe fn lifted_vlan(skb: *mut __sk_buff) -> (u16, u64) {
    unsafe { if (*skb).vlan_present != 0 { (((*skb).vlan_tci) as u16 & 0x0fff, 4) } else { (0, 0) } }
}

/// Segments and their bytes on the wire: each segment repeats the headers.
#[inline(always)]
unsafe fn segments_and_bytes(skb: *mut __sk_buff, headers: u32, tag: u64) -> (u64, u64) {
    unsafe {
        let length = (*skb).len as u64 + tag;
        let mut segments = (*skb).gso_segs as u64;
        let size = (*skb).gso_size as u64;
        let headers = headers as u64 + tag;
        if segments == 0 && size != 0 && length > headers {
            // Super-packets from a virtual machine come without the number.
            segments = (length - headers).div_ceil(size);
        }
        if segments > 1 { (segments, length + (segments - 1) * headers) } else { (1, length) }
    }
}

/// Counts TCP and UDP over plain IPv4. Returns false for every other packet.
#[inline(always)]
unsafe fn fast4<const HOOK: u8>(skb: *mut __sk_buff, data: usize) -> bool {
    unsafe {
        let ip = data + ETHERNET_LEN;
        let protocol = *((ip + 9) as *const u8);
        if *(ip as *const u8) != 0x45 || *((ip + 6) as *const u16) & IPV4_FRAGMENT != 0 {
            return false;
        }
        let l4 = ip + 20;
        let (flags, transport) = if protocol == IPPROTO_TCP {
            (*((l4 + 13) as *const u8), ((*((l4 + 12) as *const u8) & 0xf0) >> 2) as u32)
        } else if protocol == IPPROTO_UDP {
            (0, 8)
        } else {
            return false;
        };
        let (vlan, tag) = lifted_vlan(skb);
        let (source, destination) = (*((ip + 12) as *const u32), *((ip + 16) as *const u32));
        let ports = *(l4 as *const u32);
        let half = source > destination || (source == destination && packet::greater_ports(ports));
        let (address, ports) =
            if half { ([destination, source], ports.rotate_left(16)) } else { ([source, destination], ports) };
        let key = Key4::of_ports(address, ports, (*skb).ifindex, protocol, vlan);
        let (segments, bytes) = segments_and_bytes(skb, ETHERNET_LEN as u32 + 20 + transport, tag);
        match EP_CONN4.get_ptr_mut(&key) {
            Some(entry) => count_known::<HOOK>(skb, entry, half, protocol, flags, segments, bytes),
            None => return false,
        }
        true
    }
}

/// Counts TCP and UDP over IPv6 without extension headers. Returns false for every other packet.
#[inline(always)]
unsafe fn fast6<const HOOK: u8>(skb: *mut __sk_buff, data: usize) -> bool {
    unsafe {
        let ip = data + ETHERNET_LEN;
        let protocol = *((ip + 6) as *const u8);
        let l4 = ip + 40;
        let (flags, transport) = if protocol == IPPROTO_TCP {
            (*((l4 + 13) as *const u8), ((*((l4 + 12) as *const u8) & 0xf0) >> 2) as u32)
        } else if protocol == IPPROTO_UDP {
            (0, 8)
        } else {
            return false;
        };
        let (vlan, tag) = lifted_vlan(skb);
        let source = *((ip + 8) as *const [u64; 2]);
        let destination = *((ip + 24) as *const [u64; 2]);
        let ports = *(l4 as *const u32);
        let half = packet::greater6(source, destination, ports);
        let (address, ports) =
            if half { ([destination, source], ports.rotate_left(16)) } else { ([source, destination], ports) };
        let key = Key6::of_ports(address, ports, (*skb).ifindex, protocol, vlan);
        let (segments, bytes) = segments_and_bytes(skb, ETHERNET_LEN as u32 + 40 + transport, tag);
        match EP_CONN6.get_ptr_mut(&key) {
            Some(entry) => count_known::<HOOK>(skb, entry, half, protocol, flags, segments, bytes),
            None => return false,
        }
        true
    }
}

/// Counts a packet of a connection that is in the table.
#[inline(always)]
unsafe fn count_known<const HOOK: u8>(
    skb: *mut __sk_buff,
    entry: *mut Connection,
    half: bool,
    protocol: u8,
    flags: u8,
    segments: u64,
    bytes: u64,
) {
    unsafe {
        let now = bpf_jiffies64();
        let index = half as usize;
        let side = core::ptr::addr_of_mut!((*entry).half[index]);
        if (*entry).dead == 0 && connection::add::<HOOK>(skb, side, flags, segments, bytes, now) {
            return;
        }
        count_known_slow(skb, entry, pack(half as u8, flags, HOOK, protocol), segments, bytes);
    }
}

/// Packs four bytes into one register: a function of a kernel program takes at most five arguments.
#[inline(always)]
fn pack(half: u8, flags: u8, hook: u8, protocol: u8) -> u64 {
    half as u64 | (flags as u64) << 8 | (hook as u64) << 16 | (protocol as u64) << 24
}

/// Handles a packet of a known connection that is to be reported or differs from those before it.
#[inline(never)]
fn count_known_slow(skb: *mut __sk_buff, entry: *mut Connection, packed: u64, segments: u64, bytes: u64) -> i32 {
    let info = PacketInfo {
        // SAFETY: the helper has no arguments.
        now: unsafe { bpf_jiffies64() },
        segments,
        bytes,
        ports: 0,
        half: packed as u8 & 1,
        flags: (packed >> 8) as u8,
        icmp_error: 0,
        created: 0,
        hook: (packed >> 16) as u8,
        l3_device: 0,
        family: 4,
        protocol: (packed >> 24) as u8,
    };
    connection::count_slow(skb, entry, &info);
    0
}

/// Handles every packet but established TCP or UDP in plain frames.
#[inline(never)]
fn read_slow(skb: *mut __sk_buff, hook: u8, l3_device: bool) -> i32 {
    let mut info = PacketInfo {
        // SAFETY: the helper has no arguments.
        now: unsafe { bpf_jiffies64() },
        segments: 0,
        bytes: 0,
        ports: 0,
        half: 0,
        flags: 0,
        icmp_error: 0,
        created: 0,
        hook,
        l3_device: u8::from(l3_device),
        family: 0,
        protocol: 0,
    };
    let entry = find_entry(skb, &mut info);
    connection::count_slow(skb, entry, &info);
    0
}

/// Reads the packet's headers and finds or makes its entry. Not inlined: the verifier adds up the stack of a chain of
/// calls, and this part is free again before the rest needs it.
#[inline(never)]
fn find_entry(skb: *mut __sk_buff, info: &mut PacketInfo) -> *mut Connection {
    // SAFETY: fields of the context.
    unsafe {
        let mut packet: Packet = core::mem::zeroed();
        let (vlan, tag) = lifted_vlan(skb);
        packet::read(skb, &mut packet, info.l3_device != 0, vlan);
        packet.key4.ifindex = (*skb).ifindex;
        packet.key6.ifindex = (*skb).ifindex;
        if packet.family == 0 {
            packet.half = u8::from(info.hook == Hook::ToEndpoint as u8 || info.hook == Hook::ToNetwork as u8);
        }
        (info.segments, info.bytes) = segments_and_bytes(skb, packet.headers, tag);
        info.half = packet.half;
        info.flags = packet.flags;
        info.icmp_error = packet.icmp_error;
        info.family = packet.family;
        let (ports, protocol) = if packet.family == 6 {
            (packet.key6.port, packet.key6.protocol)
        } else {
            (packet.key4.port, packet.key4.protocol)
        };
        info.ports = (u16::from_be(ports[0]) as u32) << 16 | u16::from_be(ports[1]) as u32;
        info.protocol = protocol;
        if packet.family == 6 { connection::find6(&packet.key6, info) } else { connection::find4(&packet.key4, info) }
    }
}
