//! Reads the fields of a gob structure by name. A missing field is zero, a field of another type is an error.

use crate::decode::error::RecordError;
use crate::gob::{Struct, Value};

/// The fields of a structure.
#[derive(Clone, Copy)]
pub(super) struct Fields<'a>(&'a Struct);

impl<'a> Fields<'a> {
    /// The fields of a value.
    ///
    /// # Errors
    /// The value is not a structure.
    pub(super) fn of(value: &'a Value, name: &'static str) -> Result<Self, RecordError> {
        value.as_struct().map(Self).ok_or(RecordError::Field { field: name, wanted: "a structure" })
    }

    fn read<T>(
        &self,
        field: &'static str,
        wanted: &'static str,
        read: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Result<Option<T>, RecordError> {
        let Some(value) = self.0.get(field) else { return Ok(None) };
        read(value).map(Some).ok_or(RecordError::Field { field, wanted })
    }

    pub(super) fn text(&self, field: &'static str) -> Result<&'a str, RecordError> {
        Ok(self.read(field, "a text", Value::as_text)?.unwrap_or_default())
    }

    /// An unsigned number.
    pub(super) fn uint(&self, field: &'static str) -> Result<u64, RecordError> {
        Ok(self.read(field, "an unsigned number", Value::as_uint)?.unwrap_or_default())
    }

    /// A signed number.
    pub(super) fn int(&self, field: &'static str) -> Result<i64, RecordError> {
        Ok(self.read(field, "a signed number", Value::as_int)?.unwrap_or_default())
    }

    /// A structure within this one; `None` if it is missing, as a nil pointer is.
    pub(super) fn part(&self, field: &'static str) -> Result<Option<Self>, RecordError> {
        self.read(field, "a structure", |value| value.as_struct().map(Self))
    }

    /// A text that the type's marshaler wrote.
    pub(super) fn marshaled(&self, field: &'static str) -> Result<String, RecordError> {
        let bytes = self.read(field, "bytes", Value::as_bytes)?.unwrap_or_default();
        Ok(String::from_utf8_lossy(bytes).into_owned())
    }

    pub(super) fn list<T>(
        &self,
        field: &'static str,
        wanted: &'static str,
        read: impl Fn(&'a Value) -> Option<T>,
    ) -> Result<Vec<T>, RecordError> {
        let read = |value: &'a Value| value.as_list()?.iter().map(&read).collect();
        Ok(self.read(field, wanted, read)?.unwrap_or_default())
    }

    /// A list of texts.
    pub(super) fn texts(&self, field: &'static str) -> Result<Vec<String>, RecordError> {
        self.list(field, "a list of texts", |value| value.as_text().map(str::to_owned))
    }

    /// A map of texts, sorted by key.
    pub(super) fn map<T>(
        &self,
        field: &'static str,
        wanted: &'static str,
        read: impl Fn(&'a Value) -> Option<T>,
    ) -> Result<Vec<(String, T)>, RecordError> {
        let entry = |(key, value): &'a (Value, Value)| Some((key.as_text()?.to_owned(), read(value)?));
        let entries = |value: &'a Value| value.as_map()?.iter().map(entry).collect::<Option<Vec<_>>>();
        let mut entries = self.read(field, wanted, entries)?.unwrap_or_default();
        entries.sort_by(|(left, _), (right, _)| left.cmp(right));
        Ok(entries)
    }

    /// Labels as `source:key=value`: texts in 1.15, structures from 1.16 on.
    pub(super) fn labels(&self, field: &'static str) -> Result<Vec<String>, RecordError> {
        self.list(field, "a list of labels", |value| match value {
            Value::Text(text) => Some(text.clone()),
            Value::Struct(label) => {
                let part = |name| label.get(name).map_or(Some(""), Value::as_text);
                let (source, key, value) = (part("Source")?, part("Key")?, part("Value")?);
                Some(if value.is_empty() { format!("{source}:{key}") } else { format!("{source}:{key}={value}") })
            }
            _ => None,
        })
    }
}
