//! The kernel's drops: every packet that is freed with a reason in a watched network namespace.
//!
//! Struct layouts come from the running kernel's BTF as read-only globals, see `globals`.

use aya_ebpf::EbpfContext as _;
use aya_ebpf::helpers::generated::{bpf_get_smp_processor_id, bpf_ktime_get_ns, bpf_map_update_elem};
use aya_ebpf::programs::BtfTracePointContext;
use eyepiece_wire::{
    CAPTURE_FLAG_IPV6, CAPTURE_FLAG_L3_DEVICE, Counter, DROP_V0_LEN, DROP_V2_LEN, DropKey, DropNotify, Header, Hook,
    NOTIFY_DROP, shifted,
};

use crate::globals::*;
use crate::headers::{ARPHRD_ETHER, ARPHRD_LOOPBACK, ETH_IPV6, ETHERNET_LEN};
use crate::kernel::{self, field};
use crate::maps::{EP_DROPS, EP_NAMESPACES, EP_SCRATCH_DROP, count};
use crate::{atomic, emit, ignored, sockets};

/// Bytes of header and the longest drop struct.
const PREFIX: usize = size_of::<Header>() + DROP_V2_LEN;
/// No link-layer header was set: the kernel's `(__u16)~0U`.
const UNSET: u16 = u16::MAX;
/// Bytes of a link layer address, and of a VLAN tag.
const ADDRESS_LEN: u32 = 6;
const VLAN_LEN: u32 = 4;
/// The bit of `_skb_refdst` that is no part of the address (`SKB_DST_NOREF`).
const ROUTE_IS_BORROWED: u64 = 1;
/// States of sockets that are no `struct sock` (Linux `include/net/tcp_states.h`).
const TCP_TIME_WAIT: u8 = 6;
const TCP_NEW_SYN_RECV: u8 = 12;
/// The first file id of kernel drops; the subsystem is added.
const FILE_KERNEL: u8 = 240;

/// The place of the packet's bytes, and the link-layer header that the record gives them.
struct Frame {
    /// Kernel address of the first byte to copy.
    start: u64,
    /// Bytes from there in the linear part of the buffer.
    linear: u32,
    /// The packet's whole length from `start` on.
    length: u32,
    /// The packet has an Ethernet header at `start`.
    ethernet: bool,
    /// The packet is on a device that has none.
    l3_device: bool,
    /// A VLAN tag that the kernel lifted off the Ethernet header, as `vlan_all` (protocol first); 0 = none.
    tag: u32,
}

#[inline(always)]
pub(crate) fn dropped(ctx: &BtfTracePointContext) {
    let skb: *const u8 = ctx.arg(0);
    let location: u64 = ctx.arg(1);
    let reason: u32 = ctx.arg(2);
    // SAFETY: `skb` is a trusted `struct sk_buff`; offsets are the running kernel's.
    unsafe {
        let protocol: u16 = field(skb, OFF_SKB_PROTOCOL.load());
        if protocol == 0 {
            count(Counter::NoPacket, 1);
            return;
        }
        let device: *const u8 = field(skb, OFF_SKB_DEV.load());
        if ignored::is_ignored(reason, location, skb, device) {
            count(Counter::IgnoredReason, 1);
            return;
        }
        let netns = namespace(ctx, skb, device);
        if netns == 0 {
            count(Counter::UnknownNamespace, 1);
            return;
        }
        let Some(endpoint) = EP_NAMESPACES.get(&netns) else {
            count(Counter::ForeignNamespace, 1);
            return;
        };
        let endpoint = *endpoint as u16;
        count_drop(reason, netns);
        if emit::emission_enabled() {
            emit_record(ctx, skb, device, &DropInfo { location, reason, netns, endpoint, protocol });
        }
    }
}

struct DropInfo {
    location: u64,
    reason: u32,
    netns: u32,
    endpoint: u16,
    protocol: u16,
}

