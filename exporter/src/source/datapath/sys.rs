//! The `bpf()` calls that aya 0.14 does not have: batched reads of maps, test runs by descriptor, recursion misses, and
//! tcx links by interface index.
//!
//! Layouts: `union bpf_attr` in the kernel's include/uapi/linux/bpf.h.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use eyepiece_wire::{
    Connection, DropKey, IgnoredFunction, Interface, Key4, Key6, Process, Receiver, Tunnel, Untracked, UntrackedKey,
};

const BPF_MAP_LOOKUP_ELEM: libc::c_long = 1;
const BPF_MAP_UPDATE_ELEM: libc::c_long = 2;
const BPF_MAP_DELETE_ELEM: libc::c_long = 3;
const BPF_PROG_TEST_RUN: libc::c_long = 10;
const BPF_OBJ_GET_INFO_BY_FD: libc::c_long = 15;
const BPF_MAP_LOOKUP_AND_DELETE_ELEM: libc::c_long = 21;
const BPF_MAP_LOOKUP_BATCH: libc::c_long = 24;
const BPF_LINK_CREATE: libc::c_long = 28;
/// `enum bpf_attach_type`.
const BPF_TCX_INGRESS: u32 = 46;
const BPF_TCX_EGRESS: u32 = 47;
/// Before all programs of the chain, if no program is named.
const BPF_F_BEFORE: u32 = 1 << 3;

