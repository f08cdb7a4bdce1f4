//! The machine's names of interfaces, drop reasons and kernel symbols, for exports and clients.

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
    tables: Publisher,
    symbols: Symbols,
}

impl MachineNames {
    /// Names from a kernel, and from the published interfaces and those that are gone.
    pub(super) fn new(kernel: KernelNameSource, tables: Publisher, symbols: Symbols) -> Self {
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
        let name = tables.interface(ifindex).name;
        // The index alone does not name an interface that is gone: others may have had it since.
        let name = if name != Symbol::EMPTY && tables.generation(ifindex) == generation {
            Some(self.symbols.text(name))
        } else {
            self.tables.former_name(ifindex, generation)
        };
        name.map(|name| Cow::Owned(name.as_ref().to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use eyepiece_flow::interner::Symbols;

    use super::{Cow, InterfaceNames as _, KernelNameSource, MachineNames};
    use crate::metadata::{InterfaceInfo, Publisher, Tables};

    #[test]
    fn reused_index_keeps_both_names() {
        let symbols = Symbols::default();
        let publisher = Publisher::new(Tables::new(&symbols));
        let names = MachineNames::new(KernelNameSource::Unknown, publisher.clone(), symbols.clone());
        let both = || [0, 1].map(|generation| names.name(7, generation).map(Cow::into_owned));
        for (generation, name, expected) in [(0, "a", [Some("a"), None]), (1, "b", [Some("a"), Some("b")])] {
            let mut tables = Tables::new(&symbols);
            let lease = symbols.lease(name);
            tables.add_interface(7, InterfaceInfo { name: lease.symbol(), ..InterfaceInfo::default() });
            tables.hold(7, lease.into());
            tables.set_generation(7, generation);
            publisher.publish(tables);
            assert_eq!(both(), expected.map(|name| name.map(str::to_owned)));
        }
        // Both are gone, and the snapshot has no generation of the index any more.
        publisher.publish(Tables::new(&symbols));
        assert_eq!(both(), [Some("a".to_owned()), Some("b".to_owned())]);
    }
}
