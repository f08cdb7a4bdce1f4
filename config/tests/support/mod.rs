//! Loads settings from texts.

use std::io::Write as _;

use eyepiece_config::{ConfigError, Loaded, Set, Sources, load};
use tempfile::NamedTempFile;

pub(crate) fn file(text: &str) -> NamedTempFile {
    let mut file = NamedTempFile::new().expect("a temporary file");
    file.write_all(text.as_bytes()).expect("room for it");
    file
}

/// Loads a file's text, variables as `NAME=value`, and flags as `key=value`.
pub(crate) fn try_load(text: &str, env: &[&str], sets: &[&str]) -> Result<Loaded, ConfigError> {
    let file = file(text);
    let split = |pair: &&str| pair.split_once('=').map(|(a, b)| (a.to_owned(), b.to_owned())).expect("a pair");
    let env = env.iter().map(split).map(|(name, value)| (name.into(), value.into())).collect();
    let set = |(key, value): (String, String)| Set { origin: format!("--set {key}"), key, value };
    let sets = sets.iter().map(split).map(set).collect();
    load(&Sources { env, file: Some(file.path().to_owned()), default_file: None, sets, hostname: "host1".to_owned() })
}

/// Loads settings that must be valid.
pub(crate) fn ok(text: &str, env: &[&str], sets: &[&str]) -> Loaded {
    try_load(text, env, sets).unwrap_or_else(|error| panic!("{error}"))
}
