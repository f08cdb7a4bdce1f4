//! Reads our own settings, below `distribution.eyepiece`: the same tree as in our own file.

use figment::value::Value;

use super::node::NodeValue;
use super::report::{At, Report};
use crate::check::secrets;
use crate::keys;

/// Our name among the distributions. The settings of others are no concern of this program.
const NAME: &str = "eyepiece";

/// The most settings of a file; there are fewer than 200 keys.
const MOST_SETTINGS: usize = 1000;

/// Reads all keys; the check of the settings reports unknown ones.
pub(super) fn read(distribution: &At<'_>, report: &mut Report) {
    if distribution.is_mapping(report)
        && let Some(at) = distribution.child(NAME)
        && at.is_mapping(report)
    {
        for (name, child) in at.entries() {
            read_key(name, &child, report);
        }
        if report.settings.len() > MOST_SETTINGS {
            let wrong = format!("it has more than {MOST_SETTINGS} settings");
            report.wrong(&at, wrong, "see `eyepiece config reference` for the keys");
        }
    }
}

fn read_key(key: &str, at: &At<'_>, report: &mut Report) {
    match &at.node.value {
        NodeValue::Map(entries) if !entries.is_empty() && keys::find(key).is_none() => {
            for (name, child) in at.entries() {
                read_key(&format!("{key}.{name}"), &child, report);
            }
        }
        _ => {
            let Some(value) = at.node.setting().filter(|_| report.settings.len() <= MOST_SETTINGS) else { return };
            if secrets::HEADERS.contains(&key) {
                report.literal_headers.extend(literal_names(at, &value));
            }
            report.set(at, key, value);
        }
    }
}

/// The names of headers whose values are not those of variables.
fn literal_names(at: &At<'_>, value: &Value) -> Vec<String> {
    match &at.node.value {
        NodeValue::Map(_) => {
            at.entries().filter(|(_, at)| !at.node.has_variable).map(|(name, _)| name.to_owned()).collect()
        }
        _ if at.node.has_variable => Vec::new(),
        _ => secrets::names(value),
    }
}
