//! The socket that receives a TCP packet, for kernels before 6.11, whose drop tracepoint does not name it.
//!
//! Inside TCP a packet has neither device nor socket. What hands it to a socket is noted for each CPU, and holds for the
//! same packet only.

use aya_ebpf::programs::FEntryContext;
use eyepiece_wire::Receiver;

use crate::drops::field;
use crate::globals::{NOT_SPECIFIED, OFF_NET_INUM, OFF_SOCK_NET};
use crate::maps::EP_RECEIVER;

/// Notes the network namespace of the socket that a kernel function (`struct sock *`, `struct sk_buff *`, …) gets a
/// packet for.
#[inline(always)]
pub(crate) fn note(ctx: &FEntryContext) {
    let (socket, skb): (*const u8, *const u8) = (ctx.arg(0), ctx.arg(1));
    let Some(receiver) = EP_RECEIVER.get_ptr_mut(0) else { return };
    // SAFETY: `socket` is a trusted `struct sock`; offsets are the running kernel's; `receiver` is this CPU's.
    unsafe {
        let net: *const u8 = field(socket, OFF_SOCK_NET.load());
        if !net.is_null() {
            *receiver = Receiver { skb: skb as u64, netns: field(net, OFF_NET_INUM.load()), pad: 0 };
        }
    }
}

/// The inode of the network namespace whose socket got this packet last on this CPU; 0 = none did. These kernels free
/// without a reason what TCP is done with: that is no drop.
#[inline(always)]
pub(crate) fn namespace(skb: *const u8, reason: u32) -> u32 {
    if reason == NOT_SPECIFIED.load() {
        return 0;
    }
    EP_RECEIVER.get(0).map_or(0, |receiver| if receiver.skb == skb as u64 { receiver.netns } else { 0 })
}
