//! The known containers, their keys, and the changes of keys that a change of a container causes.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::container::{Container, MAX_CONTAINERS, Network};
use super::entity::entity;
use crate::metadata::provider::{Change, Entity, Key, Target};

/// The time that a container is kept before its start: its first packets come before its start is reported.
const BEFORE_START: Duration = Duration::from_secs(60);
/// The time that a container is kept after its end: its control group and network namespace may be reported later. That
/// takes about as long as `metadata::local` looks at a new folder; names that flows have had already, the registry keeps.
const AFTER_END: Duration = Duration::from_secs(5);

/// A container that claims a key. The first one of several wins: the owner of a shared namespace before its guests.
type Claimant = (Network, Arc<str>);

/// A known container.
#[derive(Debug)]
struct Known {
    entity: Arc<Entity>,
    network: Network,
    namespace: Option<u32>,
    addresses: BTreeSet<IpAddr>,
    /// When it is forgotten; `None` while it runs.
    until: Option<Instant>,
}

impl Known {
    /// Its keys besides its id.
    fn keys(&self) -> HashSet<Key> {
        self.namespace.map(Key::Namespace).into_iter().chain(self.addresses.iter().copied().map(Key::Address)).collect()
    }
}

/// The containers that are known.
#[derive(Debug, Default)]
pub(super) struct State {
    containers: HashMap<Arc<str>, Known>,
    claims: HashMap<Key, BTreeSet<Claimant>>,
}

impl State {
    /// The number of running containers.
    pub(super) fn len(&self) -> usize {
        self.ids().count()
    }

    /// The ids of running containers.
    pub(super) fn ids(&self) -> impl Iterator<Item = &Arc<str>> {
        self.containers.iter().filter(|(_, known)| known.until.is_none()).map(|(id, _)| id)
    }

    /// Returns whether a container is known, running or not.
    pub(super) fn knows(&self, id: &str) -> bool {
        self.containers.contains_key(id)
    }

    /// Returns whether there is room for a container.
    pub(super) fn has_room_for(&self, id: &str) -> bool {
        self.containers.len() < MAX_CONTAINERS || self.containers.contains_key(id)
    }

    /// Returns whether a container of a listing is as it is known; a listing has no namespaces.
    pub(super) fn has(&self, listed: &Container) -> bool {
        self.containers.get(&listed.id).is_some_and(|known| {
            known.until.is_none() && known.addresses == listed.addresses && *known.entity.pod_name == *listed.name
        })
    }

    /// Adds or replaces a container that there is room for.
    pub(super) fn set(&mut self, container: Container) -> Vec<Change> {
        let mut changes = Vec::new();
        let entity = Arc::new(entity(&container));
        let Container { id, network, namespace, addresses, is_stopped, .. } = container;
        let until = is_stopped.then(|| match self.containers.get(&id) {
            Some(Known { until: Some(until), .. }) => *until,
            Some(_) => Instant::now() + AFTER_END,
            None => Instant::now() + BEFORE_START,
        });
        let known = Known { entity: Arc::clone(&entity), network, namespace, addresses, until };
        let (new, old) = (known.keys(), self.containers.insert(Arc::clone(&id), known));
        let kept = old.as_ref().filter(|old| old.network == network).map(Known::keys).unwrap_or_default();
        // The entity first: the target of a key always exists.
        if old.as_ref().is_none_or(|old| old.entity != entity) {
            changes.push(Change::Set(Key::Container(Arc::clone(&id)), Target::Entity(entity)));
        }
        if let Some(old) = old {
            let gone = old.keys().into_iter().filter(|key| !(kept.contains(key) && new.contains(key)));
            gone.for_each(|key| self.release(key, &(old.network, Arc::clone(&id)), &mut changes));
        }
        let added = new.into_iter().filter(|key| !kept.contains(key));
        added.for_each(|key| self.claim(key, (network, Arc::clone(&id)), &mut changes));
        changes
    }

    /// Takes the keys of a container that has ended, and keeps it for a time; without changes if it is not known.
    pub(super) fn stop(&mut self, id: &Arc<str>) -> Vec<Change> {
        let mut changes = Vec::new();
        let Some(known) = self.containers.get_mut(id).filter(|known| known.until.is_none()) else { return changes };
        let keys = known.keys();
        (known.namespace, known.until) = (None, Some(Instant::now() + AFTER_END));
        known.addresses.clear();
        let claimant = (known.network, Arc::clone(id));
        keys.into_iter().for_each(|key| self.release(key, &claimant, &mut changes));
        changes
    }

