//! From sources to settings: merge, check every value, then what needs several.

use std::collections::{BTreeMap, BTreeSet};

use figment::providers::Serialized;
use figment::value::{Dict, Value};
use figment::{Figment, Profile, Provider};

use crate::check;
use crate::choices::Protocol;
use crate::convert::convert;
use crate::error::{ConfigError, Problem, nearest};
use crate::keys;
use crate::settings::{GRPC_ENDPOINT, HTTP_ENDPOINT, Settings};
use crate::signal::Signal;
use crate::sources::{Sources, nest};

/// Settings, and who set what.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The settings.
    pub settings: Settings,
    /// Origin of each key that is not left at its default.
    pub origins: BTreeMap<String, String>,
}

/// Reads all sources.
///
/// # Errors
/// Every mistake of every source.
pub fn load(sources: &Sources) -> Result<Loaded, ConfigError> {
    let mut problems = Vec::new();
    let merged = sources.merged(&mut problems);
    let mut given = Given { figment: &merged, origins: BTreeMap::new(), values: Figment::new(), problems };
    let data = merged.data().unwrap_or_default().remove(&Profile::Default).unwrap_or_default();
    given.table("", &data);
    let Given { origins, values, mut problems, .. } = given;
    let refused: BTreeSet<String> = problems.iter().map(|problem| problem.key.clone()).collect();

    let settings: Settings = match Figment::from(Serialized::defaults(Settings::default())).merge(values).extract() {
        Ok(settings) => settings,
        Err(errors) => {
            problems.extend(errors.into_iter().map(|error| unexpected(&error)));
            return Err(failed(problems));
        }
    };
    let settings = fill(settings, &origins, &sources.hostname);
    for finding in check::check(&settings) {
        if finding.seen.iter().chain([&finding.key]).any(|key| refused.contains(key)) {
            continue;
        }
        // Where the key itself has its default, one of those that it does not go with was given.
        let origin = [&finding.key].into_iter().chain(&finding.seen).find_map(|key| origins.get(key));
        let origin = origin.cloned().unwrap_or_default();
        problems.push(Problem { key: finding.key, origin, wrong: finding.wrong, right: finding.right });
    }
    if problems.is_empty() { Ok(Loaded { settings, origins }) } else { Err(failed(problems)) }
}

/// The walk through what was given.
struct Given<'f> {
    figment: &'f Figment,
    origins: BTreeMap<String, String>,
    values: Figment,
    problems: Vec<Problem>,
}

impl Given<'_> {
    fn table(&mut self, prefix: &str, table: &Dict) {
        for (name, value) in table {
            self.value(format!("{prefix}{name}"), value);
        }
    }

    fn value(&mut self, path: String, value: &Value) {
        if let Some(key) = keys::find(&path) {
            let origin = self.origin(value);
            match convert(key, value) {
                Ok(value) => {
                    let figment = std::mem::take(&mut self.values);
                    self.values = figment.merge(Serialized::globals(nest(&path, value)));
                    self.origins.insert(path, origin);
                }
                Err((wrong, right)) => self.problems.push(Problem { key: path, origin, wrong, right }),
            }
        } else if keys::is_table(&path) {
            match value {
                Value::Dict(_, table) => self.table(&format!("{path}."), table),
                _ => self.problem(path, value, "it is a table of keys, not a value", |path| {
                    format!("set one of {}", children(path).join(", "))
                }),
            }
        } else {
            match value {
                // Key by key: a whole path shows better what was meant than the name of its table.
                Value::Dict(_, table) if !table.is_empty() => self.table(&format!("{path}."), table),
                _ => self.problem(path, value, "no such key", suggestion),
            }
        }
    }

    fn problem(&mut self, path: String, value: &Value, wrong: &str, right: impl Fn(&str) -> String) {
        let (origin, right) = (self.origin(value), right(&path));
        self.problems.push(Problem { key: path, origin, wrong: wrong.to_owned(), right });
    }

    /// Who set a value; of a table, who set its first value.
    fn origin(&self, value: &Value) -> String {
        if let Value::Dict(_, table) = value
            && let Some(first) = table.values().next()
        {
            return self.origin(first);
        }
        if let Value::Array(_, items) = value
            && let Some(first) = items.first()
        {
            return self.origin(first);
        }
        self.figment.get_metadata(value.tag()).map(|metadata| metadata.name.to_string()).unwrap_or_default()
    }
}

/// Keys and tables one level below a path; of the root, where it is empty.
fn children(path: &str) -> Vec<String> {
    let prefix = if path.is_empty() { String::new() } else { format!("{path}.") };
    let mut names: Vec<String> = Vec::new();
    for rest in keys::KEYS.iter().filter_map(|key| key.path.strip_prefix(&prefix)) {
        let name = format!("{prefix}{}", rest.split('.').next().unwrap_or(rest));
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// What may have been meant by an unknown key.
fn suggestion(path: &str) -> String {
    // A table that the key does lie in is not what was mistyped.
    let tables = keys::SECTIONS.iter().map(|section| section.path).filter(|table| !path.starts_with(table));
    if let Some(near) = nearest(path, keys::KEYS.iter().map(|key| key.path).chain(tables)) {
        return format!("did you mean {near}?");
    }
    let parent = path.rsplit_once('.').map_or("", |(parent, _)| parent);
    let known = children(parent);
    let known = if known.is_empty() { children("") } else { known };
    format!("known here: {}", known.join(", "))
}

/// Defaults that depend on other values: the host's name, and the endpoint's port by protocol.
fn fill(mut settings: Settings, origins: &BTreeMap<String, String>, hostname: &str) -> Settings {
    if settings.node.name.is_empty() {
        hostname.clone_into(&mut settings.node.name);
    }
    if !origins.contains_key("otlp.endpoint") {
        let otlp = &mut settings.otlp;
        let http = otlp.protocol == Protocol::HttpProtobuf;
        otlp.endpoint = if http { HTTP_ENDPOINT } else { GRPC_ENDPOINT }.to_owned();
        for signal in Signal::ALL {
            let own = otlp.signal_mut(signal);
            if own.endpoint.is_some() {
                continue;
            }
            own.endpoint = match own.protocol {
                Some(Protocol::HttpProtobuf) if !http => Some(format!("{HTTP_ENDPOINT}/v1/{}", signal.name())),
                Some(Protocol::Grpc) if http => Some(GRPC_ENDPOINT.to_owned()),
                _ => None,
            };
        }
    }
    settings
}

/// serde refused what the table of keys let pass.
fn unexpected(error: &figment::Error) -> Problem {
    let key = error.path.join(".");
    Problem {
        key,
        origin: String::new(),
        wrong: error.kind.to_string(),
        right: "see `eyepiece config reference`".to_owned(),
    }
}

fn failed(mut problems: Vec<Problem>) -> ConfigError {
    problems.sort_by(|a, b| a.key.cmp(&b.key));
    ConfigError { problems }
}
