//! The list of the API's fields, and the same list from the descriptors: one line per field, value or method.

use std::collections::BTreeSet;

use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{DescriptorProto, EnumDescriptorProto, FileDescriptorProto, FileDescriptorSet};

/// The entries of `fields.md`.
pub(crate) fn listed(list: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut package = "";
    for line in list.lines() {
        if let Some(heading) = line.strip_prefix("## ") {
            package = heading.split_whitespace().next().expect("the package's name");
        } else if let Some(entry) = line.strip_prefix("- ") {
            let (kind, entry) = ["enum ", "service "]
                .iter()
                .find_map(|kind| Some((*kind, entry.strip_prefix(kind)?)))
                .unwrap_or(("", entry));
            let (name, body) = entry.strip_prefix("**").and_then(|rest| rest.split_once("**")).expect("a name");
            match kind {
                "service " => methods(package, name, body, &mut found),
                _ => definition(package, name, body, &mut found),
            }
        }
    }
    found
}

/// Reads `: Name (Request) → stream Response · …`.
fn methods(package: &str, name: &str, body: &str, found: &mut BTreeSet<String>) {
    for method in body.trim_start_matches(": ").split(" · ") {
        let method = method.replace(['(', ')'], "").replace(" →", "");
        found.insert(format!("{package}.{name}: {method}"));
    }
}

/// Reads the fields of a message or the values of an enum.
fn definition(package: &str, name: &str, body: &str, found: &mut BTreeSet<String>) {
    let (body, reserved) = body.split_once("; reserved ").unwrap_or((body, ""));
    let deprecated = body.ends_with(" [deprecated]");
    found.insert(format!("{package}.{name}{}", if deprecated { "†" } else { "" }));
    for numbers in reserved.split(", ").filter(|numbers| !numbers.is_empty()) {
        found.insert(format!("{package}.{name}: reserved {numbers}"));
    }
    let body = body.trim_end_matches(" [deprecated]").trim().trim_end_matches("(empty)");
    let mut oneof = String::new();
    for part in body.split(", ").filter(|part| !part.is_empty()) {
        let mut part = part;
        if let Some((of, first)) = part.strip_prefix("oneof ").and_then(|rest| rest.split_once(" {")) {
            oneof = format!(" in {of}");
            part = first;
        }
        let field = part.trim_end_matches('}');
        found.insert(format!("{package}.{name}: {}{oneof}", full_type(package, field)));
        if part.ends_with('}') {
            oneof.clear();
        }
    }
}

/// Returns a field with its type's full name; values of enums have no type.
fn full_type(package: &str, field: &str) -> String {
    let (bare, mark) = field.strip_suffix('†').map_or((field, ""), |bare| (bare, "†"));
    let Some((name, kind)) = bare.split_once(' ') else { return field.to_owned() };
    let (repeated, kind) = kind.strip_prefix("[]").map_or(("", kind), |kind| ("[]", kind));
    let well_known = kind.strip_prefix("g.").map(|kind| format!("google.protobuf.{kind}"));
    let scalar = kind.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    let elsewhere = ["flow.", "relay."].iter().any(|package| kind.starts_with(package));
    let own = || if scalar || elsewhere { kind.to_owned() } else { format!("{package}.{kind}") };
    format!("{name} {repeated}{}{mark}", well_known.unwrap_or_else(own))
}

/// The entries of the descriptors.
pub(crate) fn own(descriptors: &FileDescriptorSet) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for file in descriptors.file.iter().filter(|file| !file.package().starts_with("google.")) {
        let package = file.package();
        assert_eq!(file.syntax(), "proto3", "{package}");
        file.message_type.iter().for_each(|of| message(package, of, &mut found));
        file.enum_type.iter().for_each(|of| enumeration(package, of, &mut found));
        services(file, &mut found);
    }
    found
}

fn services(file: &FileDescriptorProto, found: &mut BTreeSet<String>) {
    let last = |name: &str| name.rsplit('.').next().unwrap_or_default().to_owned();
    let stream = |is| if is { "stream " } else { "" };
    for service in &file.service {
        for method in &service.method {
            found.insert(format!(
                "{}.{}: {} {}{} {}{}",
                file.package(),
                service.name(),
                method.name(),
                stream(method.client_streaming()),
                last(method.input_type()),
                stream(method.server_streaming()),
                last(method.output_type()),
            ));
        }
    }
}

fn mark(deprecated: bool) -> &'static str {
    if deprecated { "†" } else { "" }
}

fn message(scope: &str, of: &DescriptorProto, found: &mut BTreeSet<String>) {
    let name = format!("{scope}.{}", of.name());
    found.insert(format!("{name}{}", mark(of.options.as_ref().is_some_and(prost_types::MessageOptions::deprecated))));
    for field in &of.field {
        assert!(!field.proto3_optional(), "{name}.{}", field.name());
        let kind = match field.r#type() {
            Type::Message | Type::Enum => field.type_name().trim_start_matches('.').to_owned(),
            scalar => scalar.as_str_name().trim_start_matches("TYPE_").to_lowercase(),
        };
        let repeated = if field.label() == Label::Repeated { "[]" } else { "" };
        let deprecated = mark(field.options.as_ref().is_some_and(prost_types::FieldOptions::deprecated));
        let oneof = field.oneof_index.map(|at| format!(" in {}", of.oneof_decl[at as usize].name()));
        let oneof = oneof.unwrap_or_default();
        found.insert(format!("{name}: {}={} {repeated}{kind}{deprecated}{oneof}", field.name(), field.number()));
    }
    for range in &of.reserved_range {
        found.insert(format!("{name}: reserved {}", numbers(range.start(), range.end() - 1)));
    }
    of.nested_type.iter().for_each(|nested| message(&name, nested, found));
    of.enum_type.iter().for_each(|nested| enumeration(&name, nested, found));
}

fn enumeration(scope: &str, of: &EnumDescriptorProto, found: &mut BTreeSet<String>) {
    let name = format!("{scope}.{}", of.name());
    found.insert(name.clone());
    for value in &of.value {
        let deprecated = mark(value.options.as_ref().is_some_and(prost_types::EnumValueOptions::deprecated));
        found.insert(format!("{name}: {}={}{deprecated}", value.name(), value.number()));
    }
    for range in &of.reserved_range {
        found.insert(format!("{name}: reserved {}", numbers(range.start(), range.end())));
    }
}

fn numbers(first: i32, last: i32) -> String {
    if first == last { first.to_string() } else { format!("{first}-{last}") }
}
