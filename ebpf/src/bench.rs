//! Programs that only the kernel bench loads: baselines, and a source of new connections.

use aya_ebpf::EbpfContext as _;
use aya_ebpf::bindings::__sk_buff;
use aya_ebpf::programs::TcContext;
use eyepiece_wire::{Hook, Key4};

use crate::TC_ACT_UNSPEC;
use crate::headers::{ETHERNET_LEN, IPPROTO_TCP};
use crate::maps::EP_CONN4;
use crate::traffic;

/// Bytes up to the ports of an IPv4 packet without options.
const PORTS4: usize = ETHERNET_LEN + 20 + 4;

/// Looks up the packet's addresses and ports in the connection table: the least that a counting program does.
#[inline(always)]
pub(crate) fn look_up(ctx: &TcContext) -> i32 {
    let skb: *mut __sk_buff = ctx.as_ptr().cast();
    // SAFETY: packet bytes are read only below `end`.
    unsafe {
        let data = (*skb).data as usize;
        if data + PORTS4 <= (*skb).data_end as usize {
            let ip = data + ETHERNET_LEN;
            let address = [*((ip + 12) as *const u32), *((ip + 16) as *const u32)];
            let key = Key4::of_ports(address, *((ip + 20) as *const u32), (*skb).ifindex, IPPROTO_TCP, 0);
            if let Some(entry) = EP_CONN4.get_ptr_mut(&key) {
                return (*entry).dead as i32 + TC_ACT_UNSPEC;
            }
        }
    }
    0
}

/// Increments the packet's source address. With `COUNT` the packet is then counted, as a new connection.
#[inline(always)]
pub(crate) fn renumber<const COUNT: bool>(ctx: &TcContext) -> i32 {
    let skb: *mut __sk_buff = ctx.as_ptr().cast();
    // SAFETY: packet bytes are written only below `end`.
    unsafe {
        let data = (*skb).data as usize;
        if data + PORTS4 <= (*skb).data_end as usize {
            *((data + ETHERNET_LEN + 12) as *mut u32) += 1;
        }
    }
    if COUNT { traffic::classify::<{ Hook::FromEndpoint as u8 }, false>(ctx) } else { TC_ACT_UNSPEC }
}
