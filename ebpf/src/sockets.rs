//! The processes behind TCP sockets of the hooks' network namespace.
//!
//! A socket connects or listens in its process's own context. Its storage holds the process's id from then on, until the
//! socket ends; the kernel copies a listener's to the connections that it accepts.

use aya_ebpf::EbpfContext as _;
use aya_ebpf::bindings::{__sk_buff, BPF_F_CURRENT_CPU, BPF_RB_NO_WAKEUP, bpf_sock};
use aya_ebpf::helpers::generated::{
    bpf_get_current_task, bpf_get_listener_sock, bpf_get_smp_processor_id, bpf_ktime_get_ns, bpf_perf_event_output,
    bpf_ringbuf_output, bpf_sk_fullsock, bpf_skc_to_tcp_sock, bpf_sock_from_file,
};
use aya_ebpf::programs::BtfTracePointContext;
use core::ffi::c_void;
use eyepiece_wire::{Header, Process, RECORD_PROCESS, Receiver, process_id, process_number};

use crate::emit::emission_enabled;
use crate::globals::*;
use crate::headers::IPPROTO_TCP;
use crate::kernel::{field, load};
use crate::maps::{EP_LISTENERS, EP_OPENED, EP_PERF, EP_PROCESSES, EP_RING, EP_SOCKETS};

/// States of sockets (Linux `include/net/tcp_states.h`).
const TCP_SYN_SENT: i32 = 2;
const TCP_CLOSE: i32 = 7;
const TCP_LISTEN: i32 = 10;
/// Families of sockets (Linux `include/linux/socket.h`).
const AF_INET: u16 = 2;
const AF_INET6: u16 = 10;
/// The flag of the kernel's own threads (Linux `include/linux/sched.h`).
const PF_KTHREAD: u32 = 0x0020_0000;
/// The third word of an IPv4-mapped address (RFC 4291, 2.5.5.2).
const MAPPED: u32 = 0x0000_ffff_u32.to_be();
/// The manager of services: it opens sockets for them.
const FIRST_PROCESS: u32 = 1;

/// Follows a socket that changes its state.
#[inline(always)]
pub(crate) fn changed(ctx: &BtfTracePointContext) {
    let socket: *const u8 = ctx.arg(0);
    let (old, new): (i32, i32) = (ctx.arg(1), ctx.arg(2));
    let opens = old == TCP_CLOSE && (new == TCP_SYN_SENT || new == TCP_LISTEN);
    let ends = old == TCP_LISTEN && new == TCP_CLOSE;
    // SAFETY: `socket` is a trusted `struct sock`; offsets are the running kernel's.
    unsafe {
        if !(opens || ends) || !is_ours(socket) {
            return;
        }
        if ends {
            forget_listener(socket);
            return;
        }
        let mut process = Process::default();
        if !read(bpf_get_current_task(), &mut process) {
            return;
        }
        let stored = EP_SOCKETS.get(socket.cast(), &process.id);
        if !stored.is_null() {
            *stored = process.id;
        }
        if new == TCP_LISTEN {
            let _ = EP_LISTENERS.insert(&address(socket), &process.id, 0);
        }
        keep(ctx.as_ptr(), &process);
    }
}

/// The arguments of an iterator of `task_file` (Linux `struct bpf_iter__task_file`).
#[repr(C)]
pub(crate) struct TaskFile {
    _meta: *const u8,
    task: *const u8,
    _descriptor: u64,
    file: *const u8,
}

