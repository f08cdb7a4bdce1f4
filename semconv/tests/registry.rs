//! The registry follows OpenTelemetry's rules for names, and what is generated from it is up to date.

mod support;

use std::collections::{BTreeMap, BTreeSet};

use support::flow_proto::Messages;
use support::reference::MARKER;
use support::{Level, Manifest, Registry, folder};

/// Compares a file with what is generated for it, or writes it.
fn check_generated(file: &str, generated: &str) {
    let path = folder().join(file);
    if std::env::var_os("EYEPIECE_REGENERATE").is_some() {
        std::fs::write(&path, generated).unwrap_or_else(|error| panic!("{file}: {error}"));
        return;
    }
    let committed = read(file);
    assert!(committed == generated, "{file}: run EYEPIECE_REGENERATE=1 cargo test -p eyepiece-semconv --test registry");
}

fn read(file: &str) -> String {
    std::fs::read_to_string(folder().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

#[test]
fn generated_names_are_up_to_date() {
    check_generated("src/generated.rs", &Registry::read().generate());
}

#[test]
fn reference_is_up_to_date() {
    let readme = read("README.md");
    let (written, _) = readme.split_once(MARKER).expect("the marker of the reference");
    check_generated("README.md", &format!("{written}{MARKER}{}", Registry::read().reference()));
}

/// OpenTelemetry's schema file format 1.1.0.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct SchemaFile {
    file_format: String,
    schema_url: String,
    versions: BTreeMap<String, Option<serde_yaml_ng::Value>>,
}

#[test]
fn schema_file_has_version_of_crate() {
    let version = env!("CARGO_PKG_VERSION");
    let schema: SchemaFile = serde_yaml_ng::from_str(&read(&format!("schemas/{version}"))).expect("a schema file");
    assert_eq!(schema.file_format, "1.1.0");
    // generated.rs has the manifest's, as the constant that leaves by OTLP.
    assert_eq!(schema.schema_url, Manifest::read().schema_url);
    assert!(schema.schema_url.ends_with(&format!("/{version}")), "{}", schema.schema_url);
    let number = |version: &str| -> Vec<u32> { version.split('.').map(|part| part.parse().expect(version)).collect() };
    let newest = schema.versions.keys().max_by_key(|version| number(version.as_str()));
    assert_eq!(newest.map(String::as_str), Some(version), "the highest version is the file's");
}

#[test]
fn manifest_names_registry_and_its_dependency() {
    let manifest = Manifest::read();
    assert!(manifest.description.is_some_and(|text| text.ends_with('.')));
    assert_eq!(manifest.stability, "development");
    let version = format!("/{}", env!("CARGO_PKG_VERSION"));
    assert!(manifest.schema_url.ends_with(&version), "{}", manifest.schema_url);
    let name = |url: &str| url.rsplit_once('/').map(|(name, _)| name.to_owned());
    let [otel] = manifest.dependencies.as_slice() else { panic!("one dependency") };
    // A registry with the name of its dependency depends on itself.
    assert_ne!(name(&manifest.schema_url), name(&otel.schema_url));
    assert_eq!(name(&otel.schema_url).as_deref(), Some("https://opentelemetry.io/schemas"));
    let version = otel.schema_url.rsplit('/').next().unwrap_or_default();
    assert!(otel.registry_path.contains(&format!("/v{version}.zip")), "{}", otel.registry_path);
}

/// The names that are prefixes of others, followed by a dot.
fn namespaces_among<'a>(names: &[&'a str]) -> Vec<&'a str> {
    names.iter().filter(|name| names.iter().any(|other| other.starts_with(&format!("{name}.")))).copied().collect()
}

#[test]
fn no_name_prefixes_another() {
    assert_eq!(namespaces_among(&["a.b", "a.b.c", "a.bc"]), ["a.b"]);
    let registry = Registry::read();
    let attributes: Vec<&str> = registry.attributes().iter().map(|attribute| attribute.name()).collect();
    assert_eq!(namespaces_among(&attributes), [""; 0]);
    let metrics: Vec<&str> = registry.of("metric").iter().filter_map(|group| group.metric_name.as_deref()).collect();
    assert_eq!(namespaces_among(&metrics), [""; 0]);
}

