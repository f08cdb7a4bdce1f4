//! Writes the reference of the registry: the last part of `README.md`.

use serde_yaml_ng::Value;

use super::{Attribute, Group, Level, Registry};

/// Divides the written text of `README.md` from the reference.
pub(crate) const MARKER: &str =
    "<!-- Generated from registry/: EYEPIECE_REGENERATE=1 cargo test -p eyepiece-semconv --test registry -->\n";

const HEAD: &str = "
## Reference

Everything that is exported, as [registry](registry) has it. *In Hubble*: the metric, the label of metrics and the field
of flow.proto with the same. Stable attributes are OpenTelemetry's stable ones; all else may change.
";

impl Registry {
    /// The text behind [`MARKER`].
    pub(crate) fn reference(&self) -> String {
        let mut out = HEAD.to_owned();
        self.metrics_table(&mut out);
        self.shared_table(&mut out);
        self.event_tables(&mut out);
        self.entities_table(&mut out);
        self.attributes_table(&mut out);
        out
    }

    fn metrics_table(&self, out: &mut String) {
        out.push_str("\n### Metrics\n\nAttributes in brackets are not on every series.\n");
        let row = |group: &&Group| {
            [
                code(group.metric_name.as_deref().unwrap_or_default()),
                group.instrument.clone().unwrap_or_default(),
                code(group.unit.as_deref().unwrap_or_default()),
                stability(group.stability.as_deref()),
                prose(&group.brief, group.note.as_deref()),
                usages(group),
                group.in_hubble("metric").map(code).unwrap_or_default(),
            ]
        };
        let head = ["Metric", "Kind", "Unit", "Stability", "What it counts", "Attributes", "In Hubble"];
        table(out, head, self.of("metric").iter().map(row));
    }

    /// The attributes that a metric has by the settings of contexts.
    fn shared_table(&self, out: &mut String) {
        for group in &self.shared {
            let name = group.display_name.as_deref().unwrap_or_default();
            out.push_str(&format!("\n### {name}\n\n{}\n", group.brief));
            conditions(out, &group.attributes);
        }
    }

    fn event_tables(&self, out: &mut String) {
        out.push_str("\n### Events\n");
        for group in self.of("event") {
            let (name, stability) = (group.name.as_deref().unwrap_or_default(), stability(group.stability.as_deref()));
            out.push_str(&format!(
                "\n#### `{name}`\n\n{} ({stability})",
                sentences(&group.brief, group.note.as_deref())
            ));
            if let Some(message) = group.in_hubble("message") {
                out.push_str(&format!(" In Hubble: `{message}`."));
            }
            out.push('\n');
            conditions(out, &group.attributes);
        }
    }

    fn entities_table(&self, out: &mut String) {
        out.push_str("\n### Entities\n");
        let row = |group: &&Group| {
            let of = |role: &str| {
                let attributes = group.attributes.iter().filter(|attribute| attribute.role.as_deref() == Some(role));
                attributes.map(|attribute| code(attribute.name())).collect::<Vec<_>>().join(", ")
            };
            let name = code(group.name.as_deref().unwrap_or_default());
            [name, prose(&group.brief, group.note.as_deref()), of("identifying"), of("descriptive")]
        };
        table(out, ["Entity", "What it is", "Identified by", "Described by"], self.of("entity").iter().map(row));
    }

    fn attributes_table(&self, out: &mut String) {
        out.push_str("\n### Attributes\n");
        let attributes = self.attributes();
        let row = |attribute: &&Attribute| {
            [
                code(attribute.name()),
                attribute.kind().to_owned(),
                stability(attribute.stability.as_deref()),
                prose(attribute.brief.as_deref().unwrap_or_default(), attribute.note.as_deref()),
                attribute.examples.as_ref().map(examples).unwrap_or_default(),
                in_hubble(attribute),
            ]
        };
        let head = ["Attribute", "Type", "Stability", "What it is", "Example", "In Hubble"];
        table(out, head, attributes.iter().map(row));
    }
}

/// Appends a table.
fn table<const COLUMNS: usize>(out: &mut String, head: [&str; COLUMNS], rows: impl Iterator<Item = [String; COLUMNS]>) {
    out.push_str(&format!("\n| {} |\n|{}\n", head.join(" | "), "---|".repeat(COLUMNS)));
    for row in rows {
        out.push_str(&format!("| {} |\n", row.map(|cell| cell.replace('|', "\\|")).join(" | ")));
    }
}

/// Appends a table of attributes and of when they are there.
fn conditions(out: &mut String, attributes: &[Attribute]) {
    if attributes.is_empty() {
        return;
    }
    let row = |attribute: &Attribute| {
        let when = match &attribute.requirement_level {
            Some(Level::Word(word)) if word == "required" => "always".to_owned(),
            Some(Level::Word(word)) => word.replace('_', " "),
            Some(Level::Condition(level)) => {
                level.values().map(|text| text.trim_end_matches('.')).collect::<Vec<_>>().join(", ")
            }
            None => String::new(),
        };
        [code(attribute.name()), when]
    };
    table(out, ["Attribute", "When"], attributes.iter().map(row));
}

/// The attributes of a metric.
fn usages(group: &Group) -> String {
    let name = |attribute: &Attribute| {
        let name = code(attribute.name());
        if attribute.is_required() { name } else { format!("[{name}]") }
    };
    let shared = group.extends.as_ref().map(|_| "[contexts](#contexts)".to_owned());
    group.attributes[..group.own].iter().map(name).chain(shared).collect::<Vec<_>>().join(", ")
}

fn in_hubble(attribute: &Attribute) -> String {
    let label = attribute.in_hubble("label").map(|label| format!("label `{label}`"));
    let fields = attribute.in_hubble("field").unwrap_or_default().split(", ").filter(|field| !field.is_empty());
    label.into_iter().chain(fields.map(code)).collect::<Vec<_>>().join(", ")
}

fn examples(value: &Value) -> String {
    match value {
        Value::Sequence(list) => list.iter().map(|each| code(&plain(each))).collect::<Vec<_>>().join(", "),
        one => code(&plain(one)),
    }
}

/// A value of an example as a text.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Bool(is_set) => is_set.to_string(),
        Value::Sequence(list) => format!("[{}]", list.iter().map(plain).collect::<Vec<_>>().join(", ")),
        other => panic!("no example: {other:?}"),
    }
}

fn code(text: &str) -> String {
    format!("`{text}`")
}

fn stability(level: Option<&str>) -> String {
    level.unwrap_or_default().replace('_', " ")
}

fn sentences(brief: &str, note: Option<&str>) -> String {
    note.map_or_else(|| brief.to_owned(), |note| format!("{brief} {}", note.trim()))
}

/// The text of a cell, without the last full stop.
fn prose(brief: &str, note: Option<&str>) -> String {
    sentences(brief, note).trim_end_matches('.').to_owned()
}