/// Notes the process of a socket that is open already, for [`opened`]. Of several processes the first one counts, which
/// is most often the parent of the others, unless it is process 1.
#[inline(always)]
pub(crate) unsafe fn opened_before(ctx: *mut TaskFile) {
    unsafe {
        let (task, file) = ((*ctx).task, (*ctx).file);
        if task.is_null() || file.is_null() {
            return;
        }
        let socket: *const u8 = bpf_sock_from_file(file.cast_mut().cast()).cast();
        if socket.is_null() {
            return;
        }
        let socket: *const u8 = field(socket, OFF_SOCKET_SOCK.load());
        if socket.is_null() || !is_ours(socket) {
            return;
        }
        let mut process = Process::default();
        if !read(task as u64, &mut process) {
            return;
        }
        match EP_OPENED.get_ptr_mut(socket as u64) {
            Some(first) if process_number(*first) == FIRST_PROCESS => *first = process.id,
            Some(first) if *first != process.id => return,
            Some(_) => {}
            None => {
                if EP_OPENED.insert(socket as u64, process.id, 0).is_err() {
                    return;
                }
            }
        }
        let _ = EP_PROCESSES.insert(&process.id, &process, 0);
    }
}

/// The arguments of an iterator of `tcp` (Linux `struct bpf_iter__tcp`).
#[repr(C)]
pub(crate) struct TcpSocket {
    _meta: *const u8,
    socket: *mut c_void,
    _user: u64,
}

/// Stores the process that [`opened_before`] noted in its socket. That needs the iterator of sockets: the verifier does
/// not trust a socket that was read from a file (Linux 6.18.44).
#[inline(always)]
pub(crate) unsafe fn opened(ctx: *mut TcpSocket) {
    unsafe {
        let socket = (*ctx).socket;
        if socket.is_null() {
            return;
        }
        let Some(&id) = EP_OPENED.get(socket as u64) else { return };
        // Not one that waits for its end, or for its first data.
        let socket: *const u8 = bpf_skc_to_tcp_sock(socket).cast();
        if socket.is_null() {
            return;
        }
        let stored = EP_SOCKETS.get(socket.cast(), &id);
        if stored.is_null() {
            return;
        }
        if process_number(*stored) == FIRST_PROCESS {
            *stored = id;
        }
        let mut state = 0_u8;
        if *stored == id && load(socket as u64 + OFF_SOCK_STATE.load() as u64, &mut state) && state as i32 == TCP_LISTEN
        {
            let _ = EP_LISTENERS.insert(&address(socket), &id, 0);
        }
    }
}

/// Returns whether a socket is one of TCP in the network namespace of the hooks.
#[inline(always)]
unsafe fn is_ours(socket: *const u8) -> bool {
    unsafe {
        let net: *const u8 = field(socket, OFF_SOCK_NET.load());
        if net.is_null() || field::<u32>(net, OFF_NET_INUM.load()) != OWN_NAMESPACE.load() {
            return false;
        }
        let (mut family, mut protocol) = (0_u16, 0_u16);
        load(socket as u64 + OFF_SOCK_FAMILY.load() as u64, &mut family)
            && load(socket as u64 + OFF_SOCK_PROTOCOL.load() as u64, &mut protocol)
            && (family == AF_INET || family == AF_INET6)
            && protocol == IPPROTO_TCP as u16
    }
}

/// Reads the process of a task. Returns false for the kernel's own threads, which have the name of their present work.
#[inline(always)]
unsafe fn read(task: u64, process: &mut Process) -> bool {
    unsafe {
        let (mut leader, mut flags, mut number, mut start) = (0_u64, 0_u32, 0_u32, 0_u64);
        if !load(task + OFF_TASK_LEADER.load() as u64, &mut leader)
            || !load(leader + OFF_TASK_FLAGS.load() as u64, &mut flags)
            || flags & PF_KTHREAD != 0
            || !load(leader + OFF_TASK_NUMBER.load() as u64, &mut number)
            || !load(leader + OFF_TASK_START.load() as u64, &mut start)
            || !load(leader + OFF_TASK_COMMAND.load() as u64, &mut process.command)
        {
            return false;
        }
        process.id = process_id(number, start);
        true
    }
}

/// A process on its way to user space.
#[repr(C)]
struct Record {
    header: Header,
    process: Process,
}

