//! Builds the links' part of the snapshot that flows are enriched from, out of the table of interfaces and the address
//! book.

use std::net::IpAddr;
use std::time::Instant;

use eyepiece_flow::interner::Symbols;

use super::address_book::AddressBook;
use super::classify::Role;
use super::link::Link;
use super::table::LinkTable;
use crate::metadata::{InterfaceInfo, LinkTables};

/// A removed interface that events may still refer to.
#[derive(Clone, Debug)]
pub struct RetiredLink {
    /// When it was removed, ns since the Unix epoch.
    pub at: u64,
    /// When it leaves the snapshot.
    pub until: Instant,
    /// Its last state.
    pub link: Link,
    /// The addresses behind it, if it was an endpoint.
    pub addresses: Vec<IpAddr>,
}

/// The current state of links. `own_inode` is the inode of the machine's network namespace.
pub fn links(
    symbols: &Symbols,
    own_inode: u32,
    table: &LinkTable,
    address_book: &AddressBook,
    retired: &[RetiredLink],
) -> LinkTables {
    let mut links = LinkTables::new(symbols);
    links.add_namespace(own_inode, 0);
    for gone in retired.iter().filter(|gone| table.get(gone.link.ifindex).is_none()) {
        add(&mut links, &gone.link);
    }
    for link in table.links() {
        add(&mut links, link);
        if let Some(inode) = link.peer.and_then(|peer| peer.inode).filter(|_| link.role == Role::Endpoint) {
            links.add_namespace(inode, link.endpoint);
        }
    }
    address_book.host().for_each(|address| links.add_host(address));
    for link in table.links().filter(|link| link.endpoint != 0) {
        for (address, learned) in address_book.endpoint(link.ifindex) {
            links.add_endpoint_address(address, link.endpoint, learned);
        }
    }
    // Last: an endpoint that has the address now wins.
    for gone in retired {
        for &address in &gone.addresses {
            links.add_retired_address(address, gone.link.endpoint, gone.at);
        }
    }
    links
}

fn add(links: &mut LinkTables, link: &Link) {
    let info = InterfaceInfo { name: links.intern(&link.name), kind: link.wire_kind(), endpoint: link.endpoint };
    links.add_interface(link.ifindex, info);
    links.set_generation(link.ifindex, link.generation);
}