/// Returns the inode of the network namespace that frees the packet. It is the receiving socket's if the kernel names
/// one (UDP reuses `dev`), else the device's, else the sending socket's, which may be another. The packet's route is
/// last: before 6.11, only that names it inside TCP, which takes the device off.
#[inline(always)]
unsafe fn namespace(ctx: &BtfTracePointContext, skb: *const u8, device: *const u8) -> u32 {
    unsafe {
        let mut socket: *const u8 = core::ptr::null();
        if KFREE_SKB_ARGUMENTS.load() > 3 {
            socket = ctx.arg(3);
        }
        let net: *const u8 = if !socket.is_null() {
            field(socket, OFF_SOCK_NET.load())
        } else if !device.is_null() {
            field(device, OFF_DEV_NET.load())
        } else {
            let owner: *const u8 = field(skb, OFF_SKB_SK.load());
            if owner.is_null() {
                return route_namespace(skb);
            }
            field(owner, OFF_SOCK_NET.load())
        };
        if net.is_null() {
            return 0;
        }
        field(net, OFF_NET_INUM.load())
    }
}

/// Returns the inode of the namespace of the packet's route; 0 without one.
#[inline(always)]
unsafe fn route_namespace(skb: *const u8) -> u32 {
    unsafe {
        let route = field::<u64>(skb, OFF_SKB_ROUTE.load()) & !ROUTE_IS_BORROWED;
        // The verifier knows no type behind a number.
        let (mut device, mut net, mut inode) = (0_u64, 0_u64, 0_u32);
        let is_known = route != 0
            && kernel::load(route + OFF_ROUTE_DEV.load() as u64, &mut device)
            && kernel::load(device + OFF_DEV_NET.load() as u64, &mut net)
            && kernel::load(net + OFF_NET_INUM.load() as u64, &mut inode);
        if is_known { inode } else { 0 }
    }
}

/// Returns control group and process of the socket that the packet is for, or that sent it. The kernel names that socket
/// with the packet; else the process is that which listens at the packet's local end. Both are 0 if they are not known,
/// and in another namespace than the hooks'.
#[inline(always)]
unsafe fn owner(ctx: &BtfTracePointContext, skb: *const u8, netns: u32) -> (u64, u64) {
    let (mut cgroup, mut process) = (0, 0);
    if netns != OWN_NAMESPACE.load() {
        return (cgroup, process);
    }
    unsafe {
        let mut socket: *const u8 = core::ptr::null();
        if KFREE_SKB_ARGUMENTS.load() > 3 {
            socket = ctx.arg(3);
        }
        if socket.is_null() {
            socket = field(skb, OFF_SKB_SK.load());
        }
        if !socket.is_null() {
            if OFF_SOCK_CGROUP.load() != u32::MAX {
                cgroup = control_group(socket);
            }
            if PROCESSES.load() != 0 {
                process = sockets::of_socket(socket.cast());
            }
        }
        if PROCESSES.load() != 0 && process == 0 {
            process = of_listener(skb);
        }
    }
    (cgroup, process)
}

/// Returns the id of the control group of a socket; 0 if it is not known.
#[inline(always)]
unsafe fn control_group(socket: *const u8) -> u64 {
    let (mut state, mut group, mut node, mut id) = (0_u8, 0_u64, 0_u64, 0_u64);
    // A socket of a request or of a closed connection is another, smaller struct.
    let is_known = unsafe {
        kernel::load(socket as u64 + OFF_SOCK_STATE.load() as u64, &mut state)
            && state != TCP_TIME_WAIT
            && state != TCP_NEW_SYN_RECV
            && kernel::load(socket as u64 + OFF_SOCK_CGROUP.load() as u64, &mut group)
            && kernel::load(group.wrapping_add(OFF_CGROUP_NODE.load() as u64), &mut node)
            && kernel::load(node.wrapping_add(OFF_NODE_ID.load() as u64), &mut id)
    };
    if is_known { id } else { 0 }
}

/// Returns the process that listens at the packet's local end; 0 if none is known. Not inlined: its stack is free again
/// before the record is written.
#[inline(never)]
unsafe fn of_listener(skb: *const u8) -> u64 {
    unsafe {
        let Some((source, destination)) = ignored::tcp_ends(skb) else { return 0 };
        let iif: i32 = field(skb, OFF_SKB_IIF.load());
        sockets::of_listener(if iif > 0 { &destination } else { &source })
    }
}

