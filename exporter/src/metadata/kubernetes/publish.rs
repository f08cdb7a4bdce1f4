//! Applies events of objects to the state of the cluster, and sends the changes of entities to the receiver.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use eyepiece_semconv::{attribute, metric};
use tracing::warn;

use super::cluster_state::{ClusterState, Dropped, Scope};
use super::follow::ObjectEvent;
use super::health::Health;
use super::objects::Kind;
use crate::metadata::provider::{Change, ChangeReceiver, Condition, Key, Provider, Target};
use crate::support::telemetry::{Number, Telemetry};

/// The provider's state, and its receiver.
pub(super) struct Publication {
    state: ClusterState,
    health: Health,
    receiver: Arc<dyn ChangeReceiver>,
    telemetry: Telemetry,
    limit: Number,
    invalid: Number,
    /// Whether the receiver has had the first full listing.
    has_begun: bool,
    reported: Option<(Condition, usize)>,
    node: String,
}

fn seconds(now: SystemTime) -> i64 {
    now.duration_since(UNIX_EPOCH).map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
}

impl Publication {
    pub(super) fn new(scope: Scope, receiver: Arc<dyn ChangeReceiver>, telemetry: &Telemetry) -> Self {
        let dropped = |reason| {
            telemetry.counter(metric::EYEPIECE_KUBERNETES_OBJECTS_DROPPED.name, &[(attribute::EYEPIECE_REASON, reason)])
        };
        let mut publication = Self {
            node: scope.node.clone(),
            state: ClusterState::new(scope),
            health: Health::new(),
            receiver,
            telemetry: telemetry.clone(),
            limit: dropped("limit"),
            invalid: dropped("invalid"),
            has_begun: false,
            reported: None,
        };
        publication.report(Condition::Connecting(None));
        publication
    }

    /// Applies an event of an object, or of a list or watch.
    pub(super) fn apply(&mut self, kind: Kind, event: ObjectEvent, now: SystemTime) {
        match event {
            ObjectEvent::Begin => self.state.begin(kind),
            ObjectEvent::Set(object) => match self.state.set(&object, seconds(now)) {
                Ok(()) => {}
                Err(Dropped::Limit) => {
                    if self.limit.get() == 0 {
                        warn!(
                            resource = kind.resource(),
                            "kubernetes: there are too many objects: further ones are left out"
                        );
                    }
                    self.limit.add(1);
                }
                Err(Dropped::Invalid) => self.invalid.add(1),
            },
            ObjectEvent::Remove(object) => self.state.remove(&object),
            ObjectEvent::Finish => {
                self.state.finish(kind);
                if kind == Kind::Nodes && !self.state.knows_own_node() {
                    warn!(node = self.node, "kubernetes: the cluster has no node of the name in node.name");
                }
            }
            ObjectEvent::Current => self.health.current(kind),
            ObjectEvent::Failed(failure) => {
                let reason = [(attribute::EYEPIECE_REASON, failure.reason)];
                self.telemetry.counter(metric::EYEPIECE_KUBERNETES_FAILURES.name, &reason).add(1);
                self.health.failed(kind, failure, now);
            }
        }
    }

    /// Sends what has changed. The first entries wait until all lists are there, or until they are late.
    pub(super) fn publish(&mut self, now: SystemTime, is_late: bool) {
        self.state.expire(seconds(now));
        let condition = self.health.condition();
        if self.has_begun {
            let changes = self.state.take_changes();
            if !changes.is_empty() {
                self.receiver.apply(Provider::Kubernetes, changes);
            }
        } else if (self.state.objects() > 0 || condition == Condition::Current) && (is_late || self.health.is_settled())
        {
            self.has_begun = true;
            self.receiver.replace(Provider::Kubernetes, last_of(self.state.take_changes()));
        }
        self.report(condition);
    }

    /// Reports that there is no way to a server.
    pub(super) fn report_unavailable(&mut self, error: &str) {
        self.report(Condition::Unavailable(error.to_owned()));
    }

    fn report(&mut self, condition: Condition) {
        let now = (condition, self.state.objects());
        if self.reported.as_ref() != Some(&now) {
            self.receiver.report(Provider::Kubernetes, now.0.clone(), now.1);
            self.reported = Some(now);
        }
    }

    /// Returns whether the receiver has had the first entries.
    pub(super) const fn has_begun(&self) -> bool {
        self.has_begun
    }

    /// When the next address is released, in seconds since 1970.
    pub(super) fn next_deadline(&self) -> Option<i64> {
        self.state.next_deadline()
    }
}

/// Returns the entries after changes to none.
fn last_of(changes: Vec<Change>) -> Vec<(Key, Target)> {
    let mut entries = HashMap::new();
    for change in changes {
        match change {
            Change::Set(key, target) => drop(entries.insert(key, target)),
            Change::Remove(key) => drop(entries.remove(&key)),
        }
    }
    entries.into_iter().collect()
}
