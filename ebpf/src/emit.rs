//! Writes records into the ring or the perf buffer, and counts those that found no room.

use aya_ebpf::bindings::{__sk_buff, BPF_F_CURRENT_CPU, BPF_RB_AVAIL_DATA, BPF_RB_FORCE_WAKEUP, BPF_RB_NO_WAKEUP};
use aya_ebpf::helpers::generated::{
    bpf_get_smp_processor_id, bpf_ktime_get_ns, bpf_perf_event_output, bpf_ringbuf_query, bpf_ringbuf_reserve,
    bpf_ringbuf_submit, bpf_skb_load_bytes,
};
use core::ffi::c_void;
use eyepiece_wire::{
    CAPTURE_FLAG_IPV6, CAPTURE_FLAG_L3_DEVICE, Connection, Counter, Header, Hook, NOTIFY_TRACE, REASON_UNKNOWN,
    TraceNotify,
};

use crate::globals::{CAPTURE, TRANSPORT, WATERMARK};
use crate::headers::ETH_IPV6;
use crate::maps::{EP_EMIT, EP_INTERFACES, EP_PERF, EP_RING, EP_SCRATCH_TC, count};
use crate::report::{self, PacketInfo, Report};

/// Bytes of header and trace struct.
const TRACE_PREFIX: usize = size_of::<Header>() + size_of::<TraceNotify>();

/// Bytes that the ring adds to each record, BPF_RINGBUF_HDR_SZ.
const RING_HEADER: u64 = 8;

/// Returns whether user space reads records.
#[inline(always)]
pub(crate) fn emission_enabled() -> bool {
    EP_EMIT.get(0).is_some_and(|emit| *emit != 0)
}

/// Reserves room for a record of at most `size` bytes: in the ring, or in a scratch value for the perf buffer.
#[inline(always)]
pub(crate) fn reserve(size: u64, scratch: Option<*mut crate::maps::Scratch>) -> *mut u8 {
    count(Counter::Offered, 1);
    let room: *mut u8 = if TRANSPORT.load() == 0 {
        // SAFETY: the map is a ring buffer; the verifier knows `size`: it is computed from read-only globals.
        unsafe { bpf_ringbuf_reserve(core::ptr::addr_of!(EP_RING).cast_mut().cast(), size, 0).cast() }
    } else {
        scratch.map_or(core::ptr::null_mut(), |scratch| scratch.cast())
    };
    if room.is_null() {
        count(Counter::Lost, 1);
    }
    room
}

/// Submits a record. Returns false if the perf buffer had no room; that is counted.
#[inline(always)]
pub(crate) fn submit(ctx: *mut c_void, record: *mut u8, length: u64) -> bool {
    // SAFETY: `record` came from `reserve` and `length` is at most the size reserved there.
    unsafe {
        if TRANSPORT.load() == 0 {
            let waiting = bpf_ringbuf_query(core::ptr::addr_of!(EP_RING).cast_mut().cast(), BPF_RB_AVAIL_DATA as u64);
            // One wakeup as the watermark is passed, not one for every record behind it; a reader that misses it polls.
            let passing = waiting.wrapping_sub(WATERMARK.load()) <= trace_size() + RING_HEADER;
            let wakeup = if passing { BPF_RB_FORCE_WAKEUP } else { BPF_RB_NO_WAKEUP };
            bpf_ringbuf_submit(record.cast(), wakeup as u64);
            return true;
        }
        let result = bpf_perf_event_output(
            ctx,
            core::ptr::addr_of!(EP_PERF).cast_mut().cast(),
            BPF_F_CURRENT_CPU,
            record.cast(),
            length,
        );
        if result != 0 {
            count(Counter::Lost, 1);
        }
        result == 0
    }
}

/// Copies the packet's first bytes with a lifted VLAN tag put back. Returns how many: at most the capture length.
#[inline(always)]
pub(crate) unsafe fn capture(skb: *mut __sk_buff, to: *mut u8, l3_device: bool) -> u64 {
    unsafe {
        let limit = CAPTURE.load();
        let length = (*skb).len;
        if !l3_device && (*skb).vlan_present != 0 && limit >= 18 && length >= 14 {
            if bpf_skb_load_bytes(skb.cast(), 0, to.cast(), 12) != 0 {
                return 0;
            }
            *(to.add(12) as *mut u16) = (*skb).vlan_proto as u16;
            *(to.add(14) as *mut u16) = ((*skb).vlan_tci as u16).to_be();
            let rest = if length - 12 < limit - 16 { length - 12 } else { limit - 16 };
            let copied = load(skb, 12, to.add(16), rest, limit - 16);
            return 16 + copied;
        }
        let copied = if length < limit { length } else { limit };
        load(skb, 0, to, copied, limit)
    }
}

/// Loads `count` bytes, between 1 and `most`; returns 0 on failure.
#[inline(always)]
unsafe fn load(skb: *mut __sk_buff, offset: u32, to: *mut u8, count: u32, most: u32) -> u64 {
    // The verifier wants the bounds of the very register that becomes the length: an opaque copy keeps the compiler
    // from proving the checks away. Before 6.8 only comparisons with a register give a lower bound.
    let (mut length, mut least) = (count as u64, 1_u64);
    unsafe {
        core::arch::asm!("{0} = {0}", inout(reg) length, options(nomem, nostack, preserves_flags));
        core::arch::asm!("{0} = {0}", inout(reg) least, options(nomem, nostack, preserves_flags));
        if length < least || length > most as u64 {
            return 0;
        }
        if bpf_skb_load_bytes(skb.cast(), offset, to.cast(), length as u32) != 0 {
            return 0;
        }
    }
    length
}

