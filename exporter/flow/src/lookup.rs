//! What flows carry as numbers and the kernel knows by name.

use eyepiece_wire::InterfaceKind;

use crate::flow::End;

/// Looks up names that belong to this machine. Called while encoding, a few times for each request at most for the
/// same number, never by the pipeline: an implementation may take a lock, but must not wait for IO.
pub trait NameLookup: Send + Sync {
    /// Appends the name of a network interface; nothing where it is unknown.
    fn interface(&self, ifindex: u32, out: &mut String);

    /// Appends the kernel's name of an `enum skb_drop_reason` without its prefix (`NETFILTER_DROP`); the upper
    /// 16 bits are the subsystem. Nothing where it is unknown.
    fn kernel_reason(&self, reason: u32, out: &mut String);

    /// Appends symbol and offset of a kernel address (`nf_hook_slow+0x9c`); nothing where it is unknown.
    fn kernel_symbol(&self, address: u64, out: &mut String);

    /// Appends the name of a flow's end, [`End::name`]; nothing where it is unknown.
    fn end(&self, _end: &End, _out: &mut String) {}

    /// The kind of a network interface; `Other` where it is unknown.
    fn interface_kind(&self, _ifindex: u32) -> InterfaceKind {
        InterfaceKind::Other
    }
}

/// Knows no name: for sources that are not this machine's kernel.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoLookup;

impl NameLookup for NoLookup {
    fn interface(&self, _: u32, _: &mut String) {}

    fn kernel_reason(&self, _: u32, _: &mut String) {}

    fn kernel_symbol(&self, _: u64, _: &mut String) {}
}