    /// Removes containers whose time is over.
    pub(super) fn expire(&mut self, now: Instant) -> Vec<Change> {
        let is_over = |_: &Arc<str>, known: &mut Known| known.until.is_some_and(|until| until <= now);
        // Stopped containers have no other keys.
        self.containers.extract_if(is_over).map(|(id, _)| Change::Remove(Key::Container(id))).collect()
    }

    /// Replaces all containers; leaves out those beyond the limit.
    pub(super) fn replace(&mut self, containers: Vec<Container>) {
        *self = Self::default();
        for container in containers {
            if self.has_room_for(&container.id) {
                self.set(container);
            }
        }
    }

    /// All entries.
    pub(super) fn entries(&self) -> Vec<(Key, Target)> {
        let entity = |(id, known): (&Arc<str>, &Known)| {
            (Key::Container(Arc::clone(id)), Target::Entity(Arc::clone(&known.entity)))
        };
        let claimed = |(key, claimants): (&Key, &BTreeSet<Claimant>)| Some((key.clone(), target(claimants)?));
        self.containers.iter().map(entity).chain(self.claims.iter().filter_map(claimed)).collect()
    }

    fn claim(&mut self, key: Key, claimant: Claimant, changes: &mut Vec<Change>) {
        let claimants = self.claims.entry(key.clone()).or_default();
        let before = target(claimants);
        claimants.insert(claimant);
        if let Some(now) = target(claimants).filter(|now| before.as_ref() != Some(now)) {
            changes.push(Change::Set(key, now));
        }
    }

    fn release(&mut self, key: Key, claimant: &Claimant, changes: &mut Vec<Change>) {
        let Some(claimants) = self.claims.get_mut(&key) else { return };
        let before = target(claimants);
        claimants.remove(claimant);
        match target(claimants) {
            now if now == before => {}
            Some(now) => changes.push(Change::Set(key, now)),
            None => {
                self.claims.remove(&key);
                changes.push(Change::Remove(key));
            }
        }
    }
}

