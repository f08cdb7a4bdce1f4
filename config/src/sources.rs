//! The sources of settings, which the caller passes, and the layers that figment merges.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use figment::providers::{Format, Toml};
use figment::value::{Dict, Map, Value};
use figment::{Figment, Metadata, Profile, Provider, Source};

use crate::check::secrets;
use crate::declarative::{self, Setting};
use crate::error::Problem;
use crate::keys::{self, Kind};
use crate::otel;

/// The file that is read if none is named and it exists.
pub const DEFAULT_FILE: &str = "/etc/eyepiece/config.toml";

/// The prefix of our own variables; `__` separates levels.
const PREFIX: &str = "EYEPIECE_";

/// One setting of the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Set {
    /// The flag, for messages: `--set otlp.endpoint`, `--endpoint`.
    pub origin: String,
    /// Path of the key.
    pub key: String,
    /// The value as text; lists as `a,b` or `["a", "b"]`, maps as `a=b,c=d`.
    pub value: String,
}

/// The sources of settings.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// The environment; only `OTEL_*` and `EYEPIECE_*` are read, and what the file of `OTEL_CONFIG_FILE` refers to.
    pub env: Vec<(OsString, OsString)>,
    /// The file that was named; it must exist.
    pub file: Option<PathBuf>,
    /// The file to read when none is named and it exists: [`DEFAULT_FILE`] outside tests.
    pub default_file: Option<PathBuf>,
    /// Settings of the command line, later ones win.
    pub sets: Vec<Set>,
    /// The host's name, for `node.name`.
    pub hostname: String,
}

/// The precedence of an origin: later ones win.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Precedence {
    /// `OTEL_*` variables.
    Otel,
    /// The file that one of them names.
    Declarative,
    /// The file.
    File,
    /// `EYEPIECE_*` variables.
    Own,
    /// The command line.
    Flag,
}

impl Precedence {
    const ALL: [(Self, &'static str); 5] = [
        (Self::Otel, "otel"),
        (Self::Declarative, "declarative"),
        (Self::File, "file"),
        (Self::Own, "own"),
        (Self::Flag, "flag"),
    ];

    /// Returns whether other programs may read the origin as well, so that not all of it is meant for this one.
    pub(crate) const fn is_shared(self) -> bool {
        matches!(self, Self::Otel | Self::Declarative)
    }

    /// The precedence of a value, from figment's metadata.
    pub(crate) fn of(metadata: &Metadata) -> Option<Self> {
        let name = metadata.source.as_ref()?.custom()?;
        Self::ALL.into_iter().find(|(_, known)| *known == name).map(|(precedence, _)| precedence)
    }

    fn source(self) -> Source {
        let name = Self::ALL.into_iter().find(|(known, _)| *known == self).map_or("", |(_, name)| name);
        Source::Custom(name.to_owned())
    }
}

/// Values of one origin.
struct Layer {
    origin: String,
    precedence: Precedence,
    values: Dict,
}

impl Provider for Layer {
    fn metadata(&self) -> Metadata {
        Metadata::from(self.origin.clone(), self.precedence.source())
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        Ok(Profile::Default.collect(self.values.clone()))
    }
}

impl Sources {
    /// Merges all layers above the defaults; adds unreadable ones to the problems.
    pub(crate) fn merged(&self, problems: &mut Vec<Problem>, warnings: &mut Vec<Problem>) -> Figment {
        let mut figment = Figment::new();
        let variables = self.variables(problems);
        for layer in self.opentelemetry(&variables, problems, warnings) {
            figment = figment.merge(layer);
        }
        if let Some(layer) = self.read_file(problems, warnings) {
            figment = figment.merge(layer);
        }
        for (name, value) in &variables {
            let Some(rest) = name.strip_prefix(PREFIX).filter(|rest| !is_service_variable(rest)) else { continue };
            if rest.is_empty() {
                problems.push(missing_name(name));
                continue;
            }
            let path = rest.to_lowercase().replace("__", ".");
            figment = figment.merge(layer(name.clone(), Precedence::Own, &path, value));
        }
        for set in &self.sets {
            figment = figment.merge(layer(set.origin.clone(), Precedence::Flag, &set.key, &set.value));
        }
        figment
    }

    /// The layers of OpenTelemetry's variables, or of the file that replaces them.
    fn opentelemetry(
        &self,
        variables: &[(String, String)],
        problems: &mut Vec<Problem>,
        warnings: &mut Vec<Problem>,
    ) -> Vec<Layer> {
        let file = variables.iter().find(|(name, _)| name == declarative::VARIABLE).map(|(_, path)| path.trim());
        let Some(file) = file.filter(|path| !path.is_empty()) else {
            let settings = otel::settings(variables, warnings).into_iter();
            return settings
                .map(|(name, path, value)| layer(name.to_owned(), Precedence::Otel, path, &value))
                .collect();
        };
        let settings = declarative::settings(Path::new(file), &self.env, problems, warnings).into_iter();
        settings
            .map(|Setting { origin, key, value }| Layer {
                origin,
                precedence: Precedence::Declarative,
                values: nest(&key, value),
            })
            .collect()
    }

