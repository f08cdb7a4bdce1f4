//! Reads `resource`: the attributes of everything that is exported.

use std::collections::BTreeMap;

use super::apply::apply;
use super::node::{Node, NodeValue};
use super::pairs;
use super::report::{At, Report};
use super::substitution::Environment;
use super::table::{ATTRIBUTE, RESOURCE};
use crate::convert;

const SERVICE_NAME: &str = "service.name";

/// The types of attributes.
const TYPES: [&str; 8] = ["string", "bool", "int", "double", "string_array", "bool_array", "int_array", "double_array"];

/// Reads the resource: its attributes precede those of the list, and these the name that a detector finds.
pub(super) fn read(at: &At<'_>, environment: &mut Environment<'_>, report: &mut Report) {
    apply(at, &[RESOURCE], "", report);
    let detection = at.child("detection/development");
    if let Some(detectors) = detection.and_then(|detection| detection.child("detectors")) {
        read_detectors(&detectors, environment, report);
    }
    let (list, entries) = (at.child("attributes_list"), at.child("attributes"));
    let mut attributes = BTreeMap::new();
    if let Some(list) = &list
        && let Some(text) = list.text(report)
    {
        match convert::pairs(text) {
            Ok(pairs) => {
                for (name, value) in pairs {
                    add(list, &name, value, &mut attributes, report);
                }
            }
            Err(wrong) => report.wrong(list, wrong, pairs::FORM),
        }
    }
    let items = entries.as_ref().map(|entries| entries.items(report)).unwrap_or_default();
    for item in items {
        if let Some((name, value)) = pairs::entry(&item, ATTRIBUTE, report)
            && let Some(text) = typed_value(&item, &value, report)
        {
            add(&value, name, text, &mut attributes, report);
        }
    }
    if let Some(at) = entries.or(list).filter(|_| !attributes.is_empty()) {
        report.set(&at, "otlp.resource_attributes", pairs::encode(&attributes));
    }
}

/// Adds an attribute; `service.name` has a key of its own.
fn add(at: &At<'_>, name: &str, value: String, attributes: &mut BTreeMap<String, String>, report: &mut Report) {
    if name == SERVICE_NAME {
        report.set(at, "otlp.service_name", value);
    } else if name.trim() != name || name.is_empty() || name.contains(['=', ',']) {
        let right = "use a name without =, commas and white space around it";
        report.wrong(at, format!("{name:?} is not supported as a name of an attribute"), right);
    } else {
        attributes.insert(name.to_owned(), value);
    }
}

/// The text of a value that has the attribute's type; `None` if it has another one.
fn typed_value(item: &At<'_>, value: &At<'_>, report: &mut Report) -> Option<String> {
    let given = match item.child("type") {
        None => TYPES[0],
        Some(at) => {
            let name = at.text(report)?;
            if !TYPES.contains(&name) {
                report.wrong(&at, format!("{name:?} is no type of attributes"), format!("use {}", TYPES.join(", ")));
                return None;
            }
            name
        }
    };
    let text = match (given.strip_suffix("_array"), &value.node.value) {
        (None, _) => scalar(given, value.node),
        (Some(kind), NodeValue::List(items)) if !items.is_empty() => {
            let texts: Option<Vec<_>> = items.iter().map(|item| scalar(kind, item)).collect();
            texts.map(|texts| texts.join(","))
        }
        (Some(_), _) => None,
    };
    if text.is_none() {
        let right = "set the type of the attribute to that of its value, or put a text in quotes";
        report.wrong(value, format!("{}, and the type is {given}", value.node.describe()), right);
    } else if given != TYPES[0] {
        let wrong = format!("the type {given} is not supported, the value is exported as a text");
        report.warn(value, wrong, "leave the type out, and put the value in quotes");
    }
    text
}

/// The text of a scalar of a type.
fn scalar(kind: &str, node: &Node) -> Option<String> {
    match (kind, &node.value) {
        ("string", NodeValue::Text(text)) => Some(text.clone()),
        ("bool", NodeValue::Bool(flag)) => Some(flag.to_string()),
        ("int" | "double", NodeValue::Integer(number)) => Some(number.to_string()),
        ("double", NodeValue::Float(number)) => Some(number.to_string()),
        _ => None,
    }
}

/// Reads the detectors. What those of the host, the container and the service find is exported in any case.
fn read_detectors(at: &At<'_>, environment: &mut Environment<'_>, report: &mut Report) {
    for item in at.items(report) {
        let Some((name, detector)) = item.only_entry(report) else { continue };
        match name {
            "host" | "container" => {}
            "service" => match environment.value("OTEL_SERVICE_NAME").map(str::trim) {
                Ok("") => {}
                Ok(service) => report.set(&detector, "otlp.service_name", service),
                Err(invalid) => report.invalid_reference(detector.path, detector.node.line, invalid),
            },
            _ => report.unsupported(&detector),
        }
    }
}
