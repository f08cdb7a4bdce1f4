//! Frees that are no drops, by their reason, the kernel function that frees, or the packet's addresses.
//!
//! The kernel itself resolves the function's name: without the capability SYSLOG, user space cannot read the addresses.

use aya_ebpf::helpers::generated::bpf_snprintf;
use eyepiece_wire::{
    FUNCTION_LEN, IGNORE_ALWAYS, IGNORE_IN_FUNCTIONS, IGNORE_RECEIVER, IgnoredFunction, IgnoredPlace, Receiver,
    cut_symbol,
};

use crate::globals::{
    OFF_DEV_NET, OFF_DEV_TYPE, OFF_NET_INUM, OFF_SKB_HEAD, OFF_SKB_NETWORK_HEADER, OFF_SKB_PROTOCOL, OWN_NAMESPACE,
};
use crate::headers::{ARPHRD_LOOPBACK, ETH_IPV4, ETH_IPV6, IPPROTO_TCP};
use crate::kernel::{field, load};
use crate::maps::{EP_FUNCTIONS, EP_IGNORED, EP_PLACES, EP_RECEIVERS};

/// The kernel's format of the symbol that an address lies in, without the offset.
#[unsafe(no_mangle)]
#[unsafe(link_section = ".rodata")]
static SYMBOL_FORMAT: [u8; 4] = *b"%ps\0";

/// Returns whether a free with this reason, at this address, of a packet on this device is no drop.
#[inline(always)]
pub(crate) unsafe fn is_ignored(reason: u32, location: u64, skb: *const u8, device: *const u8) -> bool {
    unsafe {
        let Some(rules) = EP_IGNORED.get(&reason) else { return false };
        let rules = *rules;
        rules & IGNORE_ALWAYS != 0
            || rules & IGNORE_IN_FUNCTIONS != 0 && is_in_function(reason, location)
            || rules & IGNORE_RECEIVER != 0 && is_of_receiver(skb, device) != 0
    }
}

/// Returns whether the function that frees is in `EP_FUNCTIONS`. Look-ups take microseconds: the cache is by address.
#[inline(always)]
unsafe fn is_in_function(reason: u32, location: u64) -> bool {
    unsafe {
        let place = IgnoredPlace { location, reason: reason as u64 };
        if let Some(is_ignored) = EP_PLACES.get(&place) {
            return *is_ignored != 0;
        }
        let mut key = IgnoredFunction { reason, name: [0; FUNCTION_LEN] };
        symbol(&mut key.name, location);
        let is_ignored = EP_FUNCTIONS.get(&key).is_some() as u32;
        // A full table costs time only.
        let _ = EP_PLACES.insert(&place, &is_ignored, 0);
        is_ignored != 0
    }
}

/// Writes the name of the function that an address lies in, without suffixes. A longer name is cut and equals no rule's.
#[inline(always)]
unsafe fn symbol(name: &mut [u8; FUNCTION_LEN], mut location: u64) {
    unsafe {
        let written = bpf_snprintf(
            name.as_mut_ptr().cast(),
            FUNCTION_LEN as u32,
            SYMBOL_FORMAT.as_ptr().cast(),
            &mut location,
            size_of::<u64>() as u32,
        );
        if written < 0 {
            *name = [0; FUNCTION_LEN];
        }
        cut_symbol(name);
    }
}

/// Returns 1 if a packet on this namespace's loopback goes to or comes from an OTLP receiver in `EP_RECEIVERS`.
///
/// Matches the packet, not the current process: a softirq delivers packets on behalf of any process.
#[inline(never)]
unsafe fn is_of_receiver(skb: *const u8, device: *const u8) -> i32 {
    unsafe {
        if device.is_null() || field::<u16>(device, OFF_DEV_TYPE.load()) != ARPHRD_LOOPBACK {
            return 0;
        }
        let net: *const u8 = field(device, OFF_DEV_NET.load());
        if net.is_null() || field::<u32>(net, OFF_NET_INUM.load()) != OWN_NAMESPACE.load() {
            return 0;
        }
        let Some((source, destination)) = tcp_ends(skb) else { return 0 };
        (EP_RECEIVERS.get(&destination).is_some() || EP_RECEIVERS.get(&source).is_some()) as i32
    }
}

/// The two ends of a packet of TCP. IPv6 extension headers are not read: TCP has none in practice.
#[inline(always)]
pub(crate) unsafe fn tcp_ends(skb: *const u8) -> Option<(Receiver, Receiver)> {
    let (mut source, mut destination) = (Receiver::default(), Receiver::default());
    let mut ports = [0_u16; 2];
    unsafe {
        let header = field::<u64>(skb, OFF_SKB_HEAD.load()) + field::<u16>(skb, OFF_SKB_NETWORK_HEADER.load()) as u64;
        let protocol: u16 = field(skb, OFF_SKB_PROTOCOL.load());
        let (length, transport) = if protocol == ETH_IPV4 {
            // Words of an IPv4 header, RFC 791: 0 version and length, 2 protocol, 3 source, 4 destination.
            let mut words = [0_u32; 5];
            if !load(header, &mut words) {
                return None;
            }
            source.address[0] = words[3];
            destination.address[0] = words[4];
            ((words[0] & 0x0f) as u64 * 4, (words[2] >> 8) as u8)
        } else if protocol == ETH_IPV6 {
            // RFC 8200: 1 payload length and next header, 2–5 source, 6–9 destination.
            let mut words = [0_u32; 10];
            if !load(header, &mut words) {
                return None;
            }
            source.address = [words[2], words[3], words[4], words[5]];
            destination.address = [words[6], words[7], words[8], words[9]];
            (40, (words[1] >> 16) as u8)
        } else {
            return None;
        };
        if transport != IPPROTO_TCP || !load(header + length, &mut ports) {
            return None;
        }
    }
    (source.port, destination.port) = (ports[0], ports[1]);
    Some((source, destination))
}
