//! Joins the entries of all providers, and publishes the entities of their keys.

mod lookup;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use eyepiece_flow::interner::Symbols;
use eyepiece_flow::lookup::EntityFields as _;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, sleep_until};

use super::context_names::{ContextNames, WantedTexts};
use super::entities::{Entities, EntityLink, NamedEntity};
use super::entity_events::event::EntityEvent;
use super::entity_events::tracker::EntityTracker;
use super::provider::{Change, ChangeReceiver, Condition, Entity, EntityRef, Key, Provider, Target};
use super::publish::Publisher;
use crate::support::lock::lock;

/// Keys that are followed to an entity at most: control group, container, pod, and one to spare.
const MAX_STEPS: usize = 4;
/// Pause between publications: shorter than the life of a container, and fifty a second cost little.
const PUBLICATION_INTERVAL: Duration = Duration::from_millis(20);

/// How long an entity stays after its end: the last totals of its connections come later, and are still named.
pub(crate) const GRACE: Duration = Duration::from_secs(60);
/// Keys of entities that have ended at most, some 32 MiB with their entities; the earliest make room.
const MAX_ENDED: usize = 1 << 15;

/// The entries of all providers. Providers change it, and its task publishes the changes.
#[derive(Debug)]
pub struct Registry {
    names: Names,
    publisher: Publisher,
    state: Mutex<State>,
    changed: Notify,
    entities_touched: Notify,
}

/// Makes the names of entities.
#[derive(Debug)]
struct Names {
    symbols: Symbols,
    wanted: WantedTexts,
}

impl Names {
    fn name(&self, owner: EntityRef) -> NamedEntity {
        let (contexts, texts) = ContextNames::lease(&self.wanted, &owner.fields(), &self.symbols);
        let name = Arc::new(self.symbols.lease(&owner.entity.name));
        NamedEntity { owner, name, contexts, _texts: texts.into() }
    }
}

#[derive(Debug, Default)]
struct State {
    /// Targets in the order of precedence.
    entries: HashMap<Key, Vec<(Provider, Target)>>,
    /// Keys that are targets, each with a key that it is the target of.
    references: BTreeSet<(Key, Key)>,
    /// The number of a key's entity in `published`.
    entity_numbers: HashMap<Key, u32>,
    /// Number and count of keys of each entity and container, those of [`Ended`] included, by its addresses in memory,
    /// which its entry in `published` keeps.
    numbers: HashMap<(usize, usize), (u32, usize)>,
    free: Vec<u32>,
    /// In the order of their ends.
    ended: VecDeque<Ended>,
    published: Entities,
    is_changed: bool,
    /// `None` unless entities are reported.
    tracker: Option<EntityTracker>,
    conditions: BTreeMap<Provider, (Condition, usize)>,
}

/// A key's entity that has ended.
#[derive(Debug)]
struct Ended {
    /// When it is dropped.
    until: Instant,
    entity: u32,
    /// The key, if it still leads to the entity.
    key: Option<Key>,
}

impl Registry {
    /// A registry without entries. Names of entities, and the texts that metrics refer to, are interned in `symbols`.
    pub fn new(symbols: Symbols, publisher: Publisher, wanted: WantedTexts) -> Arc<Self> {
        let names = Names { symbols, wanted };
        let (state, changed, entities_touched) = (Mutex::default(), Notify::new(), Notify::new());
        Arc::new(Self { names, publisher, state, changed, entities_touched })
    }

    /// Follows entities from now on, for [`Self::take_entity_events`].
    pub fn follow_entities(&self) {
        self.state().tracker.get_or_insert_default();
    }

    /// Waits for a change since the last call returned. For one task only.
    pub async fn entities_touched(&self) {
        self.entities_touched.notified().await;
    }

    /// The events of what changed since the last call; if `all`, also of what did not. `time` in ns since the Unix epoch,
    /// `interval`, that of reports, in seconds.
    pub fn take_entity_events(&self, time: u64, interval: u64, all: bool) -> Vec<EntityEvent> {
        self.state().tracker.as_mut().map(|tracker| tracker.take(time, interval, all)).unwrap_or_default()
    }

    /// Publishes changes as they come, at most fifty times a second; never returns.
    pub async fn publish_changes(self: Arc<Self>) {
        loop {
            let next_end = self.state().ended.front().map(|ended| ended.until);
            tokio::select! {
                () = self.changed.notified() => {}
                () = sleep_until(next_end.unwrap_or_else(Instant::now)), if next_end.is_some() => {}
            }
            self.publish();
            sleep(PUBLICATION_INTERVAL).await;
        }
    }

