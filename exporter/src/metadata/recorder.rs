//! A receiver that records what providers send, as lines.

use std::sync::Mutex;
use std::time::Duration;

use super::provider::{Change, ChangeReceiver, Condition, Key, Provider, Target};
use crate::support::lock::lock;

/// The recorded lines.
#[derive(Debug, Default)]
pub(super) struct Recorder(Mutex<Vec<String>>);

impl Recorder {
    /// Returns the lines since the last call.
    pub(super) fn take(&self) -> Vec<String> {
        std::mem::take(&mut lock(&self.0))
    }

    /// Waits until a line is recorded, and returns all lines up to then.
    pub(super) async fn wait_for(&self, line: &str) -> Vec<String> {
        let mut lines = Vec::new();
        for _ in 0..1000 {
            lines.extend(self.take());
            if lines.iter().any(|known| known == line) {
                return lines;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("no {line:?} in {lines:#?}");
    }

    fn add(&self, lines: impl IntoIterator<Item = String>) {
        lock(&self.0).extend(lines);
    }
}

fn entry(key: &Key, target: &Target) -> String {
    match target {
        Target::Entity(entity) | Target::Container(entity, _) => {
            format!("  {key:?} -> {:?} {}", entity.kind, entity.name)
        }
        Target::Key(next) => format!("  {key:?} -> {next:?}"),
    }
}

impl ChangeReceiver for Recorder {
    fn apply(&self, provider: Provider, changes: Vec<Change>) {
        let line = |change: &Change| match change {
            Change::Set(key, target) => entry(key, target),
            Change::Remove(key) => format!("  {key:?} removed"),
        };
        self.add(std::iter::once(format!("{provider:?} apply")).chain(changes.iter().map(line)));
    }

    fn replace(&self, provider: Provider, entries: Vec<(Key, Target)>) {
        let lines = entries.iter().map(|(key, target)| entry(key, target));
        self.add(std::iter::once(format!("{provider:?} replace")).chain(lines));
    }

    fn report(&self, provider: Provider, condition: Condition, objects: usize) {
        let text = match condition {
            Condition::Connecting(None) => format!("connecting {objects}"),
            Condition::Connecting(Some(error)) => format!("connecting {objects}: {error}"),
            Condition::Current => format!("current {objects}"),
            Condition::Limited(why) => format!("limited {objects}: {why}"),
            Condition::Stale { error, .. } => format!("stale {objects}: {error}"),
            Condition::Unavailable(error) => format!("unavailable {objects}: {error}"),
        };
        self.add([format!("{provider:?} {text}")]);
    }
}
