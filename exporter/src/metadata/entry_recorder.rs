//! A receiver that applies what a provider sends to entries.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard};

use super::provider::{Change, ChangeReceiver, Condition, Key, Provider, Target};

#[derive(Debug, Default)]
struct Received {
    entries: HashMap<Key, Target>,
    conditions: Vec<(Condition, usize)>,
    replacements: usize,
}

/// The entries of one provider, and its reports.
#[derive(Debug, Default)]
pub(super) struct EntryRecorder(Mutex<Received>);

impl EntryRecorder {
    fn received(&self) -> MutexGuard<'_, Received> {
        self.0.lock().expect("no test has panicked here")
    }

    pub(super) fn entries(&self) -> HashMap<Key, Target> {
        self.received().entries.clone()
    }

    pub(super) fn conditions(&self) -> Vec<(Condition, usize)> {
        self.received().conditions.clone()
    }

    /// The last condition and number of objects.
    pub(super) fn condition(&self) -> Option<(Condition, usize)> {
        self.received().conditions.last().cloned()
    }

    pub(super) fn replacements(&self) -> usize {
        self.received().replacements
    }
}

impl ChangeReceiver for EntryRecorder {
    fn apply(&self, _: Provider, changes: Vec<Change>) {
        let mut received = self.received();
        for change in changes {
            match change {
                Change::Set(key, target) => drop(received.entries.insert(key, target)),
                Change::Remove(key) => assert!(received.entries.remove(&key).is_some(), "{key:?} is not there"),
            }
        }
    }

    fn replace(&self, _: Provider, entries: Vec<(Key, Target)>) {
        let mut received = self.received();
        received.entries = entries.into_iter().collect();
        received.replacements += 1;
    }

    fn report(&self, _: Provider, condition: Condition, objects: usize) {
        self.received().conditions.push((condition, objects));
    }
}