/// Counts the drop in `EP_DROPS`, whether or not a record finds room.
#[inline(always)]
fn count_drop(reason: u32, netns: u32) {
    let key = DropKey { reason, netns };
    if let Some(value) = EP_DROPS.get_ptr_mut(&key) {
        atomic::add(value, 1);
        return;
    }
    let one = 1_u64;
    // SAFETY: key and value live on this stack, of the map's sizes.
    unsafe {
        let made = bpf_map_update_elem(
            core::ptr::addr_of!(EP_DROPS).cast_mut().cast(),
            core::ptr::addr_of!(key).cast(),
            core::ptr::addr_of!(one).cast(),
            0,
        );
        if made != 0 {
            count(Counter::TableFull, 1);
        }
    }
}

#[inline(always)]
unsafe fn frame(skb: *const u8, device: *const u8) -> Frame {
    unsafe {
        let head: u64 = field(skb, OFF_SKB_HEAD.load());
        let data: u64 = field(skb, OFF_SKB_DATA.load());
        let mac: u16 = field(skb, OFF_SKB_MAC_HEADER.load());
        let network: u16 = field(skb, OFF_SKB_NETWORK_HEADER.load());
        let len: u32 = field(skb, OFF_SKB_LEN.load());
        let data_len: u32 = field(skb, OFF_SKB_DATA_LEN.load());
        let kind: u16 = if device.is_null() { ARPHRD_ETHER } else { field(device, OFF_DEV_TYPE.load()) };
        let l3_device = kind != ARPHRD_ETHER && kind != ARPHRD_LOOPBACK;
        let ethernet = !l3_device && mac != UNSET && network as u32 >= mac as u32 + ETHERNET_LEN as u32;
        let start = if ethernet {
            head + mac as u64
        } else if network != 0 {
            head + network as u64
        } else {
            data
        };
        // Headers pulled off the front are still there; those pushed on by lower layers are cut off.
        let before = data as i64 - start as i64;
        Frame {
            start,
            linear: shifted(len, before - data_len as i64),
            length: shifted(len, before),
            ethernet,
            l3_device,
            tag: if ethernet && OFF_SKB_VLAN.load() != u32::MAX { field(skb, OFF_SKB_VLAN.load()) } else { 0 },
        }
    }
}

#[inline(always)]
unsafe fn emit_record(ctx: &BtfTracePointContext, skb: *const u8, device: *const u8, drop: &DropInfo) {
    unsafe {
        let record = emit::reserve(PREFIX as u64 + CAPTURE.load() as u64, EP_SCRATCH_DROP.get_ptr_mut(0));
        if record.is_null() {
            return;
        }
        let frame = frame(skb, device);
        let notify = if frame.l3_device { DROP_V2_LEN } else { DROP_V0_LEN };
        // Two calls: the verifier requires constant offsets.
        let captured = if frame.l3_device {
            copy(&frame, record.add(size_of::<Header>() + DROP_V2_LEN), drop.protocol)
        } else {
            copy(&frame, record.add(size_of::<Header>() + DROP_V0_LEN), drop.protocol)
        };
        let added = if frame.ethernet {
            if frame.tag != 0 { VLAN_LEN } else { 0 }
        } else if frame.l3_device {
            0
        } else {
            ETHERNET_LEN as u32
        };
        let (ifindex, ingress_ifindex) = interfaces(skb, device, drop.netns);
        let (cgroup, process) = owner(ctx, skb, drop.netns);
        *record.cast::<Header>() = Header {
            time: bpf_ktime_get_ns(),
            packets: 1,
            bytes: (frame.length + added) as u64,
            held_packets: 0,
            held_bytes: 0,
            location: drop.location,
            drop_reason: drop.reason,
            netns: drop.netns,
            ifindex,
            ingress_ifindex,
            data_len: notify as u32 + captured,
            cpu: bpf_get_smp_processor_id() as u16,
            hook: Hook::Drop as u8,
            answered_by: 0,
            cgroup,
            process,
        };
        write_notify(
            record.add(size_of::<Header>()).cast(),
            skb,
            &frame,
            drop,
            (frame.length + added, captured),
            ifindex,
        );
        emit::submit(ctx.as_ptr(), record, (size_of::<Header>() + notify) as u64 + captured as u64);
    }
}

