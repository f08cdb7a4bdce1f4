//! Follows this machine's endpoints and their addresses, and notifies of them with the entities that name them.
//!
//! The watcher of interfaces reports what comes and goes; providers name it, most often later. A name that goes before
//! its endpoint stays in the notifications: a container's daemon often reports the end before its interface is gone.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::Notify;

use super::notification::{Address, Endpoint, Notification};
use super::notifier::Notifier;
use crate::metadata::provider::Entity;
use crate::metadata::{NameSnapshot, Publisher, Reader};
use crate::support::lock::lock;
use crate::support::shutdown;
use crate::support::shutdown::Stop;

/// Pause between two comparisons with the newest snapshot: as long as that between two publications of names.
const INTERVAL: Duration = Duration::from_millis(100);

/// Follows endpoints; clones share the state.
#[derive(Clone)]
pub struct EndpointFollower(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    publisher: Publisher,
    /// An address has come, by which its endpoint may have a name.
    learned: Notify,
}

struct State {
    names: Reader,
    notifier: Notifier,
    /// Returns an address of this machine.
    host: fn() -> Option<IpAddr>,
    /// By id, as last notified.
    endpoints: BTreeMap<u16, Endpoint>,
    /// The endpoint's id and the entity of each address, as last notified.
    addresses: BTreeMap<IpAddr, (u16, Option<Arc<Entity>>)>,
}

impl EndpointFollower {
    /// Follows no endpoint yet. `host` returns the address of this machine that notifications have.
    pub fn new(publisher: &Publisher, notifier: Notifier, host: fn() -> Option<IpAddr>) -> Self {
        let (endpoints, addresses) = (BTreeMap::new(), BTreeMap::new());
        let state = State { names: publisher.reader(), notifier, host, endpoints, addresses };
        Self(Arc::new(Shared { state: Mutex::new(state), publisher: publisher.clone(), learned: Notify::new() }))
    }

    /// Follows the names of endpoints until a shutdown.
    pub async fn run(self, mut stop: Stop) {
        loop {
            tokio::select! {
                _ = shutdown::requested(&mut stop) => return,
                () = self.0.publisher.changed() => {}
                () = self.0.learned.notified() => {}
            }
            self.update();
            tokio::time::sleep(INTERVAL).await;
        }
    }

    /// A new endpoint.
    pub fn created(&self, id: u16, interface: Arc<str>) {
        let mut state = self.state();
        let entity = entity_of(state.names.refresh(), id, &[]);
        let endpoint = Endpoint { id, interface, entity };
        state.endpoints.insert(id, endpoint.clone());
        state.notifier.send(Notification::EndpointCreated(endpoint));
    }

    /// A removed endpoint.
    pub fn deleted(&self, id: u16, interface: Arc<str>) {
        let mut state = self.state();
        let entity = state.endpoints.remove(&id).and_then(|known| known.entity);
        state.notifier.send(Notification::EndpointDeleted(Endpoint { id, interface, entity }));
    }

    /// An address is an endpoint's, and maybe was another's before.
    pub fn learned(&self, address: IpAddr, endpoint: u16) {
        self.state().upsert(address, endpoint);
        self.0.learned.notify_one();
    }

    /// An address is no endpoint's any more.
    pub fn forgotten(&self, address: IpAddr) {
        let mut state = self.state();
        let entity = state.addresses.remove(&address).and_then(|(_, entity)| entity);
        let host = (state.host)();
        state.notifier.send(Notification::AddressDeleted(Address { address, entity, old_identity: None, host }));
    }

    /// Compares all endpoints with the newest snapshot, and notifies of those that have another name.
    fn update(&self) {
        let state = &mut *self.state();
        let names = Arc::clone(state.names.refresh());
        let mut addresses: BTreeMap<u16, Vec<IpAddr>> = BTreeMap::new();
        for (address, (endpoint, _)) in &state.addresses {
            addresses.entry(*endpoint).or_default().push(*address);
        }
        for endpoint in state.endpoints.values_mut() {
            let found = entity_of(&names, endpoint.id, addresses.get(&endpoint.id).map_or(&[], Vec::as_slice));
            if let Some(entity) = found
                && !is_same(endpoint.entity.as_deref(), Some(&entity))
            {
                endpoint.entity = Some(entity);
                state.notifier.send(Notification::EndpointChanged(endpoint.clone()));
            }
        }
        for (endpoint, address) in addresses.into_iter().flat_map(|(id, all)| all.into_iter().map(move |one| (id, one)))
        {
            state.upsert(address, endpoint);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.0.state)
    }
}

impl State {
    /// Gives an address the name of its endpoint, and notifies if that is new.
    fn upsert(&mut self, address: IpAddr, endpoint: u16) {
        let entity = self.endpoints.get(&endpoint).and_then(|endpoint| endpoint.entity.clone());
        let old = self.addresses.insert(address, (endpoint, entity.clone()));
        if let Some((owner, known)) = &old
            && *owner == endpoint
            && is_same(known.as_deref(), entity.as_deref())
        {
            return;
        }
        let old_identity = old.map(|(_, known)| known.map_or(0, |known| known.identity));
        let host = (self.host)();
        self.notifier.send(Notification::AddressUpserted(Address { address, entity, old_identity, host }));
    }
}

/// The entity of an endpoint: by its network namespace, else by an address that is configured there, as in flows.
fn entity_of(names: &NameSnapshot, endpoint: u16, addresses: &[IpAddr]) -> Option<Arc<Entity>> {
    let by_address = || addresses.iter().find_map(|address| names.entity_at_address_of(endpoint, address, None));
    let link = names.entity_of_endpoint(endpoint).or_else(by_address)?;
    names.entities().entity(link.entity).cloned()
}

/// Returns whether two entities are the same in notifications.
fn is_same(one: Option<&Entity>, other: Option<&Entity>) -> bool {
    let none = Entity::default();
    let (one, other) = (one.unwrap_or(&none), other.unwrap_or(&none));
    let (one_end, other_end) = (&one.metadata, &other.metadata);
    one.identity == other.identity
        && one_end.namespace == other_end.namespace
        && one.pod_name == other.pod_name
        && one_end.labels == other_end.labels
}

#[cfg(test)]
mod tests;
