//! Reads `resource`: the attributes of everything that is exported.

use super::apply::apply;
use super::node::{Node, NodeValue};
use super::pairs::{self, Pair, PairKind};
use super::report::{LocatedNode, Report};
use super::substitution::Environment;
use super::table::{ATTRIBUTE, RESOURCE};

const SERVICE_NAME: &str = "service.name";

/// The types of attributes.
const TYPES: [&str; 8] = ["string", "bool", "int", "double", "string_array", "bool_array", "int_array", "double_array"];

/// The attributes of the resource.
const ATTRIBUTES: PairKind = PairKind { node: "attributes", rows: ATTRIBUTE, text: typed_value, name: attribute_name };

/// Reads the resource: its attributes precede those of the list, and these the name that a detector finds.
pub(super) fn read(at: &LocatedNode<'_>, environment: &mut Environment<'_>, report: &mut Report) {
    apply(at, &[RESOURCE], "", report);
    let detection = at.child("detection/development");
    if let Some(detectors) = detection.and_then(|detection| detection.child("detectors")) {
        read_detectors(&detectors, environment, report);
    }
    pairs::read(at, &ATTRIBUTES, "otlp.resource_attributes", report);
}

/// The name of an attribute; `service.name` has a key of its own.
fn attribute_name(attribute: &Pair<'_>, report: &mut Report) -> Option<String> {
    let Pair { at, name, value, .. } = *attribute;
    if name == SERVICE_NAME {
        report.set(at, "otlp.service_name", value);
        return None;
    }
    if name.trim() != name || name.is_empty() || name.contains(['=', ',']) {
        let right = "use a name without =, commas and white space around it";
        report.wrong(at, format!("{name:?} is not supported as a name of an attribute"), right);
        return None;
    }
    Some(name.to_owned())
}

/// The text of a value that has the attribute's type; `None` if it has another one.
fn typed_value(item: &LocatedNode<'_>, value: &LocatedNode<'_>, report: &mut Report) -> Option<String> {
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
fn read_detectors(at: &LocatedNode<'_>, environment: &mut Environment<'_>, report: &mut Report) {
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
