//! Loads settings: merges the sources, checks every value, then what concerns several.

use std::collections::{BTreeMap, BTreeSet};

use figment::providers::Serialized;
use figment::value::{Dict, Value};
use figment::{Figment, Profile, Provider};

use crate::check::{self, Severity};
use crate::choices::Protocol;
use crate::convert::convert;
use crate::error::{ConfigError, Problem, nearest};
use crate::keys::{self, Kind};
use crate::settings::{GRPC_ENDPOINT, HTTP_ENDPOINT, Settings};
use crate::signal::Signal;
use crate::sources::{Precedence, Sources, nest};

/// Settings, with their origins.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The settings.
    pub settings: Settings,
    /// Origin of each key that is not left at its default.
    pub origins: BTreeMap<String, String>,
    /// OpenTelemetry's variables that are ignored, and settings with an effect that may be unexpected; ordered by key.
    pub warnings: Vec<Problem>,
}

/// Reads all sources.
///
/// # Errors
/// Every mistake of every source.
pub fn load(sources: &Sources) -> Result<Loaded, ConfigError> {
    let (mut problems, mut warnings) = (Vec::new(), Vec::new());
    let merged = sources.merged(&mut problems, &mut warnings);
    let (values, precedences) = (BTreeMap::new(), BTreeMap::new());
    let mut given = Given { figment: &merged, origins: BTreeMap::new(), precedences, values, problems, warnings };
    let data = merged.data().unwrap_or_default().remove(&Profile::Default).unwrap_or_default();
    given.table("", &data);
    given.drop_overridden();
    let Given { origins, precedences, values, mut problems, mut warnings, .. } = given;
    let refused: BTreeSet<String> = problems.iter().map(|problem| problem.key.clone()).collect();

    let values = values
        .into_iter()
        .fold(Figment::new(), |figment, (path, value)| figment.merge(Serialized::globals(nest(&path, value))));
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
        // If the key has its default, one of the other keys was given.
        let origin = [&finding.key].into_iter().chain(&finding.seen).find_map(|key| origins.get(key));
        let origin = origin.cloned().unwrap_or_default();
        let is_tolerable = match finding.severity {
            Severity::Mistake => false,
            Severity::Harmless => precedences.get(&finding.key).is_some_and(|precedence| precedence.is_shared()),
            Severity::Warning => true,
        };
        let problem = Problem { key: finding.key, origin, wrong: finding.wrong, right: finding.right };
        if is_tolerable { &mut warnings } else { &mut problems }.push(problem);
    }
    warnings.sort_by(|a, b| a.key.cmp(&b.key));
    if problems.is_empty() { Ok(Loaded { settings, origins, warnings }) } else { Err(failed(problems)) }
}

/// The walk through the given values.
struct Given<'f> {
    figment: &'f Figment,
    origins: BTreeMap<String, String>,
    /// The precedence of every key that was given, even if it was refused.
    precedences: BTreeMap<String, Precedence>,
    values: BTreeMap<String, Value>,
    problems: Vec<Problem>,
    warnings: Vec<Problem>,
}

impl Given<'_> {
    fn table(&mut self, prefix: &str, table: &Dict) {
        for (name, value) in table {
            self.value(format!("{prefix}{name}"), value);
        }
    }

    fn value(&mut self, path: String, value: &Value) {
        if let Some(key) = keys::find(&path) {
            let (origin, precedence) = self.origin(value);
            self.precedences.extend(precedence.map(|precedence| (path.clone(), precedence)));
            // Without its headers or its endpoint, the export would be refused or go elsewhere.
            let is_needed = matches!(key.kind, Kind::Headers | Kind::Url | Kind::UrlOrEmpty);
            match convert(key, value) {
                Ok(value) => {
                    self.values.insert(path.clone(), value);
                    self.origins.insert(path, origin);
                }
                // OpenTelemetry's specification: an unknown word or an invalid number is ignored, with a warning.
                Err(wrong) => {
                    let is_ignored = !is_needed && precedence == Some(Precedence::Otel);
                    let found = wrong.into_iter().map(|(wrong, right)| {
                        let wrong = if is_ignored { format!("{wrong}, the variable is ignored") } else { wrong };
                        Problem { key: path.clone(), origin: origin.clone(), wrong, right }
                    });
                    if is_ignored { &mut self.warnings } else { &mut self.problems }.extend(found);
                }
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
                // Key by key: a whole path allows better suggestions than the name of its table.
                Value::Dict(_, table) if !table.is_empty() => self.table(&format!("{path}."), table),
                _ => {
                    let (origin, _) = self.origin(value);
                    let right = crate::sources::with_both_underscores(&origin, &path);
                    self.problem(path, value, "no such key", |path| right.unwrap_or_else(|| suggestion(path)));
                }
            }
        }
    }

    fn problem(&mut self, path: String, value: &Value, wrong: &str, right: impl FnOnce(&str) -> String) {
        let (origin, right) = (self.origin(value).0, right(&path));
        self.problems.push(Problem { key: path, origin, wrong: wrong.to_owned(), right });
    }

    /// The origin of a value and its precedence; for a table, those of its first value.
    fn origin(&self, value: &Value) -> (String, Option<Precedence>) {
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
        let metadata = self.figment.get_metadata(value.tag());
        metadata.map(|metadata| (metadata.name.to_string(), Precedence::of(metadata))).unwrap_or_default()
    }

    /// Drops a signal's own values that a stronger layer's general one overrides: `--endpoint` also replaces a
    /// variable's endpoint of logs.
    fn drop_overridden(&mut self) {
        let is_overridden = |path: &str| {
            let own = Signal::ALL.iter().find_map(|signal| path.strip_prefix(&format!("otlp.{}.", signal.name())));
            let general = own.and_then(|key| self.precedences.get(&format!("otlp.{key}")));
            general.is_some_and(|general| self.precedences.get(path).is_some_and(|own| own < general))
        };
        self.values.retain(|path, _| !is_overridden(path));
        self.origins.retain(|path, _| !is_overridden(path));
        self.problems.retain(|problem| !is_overridden(&problem.key));
        self.warnings.retain(|warning| !is_overridden(&warning.key));
    }
}

/// Keys and tables one level below a path; an empty path is the root.
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

/// A suggestion for an unknown key.
fn suggestion(path: &str) -> String {
    // The table that contains the key is not a suggestion.
    let tables = keys::SECTIONS.iter().map(|section| section.path).filter(|table| !path.starts_with(table));
    if let Some(near) = nearest(path, keys::KEYS.iter().map(|key| key.path).chain(tables)) {
        return format!("did you mean {near}?");
    }
    let parent = path.rsplit_once('.').map_or("", |(parent, _)| parent);
    let known = children(parent);
    let known = if known.is_empty() { children("") } else { known };
    format!("known here: {}", known.join(", "))
}

/// Fills in defaults that depend on other values: the host's name, and the endpoint's port by protocol.
fn fill(mut settings: Settings, origins: &BTreeMap<String, String>, hostname: &str) -> Settings {
    if settings.node.name.is_empty() {
        hostname.clone_into(&mut settings.node.name);
    }
    settings.hubble.listen_given = origins.contains_key("hubble.listen");
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

/// A value that serde refuses though the table of keys accepts it.
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
