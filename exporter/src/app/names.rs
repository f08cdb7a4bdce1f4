//! The machine's names of drop reasons, kernel symbols and present interfaces, for exports and clients.

use std::borrow::Cow;

use eyepiece_flow::lookup::NameLookup;
use eyepiece_wire::InterfaceKind;

use crate::metadata::Publisher;
use crate::pipeline::metrics::DropReasonNames;
use crate::source::datapath::kernel_names::KernelNames;
use crate::source::replay::RecordedNames;

/// The kernel that names drop reasons and addresses of its functions.
#[derive(Clone)]
pub(super) enum KernelNameSource {
    /// The running one.
    Running(KernelNames),
    /// The kernel of a recording.
    Recorded(RecordedNames),
    /// None: events carry neither.
    Unknown,
}

impl KernelNameSource {
    fn reason(&self, reason: u32) -> Cow<'_, str> {
        match self {
            Self::Running(names) => names.reason(reason),
            Self::Recorded(names) => names.reason(reason),
            Self::Unknown => Cow::Owned(reason.to_string()),
        }
    }

    fn symbol(&self, address: u64, out: &mut String) {
        match self {
            Self::Running(names) => out.push_str(names.symbol(address)),
            Self::Recorded(names) => out.push_str(names.symbol(address).as_deref().unwrap_or_default()),
            Self::Unknown => {}
        }
    }
}

/// Names of this machine; cloning shares them.
#[derive(Clone)]
pub(super) struct MachineNames {
    kernel: KernelNameSource,
    publisher: Publisher,
}

impl MachineNames {
    /// Names from a kernel, and from the interfaces that are published now.
    pub(super) fn new(kernel: KernelNameSource, publisher: Publisher) -> Self {
        Self { kernel, publisher }
    }
}

impl NameLookup for MachineNames {
    fn interface(&self, ifindex: u32, out: &mut String) {
        let links = self.publisher.links();
        if let Some(name) = links.name(links.interface(ifindex).name) {
            out.push_str(name.text());
        }
    }

    fn kernel_reason(&self, reason: u32, out: &mut String) {
        out.push_str(&self.kernel.reason(reason));
    }

    fn kernel_symbol(&self, address: u64, out: &mut String) {
        self.kernel.symbol(address, out);
    }

    fn interface_kind(&self, ifindex: u32) -> InterfaceKind {
        self.publisher.links().interface(ifindex).kind
    }
}

impl DropReasonNames for MachineNames {
    fn reason(&self, reason: u32) -> Cow<'_, str> {
        self.kernel.reason(reason)
    }
}
