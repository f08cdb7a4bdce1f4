//! Serializes messages with their fields in the order of Hubble's own programs, so that texts can be compared.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, ReflectMessage as _, SerializeOptions, Value};
use serde::ser::{Error as _, SerializeMap as _, SerializeSeq as _};
use serde::{Serialize, Serializer};

/// Messages with their fields ordered by number: their oneof is declared first upstream.
const BY_NUMBER: [&str; 2] = ["observer.GetFlowsResponse", "observer.ExportEvent"];

/// The package of messages with their own form in JSON.
pub(super) const WELL_KNOWN: &str = "google.protobuf.";

/// A message to serialize.
pub(super) struct Ordered<'a>(pub(super) &'a DynamicMessage);

impl Serialize for Ordered<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let descriptor = self.0.descriptor();
        if descriptor.full_name().starts_with(WELL_KNOWN) {
            return self.0.serialize_with_options(serializer, &SerializeOptions::new());
        }
        let mut fields: Vec<(FieldDescriptor, &Value)> = self.0.fields().collect();
        if !BY_NUMBER.contains(&descriptor.full_name()) {
            // A descriptor's path ends with its index in the declaration.
            fields.sort_by_key(|(field, _)| field.path().last().copied());
        }
        let mut map = serializer.serialize_map(Some(fields.len()))?;
        for (field, value) in &fields {
            map.serialize_entry(field.name(), &FieldValue { value, kind: field.kind() })?;
        }
        map.end()
    }
}

/// A field's value to serialize.
struct FieldValue<'a> {
    value: &'a Value,
    kind: Kind,
}

impl Serialize for FieldValue<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.value {
            Value::Bool(value) => serializer.serialize_bool(*value),
            Value::I32(value) => serializer.serialize_i32(*value),
            Value::U32(value) => serializer.serialize_u32(*value),
            // Some JSON parsers have doubles only.
            Value::I64(value) => serializer.collect_str(value),
            Value::U64(value) => serializer.collect_str(value),
            Value::F32(value) => float(f64::from(*value), serializer),
            Value::F64(value) => float(*value, serializer),
            Value::String(text) => serializer.serialize_str(text),
            Value::Bytes(bytes) => serializer.serialize_str(&BASE64_STANDARD.encode(bytes)),
            Value::EnumNumber(number) => match &self.kind {
                Kind::Enum(names) => match names.get_value(*number) {
                    Some(value) => serializer.serialize_str(value.name()),
                    None => serializer.serialize_i32(*number),
                },
                _ => serializer.serialize_i32(*number),
            },
            Value::Message(message) => Ordered(message).serialize(serializer),
            Value::List(values) => {
                let mut list = serializer.serialize_seq(Some(values.len()))?;
                for value in values {
                    list.serialize_element(&FieldValue { value, kind: self.kind.clone() })?;
                }
                list.end()
            }
            // The API has no maps.
            Value::Map(_) => Err(S::Error::custom("a map")),
        }
    }
}

fn float<S: Serializer>(value: f64, serializer: S) -> Result<S::Ok, S::Error> {
    match value {
        _ if value.is_nan() => serializer.serialize_str("NaN"),
        f64::INFINITY => serializer.serialize_str("Infinity"),
        f64::NEG_INFINITY => serializer.serialize_str("-Infinity"),
        // Go writes integral numbers without a fraction.
        value if value.fract() == 0.0 && value.abs() < 1e15 => serializer.serialize_i64(value as i64),
        value => serializer.serialize_f64(value),
    }
}
