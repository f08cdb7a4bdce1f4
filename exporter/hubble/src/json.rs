//! Protobuf JSON of the API's messages, as Hubble's own programs write and read it.

mod ordered;
#[cfg(test)]
mod tests;

use std::io;
use std::sync::LazyLock;

use prost::Message;
use prost_reflect::{
    DescriptorPool, DeserializeOptions, DynamicMessage, Kind, MessageDescriptor, ReflectMessage as _, Value,
};
use serde::Serialize as _;
use serde_json::ser::Formatter;

use crate::proto::{FILE_DESCRIPTOR_SET, flow, observer};
use crate::terminal::is_harmful;
use ordered::{Ordered, WELL_KNOWN};

/// A message with its name in the protobuf files.
pub trait Named: Message + Default {
    /// Package and name.
    const NAME: &'static str;
}

macro_rules! named {
    ($($type:ty => $name:literal),+ $(,)?) => {
        $(impl Named for $type {
            const NAME: &'static str = $name;
        })+
    };
}

named! {
    flow::FlowFilter => "flow.FlowFilter",
    observer::ExportEvent => "observer.ExportEvent",
    observer::GetAgentEventsResponse => "observer.GetAgentEventsResponse",
    observer::GetDebugEventsResponse => "observer.GetDebugEventsResponse",
    observer::GetFlowsResponse => "observer.GetFlowsResponse",
    observer::Namespace => "observer.Namespace",
    observer::Node => "observer.Node",
    observer::ServerStatusResponse => "observer.ServerStatusResponse",
}

static POOL: LazyLock<DescriptorPool> =
    // They are part of the program, and a test compares them with the protobuf files.
    LazyLock::new(|| DescriptorPool::decode(FILE_DESCRIPTOR_SET).unwrap_or_default());

/// Why there is no JSON, or no message.
#[derive(Debug, thiserror::Error)]
pub enum JsonError {
    /// A name that is not in the protobuf files.
    #[error("the message {0} is not known")]
    Unknown(&'static str),
    /// A message that does not fit its descriptor.
    #[error(transparent)]
    Message(#[from] prost::DecodeError),
    /// A text that is no JSON, or not of this message.
    #[error(transparent)]
    Text(#[from] serde_json::Error),
}

pub(crate) fn descriptor<M: Named>() -> Result<MessageDescriptor, JsonError> {
    POOL.get_message_by_name(M::NAME).ok_or(JsonError::Unknown(M::NAME))
}

/// Appends a message as one line of JSON without its end: proto names, names of enums, 64-bit integers as texts, what is
/// unset left out. What JSON has no form for (a message of a type that we do not know, a time outside of the years 1 to
/// 9999) is left out too: the rest is worth having.
///
/// # Errors
/// None with the generated messages.
pub fn write<M: Named>(message: &M, out: &mut String) -> Result<(), JsonError> {
    let mut dynamic = DynamicMessage::new(descriptor::<M>()?);
    dynamic.transcode_from(message)?;
    match text(&dynamic) {
        Ok(text) => out.push_str(&text),
        Err(_) => {
            cut(&mut dynamic);
            out.push_str(&text(&dynamic)?);
        }
    }
    Ok(())
}

fn text(message: &DynamicMessage) -> Result<String, serde_json::Error> {
    let mut bytes = Vec::with_capacity(1024);
    let mut serializer = serde_json::Serializer::with_formatter(&mut bytes, Escaping);
    Ordered(message).serialize(&mut serializer)?;
    // JSON is UTF-8, so nothing is lost.
    Ok(String::from_utf8(bytes).unwrap_or_default())
}

/// Takes out what can't be written, as deep as it lies.
fn cut(message: &mut DynamicMessage) {
    let fields: Vec<_> = message.fields().map(|(field, _)| field).collect();
    for field in fields {
        if !matches!(field.kind(), Kind::Message(_)) {
            continue;
        }
        let is_good = match message.get_field_mut(&field) {
            Value::Message(inner) => mended(inner),
            Value::List(list) => {
                list.retain_mut(|value| match value {
                    Value::Message(inner) => mended(inner),
                    _ => true,
                });
                true
            }
            _ => true,
        };
        if !is_good {
            message.clear_field(&field);
        }
    }
}

/// Whether a message can be written, perhaps after parts were taken out.
fn mended(message: &mut DynamicMessage) -> bool {
    if text(message).is_ok() {
        return true;
    }
    if message.descriptor().full_name().starts_with(WELL_KNOWN) {
        return false;
    }
    cut(message);
    text(message).is_ok()
}

/// The message in a text, which holds nothing else.
///
/// # Errors
/// It is no JSON, or not of this message; with `strict` also where it has a field that we do not know.
pub fn read<M: Named>(text: &str, strict: bool) -> Result<M, JsonError> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let message = one(&mut deserializer, strict)?;
    deserializer.end()?;
    Ok(message)
}

/// The messages in a text, one behind the other, with nothing or white space between them.
///
/// # Errors
/// As [`read`].
pub fn read_all<M: Named>(text: &str, strict: bool) -> Result<Vec<M>, JsonError> {
    let mut messages = Vec::new();
    for value in serde_json::Deserializer::from_str(text).into_iter::<serde_json::Value>() {
        messages.push(one(value?, strict)?);
    }
    Ok(messages)
}

fn one<'de, M: Named, D>(deserializer: D, strict: bool) -> Result<M, JsonError>
where
    D: serde::Deserializer<'de, Error = serde_json::Error>,
{
    let options = DeserializeOptions::new().deny_unknown_fields(strict);
    let dynamic = DynamicMessage::deserialize_with_options(descriptor::<M>()?, deserializer, &options)?;
    Ok(M::decode(dynamic.encode_to_vec().as_slice())?)
}

/// Escapes more than JSON demands: `<`, `>`, `&` and the line separators as Go does, and what else moves a terminal. The
/// values are the same.
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
