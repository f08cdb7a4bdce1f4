//! What is read from the file: settings with their origins, mistakes and warnings.

use std::path::Path;

use figment::value::Value;

use super::node::{Node, NodeValue};
use super::substitution::{Invalid, VARIABLE};
use crate::error::{Problem, nearest};
use crate::otel;
use crate::units::parse_duration;

/// One setting of the file.
#[derive(Debug)]
pub(crate) struct Setting {
    /// The file, the line and the node.
    pub(crate) origin: String,
    /// Path of the key.
    pub(crate) key: String,
    /// Its value; the table of keys checks it.
    pub(crate) value: Value,
}

/// What was found so far.
#[derive(Debug)]
pub(super) struct Report {
    /// The file's name.
    file: String,
    /// Whether the schema may have nodes here that this program does not know: they are warned about.
    pub(super) allows_unknown: bool,
    /// Settings; of two with the same key the later one wins.
    pub(super) settings: Vec<Setting>,
    /// Limits of whole exports, each with the key of a request's timeout.
    export_limits: Vec<Setting>,
    pub(super) problems: Vec<Problem>,
    pub(super) warnings: Vec<Problem>,
    /// Names of headers whose values stand in the file itself.
    pub(super) literal_headers: Vec<String>,
}

impl Report {
    pub(super) fn new(file: &Path) -> Self {
        Self {
            file: file.display().to_string(),
            allows_unknown: false,
            settings: Vec::new(),
            export_limits: Vec::new(),
            problems: Vec::new(),
            warnings: Vec::new(),
            literal_headers: Vec::new(),
        }
    }

    pub(super) fn set(&mut self, at: &LocatedNode<'_>, key: impl Into<String>, value: impl Into<Value>) {
        let setting = self.setting(at, key.into(), value.into());
        self.settings.push(setting);
    }

    fn setting(&self, at: &LocatedNode<'_>, key: String, value: Value) -> Setting {
        Setting { origin: format!("{}:{}: {}", self.file, at.node.line, at.path), key, value }
    }

    /// Adds the limit of a whole export, for [`Self::apply_export_limits`].
    pub(super) fn limit_export(&mut self, at: &LocatedNode<'_>, key: &str, value: Value) {
        let limit = self.setting(at, key.to_owned(), value);
        self.export_limits.push(limit);
    }

    /// Sets the limits of whole exports that are shorter than the timeouts of requests. From the index `own` on, the
    /// settings are those of `distribution.eyepiece`, which win over limits.
    pub(super) fn apply_export_limits(&mut self, own: usize) {
        for limit in std::mem::take(&mut self.export_limits) {
            let is_own = self.settings.iter().skip(own).any(|setting| setting.key == limit.key);
            let request = otel::request_timeout(&limit.key, |key| {
                self.settings.iter().rev().find(|setting| setting.key == key)?.value.as_str()
            });
            let limit_time = limit.value.as_str().and_then(|text| parse_duration(text).ok());
            if !is_own && limit_time.is_some_and(|limit_time| limit_time < request) {
                self.settings.push(limit);
            }
        }
    }

    /// Adds a setting that holds because the file lacks a node.
    pub(super) fn set_without(&mut self, missing: &str, key: &str, value: impl Into<Value>) {
        let origin = format!("{}: no {missing}", self.file);
        self.settings.push(Setting { origin, key: key.to_owned(), value: value.into() });
    }

    pub(super) fn wrong(&mut self, at: &LocatedNode<'_>, wrong: impl Into<String>, right: impl Into<String>) {
        self.wrong_at(at.path.clone(), at.node.line, wrong, right);
    }

    /// Adds a mistake at a path and a line.
    pub(super) fn wrong_at(&mut self, path: String, line: usize, wrong: impl Into<String>, right: impl Into<String>) {
        let origin = format!("{}:{line}", self.file);
        self.problems.push(Problem { key: path, origin, wrong: wrong.into(), right: right.into() });
    }

    pub(super) fn invalid_reference(&mut self, path: String, line: usize, invalid: Invalid) {
        self.wrong_at(path, line, invalid.wrong, invalid.right);
    }

    pub(super) fn warn(&mut self, at: &LocatedNode<'_>, wrong: impl Into<String>, right: impl Into<String>) {
        let origin = format!("{}:{}", self.file, at.node.line);
        self.warnings.push(Problem { key: at.path.clone(), origin, wrong: wrong.into(), right: right.into() });
    }

    /// Adds a mistake of the whole file.
    pub(super) fn wrong_file(&mut self, wrong: impl Into<String>, right: impl Into<String>) {
        let (key, origin) = (self.file.clone(), VARIABLE.to_owned());
        self.problems.push(Problem { key, origin, wrong: wrong.into(), right: right.into() });
    }

