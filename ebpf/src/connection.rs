//! The connection table: finds or makes an entry, counts in it, decides whether the packet is reported.

use aya_ebpf::bindings::{__sk_buff, BPF_NOEXIST};
use aya_ebpf::helpers::generated::{bpf_map_update_elem, bpf_skb_cgroup_id};
use eyepiece_wire::{
    Aggregation, AnsweredBy, Connection, Counter, Half, Hook, Key4, Key6, Tunnel, Untracked, UntrackedKey,
};

use crate::globals::{AGGREGATION, DEBUG, INTERVAL, OFF_SOCK_CGROUP, PROCESSES};
use crate::headers::*;
use crate::maps::{EP_CONN4, EP_CONN6, EP_TUNNELS, EP_UNTRACKED, count};
use crate::report::{self, PacketInfo, is_egress};
use crate::{atomic, debug, emit, sockets};

/// Returns whether a packet makes an event at this aggregation.
#[inline(always)]
fn should_report(hook: u8, flags: u8, seen: u8, reported: u64, now: u64) -> bool {
    let aggregation = AGGREGATION.load();
    if aggregation == Aggregation::None as u8 || (aggregation == Aggregation::Low as u8 && is_egress(hook)) {
        return true;
    }
    if flags & (TCP_SYN | TCP_FIN | TCP_RST) != 0 {
        return true;
    }
    if aggregation != Aggregation::Maximum as u8 && seen | flags != seen {
        return true;
    }
    // Another CPU may be a jiffy ahead.
    now > reported && now - reported >= INTERVAL.load()
}

/// Adds a packet to its half. Returns false if the slow path has to handle it; nothing is counted then.
#[inline(always)]
pub(crate) unsafe fn add<const HOOK: u8>(
    skb: *mut __sk_buff,
    side: *mut Half,
    flags: u8,
    segments: u64,
    bytes: u64,
    now: u64,
) -> bool {
    unsafe {
        if (*side).hook != HOOK + 1 || should_report(HOOK, flags, (*side).flags, (*side).reported, now) {
            return false;
        }
        // A packet that came in by another interface than those before it is another case of the once-per-node rule.
        if is_egress(HOOK) && (*side).ingress_ifindex != (*skb).ingress_ifindex {
            return false;
        }
        report::put(side, segments, bytes);
        (*side).last = now;
        true
    }
}

#[inline(always)]
fn new_entry(info: &PacketInfo) -> Connection {
    Connection { created: info.now, origin: opener(info), ..Connection::default() }
}

/// The half that opened the connection, guessed from one packet of it.
#[inline(always)]
fn opener(info: &PacketInfo) -> u8 {
    let reply = if info.protocol != IPPROTO_TCP {
        false
    } else if info.flags & TCP_SYN != 0 {
        info.flags & TCP_ACK != 0
    } else {
        // First seen in the middle: the lower port is the server's in nearly all protocols.
        let (low, high) = (info.ports >> 16, info.ports & 0xffff);
        let (from, to) = if info.half == 0 { (low, high) } else { (high, low) };
        from < to
    };
    info.half ^ u8::from(reply)
}

/// Returns the entry of an IPv4 key, inserted if it is new; null if the table is full.
#[inline(never)]
pub(crate) fn find4(key: &Key4, info: &mut PacketInfo) -> *mut Connection {
    if let Some(entry) = EP_CONN4.get_ptr_mut(key) {
        return entry;
    }
    let entry = new_entry(info);
    // SAFETY: key and value live on this stack, of the map's sizes.
    let made = unsafe {
        bpf_map_update_elem(
            core::ptr::addr_of!(EP_CONN4).cast_mut().cast(),
            core::ptr::from_ref(key).cast(),
            core::ptr::addr_of!(entry).cast(),
            BPF_NOEXIST as u64,
        )
    };
    info.created = u8::from(made == 0);
    EP_CONN4.get_ptr_mut(key).unwrap_or(core::ptr::null_mut())
}

/// Returns the entry of an IPv6 key, inserted if it is new; null if the table is full.
#[inline(never)]
pub(crate) fn find6(key: &Key6, info: &mut PacketInfo) -> *mut Connection {
    if let Some(entry) = EP_CONN6.get_ptr_mut(key) {
        return entry;
    }
    let entry = new_entry(info);
    // SAFETY: as above.
    let made = unsafe {
        bpf_map_update_elem(
            core::ptr::addr_of!(EP_CONN6).cast_mut().cast(),
            core::ptr::from_ref(key).cast(),
            core::ptr::addr_of!(entry).cast(),
            BPF_NOEXIST as u64,
        )
    };
    info.created = u8::from(made == 0);
    EP_CONN6.get_ptr_mut(key).unwrap_or(core::ptr::null_mut())
}

