//! Reads our own settings, below `distribution.eyepiece`: the same tree as in our own file.

use figment::value::Value;

use super::node::NodeValue;
use super::report::{LocatedNode, Report};
use crate::check::secrets;
use crate::keys;

/// Our name among the distributions. The settings of others are no concern of this program.
const NAME: &str = "eyepiece";

/// The most settings of a file; there are fewer than 200 keys.
const MAX_SETTINGS: usize = 1000;

/// Reads all keys; the check of the settings reports unknown ones.
pub(super) fn read(distribution: &LocatedNode<'_>, report: &mut Report) {
    if distribution.is_mapping(report)
        && let Some(at) = distribution.child(NAME)
        && at.is_mapping(report)
    {
        for (name, child) in at.entries() {
            read_key(name, &child, report);
        }
        if report.settings.len() > MAX_SETTINGS {
            let wrong = format!("it has more than {MAX_SETTINGS} settings");
            report.wrong(&at, wrong, "see `eyepiece config reference` for the keys");
        }
    }
}

/// Reads a key, or the keys of a table.
fn read_key(key: &str, at: &LocatedNode<'_>, report: &mut Report) {
    let is_known = keys::find(key).is_some() || keys::map_entry(key).is_some();
    // Longer paths have no keys below them. Without this limit, a few long names in each other make much work.
    let may_be_table = !is_known && keys::KEYS.iter().any(|known| key.len() < known.path.len());
    match &at.node.value {
        NodeValue::Map(entries) if !entries.is_empty() && may_be_table => {
            for (name, child) in at.entries() {
                read_key(&format!("{key}.{name}"), &child, report);
            }
        }
        _ if report.settings.len() > MAX_SETTINGS => {}
        _ if is_known || keys::is_table(key) => {
            let Some(value) = at.node.setting() else { return };
            if secrets::HEADERS.contains(&key) {
                report.literal_headers.extend(literal_names(at, &value));
            }
            report.set(at, key, value);
        }
        // The check reports the key, whatever its value.
        _ => report.set(at, key, ""),
    }
}

/// The names of headers whose values are not those of variables.
fn literal_names(at: &LocatedNode<'_>, value: &Value) -> Vec<String> {
    match &at.node.value {
        NodeValue::Map(_) => {
            at.entries().filter(|(_, at)| !at.node.has_variable).map(|(name, _)| name.to_owned()).collect()
        }
        _ if at.node.has_variable => Vec::new(),
        _ => secrets::names(value),
    }
}