    /// Warns of the whole file.
    pub(super) fn warn_file(&mut self, wrong: impl Into<String>, right: impl Into<String>) {
        let (key, origin) = (self.file.clone(), VARIABLE.to_owned());
        self.warnings.push(Problem { key, origin, wrong: wrong.into(), right: right.into() });
    }

    /// Warns of a node of the schema that has no effect.
    pub(super) fn unsupported(&mut self, at: &LocatedNode<'_>) {
        self.warn(at, "not supported, it is ignored", "leave it out");
    }

    /// Reports a node that the schema does not have at this place.
    pub(super) fn unknown(&mut self, at: &LocatedNode<'_>, known: &[&str]) {
        let name = at.path.rsplit('.').next().unwrap_or_default();
        let right = match nearest(name, known.iter().copied()) {
            Some(near) => format!("did you mean {near}?"),
            None if known.is_empty() => "leave it out".to_owned(),
            None => format!("known here: {}", known.join(", ")),
        };
        if self.allows_unknown {
            self.warn(at, "no known node, it is ignored", right);
        } else {
            self.wrong(at, "no such node", right);
        }
    }
}

/// A node at its path.
#[derive(Clone, Debug)]
pub(super) struct LocatedNode<'n> {
    /// Names with dots between them, and indexes of lists: `logger_provider.processors[0].batch`.
    pub(super) path: String,
    pub(super) node: &'n Node,
}

impl<'n> LocatedNode<'n> {
    pub(super) const fn root(node: &'n Node) -> Self {
        Self { path: String::new(), node }
    }

    /// The entries of a mapping; none of another node.
    pub(super) fn entries(&self) -> impl Iterator<Item = (&'n str, Self)> {
        let entries = match &self.node.value {
            NodeValue::Map(entries) => Some(entries),
            _ => None,
        };
        let path = self.path.clone();
        entries.into_iter().flatten().map(move |(name, node)| {
            let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            (name.as_str(), LocatedNode { path, node })
        })
    }

    /// The entry of a mapping with this name, even an empty one.
    pub(super) fn entry(&self, name: &str) -> Option<Self> {
        self.entries().find(|(known, _)| *known == name).map(|(_, at)| at)
    }

    /// The entry of a mapping with this name; by the specification, an empty one has its default.
    pub(super) fn child(&self, name: &str) -> Option<Self> {
        self.entry(name).filter(|at| !at.node.is_null())
    }

    /// The items of a list, which must have one.
    pub(super) fn items(&self, report: &mut Report) -> Vec<Self> {
        match &self.node.value {
            NodeValue::List(items) if !items.is_empty() => {
                let items = items.iter().enumerate();
                items.map(|(index, node)| LocatedNode { path: format!("{}[{index}]", self.path), node }).collect()
            }
            NodeValue::List(_) => {
                report.wrong(self, "the list is empty", "add an item, or leave the node out");
                Vec::new()
            }
            _ => {
                report.wrong(self, self.node.describe(), "use a list");
                Vec::new()
            }
        }
    }

    /// The one entry that a mapping must have, such as the kind of an exporter; its value may be empty.
    pub(super) fn only_entry(&self, report: &mut Report) -> Option<(&'n str, Self)> {
        let mut entries = self.entries();
        match (entries.next(), entries.next()) {
            (Some(entry), None) => Some(entry),
            (Some(_), Some(_)) => {
                report.wrong(self, "it has several names", "leave one of them");
                None
            }
            (None, _) => {
                report.wrong(self, self.node.describe(), "use a mapping with one name");
                None
            }
        }
    }

    /// Reports anything but a mapping; returns whether it is one. An empty node counts as an empty mapping.
    pub(super) fn is_mapping(&self, report: &mut Report) -> bool {
        let is_mapping = matches!(self.node.value, NodeValue::Map(_) | NodeValue::Null);
        if !is_mapping {
            report.wrong(self, self.node.describe(), "use a mapping");
        }
        is_mapping
    }

    /// A text; anything else is reported.
    pub(super) fn text(&self, report: &mut Report) -> Option<&'n str> {
        let text = self.node.text();
        if text.is_none() {
            report.wrong(self, self.node.describe(), "use a text, in quotes if it looks like something else");
        }
        text
    }

    /// A flag; anything else is reported.
    pub(super) fn flag(&self, report: &mut Report) -> Option<bool> {
        if let NodeValue::Bool(flag) = self.node.value {
            return Some(flag);
        }
        report.wrong(self, self.node.describe(), "use true or false");
        None
    }
}
