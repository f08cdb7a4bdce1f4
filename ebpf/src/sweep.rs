//! The sweep program: user space runs it with a list of keys as its packet. It takes unreported totals out of live
//! entries, or marks idle ones dead. Only the kernel can do either without losing what a packet adds meanwhile.

use aya_ebpf::EbpfContext as _;
use aya_ebpf::bindings::__sk_buff;
use aya_ebpf::helpers::generated::bpf_jiffies64;
use aya_ebpf::programs::TcContext;
use eyepiece_wire::{
    Connection, SWEEP_ALIVE, SWEEP_BATCH, SWEEP_KILL, SWEEP_TAKE, SweepHeader, SweepItem4, SweepItem6, SweepTotals,
};

use crate::TC_ACT_UNSPEC;
use crate::maps::{EP_CONN4, EP_CONN6};
use crate::report::{self, Report};

/// Handles one item of a list; the two families differ in their types only. Breaks the loop at the packet's end.
macro_rules! item {
    ($item:ty, $table:ident, $at:ident, $end:ident, $operation:ident, $now:ident) => {
        let item = $at as *mut $item;
        $at += size_of::<$item>();
        if $at > $end {
            break;
        }
        let key = (*item).key;
        if let Some(entry) = $table.get_ptr_mut(&key) {
            let mut totals = [SweepTotals::default(); 2];
            (*item).result = handle(entry, $operation, (*item).last, $now, &mut totals);
            (*item).totals = totals;
            (*item).answered_by = (*entry).answered_by as u64;
        }
    };
}

#[inline(always)]
pub(crate) fn sweep(ctx: &TcContext) -> i32 {
    let skb: *mut __sk_buff = ctx.as_ptr().cast();
    // SAFETY: the packet is read and written only below `end`.
    unsafe {
        let data = (*skb).data as usize;
        let end = (*skb).data_end as usize;
        if data + size_of::<SweepHeader>() > end {
            return TC_ACT_UNSPEC;
        }
        let header = data as *mut SweepHeader;
        let now = bpf_jiffies64();
        (*header).jiffies = now;
        let operation = (*header).operation;
        let (family, count) = ((*header).family, (*header).count);
        let mut at = data + size_of::<SweepHeader>();
        for index in 0..SWEEP_BATCH as u32 {
            if index >= count {
                break;
            }
            if family == 4 {
                item!(SweepItem4, EP_CONN4, at, end, operation, now);
            } else {
                item!(SweepItem6, EP_CONN6, at, end, operation, now);
            }
        }
    }
    TC_ACT_UNSPEC
}

#[inline(always)]
unsafe fn handle(entry: *mut Connection, operation: u32, last: u64, now: u64, totals: &mut [SweepTotals; 2]) -> u64 {
    unsafe {
        if operation == SWEEP_KILL {
            // A packet that came after user space read the entry keeps it alive.
            if (*entry).half[0].last > last || (*entry).half[1].last > last {
                return 0;
            }
            (*entry).dead = 1;
            return SWEEP_ALIVE;
        }
        if operation != SWEEP_TAKE {
            return 0;
        }
        for (index, totals) in totals.iter_mut().enumerate() {
            let mut report: Report = core::mem::zeroed();
            report::take(entry, index, now, &mut report);
            *totals = SweepTotals {
                packets: report.packets,
                bytes: report.bytes,
                held_packets: report.held_packets,
                held_bytes: report.held_bytes,
                ingress_ifindex: (*entry).half[index].ingress_ifindex,
                hook: (*entry).half[index].hook as u32,
            };
            report::hold(entry, index, &report);
        }
        SWEEP_ALIVE
    }
}
