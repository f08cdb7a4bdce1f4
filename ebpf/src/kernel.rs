//! Reads of the kernel's own structs and of packet bytes in kernel memory.

use aya_ebpf::helpers::generated::bpf_probe_read_kernel;

/// Reads a field of a kernel struct that the verifier knows the type of.
#[inline(always)]
pub(crate) unsafe fn field<T: Copy>(object: *const u8, offset: u32) -> T {
    unsafe { *object.add(offset as usize).cast::<T>() }
}

/// Copies `length` bytes of kernel memory, at most `limit`; returns how many, 0 on failure.
#[inline(always)]
pub(crate) unsafe fn copy(from: u64, to: *mut u8, length: u32, limit: u32) -> u32 {
    let mut length = if length < limit { length as u64 } else { limit as u64 };
    unsafe {
        // As in `emit::load`: keeps the bounds in the register that becomes the length.
        core::arch::asm!("{0} = {0}", inout(reg) length, options(nomem, nostack, preserves_flags));
        if length == 0 || length > limit as u64 {
            return 0;
        }
        if bpf_probe_read_kernel(to.cast(), length as u32, from as *const core::ffi::c_void) != 0 {
            return 0;
        }
    }
    length as u32
}

/// Copies a value out of kernel memory; false on failure.
#[inline(always)]
pub(crate) unsafe fn load<T: Copy>(from: u64, to: &mut T) -> bool {
    unsafe { bpf_probe_read_kernel(core::ptr::from_mut(to).cast(), size_of::<T>() as u32, from as *const _) == 0 }
}
