//! Converts between snapshots and the metadata of a recording.

use eyepiece_flow::interner::{Symbol, Symbols};
use eyepiece_flow::recording::metadata;
use eyepiece_flow::recording::metadata::{AddressKind, MetadataEntry};

use super::link_tables::{EndInfo, EndKind, InterfaceInfo, LinkTables};

/// Writes a snapshot as metadata entries.
pub fn write(links: &LinkTables, out: &mut Vec<u8>) {
    let text = |symbol: Symbol| links.name(symbol).map(|lease| &**lease.text()).unwrap_or_default();
    for (ifindex, info) in links.interfaces() {
        let InterfaceInfo { name, kind, endpoint } = info;
        metadata::write(&MetadataEntry::Interface { ifindex, kind, endpoint, name: text(name) }, out);
    }
    for (address, info) in links.ends() {
        let EndInfo { endpoint, identity, name, kind, shared, learned, .. } = info;
        let kind = match kind {
            EndKind::Endpoint => AddressKind::Endpoint,
            EndKind::Host => AddressKind::Host,
            EndKind::World => AddressKind::World,
        };
        let name = text(name);
        metadata::write(&MetadataEntry::Address { address, kind, endpoint, identity, shared, learned, name }, out);
    }
    for (inode, endpoint) in links.namespaces() {
        metadata::write(&MetadataEntry::Namespace { inode, endpoint }, out);
    }
}

/// Reads metadata entries as a snapshot; `None` if they are damaged.
pub fn read(bytes: &[u8], symbols: &Symbols) -> Option<LinkTables> {
    let mut links = LinkTables::new(symbols);
    let whole = metadata::read(bytes, |entry| match entry {
        MetadataEntry::Interface { ifindex, kind, endpoint, name } => {
            let name = links.intern(name);
            links.add_interface(ifindex, InterfaceInfo { name, kind, endpoint });
        }
        MetadataEntry::Address { address, kind, endpoint, identity, shared, learned, name } => {
            let kind = match kind {
                AddressKind::Endpoint => EndKind::Endpoint,
                AddressKind::Host => EndKind::Host,
                AddressKind::World => EndKind::World,
            };
            let name = links.intern(name);
            links.restore_end(address, EndInfo { endpoint, identity, name, kind, shared, learned, is_retired: false });
        }
        MetadataEntry::Namespace { inode, endpoint } => links.add_namespace(inode, endpoint),
    });
    whole.then_some(links)
}
