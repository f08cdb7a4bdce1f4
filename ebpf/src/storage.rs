//! The map type of a socket's storage, which accepted sockets inherit: aya's own has no such flag.

use aya_ebpf::bindings::{BPF_SK_STORAGE_GET_F_CREATE, bpf_map_type};
use aya_ebpf::helpers::generated::bpf_sk_storage_get;
use core::ffi::c_void;

/// The storage of a socket: the id of its process. Accepted sockets get a copy of their listener's.
#[repr(C)]
pub(crate) struct SocketStorage {
    r#type: *const [i32; bpf_map_type::BPF_MAP_TYPE_SK_STORAGE as usize],
    key: *const i32,
    value: *const u64,
    max_entries: *const [i32; 0],
    map_flags: *const [i32; Self::FLAGS],
}

// SAFETY: a definition that the loader reads; no code follows its pointers.
unsafe impl Sync for SocketStorage {}

impl SocketStorage {
    /// `BPF_F_NO_PREALLOC` and `BPF_F_CLONE` (Linux `include/uapi/linux/bpf.h`).
    const FLAGS: usize = 1 << 0 | 1 << 9;

    pub(crate) const fn new() -> Self {
        Self {
            r#type: core::ptr::null(),
            key: core::ptr::null(),
            value: core::ptr::null(),
            max_entries: core::ptr::null(),
            map_flags: core::ptr::null(),
        }
    }

    /// Returns the stored id of a socket, null without one. With `new`, an id is stored if there is none.
    #[inline(always)]
    pub(crate) unsafe fn get(&self, socket: *const c_void, new: *const u64) -> *mut u64 {
        let flags = if new.is_null() { 0 } else { BPF_SK_STORAGE_GET_F_CREATE as u64 };
        let map = core::ptr::from_ref(self).cast_mut().cast();
        unsafe { bpf_sk_storage_get(map, socket.cast_mut(), new.cast_mut().cast(), flags).cast() }
    }
}
