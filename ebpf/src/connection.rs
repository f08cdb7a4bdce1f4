//! The connection table: find or make an entry, count in it, decide what is said about it.

use aya_ebpf::bindings::{__sk_buff, BPF_NOEXIST};
use aya_ebpf::helpers::generated::bpf_map_update_elem;
use eyepiece_wire::{
    Aggregation, Connection, Counter, Half, Hook, InterfaceKind, Key4, Key6, AnsweredBy, REASON_ESTABLISHED, REASON_NEW,
    REASON_RELATED, REASON_REPLY, REASON_UNKNOWN, Tunnel, Untracked, UntrackedKey,
};

use crate::globals::{AGGREGATION, DEBUG, HOLD, INTERVAL};
use crate::headers::*;
use crate::maps::{EP_CONN4, EP_CONN6, EP_INTERFACES, EP_TUNNELS, EP_UNTRACKED, count};
use crate::{atomic, debug, emit};

/// What the slow path knows of a packet.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Facts {
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

/// What a record says beside the packet.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Report {
    pub(crate) packets: u64,
    pub(crate) bytes: u64,
    pub(crate) held_packets: u64,
    pub(crate) held_bytes: u64,
    pub(crate) ingress_ifindex: u32,
    pub(crate) reason: u8,
    pub(crate) mark: u8,
}

#[inline(always)]
fn leaves(hook: u8) -> bool {
    hook == Hook::ToEndpoint as u8 || hook == Hook::ToNetwork as u8
}

/// Whether a packet makes an event at this aggregation.
#[inline(always)]
fn to_be_said(hook: u8, flags: u8, seen: u8, reported: u64, now: u64) -> bool {
    let aggregation = AGGREGATION.load();
    if aggregation == Aggregation::None as u8 || (aggregation == Aggregation::Low as u8 && leaves(hook)) {
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

/// Adds a packet to its half. False = the slow path is wanted: nothing was counted yet.
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
        if (*side).hook != HOOK + 1 || to_be_said(HOOK, flags, (*side).flags, (*side).reported, now) {
            return false;
        }
        // A packet that came in another way than those before it is another case of the once-per-node rule.
        if leaves(HOOK) && (*side).ingress_ifindex != (*skb).ingress_ifindex {
            return false;
        }
        put(side, segments, bytes);
        (*side).last = now;
        true
    }
}

/// An entry for a connection that has none: the packet's first.
#[inline(always)]
fn fresh(facts: &Facts) -> Connection {
    Connection { created: facts.now, origin: opener(facts), ..Connection::default() }
}

/// Which half opened the connection, from one packet of it.
#[inline(always)]
fn opener(facts: &Facts) -> u8 {
    let reply = if facts.protocol != IPPROTO_TCP {
        false
    } else if facts.flags & TCP_SYN != 0 {
        facts.flags & TCP_ACK != 0
    } else {
        // Met in the middle: the lower port is the server's in nearly all protocols.
        let (low, high) = (facts.ports >> 16, facts.ports & 0xffff);
        let (from, to) = if facts.half == 0 { (low, high) } else { (high, low) };
        from < to
    };
    facts.half ^ u8::from(reply)
}

/// The entry of an IPv4 key, made where it is new; null where the table is full.
#[inline(never)]
pub(crate) fn find4(key: &Key4, facts: &mut Facts) -> *mut Connection {
    if let Some(entry) = EP_CONN4.get_ptr_mut(key) {
        return entry;
    }
    let entry = fresh(facts);
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

/// The entry of an IPv6 key, made where it is new; null where the table is full.
#[inline(never)]
pub(crate) fn find6(key: &Key6, facts: &mut Facts) -> *mut Connection {
    if let Some(entry) = EP_CONN6.get_ptr_mut(key) {
        return entry;
    }
    let entry = fresh(facts);
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

/// Counts a packet and says so where that is due. A null or dead entry makes it untracked.
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
            // A packet that turns round at one interface: its half counts for the other hook.
            return untracked(skb, entry, facts);
        }
        let ingress = if leaves(facts.hook) { (*skb).ingress_ifindex } else { (*skb).ifindex };
        let moved = leaves(facts.hook) && ((*side).last == 0 || (*side).ingress_ifindex != ingress);
        (*side).ingress_ifindex = ingress;
        if facts.created != 0 && is_tunnel(facts) {
            (*entry).mark = AnsweredBy::Tunnel as u8;
        } else if facts.hook == Hook::ToNetwork as u8 && moved && (*entry).mark != AnsweredBy::Tunnel as u8 {
            (*entry).mark = mark(ingress);
        }
        let reason = state(entry, facts);
        let said = moved
            || facts.created != 0
            || facts.icmp_error != 0
            || to_be_said(facts.hook, facts.flags, (*side).flags, (*side).reported, facts.now);
        (*side).last = facts.now;
        (*side).flags |= facts.flags;
        if DEBUG.load() != 0 {
            debug::connection(skb, entry, facts);
        }
        if !(said && emit::wanted() && emit::trace(skb, entry, facts, reason) != 0) {
            put(side, facts.segments, facts.bytes);
        }
    }
    0
}

