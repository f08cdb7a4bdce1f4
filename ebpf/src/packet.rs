//! Reads packets for the slow path: VLAN tags, IP options, extension headers, fragments, other protocols, and headers
//! outside the linear part of the buffer.

use aya_ebpf::bindings::__sk_buff;
use aya_ebpf::helpers::generated::bpf_skb_load_bytes;
use eyepiece_wire::{Key4, Key6, word};

use crate::headers::*;

/// The most extension headers that are read: the verifier needs a bound, and no valid packet has more.
const EXTENSION_HEADERS: usize = 8;

/// The parts of a packet that the connection table needs.
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct Packet {
    /// IPv4, or not IP.
    pub(crate) key4: Key4,
    /// IPv6.
    pub(crate) key6: Key6,
    /// Bytes before the transport payload, which every further segment of a super-packet repeats.
    pub(crate) headers: u32,
    /// 4, 6, or 0 = not IP (then `key4` holds the ethertype).
    pub(crate) family: u8,
    /// TCP flags, else 0.
    pub(crate) flags: u8,
    /// 1 = an ICMP error about another connection.
    pub(crate) icmp_error: u8,
    /// 1 = the packet goes from the greater end to the smaller one.
    pub(crate) half: u8,
}

/// Loads `T` from the packet, from its linear part or not.
#[inline(always)]
fn load<T: Copy>(skb: *mut __sk_buff, offset: u32, into: &mut T) -> bool {
    // SAFETY: the buffer is `size_of::<T>()` bytes, a constant, and T is plain bytes.
    unsafe { bpf_skb_load_bytes(skb.cast(), offset, core::ptr::from_mut(into).cast(), size_of::<T>() as u32) == 0 }
}

/// Fills in `packet` as far as the headers go. Unreadable fields stay zero: the packet is counted nevertheless.
#[inline(never)]
pub(crate) fn read(skb: *mut __sk_buff, packet: &mut Packet, l3_device: bool, vlan: u16) -> i32 {
    let mut offset = 0_u32;
    let mut vlan = vlan;
    let mut ethertype;
    if l3_device {
        // SAFETY: a field of the context.
        ethertype = unsafe { (*skb).protocol } as u16;
    } else {
        let mut header = [0_u16; 7];
        if !load(skb, 0, &mut header) {
            return not_ip(packet, 0, vlan);
        }
        ethertype = header[6];
        offset = ETHERNET_LEN as u32;
        // The kernel may have lifted one tag off, the packet may hold two more.
        for _ in 0..2 {
            if ethertype != ETH_VLAN && ethertype != ETH_QINQ && ethertype != ETH_QINQ_OLD {
                break;
            }
            let mut tag = [0_u16; 2];
            if !load(skb, offset, &mut tag) {
                return not_ip(packet, ethertype, vlan);
            }
            if vlan == 0 {
                vlan = u16::from_be(tag[0]) & 0x0fff;
            }
            ethertype = tag[1];
            offset += 4;
        }
    }
    if ethertype == ETH_IPV4 {
        ipv4(skb, packet, offset, vlan)
    } else if ethertype == ETH_IPV6 {
        ipv6(skb, packet, offset, vlan)
    } else {
        not_ip(packet, ethertype, vlan)
    }
}

#[inline(always)]
fn not_ip(packet: &mut Packet, ethertype: u16, vlan: u16) -> i32 {
    packet.family = 0;
    packet.key4.kind = 1;
    packet.key4.vlan = vlan;
    packet.key4.port = [ethertype, ethertype];
    0
}

#[inline(always)]
fn ipv4(skb: *mut __sk_buff, packet: &mut Packet, offset: u32, vlan: u16) -> i32 {
    // Words of an IPv4 header, RFC 791: 0 version, 1 fragment, 2 protocol, 3 source, 4 destination.
    let mut header = [0_u32; 5];
    if !load(skb, offset, &mut header) {
        return not_ip(packet, ETH_IPV4, vlan);
    }
    packet.family = 4;
    packet.key4.vlan = vlan;
    packet.key4.protocol = (header[2] >> 8) as u8;
    packet.key4.address = [header[3], header[4]];
    let length = (header[0] & 0x0f) * 4;
    packet.headers = offset + length;
    let fragment = (header[1] >> 16) as u16 & IPV4_FRAGMENT != 0;
    let mut ports = [0_u16; 2];
    if !fragment {
        let protocol = packet.key4.protocol;
        transport(skb, packet, offset + length, protocol, &mut ports);
    }
    if header[3] > header[4] || (header[3] == header[4] && ports[0] > ports[1]) {
        packet.half = 1;
        packet.key4.address = [header[4], header[3]];
        packet.key4.port = [ports[1], ports[0]];
    } else {
        packet.key4.port = ports;
    }
    0
}