/// Counts a packet and reports it if that is due. A packet whose entry is null or dead is untracked.
#[inline(never)]
pub(crate) fn count_slow(skb: *mut __sk_buff, entry: *mut Connection, info: &PacketInfo) -> i32 {
    // SAFETY: `entry` is a map value or null; `skb` the context.
    unsafe {
        if entry.is_null() || (*entry).dead != 0 {
            return untracked(skb, entry, info);
        }
        let index = (info.half & 1) as usize;
        let side = core::ptr::addr_of_mut!((*entry).half[index]);
        if (*side).hook == 0 {
            (*side).hook = info.hook + 1;
        } else if (*side).hook != info.hook + 1 {
            // The packet turns round at one interface: its half counts for the other hook.
            return untracked(skb, entry, info);
        }
        let ingress = report::ingress(skb, info.hook);
        let moved = is_egress(info.hook) && ((*side).last == 0 || (*side).ingress_ifindex != ingress);
        (*side).ingress_ifindex = ingress;
        if info.created != 0 && is_tunnel(info) {
            (*entry).answered_by = AnsweredBy::Tunnel as u8;
        } else if info.hook == Hook::ToNetwork as u8 && moved && (*entry).answered_by != AnsweredBy::Tunnel as u8 {
            (*entry).answered_by = report::answered_by(ingress);
        }
        let reason = report::update_state(entry, info);
        keep_socket(skb, entry, info);
        let reports = moved
            || info.created != 0
            || info.icmp_error != 0
            || should_report(info.hook, info.flags, (*side).flags, (*side).reported, info.now);
        (*side).last = info.now;
        (*side).flags |= info.flags;
        if DEBUG.load() != 0 {
            debug::connection(skb, entry, info);
        }
        if !(reports && emit::emission_enabled() && emit::trace(skb, entry, info, reason) != 0) {
            report::put(side, info.segments, info.bytes);
        }
    }
    0
}

/// Keeps control group and process of the socket of this machine that sends the packet; of an answer to a SYN they are
/// those of the listening socket. Not inlined: the compiler would compute the offset of a field of the context, which the
/// verifier refuses.
#[inline(never)]
fn keep_socket(skb: *mut __sk_buff, entry: *mut Connection, info: &PacketInfo) -> i32 {
    // SAFETY: `entry` is a map value; `skb` the context.
    unsafe {
        if entry.is_null() || !is_egress(info.hook) || (*skb).ingress_ifindex != 0 {
            return 0;
        }
        if OFF_SOCK_CGROUP.load() != u32::MAX && (*entry).cgroup == 0 {
            (*entry).cgroup = bpf_skb_cgroup_id(skb);
        }
        if PROCESSES.load() != 0 && info.protocol == IPPROTO_TCP && (*entry).process == 0 {
            (*entry).process = sockets::of_packet(skb);
        }
    }
    0
}

/// Whether a packet at an uplink is an outer packet of one of the machine's tunnel devices.
#[inline(always)]
fn is_tunnel(info: &PacketInfo) -> bool {
    if info.hook != Hook::FromNetwork as u8 && info.hook != Hook::ToNetwork as u8 {
        return false;
    }
    let port = if info.half == 0 { info.ports } else { info.ports >> 16 } as u16;
    let key = Tunnel { port, protocol: info.protocol, pad: 0 };
    // SAFETY: read only.
    info.family != 0 && unsafe { EP_TUNNELS.get(&key) }.is_some()
}

/// Counts a packet that no entry holds: in its own event, else in the interface's untracked counter.
#[inline(never)]
fn untracked(skb: *mut __sk_buff, entry: *mut Connection, info: &PacketInfo) -> i32 {
    // A packet of a dead entry is always reported: there are few, and only the event has their addresses.
    // SAFETY: a map value or null.
    let (dead, answered_by) =
        unsafe { if entry.is_null() { (false, 0) } else { ((*entry).dead != 0, (*entry).answered_by) } };
    let every = dead || should_report(info.hook, info.flags, info.flags, info.now, info.now);
    // Nothing is held back for it: it counts here unless another interface counts it.
    let answered_by = if answered_by != AnsweredBy::Unknown as u8 {
        answered_by
    } else if is_tunnel(info) {
        AnsweredBy::Tunnel as u8
    } else {
        AnsweredBy::Local as u8
    };
    if every && emit::emission_enabled() && emit::untracked(skb, info, answered_by) {
        return 0;
    }
    // SAFETY: a field of the context.
    let key = UntrackedKey { ifindex: unsafe { (*skb).ifindex }, hook: info.hook as u32 };
    if let Some(value) = EP_UNTRACKED.get_ptr_mut(&key) {
        // SAFETY: a map value of this CPU.
        unsafe {
            atomic::add(core::ptr::addr_of_mut!((*value).packets), info.segments);
            atomic::add(core::ptr::addr_of_mut!((*value).bytes), info.bytes);
        }
        return 0;
    }
    let value = Untracked { packets: info.segments, bytes: info.bytes };
    // SAFETY: key and value live on this stack, of the map's sizes. The map is per CPU and tc programs do not nest, so
    // no other program writes this CPU's value between the look-up and here.
    let made = unsafe {
        bpf_map_update_elem(
            core::ptr::addr_of!(EP_UNTRACKED).cast_mut().cast(),
            core::ptr::addr_of!(key).cast(),
            core::ptr::addr_of!(value).cast(),
            0,
        )
    };
    if made != 0 {
        count(Counter::TableFull, 1);
    }
    0
}