/// Whether a packet at an uplink is one as the machine's tunnel devices send and expect them.
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

/// Where the packets that leave by an uplink come from.
#[inline(always)]
fn mark(ingress: u32) -> u8 {
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

/// The trace reason of a packet; keeps the entry's opener and end up to date.
#[inline(always)]
unsafe fn state(entry: *mut Connection, facts: &Facts) -> u8 {
    unsafe {
        let opens = facts.protocol == IPPROTO_TCP && facts.flags & (TCP_SYN | TCP_ACK) == TCP_SYN;
        if opens && (*entry).closing != 0 {
            // The ports are used again.
            (*entry).closing = 0;
            (*entry).origin = facts.half;
            (*entry).created = facts.now;
            return REASON_NEW;
        }
        if facts.flags & (TCP_FIN | TCP_RST) != 0 {
            (*entry).closing = 1;
        }
        if facts.family == 0 {
            return REASON_UNKNOWN;
        }
        if facts.icmp_error != 0 {
            REASON_RELATED
        } else if (*entry).origin != facts.half {
            REASON_REPLY
        } else if facts.created != 0 {
            REASON_NEW
        } else {
            REASON_ESTABLISHED
        }
    }
}

/// Takes the totals of a half, and says what of them counts under the connection's mark.
#[inline(always)]
pub(crate) unsafe fn take(entry: *mut Connection, index: usize, now: u64, report: &mut Report) {
    unsafe {
        let side = core::ptr::addr_of_mut!((*entry).half[index]);
        report.packets = 0;
        report.bytes = 0;
        // Often there is nothing to take, and looking costs less than an atomic exchange.
        if (*side).packets != 0 {
            report.packets = atomic::take(core::ptr::addr_of_mut!((*side).packets));
            report.bytes = atomic::take(core::ptr::addr_of_mut!((*side).bytes));
        }
        report.held_packets = 0;
        report.held_bytes = 0;
        if (*side).hook == Hook::FromNetwork as u8 + 1 {
            let created = (*entry).created;
            if (*entry).mark == AnsweredBy::Unknown as u8 && now > created && now - created >= HOLD.load() {
                (*entry).mark = AnsweredBy::Local as u8;
            }
            if (*entry).mark != AnsweredBy::Unknown as u8 && (*side).held_packets != 0 {
                report.held_packets = atomic::take(core::ptr::addr_of_mut!((*side).held_packets));
                report.held_bytes = atomic::take(core::ptr::addr_of_mut!((*side).held_bytes));
            }
        }
        report.mark = (*entry).mark;
    }
}

/// Holds back what was reported while nobody had answered; called once the report is on its way for good.
#[inline(always)]
pub(crate) unsafe fn hold(entry: *mut Connection, index: usize, report: &Report) {
    unsafe {
        let side = core::ptr::addr_of_mut!((*entry).half[index]);
        if (*side).hook == Hook::FromNetwork as u8 + 1 && report.mark == AnsweredBy::Unknown as u8 {
            put_held(side, report.packets, report.bytes);
        }
    }
}

/// Adds to what a half has not reported. Bytes go first, and are taken last: where packets are, their bytes are, and no
/// bytes stay behind when somebody takes in between.
#[inline(always)]
pub(crate) unsafe fn put(side: *mut Half, packets: u64, bytes: u64) {
    unsafe {
        atomic::add(core::ptr::addr_of_mut!((*side).bytes), bytes);
        atomic::add(core::ptr::addr_of_mut!((*side).packets), packets);
    }
}

/// The same for what is held back.
#[inline(always)]
pub(crate) unsafe fn put_held(side: *mut Half, packets: u64, bytes: u64) {
    unsafe {
        atomic::add(core::ptr::addr_of_mut!((*side).held_bytes), bytes);
        atomic::add(core::ptr::addr_of_mut!((*side).held_packets), packets);
    }
}

/// A packet that no entry holds: its event carries its own weight, else the interface's untracked counter does.
#[inline(never)]
fn untracked(skb: *mut __sk_buff, entry: *mut Connection, facts: &Facts) -> i32 {
    // What meets an entry on its way out is always said: few packets do, and only the event knows their ends.
    // SAFETY: a map value or null.
    let (dead, mark) = unsafe { if entry.is_null() { (false, 0) } else { ((*entry).dead != 0, (*entry).mark) } };
    let every = dead || to_be_said(facts.hook, facts.flags, facts.flags, facts.now, facts.now);
    // Nothing is held back for it, so it counts where it is unless somebody behind us is known to answer.
    let mark = if mark != AnsweredBy::Unknown as u8 {
        mark
    } else if is_tunnel(facts) {
        AnsweredBy::Tunnel as u8
    } else {
        AnsweredBy::Local as u8
    };
    if every && emit::wanted() && emit::untracked(skb, facts, mark) {
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
    // nobody else writes this CPU's value between the look-up and here.
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
