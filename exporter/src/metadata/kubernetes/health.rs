//! The provider's condition, from that of each kind of objects.

use std::collections::BTreeMap;
use std::time::SystemTime;

use tracing::{info, warn};

use super::failure::Failure;
use super::objects::Kind;
use crate::metadata::provider::Condition;

/// Whether the known objects of a kind are current.
#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    /// Not listed yet.
    Listing,
    Current,
    Failed {
        since: SystemTime,
        failure: Failure,
        /// Whether it was listed before.
        was_listed: bool,
    },
}

/// The state of each kind.
#[derive(Debug)]
pub(super) struct Health(BTreeMap<Kind, State>);

impl Health {
    pub(super) fn new() -> Self {
        Self(Kind::ALL.iter().map(|kind| (*kind, State::Listing)).collect())
    }

    /// Notes that a kind is current, and logs it where it was not.
    pub(super) fn current(&mut self, kind: Kind) {
        if let Some(State::Failed { .. }) = self.0.insert(kind, State::Current) {
            info!(resource = kind.resource(), "kubernetes: the state is current again");
        }
    }

    /// Notes a failure of a kind, and logs it where it is new.
    pub(super) fn failed(&mut self, kind: Kind, failure: Failure, now: SystemTime) {
        let former = self.0.get(&kind);
        let (since, was_listed, is_known) = match former {
            Some(State::Failed { since, was_listed, failure: known }) => {
                (*since, *was_listed, known.reason == failure.reason)
            }
            former => (now, former == Some(&State::Current), false),
        };
        if !is_known {
            warn!(resource = kind.resource(), "kubernetes: {}", failure.text);
        }
        self.0.insert(kind, State::Failed { since, failure, was_listed });
    }

    /// Returns whether each kind was listed, or cannot be.
    pub(super) fn is_settled(&self) -> bool {
        self.0.values().all(|state| *state != State::Listing)
    }

    /// The condition of all. A missing right counts as not reached: it was never there, or an operator took it away.
    pub(super) fn condition(&self) -> Condition {
        let failures = self.0.values().filter_map(|state| match state {
            State::Failed { since, failure, was_listed } => Some((*since, failure, *was_listed)),
            _ => None,
        });
        let Some((since, failure, _)) =
            failures.clone().min_by_key(|(since, failure, _)| (failure.is_forbidden(), *since))
        else {
            return if self.is_settled() { Condition::Current } else { Condition::Connecting(None) };
        };
        if failures.clone().any(|(_, failure, was_listed)| was_listed && !failure.is_forbidden()) {
            return Condition::Stale { since, error: failure.text.clone() };
        }
        // Each missing right is named.
        let texts: Vec<_> =
            failures.filter(|(_, other, _)| other.reason == failure.reason).map(|(_, other, _)| &*other.text).collect();
        let text = if failure.is_forbidden() { texts.join("; ") } else { failure.text.clone() };
        Condition::Connecting(Some(text))
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::Health;
    use crate::metadata::kubernetes::failure::Failure;
    use crate::metadata::kubernetes::objects::Kind;
    use crate::metadata::provider::Condition;

    fn failure(reason: &'static str, text: &str) -> Failure {
        Failure { reason, text: text.to_owned(), needs_list: false }
    }

    #[test]
    fn condition_follows_worst_kind() {
        let (mut health, start) = (Health::new(), SystemTime::UNIX_EPOCH);
        assert_eq!(health.condition(), Condition::Connecting(None));
        health.failed(Kind::Pods, failure("connection", "refused"), start);
        assert_eq!(health.condition(), Condition::Connecting(Some("refused".to_owned())));
        Kind::ALL.iter().for_each(|kind| health.current(*kind));
        assert_eq!(health.condition(), Condition::Current);
        for kind in [Kind::Jobs, Kind::Nodes] {
            health.failed(kind, failure("forbidden", &format!("no {kind:?}")), start);
        }
        assert_eq!(health.condition(), Condition::Connecting(Some("no Nodes; no Jobs".to_owned())));
        health.failed(Kind::Pods, failure("connection", "refused"), start + Duration::from_secs(1));
        health.failed(Kind::Pods, failure("connection", "reset"), start + Duration::from_secs(2));
        let since = start + Duration::from_secs(1);
        assert_eq!(health.condition(), Condition::Stale { since, error: "reset".to_owned() });
        health.current(Kind::Pods);
        assert!(matches!(health.condition(), Condition::Connecting(Some(_))));
    }
}