/// Fills in Cilium's drop struct; `lengths` are the packet's and the captured one.
#[inline(always)]
unsafe fn write_notify(
    to: *mut u32,
    skb: *const u8,
    frame: &Frame,
    drop: &DropInfo,
    lengths: (u32, u32),
    ifindex: u32,
) {
    let (length, captured) = lengths;
    let version = if frame.l3_device { 2 } else { 0 };
    unsafe {
        let hash: u32 = field(skb, OFF_SKB_HASH.load());
        // Word by word: a version 0 struct is 36 bytes, not a `DropNotify`.
        *to = NOTIFY_DROP as u32 | (drop.endpoint as u32) << 16;
        *to.add(1) = hash;
        *to.add(2) = length;
        *to.add(3) = captured | version << 16;
        *to.add(4) = 0;
        *to.add(5) = 0;
        *to.add(6) = 0;
        *to.add(7) = (drop.reason & 0xffff) | ((FILE_KERNEL as u32 + (drop.reason >> 16 & 0x0f)) & 0xff) << 16;
        *to.add(8) = ifindex;
        if frame.l3_device {
            let ipv6 = if drop.protocol == ETH_IPV6 { CAPTURE_FLAG_IPV6 } else { 0 };
            *to.add(9) = (CAPTURE_FLAG_L3_DEVICE | ipv6) as u32;
        }
    }
}

/// Returns the interface that the packet came in by or leaves by, and the one that it came in by. Both are 0 in another
/// namespace, whose numbers differ.
#[inline(always)]
unsafe fn interfaces(skb: *const u8, device: *const u8, netns: u32) -> (u32, u32) {
    if netns != OWN_NAMESPACE.load() {
        return (0, 0);
    }
    unsafe {
        let iif: i32 = field(skb, OFF_SKB_IIF.load());
        let ifindex = if iif > 0 {
            iif as u32
        } else if device.is_null() {
            0
        } else {
            field(device, OFF_DEV_IFINDEX.load())
        };
        (ifindex, iif as u32)
    }
}

/// Copies the packet's first bytes. A packet without a link-layer header gets one of zeros with its ethertype, so that
/// every monitor client can read it.
#[inline(always)]
unsafe fn copy(frame: &Frame, to: *mut u8, protocol: u16) -> u32 {
    unsafe {
        let limit = CAPTURE.load();
        if frame.ethernet && frame.tag != 0 {
            return copy_tagged(frame, to, limit);
        }
        if frame.ethernet || frame.l3_device {
            return kernel::copy(frame.start, to, frame.linear, limit);
        }
        let words = to.cast::<u16>();
        for word in 0..6 {
            *words.add(word) = 0;
        }
        *words.add(6) = protocol;
        ETHERNET_LEN as u32 + kernel::copy(frame.start, to.add(ETHERNET_LEN), frame.linear, limit - ETHERNET_LEN as u32)
    }
}

/// Copies the packet's first bytes with its VLAN tag where it was.
#[inline(always)]
unsafe fn copy_tagged(frame: &Frame, to: *mut u8, limit: u32) -> u32 {
    unsafe {
        let before = 2 * ADDRESS_LEN;
        if frame.linear < before || kernel::copy(frame.start, to, before, before) != before {
            return 0;
        }
        *to.add(before as usize).cast::<u16>() = frame.tag as u16;
        *to.add(before as usize + 2).cast::<u16>() = ((frame.tag >> 16) as u16).to_be();
        let start = frame.start + before as u64;
        let skipped = before + VLAN_LEN;
        skipped + kernel::copy(start, to.add(skipped as usize), frame.linear - before, limit - skipped)
    }
}

const _: () = assert!(size_of::<DropNotify>() == DROP_V2_LEN);
