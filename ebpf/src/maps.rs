//! The maps; names and types as in `eyepiece_wire`, sizes set by user space before loading.

use aya_ebpf::btf_maps::{Array, HashMap, LruHashMap, PerCpuArray, PerCpuHashMap, PerfEventByteArray, RingBuf};
use aya_ebpf::macros::btf_map;
use eyepiece_wire::{
    Connection, DropKey, Header, IgnoredFunction, IgnoredPlace, Interface, Key4, Key6, MAX_CAPTURE, Process, Receiver,
    TraceNotify, Tunnel, Untracked, UntrackedKey,
};

use crate::storage::SocketStorage;

/// Room for the largest record.
#[repr(C, align(8))]
pub(crate) struct Scratch(pub(crate) [u8; size_of::<Header>() + size_of::<TraceNotify>() + MAX_CAPTURE as usize]);

#[btf_map]
pub(crate) static EP_RING: RingBuf<u8, 4096> = RingBuf::new();
#[btf_map]
pub(crate) static EP_PERF: PerfEventByteArray = PerfEventByteArray::new();
#[btf_map]
pub(crate) static EP_CONN4: HashMap<Key4, Connection, 1024> = HashMap::new();
#[btf_map]
pub(crate) static EP_CONN6: HashMap<Key6, Connection, 1024> = HashMap::new();
#[btf_map]
pub(crate) static EP_INTERFACES: HashMap<u32, Interface, 16384> = HashMap::new();
#[btf_map]
pub(crate) static EP_NAMESPACES: HashMap<u32, u32, 16384> = HashMap::new();
#[btf_map]
pub(crate) static EP_UNTRACKED: PerCpuHashMap<UntrackedKey, Untracked, 16384> = PerCpuHashMap::new();
#[btf_map]
pub(crate) static EP_DROPS: PerCpuHashMap<DropKey, u64, 16384> = PerCpuHashMap::new();
#[btf_map]
pub(crate) static EP_IGNORED: HashMap<u32, u32, 1024> = HashMap::new();
#[btf_map]
pub(crate) static EP_FUNCTIONS: HashMap<IgnoredFunction, u32, 64> = HashMap::new();
/// Kernel addresses that freed packets with a reason that has rules: some hundreds.
#[btf_map]
pub(crate) static EP_PLACES: HashMap<IgnoredPlace, u32, 4096> = HashMap::new();
#[btf_map]
pub(crate) static EP_RECEIVERS: HashMap<Receiver, u32, { eyepiece_wire::MAX_RECEIVERS }> = HashMap::new();
#[btf_map]
pub(crate) static EP_SOCKETS: SocketStorage = SocketStorage::new();
/// `BPF_F_NO_PREALLOC`: only a moment after the start it has entries.
#[btf_map]
pub(crate) static EP_OPENED: HashMap<u64, u64, { eyepiece_wire::MAX_OPENED }, 1> = HashMap::new();
#[btf_map]
pub(crate) static EP_LISTENERS: LruHashMap<Receiver, u64, { eyepiece_wire::MAX_LISTENERS }> = LruHashMap::new();
#[btf_map]
pub(crate) static EP_PROCESSES: LruHashMap<u64, Process, { eyepiece_wire::MAX_PROCESSES }> = LruHashMap::new();
#[btf_map]
pub(crate) static EP_TUNNELS: HashMap<Tunnel, u32, 1024> = HashMap::new();
#[btf_map]
pub(crate) static EP_COUNTERS: PerCpuArray<u64, { eyepiece_wire::counter_count() as usize }> = PerCpuArray::new();
#[btf_map]
pub(crate) static EP_EMIT: Array<u32, 1> = Array::new();
// Two scratch records: a drop can interrupt a tc program on the same CPU.
#[btf_map]
pub(crate) static EP_SCRATCH_TC: PerCpuArray<Scratch, 1> = PerCpuArray::new();
#[btf_map]
pub(crate) static EP_SCRATCH_DROP: PerCpuArray<Scratch, 1> = PerCpuArray::new();

/// Adds to a counter of this CPU.
#[inline(always)]
pub(crate) fn count(counter: eyepiece_wire::Counter, n: u64) {
    if let Some(value) = EP_COUNTERS.get_ptr_mut(counter as u32) {
        // Atomic although per CPU: a drop in an interrupt may come in between.
        crate::atomic::add(value, n);
    }
}
