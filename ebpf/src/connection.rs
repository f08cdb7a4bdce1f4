//! The connection table: finds or makes an entry, counts in it, decides whether the packet is reported.

use aya_ebpf::bindings::{__sk_buff, BPF_NOEXIST};
use aya_ebpf::helpers::generated::{bpf_map_update_elem, bpf_skb_cgroup_id};
use eyepiece_wire::{
    Aggregation, AnsweredBy, Connection, Counter, Half, Hook, Key4, Key6, Tunnel, Untracked, UntrackedKey,
};

use crate::globals::{AGGREGATION, DEBUG, INTERVAL, OFF_SOCK_CGROUP};
use crate::headers::*;
use crate::maps::{EP_CONN4, EP_CONN6, EP_TUNNELS, EP_UNTRACKED, count};
use crate::report::{self, Facts, is_egress};
use crate::{atomic, debug, emit};

/// Whether a packet makes an event at this aggregation.
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

/// The entry of a new connection.
#[inline(always)]
fn new_entry(facts: &Facts) -> Connection {
    Connection { created: facts.now, origin: opener(facts), ..Connection::default() }
}

/// The half that opened the connection, guessed from one packet of it.
#[inline(always)]
fn opener(facts: &Facts) -> u8 {
    let reply = if facts.protocol != IPPROTO_TCP {
        false
    } else if facts.flags & TCP_SYN != 0 {
        facts.flags & TCP_ACK != 0
    } else {
        // First seen in the middle: the lower port is the server's in nearly all protocols.
        let (low, high) = (facts.ports >> 16, facts.ports & 0xffff);
        let (from, to) = if facts.half == 0 { (low, high) } else { (high, low) };
        from < to
    };
    facts.half ^ u8::from(reply)
}

/// Returns the entry of an IPv4 key, inserted if it is new; null if the table is full.
#[inline(never)]
pub(crate) fn find4(key: &Key4, facts: &mut Facts) -> *mut Connection {
    if let Some(entry) = EP_CONN4.get_ptr_mut(key) {
        return entry;
    }
    let entry = new_entry(facts);
    // SAFETY: key and value live on this stack, of the map's sizes.
    let made = unsafe {
        bpf_map_update_elem(
            core::ptr::addr_of!(EP_CONN4).cast_mut().cast(),
            core::ptr::from_ref(key).cast(),
            core::ptr::addr_of!(entry).cast(),
            BPF_NOEXIST as u64,
        )
    };
    facts.created = u8::from(made == 0);
    EP_CONN4.get_ptr_mut(key).unwrap_or(core::ptr::null_mut())
}

/// Returns the entry of an IPv6 key, inserted if it is new; null if the table is full.
#[inline(never)]
pub(crate) fn find6(key: &Key6, facts: &mut Facts) -> *mut Connection {
    if let Some(entry) = EP_CONN6.get_ptr_mut(key) {
        return entry;
    }
    let entry = new_entry(facts);
    // SAFETY: as above.
    let made = unsafe {
        bpf_map_update_elem(
            core::ptr::addr_of!(EP_CONN6).cast_mut().cast(),
            core::ptr::from_ref(key).cast(),
            core::ptr::addr_of!(entry).cast(),
            BPF_NOEXIST as u64,
        )
    };
    facts.created = u8::from(made == 0);
    EP_CONN6.get_ptr_mut(key).unwrap_or(core::ptr::null_mut())
}