#[test]
fn own_names_are_unique_and_prefixed() {
    let registry = Registry::read();
    let mut seen = BTreeSet::new();
    for attribute in registry.attributes() {
        let name = attribute.name();
        assert!(seen.insert(name), "{name} twice");
        assert!(name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "._".contains(c)), "{name}");
        let of_end = name.strip_prefix("source.").or_else(|| name.strip_prefix("destination."));
        // An entity's attributes have OpenTelemetry's names with the end as prefix: there is no convention for them.
        let ours = ["hubble.", "eyepiece."].iter().any(|own| name.starts_with(own));
        let ours = ours || of_end.is_some_and(|rest| rest.contains('.'));
        // Those of the specification, and of a technology, which the conventions' registry does not define.
        let ours = ours || ["otel.metric.overflow", "systemd.unit.name"].contains(&name) || name.starts_with("entity.");
        assert_eq!(attribute.id.is_some(), ours, "{name}: ours are defined, others referred to");
    }
    let mut metrics = BTreeSet::new();
    for group in registry.of("metric") {
        let name = group.metric_name.as_deref().expect("a metric has a name");
        assert!(metrics.insert(name), "{name} twice");
        let prefixes = ["hubble.", "eyepiece.", "otel.sdk."];
        assert!(prefixes.iter().any(|prefix| name.starts_with(prefix)), "{name}");
        assert!(!name.ends_with("_total") && !name.ends_with(".total"), "{name}");
    }
}

#[test]
fn used_attributes_are_registered() {
    let registry = Registry::read();
    let known: BTreeSet<&str> = registry.attributes().iter().map(|attribute| attribute.name()).collect();
    for group in registry.of("metric").into_iter().chain(registry.of("event")) {
        let mut seen = BTreeSet::new();
        for attribute in &group.attributes {
            assert!(attribute.id.is_none(), "{}: {} is defined in a group of its own", group.id, attribute.name());
            assert!(known.contains(attribute.name()), "{}: {} is not registered", group.id, attribute.name());
            assert!(seen.insert(attribute.name()), "{}: {} twice", group.id, attribute.name());
            // Not `recommended`: an attribute is required, or has a condition.
            let is_exact = match attribute.requirement_level.as_ref() {
                Some(Level::Word(word)) => matches!(word.as_str(), "required" | "opt_in"),
                Some(Level::Condition(level)) => {
                    let kinds: Vec<&str> = level.keys().map(String::as_str).collect();
                    matches!(kinds[..], ["conditionally_required" | "opt_in"])
                        && level.values().all(|text| text.ends_with('.'))
                }
                None => false,
            };
            assert!(is_exact, "{}: {}: {:?}", group.id, attribute.name(), attribute.requirement_level);
        }
    }
}

/// `weaver registry live-check --v2` knows no attribute of the conventions whose group is not imported.
#[test]
fn references_are_imported() {
    let registry = Registry::read();
    let imports: BTreeSet<&str> = registry.imports.attribute_groups.iter().map(String::as_str).collect();
    for attribute in registry.attributes().into_iter().filter(|attribute| attribute.id.is_none()) {
        let name = attribute.name();
        let first = name.split('.').next().unwrap_or_default();
        // A group has the name of a namespace; in the newer syntax, that of its folder.
        let groups = name.match_indices('.').map(|(end, _)| format!("registry.{}", &name[..end]));
        let is_imported = groups.chain([format!("*.{first}.registry")]).any(|group| imports.contains(&*group));
        assert!(is_imported, "{name}: import its group");
    }
    // Two groups with one name are one in the resolved registry.
    let entities: BTreeSet<_> = registry.of("entity").into_iter().filter_map(|group| group.name.as_ref()).collect();
    assert!(registry.imports.entities.iter().all(|entity| !entities.contains(entity)));
}

#[test]
fn hubble_has_what_is_named() {
    let (registry, messages) = (Registry::read(), Messages::read());
    assert!(messages.has("Flow.l4.TCP.flags.SYN") && !messages.has("Flow.l4.TCP.no") && !messages.has("No"));
    for group in registry.of("metric") {
        let Some(metric) = group.in_hubble("metric") else { continue };
        let ours = group.metric_name.as_deref().unwrap_or_default().replace('.', "_");
        let suffix = if group.instrument.as_deref() == Some("histogram") { "_seconds" } else { "_total" };
        assert_eq!(metric, ours + suffix);
    }
    for group in registry.of("event") {
        assert!(group.in_hubble("message").is_none_or(|message| messages.has(message)), "{}", group.id);
    }
    for attribute in registry.attributes() {
        let fields = attribute.in_hubble("field").into_iter().flat_map(|fields| fields.split(", "));
        let unknown: Vec<&str> = fields.filter(|field| !messages.has(field)).collect();
        assert!(unknown.is_empty(), "{}: {unknown:?}", attribute.name());
    }
}