    /// Publishes all changes so far.
    pub fn publish(&self) {
        self.publish_at(Instant::now());
    }

    /// Publishes all changes, without the entities whose grace is over at this time.
    pub(crate) fn publish_at(&self, now: Instant) {
        // Under the lock: a later call publishes the later state.
        let mut state = self.state();
        state.expire(now);
        if std::mem::take(&mut state.is_changed) {
            self.publisher.publish_entities(Arc::new(state.published.clone()));
        }
    }

    /// Condition and number of objects of each provider that reported one.
    pub fn conditions(&self) -> BTreeMap<Provider, (Condition, usize)> {
        self.state().conditions.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    fn change(&self, change: impl FnOnce(&mut State) -> HashSet<Key>) {
        let mut state = self.state();
        let keys = change(&mut state);
        if !keys.is_empty() {
            state.update_keys(keys, &self.names);
            drop(state);
            self.changed.notify_one();
            self.entities_touched.notify_one();
        }
    }
}

impl ChangeReceiver for Registry {
    fn apply(&self, provider: Provider, changes: Vec<Change>) {
        self.change(|state| {
            let mut changed = HashSet::new();
            for change in changes {
                let (key, target) = match change {
                    Change::Set(key, target) => (key, Some(target)),
                    Change::Remove(key) => (key, None),
                };
                if state.set(provider, &key, target.as_ref()) {
                    changed.insert(key);
                }
            }
            changed
        });
    }

    fn replace(&self, provider: Provider, entries: Vec<(Key, Target)>) {
        self.change(|state| {
            let has = |targets: &Vec<(Provider, Target)>| targets.iter().any(|(known, _)| *known == provider);
            let mut old: HashSet<Key> =
                state.entries.iter().filter(|(_, targets)| has(targets)).map(|(key, _)| key.clone()).collect();
            let mut changed = HashSet::new();
            for (key, target) in entries {
                old.remove(&key);
                if state.set(provider, &key, Some(&target)) {
                    changed.insert(key);
                }
            }
            for key in old {
                state.set(provider, &key, None);
                changed.insert(key);
            }
            changed
        });
    }

    fn report(&self, provider: Provider, condition: Condition, objects: usize) {
        let mut state = self.state();
        state.conditions.insert(provider, (condition, objects));
        let is_current = |provider| matches!(state.conditions.get(provider), Some((Condition::Current, _)));
        let names_endpoints = [Provider::Kubernetes, Provider::Docker].iter().any(is_current);
        if names_endpoints != state.published.names_endpoints {
            state.published.names_endpoints = names_endpoints;
            state.is_changed = true;
            drop(state);
            self.changed.notify_one();
        }
    }
}

impl State {
    /// Sets or removes a provider's target at a key. Returns whether that changed it.
    fn set(&mut self, provider: Provider, key: &Key, target: Option<&Target>) -> bool {
        let targets = self.entries.entry(key.clone()).or_default();
        let place = targets.binary_search_by_key(&provider, |(known, _)| *known);
        let old = match (place, target.cloned()) {
            (Ok(place), Some(target)) => Some(std::mem::replace(&mut targets[place].1, target)),
            (Ok(place), None) => Some(targets.remove(place).1),
            (Err(place), Some(target)) => {
                // Nearly always of one provider.
                targets.reserve_exact(1);
                targets.insert(place, (provider, target));
                None
            }
            (Err(_), None) => None,
        };
        let still_refers =
            |to: &Key| targets.iter().any(|(_, target)| matches!(target, Target::Key(known) if known == to));
        if let Some(Target::Key(to)) = &old
            && !still_refers(to)
        {
            self.references.remove(&(to.clone(), key.clone()));
        }
        if targets.is_empty() {
            self.entries.remove(key);
        }
        if let Some(Target::Key(to)) = target {
            self.references.insert((to.clone(), key.clone()));
        }
        let is_changed = old.as_ref() != target;
        if let Some(tracker) = self.tracker.as_mut().filter(|_| is_changed) {
            if let Some(owner) = target.and_then(Target::entity) {
                tracker.add(provider, &owner);
            }
            if let Some(owner) = old.as_ref().and_then(Target::entity) {
                tracker.remove(provider, &owner);
            }
        }
        is_changed
    }

