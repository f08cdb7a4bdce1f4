//! Protobuf JSON of the API's messages, as Hubble's own programs write and read it.

mod ordered;
#[cfg(test)]
mod tests;

use std::io;

use prost::Name;
use prost_reflect::{DeserializeOptions, DynamicMessage, Kind, MessageDescriptor, ReflectMessage as _, Value};
use serde::Serialize as _;
use serde_json::ser::Formatter;

use crate::proto;
use crate::terminal::is_harmful;
use ordered::{Ordered, WELL_KNOWN};

/// The error for a message that cannot become JSON, or a text that is not the JSON of a message.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages name the fields")]
pub enum JsonError {
    /// A message that the protobuf files do not have.
    #[error("unknown message {name}")]
    UnknownMessage { name: String },
    /// A message that does not fit its descriptor.
    #[error(transparent)]
    Message(#[from] prost::DecodeError),
    /// A text that is not JSON, or not of this message.
    #[error(transparent)]
    Text(#[from] serde_json::Error),
}

fn descriptor<M: Name>() -> Result<MessageDescriptor, JsonError> {
    let name = M::full_name();
    proto::descriptor(&name).ok_or(JsonError::UnknownMessage { name })
}

/// Appends a message as one line of JSON without its end: proto names, names of enums, 64-bit integers as strings, unset
/// fields left out. Fields without a JSON form are left out too: an `Any` of a type outside the API, a time outside the
/// years 1 to 9999.
///
/// # Errors
/// None with the generated messages.
pub fn write<M: Name>(message: &M, out: &mut String) -> Result<(), JsonError> {
    let mut dynamic = DynamicMessage::new(descriptor::<M>()?);
    dynamic.transcode_from(message)?;
    let text = text(&dynamic).or_else(|_| {
        remove_unwritable(&mut dynamic);
        text(&dynamic)
    })?;
    out.push_str(&text);
    Ok(())
}

fn text(message: &DynamicMessage) -> Result<String, serde_json::Error> {
    let mut bytes = Vec::with_capacity(1024);
    let mut serializer = serde_json::Serializer::with_formatter(&mut bytes, Escaping);
    Ordered(message).serialize(&mut serializer)?;
    // JSON is UTF-8, so nothing is lost.
    Ok(String::from_utf8(bytes).unwrap_or_default())
}

/// Clears the fields without a JSON form, at any depth.
fn remove_unwritable(message: &mut DynamicMessage) {
    let fields: Vec<_> = message.fields().map(|(field, _)| field).collect();
    for field in fields {
        if !matches!(field.kind(), Kind::Message(_)) {
            continue;
        }
        let is_writable = match message.get_field_mut(&field) {
            Value::Message(inner) => make_writable(inner),
            Value::List(list) => {
                list.retain_mut(|value| match value {
                    Value::Message(inner) => make_writable(inner),
                    _ => true,
                });
                true
            }
            _ => true,
        };
        if !is_writable {
            message.clear_field(&field);
        }
    }
}

/// Returns whether a message has a JSON form, if need be without some of its fields.
fn make_writable(message: &mut DynamicMessage) -> bool {
    if text(message).is_ok() {
        return true;
    }
    if message.descriptor().full_name().starts_with(WELL_KNOWN) {
        return false;
    }
    remove_unwritable(message);
    text(message).is_ok()
}

/// Reads a text that holds one message: names as in the protobuf files or in lower camel case, enums by name or number.
///
/// # Errors
/// The text is not JSON, or not of this message; with `strict` also if it has a field that the message has not.
pub fn read<M: Name + Default>(text: &str, strict: bool) -> Result<M, JsonError> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let message = read_one(&mut deserializer, strict)?;
    deserializer.end()?;
    Ok(message)
}

/// Reads a text of several messages, one after the other, with nothing or white space between them.
///
/// # Errors
/// As [`read`].
pub fn read_all<M: Name + Default>(text: &str, strict: bool) -> Result<Vec<M>, JsonError> {
    let values = serde_json::Deserializer::from_str(text).into_iter::<serde_json::Value>();
    values.map(|value| read_one(value?, strict)).collect()
}

fn read_one<'de, M: Name + Default, D>(deserializer: D, strict: bool) -> Result<M, JsonError>
where
    D: serde::Deserializer<'de, Error = serde_json::Error>,
{
    let options = DeserializeOptions::new().deny_unknown_fields(strict);
    let dynamic = DynamicMessage::deserialize_with_options(descriptor::<M>()?, deserializer, &options)?;
    Ok(dynamic.transcode_to()?)
}

/// Escapes more than JSON demands: `<`, `>`, `&` and line separators as Go does, and terminal controls.
struct Escaping;

impl Formatter for Escaping {
    fn write_string_fragment<W: io::Write + ?Sized>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        let mut start = 0;
        for (at, c) in fragment.char_indices() {
            if matches!(c, '<' | '>' | '&') || is_harmful(c) {
                writer.write_all(&fragment.as_bytes()[start..at])?;
                write!(writer, "\\u{:04x}", u32::from(c))?;
                start = at + c.len_utf8();
            }
        }
        writer.write_all(&fragment.as_bytes()[start..])
    }
}