/// The largest size of a trace record, bytes.
#[inline(always)]
fn trace_size() -> u64 {
    TRACE_PREFIX as u64 + CAPTURE.load() as u64
}

/// Writes a record of a tracked packet and of the unreported ones before it. Their totals are taken only after room for
/// the record is reserved. Returns 0 if there was no room; the caller still has to count the packet.
#[inline(never)]
pub(crate) fn trace(skb: *mut __sk_buff, entry: *mut Connection, info: &PacketInfo, reason: u8) -> i32 {
    let record = reserve(trace_size(), EP_SCRATCH_TC.get_ptr_mut(0));
    if record.is_null() {
        return 0;
    }
    // SAFETY: `record` has room for `trace_size()` bytes; `entry` is a live map value.
    unsafe {
        let index = (info.half & 1) as usize;
        let side = core::ptr::addr_of_mut!((*entry).half[index]);
        let mut report: Report = core::mem::zeroed();
        report::take(entry, index, info.now, &mut report);
        report.packets += info.segments;
        report.bytes += info.bytes;
        report.ingress_ifindex = (*side).ingress_ifindex;
        report.cgroup = (*entry).cgroup;
        report.process = (*entry).process;
        report.reason = reason;
        let length = write(skb, record, info, &report);
        if submit(skb.cast(), record, length) {
            report::hold(entry, index, &report);
            (*side).reported = info.now;
            return 1;
        }
        // Whether the perf buffer is full shows only on submission: the totals go back.
        report::put(side, report.packets - info.segments, report.bytes - info.bytes);
        report::put_held(side, report.held_packets, report.held_bytes);
    }
    0
}

/// Writes a record of a packet that no entry holds. Returns false if there was no room.
#[inline(always)]
pub(crate) fn untracked(skb: *mut __sk_buff, info: &PacketInfo, answered_by: u8) -> bool {
    let record = reserve(trace_size(), EP_SCRATCH_TC.get_ptr_mut(0));
    if record.is_null() {
        return false;
    }
    // SAFETY: as above.
    unsafe {
        let mut report: Report = core::mem::zeroed();
        report.packets = info.segments;
        report.bytes = info.bytes;
        report.ingress_ifindex = (*skb).ingress_ifindex;
        report.reason = REASON_UNKNOWN;
        report.answered_by = answered_by;
        let length = write(skb, record, info, &report);
        submit(skb.cast(), record, length)
    }
}

/// Fills in a trace record; returns its length.
#[inline(always)]
unsafe fn write(skb: *mut __sk_buff, record: *mut u8, info: &PacketInfo, report: &Report) -> u64 {
    unsafe {
        let l3_device = info.l3_device != 0;
        let captured = capture(skb, record.add(TRACE_PREFIX), l3_device);
        let tag = if (*skb).vlan_present != 0 && !l3_device { 4 } else { 0 };
        let ipv6 = (*skb).protocol as u16 == ETH_IPV6;
        let ifindex = (*skb).ifindex;
        let endpoint = EP_INTERFACES.get(&ifindex).map_or(0, |interface| interface.endpoint);
        let to_endpoint = info.hook == Hook::ToEndpoint as u8;
        *record.cast::<Header>() = Header {
            time: bpf_ktime_get_ns(),
            packets: report.packets,
            bytes: report.bytes,
            held_packets: report.held_packets,
            held_bytes: report.held_bytes,
            location: 0,
            drop_reason: 0,
            netns: 0,
            ifindex,
            ingress_ifindex: report.ingress_ifindex,
            data_len: size_of::<TraceNotify>() as u32 + captured as u32,
            cpu: bpf_get_smp_processor_id() as u16,
            hook: info.hook,
            answered_by: report.answered_by,
            cgroup: report.cgroup,
            process: report.process,
        };
        *record.add(size_of::<Header>()).cast::<TraceNotify>() = TraceNotify {
            kind: NOTIFY_TRACE,
            observation_point: observation_point(info.hook),
            source: endpoint,
            hash: (*skb).hash,
            len_orig: (*skb).len + tag,
            len_cap: captured as u16,
            version: 1,
            ext_version: 0,
            source_label: 0,
            destination_label: 0,
            destination_id: if to_endpoint { endpoint } else { 0 },
            reason: report.reason,
            flags: if ipv6 { CAPTURE_FLAG_IPV6 } else { 0 } | if l3_device { CAPTURE_FLAG_L3_DEVICE } else { 0 },
            ifindex,
            original_ip: [0; 16],
        };
        TRACE_PREFIX as u64 + captured
    }
}

/// Cilium's number of the observation point of a hook.
#[inline(always)]
fn observation_point(hook: u8) -> u8 {
    if hook == Hook::ToEndpoint as u8 {
        0
    } else if hook == Hook::FromEndpoint as u8 {
        5
    } else if hook == Hook::FromNetwork as u8 {
        10
    } else {
        11
    }
}