    /// Our own and OpenTelemetry's variables, sorted, so that the environment's order does not matter.
    fn variables(&self, problems: &mut Vec<Problem>) -> Vec<(String, String)> {
        let is_file = |(name, value): &(OsString, OsString)| {
            name == declarative::VARIABLE && value.to_str().is_none_or(|path| !path.trim().is_empty())
        };
        let has_file = self.env.iter().any(is_file);
        let mut variables = Vec::new();
        for (name, value) in &self.env {
            let Some(name) = name.to_str().filter(|name| name.starts_with(PREFIX) || name.starts_with("OTEL_")) else {
                continue;
            };
            match value.to_str() {
                Some(value) => variables.push((name.to_owned(), value.to_owned())),
                // The file replaces it; a reference to it is a mistake of the file.
                None if has_file && name.starts_with("OTEL_") && name != declarative::VARIABLE => {}
                None => problems.push(Problem {
                    key: name.to_owned(),
                    origin: String::new(),
                    wrong: "the variable is not UTF-8".to_owned(),
                    right: "set it to UTF-8 text or unset it".to_owned(),
                }),
            }
        }
        variables.sort();
        variables
    }

    fn read_file(&self, problems: &mut Vec<Problem>, warnings: &mut Vec<Problem>) -> Option<Layer> {
        let (path, named) = match (&self.file, &self.default_file) {
            (Some(path), _) => (path, true),
            (None, Some(path)) => (path, false),
            (None, None) => return None,
        };
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && !named => return None,
            Err(error) => {
                problems.push(file_problem(path, format!("cannot be read: {error}"), "name a readable file"));
                return None;
            }
        };
        match Toml::from_str::<Dict>(&text) {
            Ok(values) => {
                warnings.extend(secrets::check_file(path, &values));
                Some(Layer { origin: path.display().to_string(), precedence: Precedence::File, values })
            }
            Err(error) => {
                // The parser's message without its excerpt of the file, which may hold a secret.
                let (line, column) = position(&text, error.span().map_or(0, |span| span.start));
                let wrong =
                    format!("is not TOML: line {line}, column {column}: {}", error.message().replace('\n', ", "));
                problems.push(file_problem(path, wrong, "see `eyepiece config reference` for the form"));
                None
            }
        }
    }
}

fn file_problem(path: &Path, wrong: String, right: &str) -> Problem {
    Problem { key: path.display().to_string(), origin: String::new(), wrong, right: right.to_owned() }
}

/// Line and column of an offset, from 1.
fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}

/// Returns whether Kubernetes or a Docker link sets this variable in every container (`<SERVICE>_SERVICE_HOST`,
/// `<SERVICE>_PORT_80_TCP_ADDR` …): a service named eyepiece must not prevent the start.
fn is_service_variable(rest: &str) -> bool {
    rest.starts_with("SERVICE_") || rest == "PORT" || rest.starts_with("PORT_")
}

/// A variable that consists of our prefix alone.
fn missing_name(name: &str) -> Problem {
    Problem {
        key: name.to_owned(),
        origin: String::new(),
        wrong: "the variable names no key".to_owned(),
        right: "write the key after it, __ between levels, such as EYEPIECE_OTLP__ENDPOINT".to_owned(),
    }
}

/// The correct spelling of a variable with one underscore in place of two between levels; `None` if it has another mistake.
pub(crate) fn with_both_underscores(variable: &str, path: &str) -> Option<String> {
    let flat = |path: &str| path.replace('.', "_");
    let is_variable = variable.starts_with(PREFIX);
    let meant = keys::KEYS.iter().find(|key| is_variable && flat(key.path) == flat(path))?;
    Some(format!("two underscores: {PREFIX}{}", meant.path.replace('.', "__").to_uppercase()))
}

/// A layer of one text. After a map's key follows the name of an entry, dots included.
fn layer(origin: String, precedence: Precedence, path: &str, text: &str) -> Layer {
    let values = match keys::map_entry(path) {
        Some((path, name)) => nest(path, Dict::from([(name.to_owned(), Value::from(text))]).into()),
        None => nest(path, typed_value(keys::find(path).map(|key| key.kind), text)),
    };
    Layer { origin, precedence, values }
}

/// A value at a path with dots.
pub(crate) fn nest(path: &str, value: Value) -> Dict {
    match path.split_once('.') {
        Some((first, rest)) => Dict::from([(first.to_owned(), nest(rest, value).into())]),
        None => Dict::from([(path.to_owned(), value)]),
    }
}

/// Returns whether a text is a TOML list, and not an IPv6 address in brackets with a port.
fn is_bracketed(text: &str) -> bool {
    text.starts_with('[') && text.ends_with(']')
}

/// Parses a text by its key's type; returns it unchanged if it does not parse, for the check to report.
fn typed_value(kind: Option<Kind>, text: &str) -> Value {
    match kind {
        Some(Kind::Bool) => text.parse::<bool>().map_or_else(|_| text.into(), Value::from),
        Some(Kind::Integer(..) | Kind::IntegerOrEmpty(..) | Kind::Ring) => {
            text.parse::<i64>().map_or_else(|_| text.into(), Value::from)
        }
        Some(Kind::Factor(_)) => {
            let number = text.parse::<f64>().ok().filter(|number| number.is_finite());
            number.map_or_else(|| text.into(), Value::from)
        }
        Some(kind) if (keys::is_list(kind) || kind == Kind::Handlers) && is_bracketed(text.trim()) => {
            text.parse().unwrap_or_else(|_| text.into())
        }
        Some(kind) if keys::is_list(kind) && text.is_empty() => Value::from(Vec::<Value>::new()),
        Some(kind) if keys::is_list(kind) => Value::from(text.split(',').map(str::trim).collect::<Vec<_>>()),
        _ => text.into(),
    }
}