fn bpf<T>(command: libc::c_long, attributes: &mut T) -> io::Result<libc::c_long> {
    // SAFETY: every caller passes a zero-initialised `repr(C)` prefix of `union bpf_attr` whose pointers outlive the
    // call and whose lengths are those of the buffers behind them.
    let result = unsafe {
        libc::syscall(libc::SYS_bpf, command, std::ptr::from_mut(attributes), size_of::<T>() as libc::c_ulong)
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

#[repr(C)]
#[derive(Default)]
struct LinkCreate {
    program: u32,
    target_ifindex: u32,
    attach_type: u32,
    flags: u32,
    relative: u32,
    pad: u32,
    expected_revision: u64,
}

/// Attaches a tc program by tcx (from 6.6) at one side of an interface, first in its chain, until the descriptor
/// closes.
pub fn attach_tcx(program: BorrowedFd<'_>, ifindex: u32, ingress: bool) -> io::Result<OwnedFd> {
    let mut attributes = LinkCreate {
        program: program.as_raw_fd().cast_unsigned(),
        target_ifindex: ifindex,
        attach_type: if ingress { BPF_TCX_INGRESS } else { BPF_TCX_EGRESS },
        flags: BPF_F_BEFORE,
        ..LinkCreate::default()
    };
    let fd = RawFd::try_from(bpf(BPF_LINK_CREATE, &mut attributes)?).map_err(io::Error::other)?;
    // SAFETY: a descriptor that the kernel just opened; no other code has it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

#[repr(C)]
#[derive(Default)]
struct Element {
    map: u32,
    pad: u32,
    key: u64,
    value: u64,
    flags: u64,
}

/// Plain data that may be copied to and from the kernel as bytes.
///
/// # Safety
/// `repr(C)`, no padding, every bit pattern valid.
pub unsafe trait Plain: Copy {}

macro_rules! plain {
    ($($plain:ty)+) => {
        // SAFETY: integers, and wire structs whose padding is named.
        $(unsafe impl Plain for $plain {})+
    };
}

plain! { u32 u64 Connection DropKey IgnoredFunction Interface Key4 Key6 Process Receiver Tunnel Untracked UntrackedKey }

fn address<T>(data: &T) -> u64 {
    std::ptr::from_ref(data) as u64
}

/// Writes one element of a map.
pub fn update<K: Plain, V: Plain>(map: BorrowedFd<'_>, key: &K, value: &V) -> io::Result<()> {
    let map = map.as_raw_fd().cast_unsigned();
    let mut attributes = Element { map, key: address(key), value: address(value), ..Element::default() };
    bpf(BPF_MAP_UPDATE_ELEM, &mut attributes).map(drop)
}

/// Removes one element; a missing one is no error.
pub fn delete<K: Plain>(map: BorrowedFd<'_>, key: &K) -> io::Result<()> {
    let map = map.as_raw_fd().cast_unsigned();
    match bpf(BPF_MAP_DELETE_ELEM, &mut Element { map, key: address(key), ..Element::default() }) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other.map(drop),
    }
}

/// An element of a per-CPU map. The caller keeps `values` until its call returns.
fn per_cpu<K: Plain, V: Plain>(map: BorrowedFd<'_>, key: &K, values: &mut [V]) -> Element {
    debug_assert_eq!(size_of::<V>() % 8, 0, "the kernel rounds each CPU's value up to 8 bytes");
    let (map, value) = (map.as_raw_fd().cast_unsigned(), values.as_mut_ptr() as u64);
    Element { map, key: address(key), value, ..Element::default() }
}

/// Reads one element of a per-CPU map: a value for every possible CPU.
pub fn lookup_per_cpu<K: Plain, V: Plain>(map: BorrowedFd<'_>, key: &K, values: &mut [V]) -> io::Result<()> {
    bpf(BPF_MAP_LOOKUP_ELEM, &mut per_cpu(map, key, values)).map(drop)
}

/// Removes one element of a per-CPU hash map (5.14 and later) and reads its last values, one for every possible CPU.
/// Returns false, and leaves `values`, if it is missing.
pub fn take_per_cpu<K: Plain, V: Plain>(map: BorrowedFd<'_>, key: &K, values: &mut [V]) -> io::Result<bool> {
    match bpf(BPF_MAP_LOOKUP_AND_DELETE_ELEM, &mut per_cpu(map, key, values)) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

#[repr(C)]
#[derive(Default)]
struct Batch {
    in_batch: u64,
    out_batch: u64,
    keys: u64,
    values: u64,
    count: u32,
    map: u32,
    element_flags: u64,
    flags: u64,
}

/// Reads whole hash maps in a few calls into buffers that it keeps.
#[derive(Debug)]
pub struct BatchReader<K, V> {
    keys: Vec<K>,
    values: Vec<V>,
    per_entry: usize,
}

/// Elements per call: enough for any bucket of the hash, few enough to stay in the cache.
const BATCH: usize = 1024;

impl<K: Plain + Default, V: Plain + Default> BatchReader<K, V> {
    /// A reader of maps with `per_entry` values per entry: 1, or the number of possible CPUs.
    pub fn new(per_entry: usize) -> Self {
        Self { keys: vec![K::default(); BATCH], values: vec![V::default(); BATCH * per_entry], per_entry }
    }

    /// Calls `each` with every entry, once. Entries added or removed meanwhile may be missed.
    pub fn read(&mut self, map: BorrowedFd<'_>, mut each: impl FnMut(&K, &[V])) -> io::Result<()> {
        // The kernel's cursor for hash maps is 4 bytes; 8 leave room.
        let (mut cursor, mut next) = (0_u64, 0_u64);
        let mut first = true;
        loop {
            let mut attributes = Batch {
                in_batch: if first { 0 } else { address(&cursor) },
                out_batch: std::ptr::from_mut(&mut next) as u64,
                keys: self.keys.as_mut_ptr() as u64,
                values: self.values.as_mut_ptr() as u64,
                count: BATCH as u32,
                map: map.as_raw_fd().cast_unsigned(),
                ..Batch::default()
            };
            let result = bpf(BPF_MAP_LOOKUP_BATCH, &mut attributes);
            let last = match result {
                Ok(_) => false,
                Err(error) if error.kind() == io::ErrorKind::NotFound => true,
                Err(error) => return Err(error),
            };
            let count = attributes.count as usize;
            for (key, values) in self.keys[..count].iter().zip(self.values.chunks_exact(self.per_entry)) {
                each(key, values);
            }
            if last {
                return Ok(());
            }
            first = false;
            cursor = next;
        }
    }
}

#[repr(C)]
#[derive(Default)]
struct TestRun {
    program: u32,
    result: u32,
    data_size_in: u32,
    data_size_out: u32,
    data_in: u64,
    data_out: u64,
    repeat: u32,
    duration: u32,
    context_size_in: u32,
    context_size_out: u32,
    context_in: u64,
    context_out: u64,
    flags: u32,
    cpu: u32,
    batch_size: u32,
    pad: u32,
}

/// Runs a program `repeat` times with `data` as its packet and writes the changed packet back. Returns ns per run.
pub fn test_run(program: BorrowedFd<'_>, data: &mut [u8], repeat: u32) -> io::Result<u32> {
    let size = u32::try_from(data.len()).map_err(io::Error::other)?;
    let mut attributes = TestRun {
        program: program.as_raw_fd().cast_unsigned(),
        data_size_in: size,
        data_size_out: size,
        data_in: data.as_ptr() as u64,
        data_out: data.as_mut_ptr() as u64,
        repeat,
        ..TestRun::default()
    };
    bpf(BPF_PROG_TEST_RUN, &mut attributes)?;
    Ok(attributes.duration)
}

#[repr(C)]
#[derive(Default)]
struct InfoByFd {
    fd: u32,
    length: u32,
    info: u64,
}

/// Offset of `recursion_misses` in `struct bpf_prog_info` (5.12 and later).
const RECURSION_MISSES: usize = 208;

/// Returns how often a tracing program was skipped while it ran on that CPU; 0 if the kernel lacks the count.
pub fn recursion_misses(program: BorrowedFd<'_>) -> io::Result<u64> {
    let mut info = [0_u8; 256];
    let mut attributes =
        InfoByFd { fd: program.as_raw_fd().cast_unsigned(), length: info.len() as u32, info: info.as_mut_ptr() as u64 };
    bpf(BPF_OBJ_GET_INFO_BY_FD, &mut attributes)?;
    let bytes = info[RECURSION_MISSES..].first_chunk().copied().unwrap_or_default();
    Ok(u64::from_ne_bytes(bytes))
}

/// The possible CPUs, in order: an entry of a per-CPU map has one value for each of them.
pub fn possible_cpus() -> io::Result<Vec<u16>> {
    let text = std::fs::read_to_string("/sys/devices/system/cpu/possible")?;
    cpu_list(&text).ok_or_else(|| io::Error::other(format!("unreadable CPU list {text:?}")))
}

/// Parses a CPU list of the kernel: `0,2-3,8`.
fn cpu_list(text: &str) -> Option<Vec<u16>> {
    let mut cpus = Vec::new();
    for range in text.trim().split(',') {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        cpus.extend(first.parse::<u16>().ok()?..=last.parse().ok()?);
    }
    (!cpus.is_empty() && cpus.is_sorted()).then_some(cpus)
}

/// Jiffies per second, from the resolution of the coarse clock.
pub fn jiffies_per_second() -> u64 {
    let tick = nix::time::clock_getres(nix::time::ClockId::CLOCK_MONOTONIC_COARSE);
    let nanoseconds = tick.map(|tick| tick.tv_nsec().cast_unsigned()).unwrap_or_default();
    // 250 is the usual HZ of distributions' kernels.
    1_000_000_000_u64.checked_div(nanoseconds).unwrap_or(250)
}

#[cfg(test)]
mod tests {
    use super::cpu_list;

    #[test]
    fn cpu_lists_may_have_gaps() {
        for (text, expected) in [
            ("0\n", Some(&[0][..])),
            ("0-1\n", Some(&[0, 1])),
            ("0,2-3,8", Some(&[0, 2, 3, 8])),
            ("4-5,64", Some(&[4, 5, 64])),
            ("", None),
            ("0-", None),
            ("3-1", None),
            ("5,1", None),
            ("0-x", None),
        ] {
            assert_eq!(cpu_list(text).as_deref(), expected, "{text:?}");
        }
    }
}
