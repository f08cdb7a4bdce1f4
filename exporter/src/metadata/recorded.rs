//! Converts between snapshots and the metadata of a recording.

use eyepiece_flow::interner::{Symbol, Symbols};
use eyepiece_flow::recording::metadata;
use eyepiece_flow::recording::metadata::{AddressKind, MetadataEntry};

use super::tables::{EndInfo, EndKind, InterfaceInfo, Tables};

/// Writes a snapshot as metadata entries.
pub fn write(tables: &Tables, out: &mut Vec<u8>) {
    let text = |symbol: Symbol| tables.name(symbol).map(|lease| &**lease.text()).unwrap_or_default();
    for (ifindex, info) in tables.interfaces() {
        let InterfaceInfo { name, kind, endpoint } = info;
        metadata::write(&MetadataEntry::Interface { ifindex, kind, endpoint, name: text(name) }, out);
    }
    for (address, info) in tables.ends() {
        let EndInfo { endpoint, identity, name, kind, shared, learned, .. } = info;
        let kind = match kind {
            EndKind::Endpoint => AddressKind::Endpoint,
            EndKind::Host => AddressKind::Host,
            EndKind::World => AddressKind::World,
        };
        let name = text(name);
        metadata::write(&MetadataEntry::Address { address, kind, endpoint, identity, shared, learned, name }, out);
    }
    for (inode, endpoint) in tables.namespaces() {
        metadata::write(&MetadataEntry::Namespace { inode, endpoint }, out);
    }
}

/// Reads metadata entries as a snapshot; `None` if they are damaged.
pub fn read(bytes: &[u8], symbols: &Symbols) -> Option<Tables> {
    let mut tables = Tables::new(symbols);
    let whole = metadata::read(bytes, |entry| match entry {
        MetadataEntry::Interface { ifindex, kind, endpoint, name } => {
            let name = tables.intern(name);
            tables.add_interface(ifindex, InterfaceInfo { name, kind, endpoint });
        }
        MetadataEntry::Address { address, kind, endpoint, identity, shared, learned, name } => {
            let kind = match kind {
                AddressKind::Endpoint => EndKind::Endpoint,
                AddressKind::Host => EndKind::Host,
                AddressKind::World => EndKind::World,
            };
            let name = tables.intern(name);
            tables.restore_end(address, EndInfo { endpoint, identity, name, kind, shared, learned, retired: 0 });
        }
        MetadataEntry::Namespace { inode, endpoint } => tables.add_namespace(inode, endpoint),
    });
    whole.then_some(tables)
}
