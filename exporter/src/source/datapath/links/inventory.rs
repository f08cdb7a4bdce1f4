//! The number of interfaces by role, and patterns that match none: for the log and the status.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex};

use super::classify::Role;
use super::glob::{Filter, matches};
use super::link::Link;
use crate::support::lock::lock;

/// The current interfaces: written by the watcher, read by others. Cloning shares it.
#[derive(Clone, Debug, Default)]
pub struct Inventory(Arc<Mutex<Interfaces>>);

impl Inventory {
    /// Replaces the inventory.
    pub fn set(&self, interfaces: Interfaces) {
        *lock(&self.0) = interfaces;
    }

    /// The current inventory.
    pub fn get(&self) -> Interfaces {
        lock(&self.0).clone()
    }
}

/// Interfaces of this network namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Interfaces {
    /// Those with an endpoint's hooks.
    pub endpoints: u64,
    /// Those with an uplink's hooks.
    pub uplinks: u64,
    /// Those without hooks, by reason.
    pub left_out: BTreeMap<&'static str, u64>,
    /// Patterns that match no interface.
    pub unmatched: Vec<Unmatched>,
}

/// A pattern that matches no interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unmatched {
    /// The key of the pattern.
    pub key: &'static str,
    /// The pattern.
    pub pattern: String,
}

impl fmt::Display for Unmatched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?}", self.key, self.pattern)
    }
}

/// The key of include patterns.
pub const INCLUDE: &str = "datapath.interfaces.include";
/// The key of exclude patterns.
const EXCLUDE: &str = "datapath.interfaces.exclude";

impl Interfaces {
    /// Counts interfaces by role, and finds patterns that match none of them.
    pub fn count<'a>(links: &(impl Iterator<Item = &'a Link> + Clone), filter: &Filter) -> Self {
        let mut counted = Self::default();
        for link in links.clone() {
            match link.role {
                Role::Endpoint => counted.endpoints += 1,
                Role::Uplink => counted.uplinks += 1,
                Role::Ignored(why) => *counted.left_out.entry(why.why()).or_default() += 1,
            }
        }
        for (key, patterns) in [(INCLUDE, &filter.include), (EXCLUDE, &filter.exclude)] {
            let unmatched = patterns.iter().filter(|pattern| !links.clone().any(|link| matches(pattern, &link.name)));
            counted.unmatched.extend(unmatched.map(|pattern| Unmatched { key, pattern: pattern.clone() }));
        }
        counted
    }

    /// Logs patterns that match nothing; for an exclude pattern that is no mistake.
    pub fn log(&self) {
        for unmatched in &self.unmatched {
            if unmatched.key == INCLUDE {
                tracing::warn!("{unmatched} matches no interface now; later ones are watched");
            } else {
                tracing::info!("{unmatched} matches no interface now");
            }
        }
        if self.endpoints + self.uplinks == 0 {
            let left_out: Vec<_> = self.left_out.iter().map(|(why, n)| format!("{n}: {why}")).collect();
            tracing::warn!(left_out = left_out.join("; "), "no interface is watched now; later ones are");
        }
    }
}
