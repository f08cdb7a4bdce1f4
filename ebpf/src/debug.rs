//! Debug messages and captures, in the program only when `datapath.debug` is on.

use aya_ebpf::bindings::__sk_buff;
use aya_ebpf::helpers::generated::{bpf_get_smp_processor_id, bpf_ktime_get_ns};
use eyepiece_wire::{Connection, DebugCapture, DebugMessage, Header, Hook, NOTIFY_CAPTURE, NOTIFY_DEBUG};

use crate::emit;
use crate::globals::CAPTURE;
use crate::maps::{EP_INTERFACES, EP_SCRATCH_TC};
use crate::report::PacketInfo;

/// `flow.DebugEventType`: a connection was found; a connection was made, its first half.
const DEBUG_CT_MATCH: u8 = 8;
const DEBUG_CT_CREATED: u8 = 9;
/// Capture point: delivery to an endpoint.
const CAPTURE_DELIVERY: u8 = 4;

/// Reports the table's decision, and at an endpoint's egress the packet that is delivered.
#[inline(never)]
pub(crate) fn connection(skb: *mut __sk_buff, entry: *mut Connection, info: &PacketInfo) -> i32 {
    if !emit::emission_enabled() {
        return 0;
    }
    message(skb, entry, info);
    if info.hook == Hook::ToEndpoint as u8 {
        delivery(skb, info);
    }
    0
}

#[inline(always)]
fn header(skb: *mut __sk_buff, info: &PacketInfo, data_len: usize) -> Header {
    // SAFETY: fields of the context.
    unsafe {
        Header {
            time: bpf_ktime_get_ns(),
            ifindex: (*skb).ifindex,
            ingress_ifindex: (*skb).ingress_ifindex,
            data_len: data_len as u32,
            cpu: bpf_get_smp_processor_id() as u16,
            hook: info.hook,
            ..Header::default()
        }
    }
}

#[inline(always)]
fn endpoint(skb: *mut __sk_buff) -> u16 {
    // SAFETY: a field of the context; the value is only read. A map key must lie on the stack, not in the context.
    unsafe {
        let ifindex = (*skb).ifindex;
        EP_INTERFACES.get(&ifindex).map_or(0, |interface| interface.endpoint)
    }
}

#[inline(always)]
fn message(skb: *mut __sk_buff, entry: *mut Connection, info: &PacketInfo) {
    const SIZE: usize = size_of::<Header>() + size_of::<DebugMessage>();
    let record = emit::reserve(SIZE as u64, EP_SCRATCH_TC.get_ptr_mut(0));
    if record.is_null() {
        return;
    }
    let created = info.created != 0;
    // SAFETY: `record` has room for SIZE bytes; `entry` is a live map value.
    unsafe {
        *record.cast::<Header>() = header(skb, info, size_of::<DebugMessage>());
        *record.add(size_of::<Header>()).cast::<DebugMessage>() = DebugMessage {
            kind: NOTIFY_DEBUG,
            subtype: if created { DEBUG_CT_CREATED } else { DEBUG_CT_MATCH },
            source: endpoint(skb),
            hash: (*skb).hash,
            // Created: source and destination port, protocol and flags. Match: age in jiffies.
            arg1: if created { info.ports } else { (info.now - (*entry).created) as u32 },
            arg2: if created { (info.protocol as u32) << 8 } else { 0 },
            arg3: 0,
        };
    }
    emit::submit(skb.cast(), record, SIZE as u64);
}

#[inline(always)]
fn delivery(skb: *mut __sk_buff, info: &PacketInfo) {
    const PREFIX: usize = size_of::<Header>() + size_of::<DebugCapture>();
    let record = emit::reserve(PREFIX as u64 + CAPTURE.load() as u64, EP_SCRATCH_TC.get_ptr_mut(0));
    if record.is_null() {
        return;
    }
    // SAFETY: `record` has room for the prefix and CAPTURE bytes.
    unsafe {
        let captured = emit::capture(skb, record.add(PREFIX), info.l3_device != 0);
        *record.cast::<Header>() = header(skb, info, size_of::<DebugCapture>() + captured as usize);
        *record.add(size_of::<Header>()).cast::<DebugCapture>() = DebugCapture {
            kind: NOTIFY_CAPTURE,
            point: CAPTURE_DELIVERY,
            source: endpoint(skb),
            hash: (*skb).hash,
            len_orig: (*skb).len,
            len_cap: captured as u16,
            version: 0,
            ext_version: 0,
            arg1: (*skb).ifindex,
            arg2: 0,
        };
        emit::submit(skb.cast(), record, PREFIX as u64 + captured);
    }
}