    /// Updates the entities of changed keys, and of the keys whose targets they are.
    fn update_keys(&mut self, mut keys: HashSet<Key>, names: &Names) {
        let mut newest: Vec<Key> = keys.iter().cloned().collect();
        for _ in 0..MAX_STEPS {
            let referrers = newest.iter().flat_map(|key| self.referrers(key));
            newest = referrers.filter(|key| keys.insert(Key::clone(key))).cloned().collect();
        }
        let now = Instant::now();
        for key in keys {
            self.update_key(&key, names, now);
        }
        self.expire(now);
    }

    /// The keys whose target is a key.
    fn referrers<'a>(&'a self, to: &'a Key) -> impl Iterator<Item = &'a Key> {
        let from = (to.clone(), Key::FIRST);
        self.references.range(from..).take_while(move |(known, _)| known == to).map(|(_, from)| from)
    }

    fn update_key(&mut self, key: &Key, names: &Names, now: Instant) {
        // Containers and pods are targets of other keys only.
        if matches!(key, Key::Container(_) | Key::Pod(_)) {
            return;
        }
        let old = self.entity_numbers.get(key).copied();
        let found = self.entity(key);
        let link = found.map(|owner| self.number(owner, names));
        let new = link.map(|link| link.entity);
        if let Some(new) = new {
            self.entity_numbers.insert(key.clone(), new);
        } else {
            self.entity_numbers.remove(key);
        }
        // The number of a control group is not used again: it leads to its entity until that is dropped.
        let stays = new.is_none() && matches!(key, Key::ControlGroup(_));
        match old {
            Some(entity) if new.is_none() => {
                self.ended.push_back(Ended { until: now + GRACE, entity, key: stays.then(|| key.clone()) });
            }
            Some(old) => self.release(old),
            None => {}
        }
        if old != new {
            if !stays {
                self.published.set(key, link);
            }
            self.is_changed = true;
        }
    }

    /// Drops entities whose grace is over.
    fn expire(&mut self, now: Instant) {
        while self.ended.len() > MAX_ENDED || self.ended.front().is_some_and(|ended| ended.until <= now) {
            let Some(Ended { entity, key, .. }) = self.ended.pop_front() else { return };
            // Unless it leads to another one by now.
            if let Some(key) = key.filter(|key| !self.entity_numbers.contains_key(key)) {
                self.published.set(&key, None);
            }
            self.release(entity);
            self.is_changed = true;
        }
    }

    /// The entity of a key. One without DNS names has those that were seen for its address.
    fn entity(&self, key: &Key) -> Option<EntityRef> {
        let found = self.resolve(key, MAX_STEPS)?.entity()?;
        let seen = self.entries.get(key)?.iter().find(|(provider, _)| *provider == Provider::Dns);
        Some(match seen {
            Some((_, Target::Entity(dns))) if found.entity.dns_names.is_empty() && !Arc::ptr_eq(&found.entity, dns) => {
                let entity = Entity { dns_names: dns.dns_names.clone(), ..Entity::clone(&found.entity) };
                EntityRef { entity: Arc::new(entity), ..found }
            }
            _ => found,
        })
    }

    /// Follows a key to the target that is an entity, by the first provider whose target leads to one.
    fn resolve(&self, key: &Key, steps: usize) -> Option<&Target> {
        self.entries.get(key)?.iter().find_map(|(_, target)| match target {
            Target::Entity(_) | Target::Container(..) => Some(target),
            Target::Key(next) => self.resolve(next, steps.checked_sub(1)?),
        })
    }

    /// Returns the number of an entity or container, for one more key.
    fn number(&mut self, owner: EntityRef, names: &Names) -> EntityLink {
        let (addresses, identity) = (owner.memory_addresses(), owner.entity.identity);
        let entity = if let Some((number, keys)) = self.numbers.get_mut(&addresses) {
            *keys += 1;
            *number
        } else {
            let next = self.numbers.len() + 1;
            // The free numbers and those in use are all up to the highest.
            let number = self.free.pop().unwrap_or_else(|| u32::try_from(next).unwrap_or(u32::MAX));
            self.numbers.insert(addresses, (number, 1));
            self.published.set_entity(number, Some(names.name(owner)));
            number
        };
        EntityLink { entity, name: self.published.symbol(entity), identity }
    }

    /// Drops one key of an entity, and with the last one the entity.
    fn release(&mut self, number: u32) {
        let Some(addresses) = self.published.owner(number).map(EntityRef::memory_addresses) else { return };
        let Some((_, keys)) = self.numbers.get_mut(&addresses) else { return };
        *keys -= 1;
        if *keys == 0 {
            self.numbers.remove(&addresses);
            self.published.set_entity(number, None);
            self.free.push(number);
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
