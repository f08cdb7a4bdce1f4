//! Builds the snapshot that flows are enriched from, out of the table of interfaces and the address book.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use eyepiece_flow::interner::{Lease, Symbols};

use super::address_book::AddressBook;
use super::classify::Role;
use super::link::Link;
use super::table::LinkTable;
use crate::metadata::{InterfaceInfo, Tables};

/// A removed interface that events may still refer to.
#[derive(Clone, Debug)]
pub struct RetiredLink {
    /// The time of its removal.
    pub until: Instant,
    /// Its last state.
    pub link: Link,
    /// The addresses behind it, if it was an endpoint.
    pub addresses: Vec<IpAddr>,
}

/// The current snapshot; shares names with the one before. `own_inode` is that of the machine's network namespace.
pub fn tables(
    symbols: &Symbols,
    before: &Tables,
    own_inode: u32,
    table: &LinkTable,
    address_book: &AddressBook,
    retired: &[RetiredLink],
) -> Tables {
    let mut tables = Tables::new(symbols);
    let known: HashMap<&str, &Arc<Lease>> = before.leases().iter().map(|(_, lease)| (&**lease.text(), lease)).collect();
    let lease = |name: &str| known.get(name).map_or_else(|| Arc::new(symbols.lease(name)), |known| Arc::clone(known));
    tables.add_namespace(own_inode, 0);
    for gone in retired.iter().filter(|gone| table.get(gone.link.ifindex).is_none()) {
        add(&mut tables, &gone.link, lease(&gone.link.name));
    }
    for link in table.links() {
        add(&mut tables, link, lease(&link.name));
        if let Some(inode) = link.peer.and_then(|peer| peer.inode).filter(|_| link.role == Role::Endpoint) {
            tables.add_namespace(inode, link.endpoint);
        }
    }
    address_book.host().for_each(|address| tables.add_host(address));
    for link in table.links().filter(|link| link.endpoint != 0) {
        for (address, learned) in address_book.endpoint(link.ifindex) {
            tables.add_endpoint_address(address, link.endpoint, learned);
        }
    }
    // Last, and as learned only: an endpoint that has the address now wins.
    for gone in retired {
        for &address in &gone.addresses {
            tables.add_endpoint_address(address, gone.link.endpoint, true);
        }
    }
    tables
}

fn add(tables: &mut Tables, link: &Link, name: Arc<Lease>) {
    let info = InterfaceInfo { name: name.symbol(), kind: link.wire_kind(), endpoint: link.endpoint };
    tables.add_interface(link.ifindex, info);
    tables.set_generation(link.ifindex, link.generation);
    tables.hold(link.ifindex, name);
}
