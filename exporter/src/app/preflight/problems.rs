//! The problems that checks find.

use std::collections::BTreeMap;

use eyepiece_config::{ConfigError, Problem};

use crate::app::error::SettingError;

/// Problems so far, and the origins of the settings that were given.
pub(super) struct Problems<'a> {
    origins: &'a BTreeMap<String, String>,
    list: Vec<Problem>,
}

impl<'a> Problems<'a> {
    pub(super) fn new(origins: &'a BTreeMap<String, String>) -> Self {
        Self { origins, list: Vec::new() }
    }

    pub(super) fn add(&mut self, key: &str, wrong: impl Into<String>, right: &str) {
        let origin = self.origins.get(key).cloned().unwrap_or_default();
        self.list.push(Problem { key: key.to_owned(), origin, wrong: wrong.into(), right: right.to_owned() });
    }

    pub(super) fn add_setting(&mut self, error: SettingError) {
        self.add(error.key, error.wrong, error.right);
    }

    /// Returns whether a key with this prefix has a problem.
    pub(super) fn has_any_below(&self, prefix: &str) -> bool {
        self.list.iter().any(|problem| problem.key.starts_with(prefix))
    }

    pub(super) fn into_list(self) -> Vec<Problem> {
        self.list
    }

    /// All of them, ordered by key, as one error.
    pub(super) fn finish(mut self) -> Result<(), ConfigError> {
        self.list.sort_by(|a, b| a.key.cmp(&b.key));
        self.list.dedup();
        if self.list.is_empty() { Ok(()) } else { Err(ConfigError { problems: self.list }) }
    }
}
