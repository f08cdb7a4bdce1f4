//! Settings from the file that `OTEL_CONFIG_FILE` names: OpenTelemetry's declarative configuration.

mod apply;
mod distribution;
mod exporter;
mod node;
mod pairs;
mod providers;
mod report;
mod resource;
mod substitution;
mod table;
mod yaml;

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use self::apply::apply;
use self::node::{Node, NodeValue};
use self::report::{LocatedNode, Report};
use self::substitution::Environment;
use crate::check::secrets;
use crate::error::Problem;
use crate::signal::Signal;

pub(crate) use self::report::Setting;
pub(crate) use self::substitution::VARIABLE;

/// Bytes of a file; the examples of the schema have fewer than ten thousand.
const MAX_FILE_BYTES: u64 = 256 << 10;

/// The expected form of `file_format`.
const FORMAT: &str = "use \"1.1\", and the nodes of OpenTelemetry's configuration schema of that version";

/// Returns the settings of the file, of which a later one wins over a former one with the same key. `env` is the whole
/// environment: the file may refer to any variable.
pub(crate) fn settings(
    path: &Path,
    env: &[(OsString, OsString)],
    problems: &mut Vec<Problem>,
    warnings: &mut Vec<Problem>,
) -> Vec<Setting> {
    let mut report = Report::new(path);
    let mut environment = Environment::new(env);
    match read_text(path) {
        Err(error) => report.wrong_file(format!("cannot be read: {error}"), "name a readable file"),
        Ok(text) => match yaml::parse(&text, &mut environment, &mut report) {
            Err(wrong) => report.wrong_file(format!("is not YAML: {wrong}"), "correct the file"),
            Ok(root) => read(&root, &mut environment, &mut report),
        },
    }
    problems.append(&mut report.problems);
    warnings.append(&mut report.warnings);
    warnings.extend(unused_variables(&environment));
    warnings.extend(secrets::check_headers(path, report.literal_headers));
    report.settings
}

fn read_text(path: &Path) -> io::Result<String> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(io::Error::other(format!("it has more than {} KiB", MAX_FILE_BYTES >> 10)));
    }
    String::from_utf8(bytes).map_err(|_| io::Error::other("it is not UTF-8"))
}

/// The warning of OpenTelemetry's other variables: the file replaces them.
fn unused_variables(environment: &Environment<'_>) -> Option<Problem> {
    let unused = environment.unused();
    let first = unused.first()?;
    Some(Problem {
        key: VARIABLE.to_owned(),
        origin: String::new(),
        wrong: format!(
            "the file replaces other variables of OpenTelemetry, so these are ignored: {}",
            unused.join(", ")
        ),
        right: format!("unset them, or refer to them in the file as ${{{first}}}"),
    })
}

/// Reads all nodes.
fn read(root: &Node, environment: &mut Environment<'_>, report: &mut Report) {
    if !matches!(root.value, NodeValue::Map(_)) {
        report.wrong_file(format!("has no nodes: {}", root.describe()), FORMAT);
        return;
    }
    let root = LocatedNode::root(root);
    if !check_version(&root, report) {
        return;
    }
    // The schema leaves room for other nodes at the top.
    let allows_unknown = std::mem::replace(&mut report.allows_unknown, true);
    apply(&root, &[table::FILE], "", report);
    report.allows_unknown = allows_unknown;
    let foreign: Vec<_> = table::FOREIGN.into_iter().filter(|name| root.child(name).is_some()).collect();
    if !foreign.is_empty() {
        let wrong = format!("without effect, as only metrics and log records are exported: {}", foreign.join(", "));
        report.warn_file(wrong, "leave it out if no other program reads the file");
    }
    if let Some(resource) = root.child("resource") {
        resource::read(&resource, environment, report);
    }
    match root.child("disabled") {
        Some(at) if at.flag(report) == Some(true) => {
            for signal in Signal::ALL {
                report.set(&at, format!("otlp.{}.enabled", signal.name()), false);
            }
        }
        _ => read_providers(&root, report),
    }
    // They win over the nodes that all programs share.
    let own = report.settings.len();
    if let Some(distribution) = root.child("distribution") {
        distribution::read(&distribution, report);
    }
    report.apply_export_limits(own);
}

/// Checks the version; returns whether its nodes are known.
fn check_version(root: &LocatedNode<'_>, report: &mut Report) -> bool {
    let Some(at) = root.child("file_format") else {
        report.wrong_file("has no node file_format", FORMAT);
        return false;
    };
    let text = match &at.node.value {
        NodeValue::Text(text) => text.clone(),
        // Without quotes.
        NodeValue::Float(number) => format!("{number:?}"),
        _ => {
            report.wrong(&at, at.node.describe(), FORMAT);
            return false;
        }
    };
    let (known_major, known_minor) = table::VERSION;
    match parse_version(&text) {
        Some((major, minor)) if major == known_major => {
            if minor > known_minor {
                let wrong = format!("{text:?} is newer than {known_major}.{known_minor}: its new nodes are ignored");
                report.warn(&at, wrong, FORMAT);
                report.allows_unknown = true;
            }
            true
        }
        Some(_) => {
            report.wrong(&at, format!("the version {text:?} is not supported"), FORMAT);
            false
        }
        None => {
            report.wrong(&at, format!("invalid version {text:?}: expected major.minor"), FORMAT);
            false
        }
    }
}

/// Major and minor number; a suffix as in `1.0-rc.1` is ignored.
fn parse_version(text: &str) -> Option<(u32, u32)> {
    let (numbers, _) = text.split_once('-').unwrap_or((text, ""));
    let (major, minor) = numbers.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// Reads the providers; by the schema, a signal without one is not exported.
fn read_providers(root: &LocatedNode<'_>, report: &mut Report) {
    let mut is_exported = false;
    for (name, signal) in [("logger_provider", Signal::Logs), ("meter_provider", Signal::Metrics)] {
        let Some(at) = root.child(name) else {
            report.set_without(name, &format!("otlp.{}.enabled", signal.name()), false);
            continue;
        };
        is_exported = true;
        match signal {
            Signal::Logs => providers::read_logger_provider(&at, report),
            Signal::Metrics => providers::read_meter_provider(&at, report),
        }
    }
    if !is_exported {
        report.warn_file("has neither logger_provider nor meter_provider: nothing is exported", "add one of them");
    }
}

#[cfg(test)]
mod tests {
    use super::parse_version;

    #[test]
    fn versions_have_two_numbers() {
        for (text, expected) in [
            ("1.0", Some((1, 0))),
            ("1.10", Some((1, 10))),
            ("1.0-rc.2", Some((1, 0))),
            ("0.4", Some((0, 4))),
            ("1", None),
            ("1.1.0", None),
            ("v1.0", None),
            ("", None),
        ] {
            assert_eq!(parse_version(text), expected, "{text}");
        }
    }
}
