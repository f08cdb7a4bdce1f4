//! The kernel programs: tc classifiers at endpoints and uplinks, the drop tracepoint, the programs that follow sockets
//! to their processes, and the sweep.
#![no_std]
#![no_main]
// Atomics of this target exist only as intrinsics, see `atomic`; inline assembly is unstable on it.
#![feature(asm_experimental_arch, core_intrinsics)]
#![allow(clippy::needless_borrows_for_generic_args, reason = "a key by value would be copied on the small stack")]
#![allow(internal_features, reason = "atomic_xadd and atomic_xchg have no stable form for this target")]

mod atomic;
mod bench;
mod connection;
mod debug;
mod drops;
mod emit;
mod globals;
mod headers;
mod ignored;
mod kernel;
mod maps;
mod packet;
mod report;
mod sockets;
mod storage;
mod sweep;
mod traffic;

use aya_ebpf::macros::{btf_tracepoint, classifier};
use aya_ebpf::programs::{BtfTracePointContext, TcContext};
use eyepiece_wire::Hook;

/// Leaves the decision to the next program and the stack: TC_ACT_OK would end the chain of programs.
pub(crate) const TC_ACT_UNSPEC: i32 = -1;

#[classifier]
pub fn eyepiece_from_endpoint(ctx: TcContext) -> i32 {
    traffic::classify::<{ Hook::FromEndpoint as u8 }, false>(&ctx)
}

#[classifier]
pub fn eyepiece_to_endpoint(ctx: TcContext) -> i32 {
    traffic::classify::<{ Hook::ToEndpoint as u8 }, false>(&ctx)
}

#[classifier]
pub fn eyepiece_from_network(ctx: TcContext) -> i32 {
    traffic::classify::<{ Hook::FromNetwork as u8 }, false>(&ctx)
}

#[classifier]
pub fn eyepiece_to_network(ctx: TcContext) -> i32 {
    traffic::classify::<{ Hook::ToNetwork as u8 }, false>(&ctx)
}

#[classifier]
pub fn eyepiece_from_network_l3(ctx: TcContext) -> i32 {
    traffic::classify::<{ Hook::FromNetwork as u8 }, true>(&ctx)
}

#[classifier]
pub fn eyepiece_to_network_l3(ctx: TcContext) -> i32 {
    traffic::classify::<{ Hook::ToNetwork as u8 }, true>(&ctx)
}

#[classifier]
pub fn eyepiece_empty(_ctx: TcContext) -> i32 {
    TC_ACT_UNSPEC
}

#[classifier]
pub fn eyepiece_look_up(ctx: TcContext) -> i32 {
    bench::look_up(&ctx)
}

#[classifier]
pub fn eyepiece_renumber(ctx: TcContext) -> i32 {
    bench::renumber::<false>(&ctx)
}

#[classifier]
pub fn eyepiece_new(ctx: TcContext) -> i32 {
    bench::renumber::<true>(&ctx)
}

#[classifier]
pub fn eyepiece_sweep(ctx: TcContext) -> i32 {
    sweep::sweep(&ctx)
}

#[btf_tracepoint(function = "kfree_skb")]
pub fn eyepiece_drop(ctx: BtfTracePointContext) -> i32 {
    drops::dropped(&ctx);
    0
}

#[btf_tracepoint(function = "inet_sock_set_state")]
pub fn eyepiece_socket(ctx: BtfTracePointContext) -> i32 {
    sockets::changed(&ctx);
    0
}

/// An iterator, for which aya has no attribute.
///
/// # Safety
/// Called by the kernel, with the arguments of its `task_file`.
#[unsafe(no_mangle)]
#[unsafe(link_section = "iter/task_file")]
pub unsafe fn eyepiece_open_socket(ctx: *mut core::ffi::c_void) -> i32 {
    sockets::opened_before(ctx.cast());
    0
}

/// As above, of `tcp`.
///
/// # Safety
/// Called by the kernel, with the arguments of its `tcp`.
#[unsafe(no_mangle)]
#[unsafe(link_section = "iter/tcp")]
pub unsafe fn eyepiece_opened(ctx: *mut core::ffi::c_void) -> i32 {
    sockets::opened(ctx.cast());
    0
}

#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    // Never reached: no code here panics, and the verifier refuses a program that could loop.
    loop {}
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 4] = *b"GPL\0";
