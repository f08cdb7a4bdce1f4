//! Totals of a connection's half that were not reported yet, and what a record reports of them.

use aya_ebpf::bindings::__sk_buff;
use eyepiece_wire::{
    AnsweredBy, Connection, Half, Hook, InterfaceKind, REASON_ESTABLISHED, REASON_NEW, REASON_RELATED, REASON_REPLY,
    REASON_UNKNOWN,
};

use crate::atomic;
use crate::globals::HOLD;
use crate::headers::{IPPROTO_TCP, TCP_ACK, TCP_FIN, TCP_RST, TCP_SYN};
use crate::maps::EP_INTERFACES;

/// The input of the slow path: a packet's time, size, direction and protocol.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct PacketInfo {
    pub(crate) now: u64,
    pub(crate) segments: u64,
    pub(crate) bytes: u64,
    /// Ports of the key in host order; 0 on the fast path, which has an entry already.
    pub(crate) ports: u32,
    pub(crate) half: u8,
    pub(crate) flags: u8,
    pub(crate) icmp_error: u8,
    /// 1 = this packet made the entry.
    pub(crate) created: u8,
    pub(crate) hook: u8,
    pub(crate) l3_device: u8,
    /// 0 = not IP.
    pub(crate) family: u8,
    pub(crate) protocol: u8,
}

/// The fields of a record that do not come from the packet.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Report {
    pub(crate) packets: u64,
    pub(crate) bytes: u64,
    pub(crate) held_packets: u64,
    pub(crate) held_bytes: u64,
    /// As `eyepiece_wire::Header::cgroup`.
    pub(crate) cgroup: u64,
    /// As `eyepiece_wire::Header::process`.
    pub(crate) process: u64,
    pub(crate) ingress_ifindex: u32,
    pub(crate) reason: u8,
    pub(crate) answered_by: u8,
}

/// Returns whether packets leave the machine's stack at this hook.
#[inline(always)]
pub(crate) fn is_egress(hook: u8) -> bool {
    hook == Hook::ToEndpoint as u8 || hook == Hook::ToNetwork as u8
}

/// The interface that a packet came in by; 0 = sent by this machine.
#[inline(always)]
pub(crate) unsafe fn ingress(skb: *mut __sk_buff, hook: u8) -> u32 {
    unsafe { if is_egress(hook) { (*skb).ingress_ifindex } else { (*skb).ifindex } }
}

/// The `answered_by` of a connection whose packets came in by this interface and leave by an uplink.
#[inline(always)]
pub(crate) fn answered_by(ingress: u32) -> u8 {
    if ingress == 0 {
        return AnsweredBy::Local as u8;
    }
    // SAFETY: read only.
    match unsafe { EP_INTERFACES.get(&ingress) } {
        Some(interface)
            if interface.kind == InterfaceKind::Endpoint as u8
                || interface.kind == InterfaceKind::EndpointBridge as u8 =>
        {
            AnsweredBy::Endpoint as u8
        }
        _ => AnsweredBy::Forwarded as u8,
    }
}

/// Returns the trace reason of a packet; updates the entry's opener and end.
#[inline(always)]
pub(crate) unsafe fn update_state(entry: *mut Connection, info: &PacketInfo) -> u8 {
    unsafe {
        let opens = info.protocol == IPPROTO_TCP && info.flags & (TCP_SYN | TCP_ACK) == TCP_SYN;
        if opens && (*entry).closing != 0 {
            // The ports are used again.
            (*entry).closing = 0;
            (*entry).origin = info.half;
            (*entry).created = info.now;
            (*entry).cgroup = 0;
            (*entry).process = 0;
            return REASON_NEW;
        }
        if info.flags & (TCP_FIN | TCP_RST) != 0 {
            (*entry).closing = 1;
        }
        if info.family == 0 {
            return REASON_UNKNOWN;
        }
        if info.icmp_error != 0 {
            REASON_RELATED
        } else if (*entry).origin != info.half {
            REASON_REPLY
        } else if info.created != 0 {
            REASON_NEW
        } else {
            REASON_ESTABLISHED
        }
    }
}

/// Moves the unreported totals of a half into `report`, and held ones once the connection's `answered_by` is known.
#[inline(always)]
pub(crate) unsafe fn take(entry: *mut Connection, index: usize, now: u64, report: &mut Report) {
    unsafe {
        let side = core::ptr::addr_of_mut!((*entry).half[index]);
        report.packets = 0;
        report.bytes = 0;
        // Usually zero, and a load costs less than an atomic exchange.
        if (*side).packets != 0 {
            report.packets = atomic::take(core::ptr::addr_of_mut!((*side).packets));
            report.bytes = atomic::take(core::ptr::addr_of_mut!((*side).bytes));
        }
        report.held_packets = 0;
        report.held_bytes = 0;
        if (*side).hook == Hook::FromNetwork as u8 + 1 {
            let created = (*entry).created;
            if (*entry).answered_by == AnsweredBy::Unknown as u8 && now > created && now - created >= HOLD.load() {
                (*entry).answered_by = AnsweredBy::Local as u8;
            }
            if (*entry).answered_by != AnsweredBy::Unknown as u8 && (*side).held_packets != 0 {
                report.held_packets = atomic::take(core::ptr::addr_of_mut!((*side).held_packets));
                report.held_bytes = atomic::take(core::ptr::addr_of_mut!((*side).held_bytes));
            }
        }
        report.answered_by = (*entry).answered_by;
    }
}

/// Holds totals back that were reported before the connection was answered. Called once the record is submitted.
#[inline(always)]
pub(crate) unsafe fn hold(entry: *mut Connection, index: usize, report: &Report) {
    unsafe {
        let side = core::ptr::addr_of_mut!((*entry).half[index]);
        if (*side).hook == Hook::FromNetwork as u8 + 1 && report.answered_by == AnsweredBy::Unknown as u8 {
            put_held(side, report.packets, report.bytes);
        }
    }
}

/// Adds to the unreported totals of a half. Bytes are added first and taken last, so a concurrent `take` that sees
/// packets also gets their bytes.
#[inline(always)]
pub(crate) unsafe fn put(side: *mut Half, packets: u64, bytes: u64) {
    unsafe {
        atomic::add(core::ptr::addr_of_mut!((*side).bytes), bytes);
        atomic::add(core::ptr::addr_of_mut!((*side).packets), packets);
    }
}

/// Adds to the held totals of a half, in the order of [`put`].
#[inline(always)]
pub(crate) unsafe fn put_held(side: *mut Half, packets: u64, bytes: u64) {
    unsafe {
        atomic::add(core::ptr::addr_of_mut!((*side).held_bytes), bytes);
        atomic::add(core::ptr::addr_of_mut!((*side).held_packets), packets);
    }
}