/// Keeps a process, and reports it unless it is known with this command.
#[inline(always)]
unsafe fn keep(ctx: *mut c_void, process: &Process) {
    unsafe {
        if EP_PROCESSES.get(&process.id).is_some_and(|known| known.command == process.command) {
            return;
        }
        // Without room in the buffer, user space finds the process in the map.
        let _ = EP_PROCESSES.insert(&process.id, process, 0);
        if !emission_enabled() {
            return;
        }
        let header = Header {
            time: bpf_ktime_get_ns(),
            data_len: size_of::<Process>() as u32,
            cpu: bpf_get_smp_processor_id() as u16,
            hook: RECORD_PROCESS,
            ..Header::default()
        };
        let mut record = Record { header, process: *process };
        let (data, size) = (core::ptr::from_mut(&mut record).cast(), size_of_val(&record) as u64);
        if TRANSPORT.load() == 0 {
            let ring = core::ptr::addr_of!(EP_RING).cast_mut().cast();
            bpf_ringbuf_output(ring, data, size, BPF_RB_NO_WAKEUP as u64);
        } else {
            let buffers = core::ptr::addr_of!(EP_PERF).cast_mut().cast();
            bpf_perf_event_output(ctx, buffers, BPF_F_CURRENT_CPU, data, size);
        }
    }
}

/// Removes a listener, unless another process listens at its address as well.
#[inline(always)]
unsafe fn forget_listener(socket: *const u8) {
    unsafe {
        let stored = EP_SOCKETS.get(socket.cast(), core::ptr::null());
        if stored.is_null() {
            return;
        }
        let address = address(socket);
        if EP_LISTENERS.get(&address).is_some_and(|listener| *listener == *stored) {
            let _ = EP_LISTENERS.remove(&address);
        }
    }
}

/// The local address and port of a socket; zeros for any address. An IPv4-mapped address is one of IPv4.
#[inline(always)]
unsafe fn address(socket: *const u8) -> Receiver {
    let (mut family, mut found) = (0_u16, Receiver::default());
    unsafe {
        load(socket as u64 + OFF_SOCK_FAMILY.load() as u64, &mut family);
        load(socket as u64 + OFF_SOCK_PORT.load() as u64, &mut found.port);
        if family == AF_INET {
            load(socket as u64 + OFF_SOCK_ADDRESS4.load() as u64, &mut found.address[0]);
        } else {
            let mut words = [0_u32; 4];
            load(socket as u64 + OFF_SOCK_ADDRESS6.load() as u64, &mut words);
            let is_mapped = words[0] == 0 && words[1] == 0 && words[2] == MAPPED;
            found.address = if is_mapped { [words[3], 0, 0, 0] } else { words };
        }
    }
    found
}

/// Returns the process that listens at an address, or at any address with its port; 0 if none is known.
#[inline(always)]
pub(crate) unsafe fn of_listener(address: &Receiver) -> u64 {
    let any = Receiver { address: [0; 4], ..*address };
    unsafe { EP_LISTENERS.get(address).or_else(|| EP_LISTENERS.get(&any)).copied().unwrap_or(0) }
}

/// Returns the process of a socket that the kernel names with a packet; 0 if it is unknown.
#[inline(always)]
pub(crate) unsafe fn of_socket(socket: *const c_void) -> u64 {
    unsafe {
        let stored = EP_SOCKETS.get(socket, core::ptr::null());
        if stored.is_null() { 0 } else { *stored }
    }
}

/// Returns the process of the socket that sends a packet; 0 if it is unknown. An answer to a SYN is sent by a request,
/// which has no storage: then it is that of the listener.
#[inline(always)]
pub(crate) unsafe fn of_packet(skb: *mut __sk_buff) -> u64 {
    unsafe {
        let socket: *mut bpf_sock = (*skb).__bindgen_anon_2.sk;
        if socket.is_null() {
            return 0;
        }
        let full: *mut bpf_sock = bpf_sk_fullsock(socket).cast();
        if !full.is_null() {
            return of_socket(full.cast());
        }
        let listening: *mut bpf_sock = bpf_get_listener_sock(socket).cast();
        if listening.is_null() { 0 } else { of_socket(listening.cast()) }
    }
}
