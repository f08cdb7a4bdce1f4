//! Converts between snapshots and the facts of a recording.

use eyepiece_flow::interner::{Symbol, Symbols};
use eyepiece_flow::recording::facts;
use eyepiece_flow::recording::facts::{AddressKind, Fact};

use super::tables::{EndInfo, EndKind, InterfaceInfo, Tables};

/// Writes a snapshot as facts.
pub fn write(tables: &Tables, out: &mut Vec<u8>) {
    let text = |symbol: Symbol| tables.name(symbol).map(|lease| &**lease.text()).unwrap_or_default();
    for (ifindex, info) in tables.interfaces() {
        let InterfaceInfo { name, kind, endpoint } = info;
        facts::write(&Fact::Interface { ifindex, kind, endpoint, name: text(name) }, out);
    }
    for (address, info) in tables.ends() {
        let EndInfo { endpoint, identity, name, kind, shared, learned } = info;
        let kind = match kind {
            EndKind::Endpoint => AddressKind::Endpoint,
            EndKind::Host => AddressKind::Host,
            EndKind::World => AddressKind::World,
        };
        let name = text(name);
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
            let name = tables.intern(name);
            tables.add_interface(ifindex, InterfaceInfo { name, kind, endpoint });
        }
        Fact::Address { address, kind, endpoint, identity, shared, learned, name } => {
            let kind = match kind {
                AddressKind::Endpoint => EndKind::Endpoint,
                AddressKind::Host => EndKind::Host,
                AddressKind::World => EndKind::World,
            };
            let name = tables.intern(name);
            tables.restore_end(address, EndInfo { endpoint, identity, name, kind, shared, learned });
        }
        Fact::Namespace { inode, endpoint } => tables.add_namespace(inode, endpoint),
    });
    whole.then_some(tables)
}