#[inline(always)]
fn ipv6(skb: *mut __sk_buff, packet: &mut Packet, offset: u32, vlan: u16) -> i32 {
    // Words of an IPv6 header, RFC 8200: 1 payload length and next header, 2–5 source, 6–9 destination.
    let mut header = [0_u32; 10];
    if !load(skb, offset, &mut header) {
        return not_ip(packet, ETH_IPV6, vlan);
    }
    packet.family = 6;
    packet.key6.vlan = vlan;
    let (next, at, fragment) = skip_extensions(skb, (header[1] >> 16) as u8, offset + 40);
    packet.key6.protocol = next;
    packet.headers = at;
    let mut ports = [0_u16; 2];
    if !fragment {
        transport(skb, packet, at, next, &mut ports);
    }
    let source = [header[2], header[3], header[4], header[5]];
    let destination = [header[6], header[7], header[8], header[9]];
    let words = |address: &[u32; 4]| [word(address[0], address[1]), word(address[2], address[3])];
    if greater6(words(&source), words(&destination), ports[0] as u32 | (ports[1] as u32) << 16) {
        packet.half = 1;
        packet.key6.address = [destination, source];
        packet.key6.port = [ports[1], ports[0]];
    } else {
        packet.key6.address = [source, destination];
        packet.key6.port = ports;
    }
    0
}

/// Skips IPv6 extension headers from `at` on; returns the next protocol, its offset, and whether this is a fragment.
#[inline(always)]
fn skip_extensions(skb: *mut __sk_buff, mut next: u8, mut at: u32) -> (u8, u32, bool) {
    let mut fragment = false;
    for _ in 0..EXTENSION_HEADERS {
        let mut extension = [0_u8; 4];
        match next {
            IPPROTO_HOPOPTS | IPPROTO_ROUTING | IPPROTO_DSTOPTS | IPPROTO_MOBILITY => {
                if !load(skb, at, &mut extension) {
                    break;
                }
                at += (extension[1] as u32 + 1) * 8;
            }
            IPPROTO_AH => {
                if !load(skb, at, &mut extension) {
                    break;
                }
                at += (extension[1] as u32 + 2) * 4;
            }
            IPPROTO_FRAGMENT => {
                if !load(skb, at, &mut extension) {
                    break;
                }
                // An atomic fragment (RFC 6946) is whole: offset 0 and no more to come.
                fragment |= extension[2] != 0 || extension[3] & 0xf9 != 0;
                at += 8;
                if extension[2] != 0 || extension[3] & 0xf8 != 0 {
                    // Behind the header of a later fragment is payload.
                    next = extension[0];
                    break;
                }
            }
            _ => break,
        }
        next = extension[0];
    }
    (next, at, fragment)
}

/// Returns whether (a, first port) comes after (b, second port), compared as the loaded words.
#[inline(always)]
pub(crate) fn greater6(a: [u64; 2], b: [u64; 2], ports: u32) -> bool {
    // The last word differs in nearly all pairs of addresses of one network.
    if a[1] != b[1] {
        a[1] > b[1]
    } else if a[0] != b[0] {
        a[0] > b[0]
    } else {
        greater_ports(ports)
    }
}

/// Returns whether the first of two loaded ports is the greater one.
#[inline(always)]
pub(crate) fn greater_ports(ports: u32) -> bool {
    ports as u16 > (ports >> 16) as u16
}

#[inline(always)]
fn transport(skb: *mut __sk_buff, packet: &mut Packet, at: u32, protocol: u8, ports: &mut [u16; 2]) {
    match protocol {
        IPPROTO_TCP => {
            let mut header = [0_u16; 7];
            if load(skb, at, &mut header) {
                *ports = [header[0], header[1]];
                packet.flags = (header[6] >> 8) as u8;
                packet.headers = at + ((header[6] & 0xf0) >> 2) as u32;
            } else {
                load(skb, at, ports);
            }
        }
        IPPROTO_UDP | IPPROTO_SCTP | IPPROTO_DCCP | IPPROTO_UDPLITE => {
            load(skb, at, ports);
            // SCTP's common header has 12 bytes, RFC 9260.
            packet.headers = at + if protocol == IPPROTO_SCTP { 12 } else { 8 };
        }
        IPPROTO_ICMP | IPPROTO_ICMPV6 => {
            let mut header = [0_u16; 4];
            if load(skb, at, &mut header) {
                icmp(packet, protocol, header, ports);
            }
        }
        _ => {}
    }
}

/// An echo's identifier stands for its ports, so that request and answer meet; other messages have type and code.
#[inline(always)]
fn icmp(packet: &mut Packet, protocol: u8, header: [u16; 4], ports: &mut [u16; 2]) {
    let kind = header[0] as u8;
    let (echo, error) = if protocol == IPPROTO_ICMP {
        // RFC 792: echo 8 and 0; unreachable 3, quench 4, redirect 5, time exceeded 11, parameter problem 12.
        (kind == 8 || kind == 0, matches!(kind, 3 | 4 | 5 | 11 | 12))
    } else {
        // RFC 4443: echo 128 and 129; below 128 are errors.
        (kind == 128 || kind == 129, kind < 128)
    };
    packet.icmp_error = u8::from(error);
    let port = if echo { header[2] } else { header[0] };
    *ports = [port, port];
}
