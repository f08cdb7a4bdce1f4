//! Reads the registry, and generates Rust from it.

pub(crate) mod flow_proto;
pub(crate) mod reference;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use serde::Deserialize;

/// One file of the registry.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    groups: Vec<Group>,
    #[serde(default)]
    imports: Imports,
}

/// What the registry takes from its dependency: patterns of names, and of ids of groups.
#[derive(Default, Deserialize)]
pub(crate) struct Imports {
    #[serde(default)]
    pub(crate) entities: Vec<String>,
    #[serde(default)]
    pub(crate) attribute_groups: Vec<String>,
}

/// By the name of what has annotations: `otel`, `hubble`.
type Annotations = BTreeMap<String, BTreeMap<String, String>>;

/// A group of weaver's format: attributes, a metric, an event or an entity.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Group {
    pub(crate) id: String,
    pub(crate) r#type: String,
    /// The id of a group whose attributes it has as well.
    extends: Option<String>,
    pub(crate) stability: Option<String>,
    pub(crate) display_name: Option<String>,
    pub(crate) brief: String,
    pub(crate) note: Option<String>,
    pub(crate) metric_name: Option<String>,
    pub(crate) instrument: Option<String>,
    pub(crate) unit: Option<String>,
    /// The name of an event, the type of an entity.
    pub(crate) name: Option<String>,
    #[serde(default)]
    pub(crate) annotations: Annotations,
    /// Its own, then those of the group that it extends.
    #[serde(default)]
    pub(crate) attributes: Vec<Attribute>,
    /// How many of them are its own.
    #[serde(skip)]
    own: usize,
}

impl Group {
    /// What Hubble has of the same: by `metric` or `message`.
    pub(crate) fn in_hubble(&self, what: &str) -> Option<&str> {
        self.annotations.get("hubble")?.get(what).map(String::as_str)
    }
}

/// A definition (`id`) or a use (`ref`) of an attribute.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Attribute {
    pub(crate) id: Option<String>,
    pub(crate) r#ref: Option<String>,
    pub(crate) r#type: Option<String>,
    pub(crate) stability: Option<String>,
    pub(crate) brief: Option<String>,
    pub(crate) note: Option<String>,
    pub(crate) examples: Option<serde_yaml_ng::Value>,
    pub(crate) requirement_level: Option<Level>,
    /// Of an entity's attribute: `identifying` or `descriptive`.
    pub(crate) role: Option<String>,
    #[serde(default)]
    annotations: Annotations,
}

/// Whether a metric or an event has an attribute: a word, or a condition.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum Level {
    /// `required`, `opt_in`.
    Word(String),
    /// `conditionally_required` or `opt_in`, with the condition.
    Condition(BTreeMap<String, String>),
}

impl Attribute {
    /// The name, whether defined or referred to.
    pub(crate) fn name(&self) -> &str {
        self.id.as_deref().or(self.r#ref.as_deref()).expect("an attribute has an id or a ref")
    }

    /// What Hubble has of the same: by `label` or `field`.
    pub(crate) fn in_hubble(&self, what: &str) -> Option<&str> {
        self.annotations.get("hubble")?.get(what).map(String::as_str)
    }

    /// The type of its values; a reference to an attribute of OpenTelemetry's has it in an annotation.
    pub(crate) fn kind(&self) -> &str {
        let annotated = self.annotations.get("otel").and_then(|otel| otel.get("type"));
        self.r#type.as_deref().or(annotated.map(String::as_str)).unwrap_or("string")
    }

    fn is_required(&self) -> bool {
        matches!(&self.requirement_level, Some(Level::Word(word)) if word == "required")
    }
}

/// The file with the registry's name and its dependencies.
pub(crate) const MANIFEST: &str = "manifest.yaml";

/// A manifest, by weaver's `definition-manifest.v2.json`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Manifest {
    pub(crate) schema_url: String,
    pub(crate) description: Option<String>,
    pub(crate) stability: String,
    pub(crate) dependencies: Vec<Dependency>,
}

/// Another registry.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Dependency {
    pub(crate) schema_url: String,
    pub(crate) registry_path: String,
}

impl Manifest {
    pub(crate) fn read() -> Self {
        let text = std::fs::read_to_string(folder().join("registry").join(MANIFEST)).expect("the manifest");
        serde_yaml_ng::from_str(&text).expect("a manifest")
    }
}

/// Everything in `registry/`.
pub(crate) struct Registry {
    pub(crate) groups: Vec<Group>,
    /// Attributes that several groups extend.
    shared: Vec<Group>,
    pub(crate) imports: Imports,
}

/// The crate's own folder.
pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_path_buf()
}