#[test]
fn stable_attributes_are_apart() {
    let registry = Registry::read();
    let group = |id: &str| registry.groups.iter().find(|group| group.id == id).expect("a group of otel.yaml");
    for (id, is_stable) in [("eyepiece.otel.stable", true), ("eyepiece.otel.unstable", false)] {
        for attribute in &group(id).attributes {
            let level = attribute.stability.as_deref();
            assert!(matches!(level, Some("stable" | "release_candidate" | "development")), "{}", attribute.name());
            assert_eq!(level == Some("stable"), is_stable, "{}: {level:?}", attribute.name());
        }
    }
}

#[test]
fn entities_have_registered_attributes() {
    let registry = Registry::read();
    let known: BTreeSet<&str> = registry.attributes().iter().map(|attribute| attribute.name()).collect();
    for group in registry.of("entity") {
        let roles: Vec<_> = group.attributes.iter().map(|attribute| attribute.role.as_deref()).collect();
        assert_eq!(roles.first(), Some(&Some("identifying")), "{}: the first decides whether there is one", group.id);
        assert!(roles.iter().all(|role| matches!(role, Some("identifying" | "descriptive"))), "{}", group.id);
        let names: BTreeSet<_> = group.attributes.iter().filter_map(|attribute| attribute.r#ref.as_deref()).collect();
        assert_eq!(names.len(), group.attributes.len(), "{}: references, each once", group.id);
        assert!(names.is_subset(&known), "{}: {names:?}", group.id);
    }
}

#[test]
fn every_entry_is_documented() {
    let registry = Registry::read();
    for group in &registry.groups {
        assert!(group.brief.ends_with('.'), "{}", group.id);
        assert!(group.note.as_ref().is_none_or(|note| note.ends_with('.')), "{}", group.id);
        match group.r#type.as_str() {
            "attribute_group" => assert!(group.display_name.is_some(), "{}", group.id),
            "metric" => {
                let name = group.metric_name.as_deref().unwrap_or_default();
                // As of entities: the dependency has groups for OpenTelemetry's metrics.
                let prefix = if name.starts_with("otel.") { "metric.reported" } else { "metric" };
                assert_eq!(group.id, format!("{prefix}.{name}"));
            }
            "event" => assert_eq!(group.id, format!("event.{}", group.name.as_deref().unwrap_or_default())),
            // An id of its own: the dependency has groups for the same types.
            "entity" => assert_eq!(group.id, format!("entity.reported.{}", group.name.as_deref().unwrap_or_default())),
            other => panic!("{}: type {other}", group.id),
        }
        if group.r#type != "attribute_group" {
            assert_eq!(group.stability.as_deref(), Some("development"), "{}", group.id);
        }
    }
    for attribute in registry.attributes() {
        let name = attribute.name();
        assert!(attribute.brief.as_ref().is_some_and(|brief| brief.ends_with('.')), "{name}");
        assert!(attribute.note.as_ref().is_none_or(|note| note.ends_with('.')), "{name}");
        if attribute.id.is_some() {
            let stability = if name == "otel.metric.overflow" { "stable" } else { "development" };
            assert_eq!(attribute.stability.as_deref(), Some(stability), "{name}");
            let kind = attribute.r#type.as_deref();
            assert!(
                matches!(kind, Some("string" | "string[]" | "int" | "boolean" | "double" | "any")),
                "{name}: {kind:?}"
            );
        }
        assert_eq!(attribute.examples.is_some(), attribute.kind() != "boolean", "{name}");
    }
}

#[test]
fn units_are_ucum() {
    let registry = Registry::read();
    for group in registry.of("metric") {
        let unit = group.unit.as_deref().unwrap_or_default();
        let annotation = unit.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
        let counted = annotation.is_some_and(|what| {
            !what.is_empty()
                && what.chars().all(|c| c.is_ascii_lowercase() || c == '_')
                && (what == "series" || !what.ends_with('s'))
        });
        assert!(counted || matches!(unit, "By" | "s"), "{}: unit {unit}", group.id);
    }
}

#[test]
fn hubble_metrics_have_hubble_labels() {
    use eyepiece_semconv::attribute::OTEL_METRIC_OVERFLOW;
    for metric in eyepiece_semconv::metric::ALL.iter().filter(|metric| metric.name.starts_with("hubble.")) {
        let mut labels = BTreeSet::new();
        for name in metric.attributes.iter().map(|usage| usage.name).filter(|name| *name != OTEL_METRIC_OVERFLOW) {
            let label = eyepiece_semconv::hubble_label(name).expect(name);
            assert!(labels.insert(label), "{}: {name} {label}", metric.name);
        }
    }
}
