//! Converts between snapshots and the facts of a recording; holds the kernel names of a recording.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use eyepiece_flow::interner::Symbols;
use eyepiece_flow::recording::facts;
use eyepiece_flow::recording::facts::{Fact, Whose};

use crate::metadata::{EndInfo, EndKind, InterfaceInfo, Tables};

/// The most names kept of either kind: kernels have some 120 drop reasons, and as many places that drop.
const MAX_NAMES: usize = 65_536;

/// Writes a snapshot as facts.
pub fn write(tables: &Tables, symbols: &Symbols, out: &mut Vec<u8>) {
    for (ifindex, info) in tables.interfaces() {
        let InterfaceInfo { name, kind, endpoint } = info;
        facts::write(&Fact::Interface { ifindex, kind, endpoint, name: &symbols.text(name) }, out);
    }
    for (address, info) in tables.ends() {
        let EndInfo { endpoint, identity, name, kind, shared, learned } = info;
        let kind = match kind {
            EndKind::Endpoint => Whose::Endpoint,
            EndKind::Host => Whose::Host,
            EndKind::World => Whose::World,
        };
        let name = &symbols.text(name);
        facts::write(&Fact::Address { address, kind, endpoint, identity, shared, learned, name }, out);
    }
    for (inode, endpoint) in tables.namespaces() {
        facts::write(&Fact::Namespace { inode, endpoint }, out);
    }
}

/// Reads facts as a snapshot; `None` if they are damaged.
pub fn read(bytes: &[u8], symbols: &Symbols) -> Option<Tables> {
    let mut tables = Tables::new(symbols);
    let whole = facts::read(bytes, |fact| match fact {
        Fact::Interface { ifindex, kind, endpoint, name } => {
            tables.add_interface(ifindex, InterfaceInfo { name: symbols.intern(name), kind, endpoint });
        }
        Fact::Address { address, kind, endpoint, identity, shared, learned, name } => {
            let kind = match kind {
                Whose::Endpoint => EndKind::Endpoint,
                Whose::Host => EndKind::Host,
                Whose::World => EndKind::World,
            };
            let name = symbols.intern(name);
            tables.restore_end(address, EndInfo { endpoint, identity, name, kind, shared, learned });
        }
        Fact::Namespace { inode, endpoint } => tables.add_namespace(inode, endpoint),
    });
    whole.then_some(tables)
}

/// The kernel names of a recording; cloning shares them.
#[derive(Clone, Debug, Default)]
pub struct RecordedNames(Arc<Mutex<Names>>);

#[derive(Debug, Default)]
struct Names {
    reasons: HashMap<u32, Arc<str>>,
    symbols: HashMap<u64, Arc<str>>,
}

impl RecordedNames {
    /// Adds the name of a drop reason.
    pub fn learn_reason(&self, number: u32, name: &str) {
        let mut names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if names.reasons.len() < MAX_NAMES {
            names.reasons.insert(number, name.into());
        }
    }

    /// Adds the name of a kernel address.
    pub fn learn_symbol(&self, address: u64, name: &str) {
        let mut names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if names.symbols.len() < MAX_NAMES {
            names.symbols.insert(address, name.into());
        }
    }

    /// A reason's name; its number if the recording has none.
    pub fn reason(&self, number: u32) -> Cow<'static, str> {
        let names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Cow::Owned(names.reasons.get(&number).map_or_else(|| number.to_string(), |name| (**name).to_owned()))
    }

    /// Symbol and offset of an address; `None` if the recording has none.
    pub fn symbol(&self, address: u64) -> Option<Arc<str>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).symbols.get(&address).cloned()
    }
}