impl Registry {
    /// Reads all files but the manifest, in the order of their names. Groups of attributes that others extend, `attributes.*`,
    /// are in those.
    pub(crate) fn read() -> Self {
        let mut paths: Vec<PathBuf> = std::fs::read_dir(folder().join("registry"))
            .expect("the registry's folder")
            .map(|entry| entry.expect("an entry").path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
            .filter(|path| path.file_name().is_some_and(|name| name != MANIFEST))
            .collect();
        paths.sort();
        let (mut groups, mut imports) = (Vec::<Group>::new(), Imports::default());
        for path in &paths {
            let text = std::fs::read_to_string(path).expect("a file of the registry");
            let file: File =
                serde_yaml_ng::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            groups.extend(file.groups);
            imports.entities.extend(file.imports.entities);
            imports.attribute_groups.extend(file.imports.attribute_groups);
        }
        let (shared, mut groups): (Vec<Group>, Vec<Group>) =
            groups.into_iter().partition(|group| group.id.starts_with("attributes."));
        for group in &mut groups {
            group.own = group.attributes.len();
            if let Some(id) = &group.extends {
                let base = shared.iter().find(|base| base.id == *id).unwrap_or_else(|| panic!("there is no {id}"));
                group.attributes.extend(base.attributes.iter().cloned());
            }
        }
        Self { groups, shared, imports }
    }

    /// Groups of a type, ordered by the name of what they define.
    pub(crate) fn of(&self, kind: &str) -> Vec<&Group> {
        let mut groups: Vec<&Group> = self.groups.iter().filter(|group| group.r#type == kind).collect();
        groups.sort_by_key(|group| (&group.metric_name, &group.name));
        groups
    }

    /// The attributes that have constants: those of attribute groups, ordered by name.
    pub(crate) fn attributes(&self) -> Vec<&Attribute> {
        let mut attributes: Vec<&Attribute> =
            self.of("attribute_group").into_iter().flat_map(|group| &group.attributes).collect();
        attributes.sort_by_key(|attribute| attribute.name());
        attributes
    }

    /// The text of `src/generated.rs`.
    pub(crate) fn generate(&self) -> String {
        let mut out = String::from(
            "//! Names of the registry. Generated: edit `registry/*.yaml`, then\n\
             //! `EYEPIECE_REGENERATE=1 cargo test -p eyepiece-semconv`.\n\n",
        );
        write_urls(&mut out, &Manifest::read()).expect("a String takes all");
        self.write_attributes(&mut out).and_then(|()| self.write_metrics(&mut out)).expect("a String takes all");
        self.write_events(&mut out).and_then(|()| self.write_entities(&mut out)).expect("a String takes all");
        self.write_labels(&mut out).expect("a String takes all");
        out
    }

    fn write_attributes(&self, out: &mut String) -> std::fmt::Result {
        out.push_str("/// Attribute names.\npub mod attribute {\n    use crate::{Attribute, Type};\n\n");
        for attribute in self.attributes() {
            write_docs(out, attribute.brief.as_deref().unwrap_or_default(), attribute.note.as_deref())?;
            writeln!(out, "    pub const {}: &str = {:?};", constant(attribute.name()), attribute.name())?;
        }
        out.push_str("\n    /// All of them, ordered by name.\n    pub const ALL: &[Attribute] = &[\n");
        for attribute in self.attributes() {
            let (name, kind) = (constant(attribute.name()), kind(attribute.kind()));
            writeln!(out, "        Attribute {{ name: {name}, r#type: Type::{kind} }},")?;
        }
        out.push_str("    ];\n}\n\n");
        Ok(())
    }

    fn write_metrics(&self, out: &mut String) -> std::fmt::Result {
        out.push_str(
            "/// Metrics.\npub mod metric {\n    use super::attribute;\n    use crate::{Instrument, Metric, Usage};\n\n",
        );
        let metrics = self.of("metric");
        for group in &metrics {
            let name = group.metric_name.as_deref().expect("a metric has a name");
            write_docs(out, &group.brief, group.note.as_deref())?;
            writeln!(out, "    pub const {}: Metric = Metric {{", constant(name))?;
            writeln!(out, "        name: {name:?},")?;
            writeln!(out, "        unit: {:?},", group.unit.as_deref().expect("a metric has a unit"))?;
            writeln!(out, "        description: {:?},", group.brief)?;
            writeln!(out, "        instrument: Instrument::{},", instrument(group.instrument.as_deref()))?;
            out.push_str("        attributes: &[\n");
            write_usages(out, "            ", group)?;
            out.push_str("        ],\n    };\n");
        }
        out.push_str("\n    /// All of them, ordered by name.\n    pub const ALL: &[Metric] = &[\n");
        for group in &metrics {
            writeln!(out, "        {},", constant(group.metric_name.as_deref().expect("a metric has a name")))?;
        }
        out.push_str("    ];\n}\n\n");
        Ok(())
    }

    fn write_events(&self, out: &mut String) -> std::fmt::Result {
        out.push_str(
            "/// Event names.\npub mod event {\n    use super::attribute;\n    use crate::{Event, Usage};\n\n",
        );
        let events = self.of("event");
        for group in &events {
            let name = group.name.as_deref().expect("an event has a name");
            write_docs(out, &group.brief, group.note.as_deref())?;
            writeln!(out, "    pub const {}: &str = {name:?};", constant(name))?;
        }
        out.push_str("\n    /// All of them, ordered by name.\n    pub const ALL: &[Event] = &[\n");
        for group in &events {
            let name = constant(group.name.as_deref().expect("an event has a name"));
            writeln!(out, "        Event {{\n            name: {name},\n            attributes: &[")?;
            write_usages(out, "                ", group)?;
            out.push_str("            ],\n        },\n");
        }
        out.push_str("    ];\n}\n\n");
        Ok(())
    }

    fn write_entities(&self, out: &mut String) -> std::fmt::Result {
        out.push_str(
            "/// Types of entities.\npub mod entity {\n    use super::attribute;\n    use crate::EntityType;\n\n",
        );
        out.push_str("    /// All of them, ordered by name.\n    pub const ALL: &[EntityType] = &[\n");
        for group in &self.of("entity") {
            let name = group.name.as_deref().expect("an entity has a type");
            writeln!(out, "        // {}\n        EntityType {{\n            name: {name:?},", group.brief)?;
            for role in ["identifying", "descriptive"] {
                writeln!(out, "            {role}: &[")?;
                for attribute in group.attributes.iter().filter(|attribute| attribute.role.as_deref() == Some(role)) {
                    writeln!(out, "                attribute::{},", constant(attribute.name()))?;
                }
                out.push_str("            ],\n");
            }
            out.push_str("        },\n");
        }
        out.push_str("    ];\n}\n\n");
        Ok(())
    }

    fn write_labels(&self, out: &mut String) -> std::fmt::Result {
        out.push_str("/// The label of Hubble's metrics that carries the same as an attribute.\n");
        out.push_str("pub fn hubble_label(name: &str) -> Option<&'static str> {\n    Some(match name {\n");
        for attribute in self.attributes() {
            if let Some(label) = attribute.in_hubble("label") {
                writeln!(out, "        attribute::{} => {label:?},", constant(attribute.name()))?;
            }
        }
        out.push_str("        _ => return None,\n    })\n}\n");
        Ok(())
    }
}

fn write_urls(out: &mut String, manifest: &Manifest) -> std::fmt::Result {
    out.push_str("/// The URL of the schema of this version of the registry: that of our instrumentation scopes.\n");
    writeln!(out, "pub const SCHEMA_URL: &str = {:?};\n", manifest.schema_url)?;
    let [otel] = manifest.dependencies.as_slice() else { panic!("one dependency") };
    out.push_str(
        "/// The URL of the schema of OpenTelemetry's conventions that are used here: that of the resource.\n",
    );
    writeln!(out, "pub const OTEL_SCHEMA_URL: &str = {:?};\n", otel.schema_url)
}

fn write_docs(out: &mut String, brief: &str, note: Option<&str>) -> std::fmt::Result {
    writeln!(out, "    /// {brief}")?;
    if let Some(note) = note {
        writeln!(out, "    ///\n    /// {note}")?;
    }
    Ok(())
}

fn write_usages(out: &mut String, indent: &str, group: &Group) -> std::fmt::Result {
    for attribute in &group.attributes {
        let (name, required) = (constant(attribute.name()), attribute.is_required());
        writeln!(out, "{indent}Usage {{ name: attribute::{name}, required: {required} }},")?;
    }
    Ok(())
}

fn kind(name: &str) -> &'static str {
    match name {
        "string" => "String",
        "string[]" => "Strings",
        "int" => "Int",
        "boolean" => "Boolean",
        "any" => "Map",
        other => panic!("unknown type {other:?}"),
    }
}

/// `hubble.drop.reason` → `HUBBLE_DROP_REASON`.
fn constant(name: &str) -> String {
    name.to_uppercase().replace(['.', '-'], "_")
}

fn instrument(name: Option<&str>) -> &'static str {
    match name {
        Some("counter") => "Counter",
        Some("gauge") => "Gauge",
        Some("updowncounter") => "UpDownCounter",
        Some("histogram") => "Histogram",
        other => panic!("unknown instrument {other:?}"),
    }
}