/// Where a key leads.
fn target(claimants: &BTreeSet<Claimant>) -> Option<Target> {
    claimants.first().map(|(_, id)| Target::Key(Key::Container(Arc::clone(id))))
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::net::IpAddr;
    use std::time::Instant;

    use super::{AFTER_END, BEFORE_START, MAX_CONTAINERS, State};
    use crate::metadata::docker::container::{Container, Network};
    use crate::metadata::provider::{Change, Key, Target};

    fn container(id: &str, network: Network, namespace: Option<u32>, addresses: &[&str]) -> Container {
        let addresses = addresses.iter().map(|text| text.parse().expect("an address")).collect();
        Container { id: id.into(), name: id.to_owned(), network, namespace, addresses, ..Container::default() }
    }

    /// The entries that a receiver has after changes.
    #[derive(Default)]
    struct Received(HashMap<Key, Target>);

    impl Received {
        fn apply(&mut self, changes: Vec<Change>) {
            for change in changes {
                match change {
                    Change::Set(key, target) => assert_ne!(self.0.insert(key, target.clone()), Some(target)),
                    Change::Remove(key) => assert!(self.0.remove(&key).is_some(), "{key:?} is not there"),
                }
            }
        }

        fn leads(&self, key: &Key) -> Option<&str> {
            match self.0.get(key)? {
                Target::Key(Key::Container(id)) => Some(id),
                other => panic!("{key:?} has the target {other:?}"),
            }
        }
    }

    /// Name, container, and the entries that it adds or removes.
    type Step<'a> = (&'a str, Container, &'a [(Key, Option<&'a str>)]);

    #[test]
    fn changes_add_up_to_entries() {
        let (mut state, mut received) = (State::default(), Received::default());
        let address = |text: &str| Key::Address(text.parse::<IpAddr>().expect("an address"));
        let steps: [Step<'_>; 6] = [
            (
                "a container in two networks",
                container("a", Network::Own, Some(7), &["10.0.0.2", "fd00::2"]),
                &[(Key::Namespace(7), Some("a")), (address("10.0.0.2"), Some("a")), (address("fd00::2"), Some("a"))],
            ),
            ("nothing new", container("a", Network::Own, Some(7), &["10.0.0.2", "fd00::2"]), &[]),
            ("a guest", container("0", Network::Shared, Some(7), &[]), &[(Key::Namespace(7), Some("a"))]),
            (
                "a disconnect",
                container("a", Network::Own, Some(7), &["10.0.0.3"]),
                &[(address("10.0.0.2"), None), (address("fd00::2"), None), (address("10.0.0.3"), Some("a"))],
            ),
            (
                "a restart",
                container("a", Network::Own, Some(8), &["10.0.0.3"]),
                &[(Key::Namespace(7), Some("0")), (Key::Namespace(8), Some("a"))],
            ),
            ("a container of the host", container("h", Network::Host, None, &[]), &[]),
        ];
        for (name, container, expected) in steps {
            received.apply(state.set(container));
            for (key, id) in expected {
                assert_eq!(received.leads(key), *id, "{name}: {key:?}");
            }
            assert_eq!(received.0, state.entries().into_iter().collect(), "{name}");
        }
        assert!(state.set(container("a", Network::Own, Some(8), &["10.0.0.3"])).is_empty(), "as it was");
        for id in ["a", "0", "h"] {
            received.apply(state.stop(&id.into()));
            assert_eq!(received.0, state.entries().into_iter().collect(), "without {id}");
        }
        assert!(received.0.len() == 3 && state.claims.is_empty() && state.len() == 0, "their entities stay");
        assert!(state.stop(&"a".into()).is_empty(), "it has ended");
        received.apply(state.set(container("a", Network::Own, Some(9), &[])));
        received.apply(state.expire(Instant::now() + AFTER_END));
        assert_eq!((received.0.len(), state.len()), (2, 1), "one runs again");
    }

    #[test]
    fn stopped_container_has_entity_only() {
        let mut state = State::default();
        let created = Container { is_stopped: true, ..container("a", Network::Own, None, &[]) };
        assert_eq!((state.set(created).len(), state.len(), state.entries().len()), (1, 0, 1));
        assert!(!state.has(&container("a", Network::Own, None, &[])), "it is listed once it runs");
        assert!(state.expire(Instant::now() + AFTER_END).is_empty());
        assert_eq!(state.expire(Instant::now() + BEFORE_START), [Change::Remove(Key::Container("a".into()))]);
        assert!(state.entries().is_empty());
    }

    #[test]
    fn owner_precedes_guests_in_any_order() {
        for order in [["guest", "owner"], ["owner", "guest"]] {
            let (mut state, mut received) = (State::default(), Received::default());
            for id in order {
                let network = if id == "owner" { Network::Own } else { Network::Shared };
                received.apply(state.set(container(id, network, Some(7), &[])));
            }
            assert_eq!(received.leads(&Key::Namespace(7)), Some("owner"), "{order:?}");
            received.apply(state.stop(&"owner".into()));
            assert_eq!(received.leads(&Key::Namespace(7)), Some("guest"), "the owner has ended");
        }
    }

    #[test]
    fn capacity_edges_of_containers() {
        for n in [0, 1, MAX_CONTAINERS - 1, MAX_CONTAINERS, MAX_CONTAINERS + 1] {
            let mut state = State::default();
            state.replace((0..n).map(|id| container(&id.to_string(), Network::Own, None, &[])).collect());
            assert_eq!(state.len(), n.min(MAX_CONTAINERS), "{n}");
            assert_eq!(state.has_room_for("new"), n < MAX_CONTAINERS, "{n}");
            assert!(n == 0 || state.has_room_for("0"), "{n}");
        }
    }

    #[test]
    fn listed_container_is_compared() {
        let mut state = State::default();
        state.set(container("a", Network::Own, Some(7), &["10.0.0.2"]));
        let named =
            |name: &str, address| Container { name: name.to_owned(), ..container("a", Network::Own, None, &[address]) };
        assert!(state.has(&named("a", "10.0.0.2")));
        assert!(!state.has(&named("b", "10.0.0.2")) && !state.has(&named("a", "10.0.0.3")));
    }
}
