//! Notifies an observer of endpoints and their addresses that are new, changed or gone.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use super::address_book::AddressBook;
use super::table::LinkTable;
use crate::support::source_address::is_link_local;

/// A change of an endpoint or of a known address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A new endpoint: its id and its interface's name.
    Created(u16, Arc<str>),
    /// A removed endpoint: its id and its interface's name.
    Deleted(u16, Arc<str>),
    /// An address is known to be an endpoint's, and maybe was another's before: the address and the endpoint's id.
    Learned(IpAddr, u16),
    /// An address is no endpoint's any more.
    Forgotten(IpAddr),
}

/// A callback for changes, called on the watcher's task: it must not wait. None by default; cloning shares it.
#[derive(Clone, Default)]
pub struct EndpointObserver(Option<Arc<dyn Fn(Change) + Send + Sync>>);

impl EndpointObserver {
    /// Wraps a callback.
    pub fn new(notify: impl Fn(Change) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(notify)))
    }
}

impl fmt::Debug for EndpointObserver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("EndpointObserver").field(&self.0.is_some()).finish()
    }
}

/// The list of endpoints as last notified.
#[derive(Debug, Default)]
pub struct EndpointNotifier {
    observer: EndpointObserver,
    /// Interface names by id and interface: an id may be given to another interface at once.
    endpoints: BTreeMap<(u16, u32), Arc<str>>,
    addresses: BTreeMap<IpAddr, u16>,
}

impl EndpointNotifier {
    /// An empty list.
    pub fn new(observer: EndpointObserver) -> Self {
        Self { observer, ..Self::default() }
    }

    /// Compares the list with the current state, and notifies the differences: first removed entries, then new ones.
    pub fn update(&mut self, table: &LinkTable, address_book: &AddressBook) {
        let Some(notify) = self.observer.0.clone() else { return };
        let links = || table.links().filter(|link| link.endpoint != 0);
        let endpoints = links().map(|link| ((link.endpoint, link.ifindex), link.name.as_str().into())).collect();
        let mut addresses = BTreeMap::new();
        // Configured addresses win over learned ones of any endpoint.
        for learned in [false, true] {
            for link in links() {
                for (address, _) in address_book
                    .endpoint(link.ifindex)
                    .filter(|(address, how)| *how == learned && !is_link_local(*address))
                {
                    addresses.entry(address).or_insert(link.endpoint);
                }
            }
        }
        self.replace(endpoints, addresses, &*notify);
    }

    fn replace(
        &mut self,
        endpoints: BTreeMap<(u16, u32), Arc<str>>,
        addresses: BTreeMap<IpAddr, u16>,
        notify: &dyn Fn(Change),
    ) {
        let old = std::mem::replace(&mut self.addresses, addresses);
        for &address in old.keys().filter(|address| !self.addresses.contains_key(address)) {
            notify(Change::Forgotten(address));
        }
        for (key, name) in self.endpoints.iter().filter(|(key, _)| !endpoints.contains_key(key)) {
            notify(Change::Deleted(key.0, Arc::clone(name)));
        }
        for (key, name) in endpoints.iter().filter(|(key, _)| !self.endpoints.contains_key(key)) {
            notify(Change::Created(key.0, Arc::clone(name)));
        }
        self.endpoints = endpoints;
        for (&address, &endpoint) in self.addresses.iter().filter(|(address, id)| old.get(*address) != Some(*id)) {
            notify(Change::Learned(address, endpoint));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::sync::{Arc, Mutex};

    use super::{Change, EndpointNotifier, EndpointObserver};

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn step(notifier: &mut EndpointNotifier, endpoints: &[(u16, u32)], addresses: &[(&str, u16)]) -> Vec<Change> {
        let changes = Arc::new(Mutex::new(Vec::new()));
        let addresses = addresses.iter().map(|&(address, endpoint)| (ip(address), endpoint)).collect();
        let endpoints = endpoints.iter().map(|&(id, ifindex)| ((id, ifindex), format!("veth{ifindex}").into()));
        notifier.replace(endpoints.collect(), addresses, &|change| changes.lock().unwrap().push(change));
        Arc::try_unwrap(changes).unwrap().into_inner().unwrap()
    }

    #[test]
    fn only_differences_are_notified() {
        use Change::{Forgotten, Learned};
        let created = |id, name: &str| Change::Created(id, name.into());
        let deleted = |id, name: &str| Change::Deleted(id, name.into());
        let mut notifier = EndpointNotifier::new(EndpointObserver::default());
        let (one, two) = (ip("10.0.0.1"), ip("fd00::2"));
        for (endpoints, addresses, expected) in [
            (&[][..], &[][..], vec![]),
            (&[(1, 7)], &[], vec![created(1, "veth7")]),
            (&[(1, 7)], &[("10.0.0.1", 1)], vec![Learned(one, 1)]),
            (&[(1, 7)], &[("10.0.0.1", 1)], vec![]),
            (
                &[(1, 7), (2, 8)],
                &[("10.0.0.1", 2), ("fd00::2", 2)],
                vec![created(2, "veth8"), Learned(one, 2), Learned(two, 2)],
            ),
            (
                &[(1, 9)],
                &[("10.0.0.1", 1)],
                vec![Forgotten(two), deleted(1, "veth7"), deleted(2, "veth8"), created(1, "veth9"), Learned(one, 1)],
            ),
            (&[], &[], vec![Forgotten(one), deleted(1, "veth9")]),
        ] {
            assert_eq!(step(&mut notifier, endpoints, addresses), expected, "{endpoints:?} {addresses:?}");
        }
    }
}
