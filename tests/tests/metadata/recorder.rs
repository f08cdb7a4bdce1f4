//! Receives what a provider sends, as the registry of names does.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use eyepiece::metadata::provider::{Change, ChangeReceiver, Condition, Entity, EntityRef, Key, Provider, Target};

#[derive(Debug, Default)]
struct Received {
    entries: HashMap<Key, Target>,
    condition: Option<(Condition, usize)>,
    /// Every entity that was ever there, by its name.
    seen: HashMap<String, Arc<Entity>>,
}

impl Received {
    fn set(&mut self, key: Key, target: Target) {
        if let Some(EntityRef { entity, .. }) = target.entity() {
            self.seen.insert(entity.name.clone(), entity);
        }
        self.entries.insert(key, target);
    }
}

/// The entries of one provider.
#[derive(Debug, Default)]
pub(crate) struct Recorder(Mutex<Received>);

impl Recorder {
    fn received(&self) -> MutexGuard<'_, Received> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Name of the entity that a key leads to.
    pub(crate) fn name(&self, key: &Key) -> Option<String> {
        let received = self.received();
        let mut target = received.entries.get(key)?;
        // A key leads on at most four times.
        for _ in 0..4 {
            match target {
                Target::Entity(entity) | Target::Container(entity, _) => return Some(entity.name.clone()),
                Target::Key(next) => target = received.entries.get(next)?,
            }
        }
        None
    }

    /// The entity of a name, if it is or was there.
    pub(crate) fn seen(&self, name: &str) -> Option<Arc<Entity>> {
        self.received().seen.get(name).cloned()
    }

    /// How many entries there are.
    pub(crate) fn len(&self) -> usize {
        self.received().entries.len()
    }

    /// The last condition and number of objects.
    pub(crate) fn condition(&self) -> Option<(Condition, usize)> {
        self.received().condition.clone()
    }
}

impl ChangeReceiver for Recorder {
    fn apply(&self, _: Provider, changes: Vec<Change>) {
        let mut received = self.received();
        for change in changes {
            match change {
                Change::Set(key, target) => received.set(key, target),
                Change::Remove(key) => assert!(received.entries.remove(&key).is_some(), "{key:?} is not there"),
            }
        }
    }

    fn replace(&self, _: Provider, entries: Vec<(Key, Target)>) {
        let mut received = self.received();
        received.entries.clear();
        entries.into_iter().for_each(|(key, target)| received.set(key, target));
    }

    fn report(&self, _: Provider, condition: Condition, objects: usize) {
        self.received().condition = Some((condition, objects));
    }
}