/// Counts a packet and reports it if that is due. A packet whose entry is null or dead is untracked.
#[inline(never)]
pub(crate) fn slow(skb: *mut __sk_buff, entry: *mut Connection, facts: &Facts) -> i32 {
    // SAFETY: `entry` is a map value or null; `skb` the context.
    unsafe {
        if entry.is_null() || (*entry).dead != 0 {
            return untracked(skb, entry, facts);
        }
        let index = (facts.half & 1) as usize;
        let side = core::ptr::addr_of_mut!((*entry).half[index]);
        if (*side).hook == 0 {
            (*side).hook = facts.hook + 1;
        } else if (*side).hook != facts.hook + 1 {
            // The packet turns round at one interface: its half counts for the other hook.
            return untracked(skb, entry, facts);
        }
        let ingress = report::ingress(skb, facts.hook);
        let moved = is_egress(facts.hook) && ((*side).last == 0 || (*side).ingress_ifindex != ingress);
        (*side).ingress_ifindex = ingress;
        keep_cgroup(skb, entry, facts.hook);
        if facts.created != 0 && is_tunnel(facts) {
            (*entry).mark = AnsweredBy::Tunnel as u8;
        } else if facts.hook == Hook::ToNetwork as u8 && moved && (*entry).mark != AnsweredBy::Tunnel as u8 {
            (*entry).mark = report::mark(ingress);
        }
        let reason = report::state(entry, facts);
        let reports = moved
            || facts.created != 0
            || facts.icmp_error != 0
            || should_report(facts.hook, facts.flags, (*side).flags, (*side).reported, facts.now);
        (*side).last = facts.now;
        (*side).flags |= facts.flags;
        if DEBUG.load() != 0 {
            debug::connection(skb, entry, facts);
        }
        if !(reports && emit::emission_enabled() && emit::trace(skb, entry, facts, reason) != 0) {
            report::put(side, facts.segments, facts.bytes);
        }
    }
    0
}

/// Keeps the control group of the socket of this machine that sends the packet; of an answer to a SYN it is that of the
/// listening socket. Not inlined: the compiler would compute the offset of a field of the context, which the verifier
/// refuses.
#[inline(never)]
fn keep_cgroup(skb: *mut __sk_buff, entry: *mut Connection, hook: u8) -> i32 {
    // SAFETY: `entry` is a map value; `skb` the context.
    unsafe {
        let is_done = OFF_SOCK_CGROUP.load() == u32::MAX || entry.is_null() || (*entry).cgroup != 0;
        if !is_done && is_egress(hook) && (*skb).ingress_ifindex == 0 {
            (*entry).cgroup = bpf_skb_cgroup_id(skb);
        }
    }
    0
}

/// Whether a packet at an uplink is an outer packet of one of the machine's tunnel devices.
#[inline(always)]
fn is_tunnel(facts: &Facts) -> bool {
    if facts.hook != Hook::FromNetwork as u8 && facts.hook != Hook::ToNetwork as u8 {
        return false;
    }
    let port = if facts.half == 0 { facts.ports } else { facts.ports >> 16 } as u16;
    let key = Tunnel { port, protocol: facts.protocol, pad: 0 };
    // SAFETY: read only.
    facts.family != 0 && unsafe { EP_TUNNELS.get(&key) }.is_some()
}

/// Counts a packet that no entry holds: in its own event, else in the interface's untracked counter.
#[inline(never)]
fn untracked(skb: *mut __sk_buff, entry: *mut Connection, facts: &Facts) -> i32 {
    // A packet of a dead entry is always reported: there are few, and only the event has their addresses.
    // SAFETY: a map value or null.
    let (dead, mark) = unsafe { if entry.is_null() { (false, 0) } else { ((*entry).dead != 0, (*entry).mark) } };
    let every = dead || should_report(facts.hook, facts.flags, facts.flags, facts.now, facts.now);
    // Nothing is held back for it: it counts here unless another interface counts it.
    let mark = if mark != AnsweredBy::Unknown as u8 {
        mark
    } else if is_tunnel(facts) {
        AnsweredBy::Tunnel as u8
    } else {
        AnsweredBy::Local as u8
    };
    if every && emit::emission_enabled() && emit::untracked(skb, facts, mark) {
        return 0;
    }
    // SAFETY: a field of the context.
    let key = UntrackedKey { ifindex: unsafe { (*skb).ifindex }, hook: facts.hook as u32 };
    if let Some(value) = EP_UNTRACKED.get_ptr_mut(&key) {
        // SAFETY: a map value of this CPU.
        unsafe {
            atomic::add(core::ptr::addr_of_mut!((*value).packets), facts.segments);
            atomic::add(core::ptr::addr_of_mut!((*value).bytes), facts.bytes);
        }
        return 0;
    }
    let value = Untracked { packets: facts.segments, bytes: facts.bytes };
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
