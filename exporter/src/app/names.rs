//! The machine's names for those who write texts: interfaces, drop reasons, kernel symbols.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::enrich::{Publisher, Tables};
use crate::metrics::{InterfaceNames, KernelNames as ReasonNames};
use crate::otlp::names::Names;
use crate::source::datapath::kernel_names::KernelNames;
use crate::source::replay::known::RecordedNames;
use crate::symbols::{Symbol, Symbols};

/// Interfaces that are remembered after they are gone: their series and records still travel. A name is 16 bytes.
const REMEMBERED: usize = 65_536;

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

/// Names of this machine; cloning shares them.
#[derive(Clone)]
pub(super) struct MachineNames {
    kernel: Kernel,
    tables: Publisher,
    symbols: Symbols,
    seen: Arc<Mutex<HashMap<u32, Symbol>>>,
}

impl MachineNames {
    /// Names from the kernel and from the snapshot of interfaces.
    pub(super) fn new(kernel: Kernel, tables: Publisher, symbols: Symbols) -> Self {
        Self { kernel, tables, symbols, seen: Arc::default() }
    }

    fn name_of(&self, ifindex: u32) -> Option<Symbol> {
        let tables: Arc<Tables> = self.tables.current();
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let name = tables.interface(ifindex).name;
        if name == Symbol::EMPTY {
            return seen.get(&ifindex).copied();
        }
        if seen.len() < REMEMBERED || seen.contains_key(&ifindex) {
            seen.insert(ifindex, name);
        }
        Some(name)
    }

    /// Remembers all interfaces that there are now.
    pub(super) fn remember(&self) {
        let tables = self.tables.current();
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        for (ifindex, info) in tables.interfaces() {
            if info.name != Symbol::EMPTY && (seen.len() < REMEMBERED || seen.contains_key(&ifindex)) {
                seen.insert(ifindex, info.name);
            }
        }
    }
}

impl Names for MachineNames {
    fn interface(&self, ifindex: u32, out: &mut String) {
        if let Some(name) = self.name_of(ifindex) {
            out.push_str(&self.symbols.text(name));
        }
    }

    fn kernel_reason(&self, reason: u32, out: &mut String) {
        out.push_str(&self.kernel.reason(reason));
    }

    fn kernel_symbol(&self, address: u64, out: &mut String) {
        self.kernel.symbol(address, out);
    }
}

impl ReasonNames for MachineNames {
    fn reason(&self, reason: u32) -> Cow<'_, str> {
        self.kernel.reason(reason)
    }
}

impl InterfaceNames for MachineNames {
    fn name(&self, ifindex: u32) -> Option<Cow<'_, str>> {
        self.name_of(ifindex).map(|name| Cow::Owned(self.symbols.text(name).as_ref().to_owned()))
    }
}
