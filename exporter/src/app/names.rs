//! The machine's names for those who write texts: interfaces, drop reasons, kernel symbols.

use std::borrow::Cow;
use std::sync::Arc;

use crate::enrich::Publisher;
use crate::metrics::{InterfaceNames, KernelNames as ReasonNames};
use crate::otlp::names::Names;
use crate::source::datapath::kernel_names::KernelNames;
use crate::symbols::{Symbol, Symbols};

/// Names of this machine; cloning shares them.
#[derive(Clone)]
pub(super) struct MachineNames {
    kernel: KernelNames,
    tables: Publisher,
    symbols: Symbols,
}

impl MachineNames {
    /// Names from the kernel and from the snapshot of interfaces, which still knows those that are gone.
    pub(super) fn new(kernel: KernelNames, tables: Publisher, symbols: Symbols) -> Self {
        Self { kernel, tables, symbols }
    }

    fn name_of(&self, ifindex: u32) -> Option<Arc<str>> {
        let name = self.tables.current().interface(ifindex).name;
        if name == Symbol::EMPTY {
            return self.tables.departed_name(ifindex);
        }
        Some(self.symbols.text(name))
    }
}

impl Names for MachineNames {
    fn interface(&self, ifindex: u32, out: &mut String) {
        if let Some(name) = self.name_of(ifindex) {
            out.push_str(&name);
        }
    }

    fn kernel_reason(&self, reason: u32, out: &mut String) {
        out.push_str(&self.kernel.reason(reason));
    }

    fn kernel_symbol(&self, address: u64, out: &mut String) {
        out.push_str(self.kernel.symbol(address));
    }
}

impl ReasonNames for MachineNames {
    fn reason(&self, reason: u32) -> Cow<'_, str> {
        self.kernel.reason(reason)
    }
}

impl InterfaceNames for MachineNames {
    fn name(&self, ifindex: u32) -> Option<Cow<'_, str>> {
        self.name_of(ifindex).map(|name| Cow::Owned(name.as_ref().to_owned()))
    }
}
