//! Lookup of names for numbers in flows.

use eyepiece_wire::InterfaceKind;

use crate::endpoint::End;

/// Looks up names of this machine.
///
/// Encoders call it, the pipeline does not: an implementation may take a lock, but must not wait for IO.
pub trait NameLookup: Send + Sync {
    /// Appends the name of a network interface, or nothing if it is unknown.
    fn interface(&self, _ifindex: u32, _out: &mut String) {}

    /// Appends the kernel's name of an `enum skb_drop_reason` without its prefix (`NETFILTER_DROP`), or nothing if it is
    /// unknown. The upper 16 bits are the subsystem.
    fn kernel_reason(&self, _reason: u32, _out: &mut String) {}

    /// Appends symbol and offset of a kernel address (`nf_hook_slow+0x9c`), or nothing if it is unknown.
    fn kernel_symbol(&self, _address: u64, _out: &mut String) {}

    /// Appends the name of a flow's source or destination, or nothing if it is unknown.
    fn end(&self, _end: &End, _out: &mut String) {}

    /// Returns the kind of a network interface; `Other` if it is unknown.
    fn interface_kind(&self, _ifindex: u32) -> InterfaceKind {
        InterfaceKind::Other
    }
}

/// A lookup without names, for sources other than this machine's kernel.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoLookup;

impl NameLookup for NoLookup {}
