//! Frees that are no drops, by their reason, the kernel's function that frees, and the process that caused them.
//!
//! The kernel itself names the function: its addresses are hidden from processes without the capability SYSLOG.

use aya_ebpf::bindings::bpf_pidns_info;
use aya_ebpf::helpers::generated::{bpf_get_ns_current_pid_tgid, bpf_snprintf};
use eyepiece_wire::{
    FUNCTION_LEN, IGNORE_ALWAYS, IGNORE_IN_FUNCTIONS, IGNORE_OWN_LOOPBACK, IgnoredFunction, IgnoredPlace,
};

use crate::globals::{OFF_DEV_TYPE, OWN_PID, OWN_PID_NAMESPACE, OWN_PID_NAMESPACE_DEVICE};
use crate::headers::ARPHRD_LOOPBACK;
use crate::maps::{EP_FUNCTIONS, EP_IGNORED, EP_PLACES};

/// The kernel's format of the symbol that an address lies in, without the offset.
#[unsafe(no_mangle)]
#[unsafe(link_section = ".rodata")]
static SYMBOL_FORMAT: [u8; 4] = *b"%ps\0";

/// Whether a free with this reason, at this address, of a packet on this device is no drop.
#[inline(always)]
pub(crate) unsafe fn is_ignored(reason: u32, location: u64, device: *const u8) -> bool {
    unsafe {
        let Some(rules) = EP_IGNORED.get(&reason) else { return false };
        let rules = *rules;
        rules & IGNORE_ALWAYS != 0
            || rules & IGNORE_IN_FUNCTIONS != 0 && is_in_function(reason, location)
            || rules & IGNORE_OWN_LOOPBACK != 0 && is_own_loopback(device)
    }
}

/// Whether the function that frees is one of those where the reason is no drop. Looking up a symbol takes microseconds,
/// so the answer is kept for each address.
#[inline(always)]
unsafe fn is_in_function(reason: u32, location: u64) -> bool {
    unsafe {
        let place = IgnoredPlace { location, reason: reason as u64 };
        if let Some(is_ignored) = EP_PLACES.get(&place) {
            return *is_ignored != 0;
        }
        let mut key = IgnoredFunction { reason, name: [0; FUNCTION_LEN] };
        symbol(&mut key.name, location);
        let is_ignored = EP_FUNCTIONS.get(&key).is_some() as u32;
        // A full table costs time only.
        let _ = EP_PLACES.insert(&place, &is_ignored, 0);
        is_ignored != 0
    }
}

/// The name of the function that an address lies in, without what the compiler (`.isra.0`, `.cold`) or the kernel
/// (` [module]`) adds to it. A name that is too long is cut, and equals no rule's.
#[inline(always)]
unsafe fn symbol(name: &mut [u8; FUNCTION_LEN], mut location: u64) {
    unsafe {
        let written = bpf_snprintf(
            name.as_mut_ptr().cast(),
            FUNCTION_LEN as u32,
            SYMBOL_FORMAT.as_ptr().cast(),
            &mut location,
            size_of::<u64>() as u32,
        );
        let mut is_suffix = written < 0;
        for byte in name.iter_mut() {
            is_suffix |= *byte == b'.' || *byte == b' ' || *byte == 0;
            if is_suffix {
                *byte = 0;
            }
        }
    }
}

/// Whether a packet on the loopback is this process's own. The loopback delivers a packet while its sender still runs.
#[inline(always)]
unsafe fn is_own_loopback(device: *const u8) -> bool {
    unsafe {
        if device.is_null() || crate::drops::field::<u16>(device, OFF_DEV_TYPE.load()) != ARPHRD_LOOPBACK {
            return false;
        }
        let mut ids = bpf_pidns_info { pid: 0, tgid: 0 };
        let size = size_of::<bpf_pidns_info>() as u32;
        let found =
            bpf_get_ns_current_pid_tgid(OWN_PID_NAMESPACE_DEVICE.load(), OWN_PID_NAMESPACE.load(), &mut ids, size);
        found == 0 && ids.tgid == OWN_PID.load()
    }
}
