//! Follows which entities the registry's entries hold, and finds what came, changed or went since it was last asked.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use super::describe::reported;
use super::event::{EntityEvent, ReportedEntity};
use crate::metadata::provider::{EntityRef, Provider};

/// Type and identifying attributes.
type Id = (&'static str, Vec<(&'static str, String)>);

/// An entity, for as long as an entry holds it or its end is not reported.
#[derive(Debug, Default)]
struct Tracked {
    /// How many entries of each provider hold it, and its newest form. The first provider's is reported.
    holders: BTreeMap<Provider, (usize, Arc<ReportedEntity>)>,
    /// As last reported.
    reported: Option<Arc<ReportedEntity>>,
}

/// The entities. The limits of providers bound them.
#[derive(Debug, Default)]
pub(in crate::metadata) struct EntityTracker {
    entities: HashMap<Id, Tracked>,
    /// Entities that have been added or removed since the last report.
    touched: HashSet<Id>,
}

impl EntityTracker {
    /// An entry of a provider holds an entity from now on.
    pub(in crate::metadata) fn add(&mut self, provider: Provider, owner: &EntityRef) {
        for entity in reported(owner) {
            let id = (entity.kind.name, entity.id.clone());
            let entity = Arc::new(entity);
            let holders = &mut self.entities.entry(id.clone()).or_default().holders;
            let (count, newest) = holders.entry(provider).or_insert_with(|| (0, Arc::clone(&entity)));
            (*count, *newest) = (*count + 1, entity);
            self.touched.insert(id);
        }
    }

    /// An entry of a provider does not hold an entity any more.
    pub(in crate::metadata) fn remove(&mut self, provider: Provider, owner: &EntityRef) {
        for entity in reported(owner) {
            let id = (entity.kind.name, entity.id);
            let Some(Tracked { holders, .. }) = self.entities.get_mut(&id) else { continue };
            let Some((count, _)) = holders.get_mut(&provider) else { continue };
            *count -= 1;
            if *count == 0 {
                holders.remove(&provider);
            }
            self.touched.insert(id);
        }
    }

    /// Returns the entities that came, changed or went since the last call, and if `all` the unchanged ones as well.
    /// Times are in ns since the Unix epoch, the interval of reports in seconds.
    pub(in crate::metadata) fn take(&mut self, time: u64, interval: u64, all: bool) -> Vec<EntityEvent> {
        let mut ids: Vec<Id> = self.touched.drain().collect();
        if all {
            ids = self.entities.keys().cloned().collect();
        }
        let event = |id: Id| {
            let tracked = self.entities.get_mut(&id)?;
            let Some((_, entity)) = tracked.holders.values().next() else {
                let entity = self.entities.remove(&id)?.reported?;
                return Some(EntityEvent { time, report_interval: None, entity });
            };
            if !all && tracked.reported.as_ref() == Some(entity) {
                return None;
            }
            tracked.reported = Some(Arc::clone(entity));
            Some(EntityEvent { time, report_interval: Some(interval), entity: Arc::clone(entity) })
        };
        ids.into_iter().filter_map(event).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use eyepiece_semconv::attribute;

    use super::EntityTracker;
    use crate::metadata::provider::{Entity, EntityKind, EntityRef, Provider};

    fn container(id: &str, name: &str) -> EntityRef {
        let attributes = vec![(attribute::CONTAINER_ID, id.into())];
        let name = name.to_owned();
        Arc::new(Entity { kind: EntityKind::Container, name, attributes, ..Entity::default() }).into()
    }

    /// Events as `+NAME` or `-NAME`, sorted.
    fn taken(tracker: &mut EntityTracker, all: bool) -> Vec<String> {
        let events = tracker.take(5, 300, all).into_iter();
        let mut lines: Vec<_> = events
            .map(|event| {
                assert!(event.time == 5 && event.report_interval.is_none_or(|interval| interval == 300));
                let sign = if event.report_interval.is_some() { '+' } else { '-' };
                format!("{sign}{}", event.entity)
            })
            .collect();
        lines.sort();
        lines
    }

    #[test]
    fn changes_are_reported_once() {
        let (mut tracker, none) = (EntityTracker::default(), [""; 0]);
        let (web, renamed, db) = (container("1", "web"), container("1", "api"), container("2", "db"));
        assert_eq!(taken(&mut tracker, true), none);
        tracker.add(Provider::Docker, &web);
        tracker.add(Provider::Docker, &db);
        tracker.add(Provider::Dns, &Arc::<Entity>::default().into());
        assert_eq!(taken(&mut tracker, false), ["+container db", "+container web"]);
        assert_eq!(taken(&mut tracker, false), none);
        assert_eq!(taken(&mut tracker, true), ["+container db", "+container web"], "again");

        tracker.add(Provider::Docker, &renamed);
        tracker.remove(Provider::Docker, &web);
        assert_eq!(taken(&mut tracker, false), ["+container api"]);
        tracker.add(Provider::Docker, &renamed);
        assert_eq!(taken(&mut tracker, false), none, "another key");
        tracker.remove(Provider::Docker, &renamed);
        assert_eq!(taken(&mut tracker, false), none, "one key is left");
        tracker.remove(Provider::Docker, &renamed);
        tracker.remove(Provider::Docker, &renamed);
        assert_eq!(taken(&mut tracker, false), ["-container api"]);
        tracker.add(Provider::Docker, &web);
        tracker.remove(Provider::Docker, &web);
        assert_eq!(taken(&mut tracker, false), none, "gone before it was reported");
        tracker.remove(Provider::Docker, &db);
        assert_eq!(taken(&mut tracker, true), ["-container db"]);
        assert!(tracker.entities.is_empty() && tracker.touched.is_empty());
    }

    #[test]
    fn first_provider_describes_entity() {
        let mut tracker = EntityTracker::default();
        tracker.add(Provider::Docker, &container("1", "of docker"));
        tracker.add(Provider::Kubernetes, &container("1", "of Kubernetes"));
        assert_eq!(taken(&mut tracker, false), ["+container of Kubernetes"]);
        tracker.remove(Provider::Kubernetes, &container("1", "of Kubernetes"));
        assert_eq!(taken(&mut tracker, false), ["+container of docker"]);
    }
}
