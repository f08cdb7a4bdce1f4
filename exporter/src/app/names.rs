//! The machine's names for those who write texts: interfaces, drop reasons, kernel symbols.

use std::borrow::Cow;
use std::sync::Arc;

use eyepiece_flow::flow::End;
use eyepiece_flow::interner::{Symbol, Symbols};
use eyepiece_flow::lookup::NameLookup;
use eyepiece_wire::InterfaceKind;

use crate::metadata::Publisher;
use crate::pipeline::metrics::{InterfaceNames, KernelNames as ReasonNames};
use crate::source::datapath::kernel_names::KernelNames;
use crate::source::replay::RecordedNames;

/// Whose kernel has names for reasons and addresses.
#[derive(Clone)]
pub(super) enum Kernel {
    /// The running one.
    Running(KernelNames),
    /// The one of a recording.
    Recorded(RecordedNames),
    /// Nobody's: events carry neither.
    Unknown,
}

impl Kernel {
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

/// NameLookup of this machine; cloning shares them.
#[derive(Clone)]
pub(super) struct MachineNames {
    kernel: Kernel,
    tables: Publisher,
    symbols: Symbols,
}

impl MachineNames {
    /// NameLookup from the kernel and from the snapshot of interfaces, which still knows those that are gone.
    pub(super) fn new(kernel: Kernel, tables: Publisher, symbols: Symbols) -> Self {
        Self { kernel, tables, symbols }
    }

    fn name_of(&self, ifindex: u32) -> Option<Arc<str>> {
        let name = self.tables.current().interface(ifindex).name;
        if name == Symbol::EMPTY {
            return self.tables.retired_name(ifindex);
        }
        Some(self.symbols.text(name))
    }
}

impl NameLookup for MachineNames {
    fn interface(&self, ifindex: u32, out: &mut String) {
        if let Some(name) = self.name_of(ifindex) {
            out.push_str(&name);
        }
    }

    fn kernel_reason(&self, reason: u32, out: &mut String) {
        out.push_str(&self.kernel.reason(reason));
    }

    fn kernel_symbol(&self, address: u64, out: &mut String) {
        self.kernel.symbol(address, out);
    }

    fn end(&self, end: &End, out: &mut String) {
        if end.name != Symbol::EMPTY {
            out.push_str(&self.symbols.text(end.name));
        }
    }

    fn interface_kind(&self, ifindex: u32) -> InterfaceKind {
        self.tables.current().interface(ifindex).kind
    }
}

impl ReasonNames for MachineNames {
    fn reason(&self, reason: u32) -> Cow<'_, str> {
        self.kernel.reason(reason)
    }
}

impl InterfaceNames for MachineNames {
    fn name(&self, ifindex: u32, generation: u32) -> Option<Cow<'_, str>> {
        let tables = self.tables.current();
        let name = if tables.generation(ifindex) == generation {
            self.name_of(ifindex)
        } else {
            self.tables.former_name(ifindex, generation)
        };
        name.map(|name| Cow::Owned(name.as_ref().to_owned()))
    }
}
