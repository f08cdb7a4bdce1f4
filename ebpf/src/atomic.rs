//! Atomic addition and exchange of 64-bit numbers.
//!
//! `AtomicU64` does not compile for bpfel; these intrinsics become `BPF_ATOMIC` instructions (`-C target-cpu=v3`).

use core::intrinsics::{AtomicOrdering, atomic_xadd, atomic_xchg};

/// `*target += value`.
#[inline(always)]
pub(crate) fn add(target: *mut u64, value: u64) {
    // SAFETY: callers pass pointers into map values, aligned to 8 by their layout.
    unsafe {
        atomic_xadd::<u64, u64, { AtomicOrdering::Relaxed }>(target, value);
    }
}

/// Returns the value and leaves 0.
#[inline(always)]
pub(crate) fn take(target: *mut u64) -> u64 {
    // SAFETY: as above.
    unsafe { atomic_xchg::<u64, { AtomicOrdering::Relaxed }>(target, 0) }
}
