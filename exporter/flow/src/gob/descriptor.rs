//! The types that a stream has defined: `wireType` values, by the id of their message.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::cursor::Cursor;
use super::error::{Fault, GobError};

/// A type of a descriptor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A fixed number of elements of a type.
    Array {
        /// The elements' type.
        element: i64,
        /// Number of elements.
        length: u64,
    },
    /// Any number of elements of a type.
    Slice {
        /// The elements' type.
        element: i64,
    },
    /// Named fields.
    Struct(Arc<[Field]>),
    /// Keys and values.
    Map {
        /// The keys' type.
        key: i64,
        /// The values' type.
        element: i64,
    },
    /// Bytes of a GobEncoder, BinaryMarshaler or TextMarshaler.
    Opaque,
}

/// A field of a structure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Field {
    /// Its name in Go.
    pub name: Arc<str>,
    /// Its type's id.
    pub id: i64,
}

/// The types defined so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Types {
    known: BTreeMap<i64, Kind>,
    bytes: usize,
}

impl Types {
    /// The type of an id.
    pub(super) fn get(&self, id: i64) -> Option<&Kind> {
        self.known.get(&id)
    }

    /// Reads a descriptor after the negative id of its message; at most `number` of them, of `bytes` together.
    pub(super) fn define(
        &mut self,
        cursor: &mut Cursor<'_>,
        id: i64,
        number: usize,
        bytes: usize,
    ) -> Result<(), GobError> {
        let start = *cursor;
        self.bytes += cursor.left();
        if self.bytes > bytes {
            return Err(start.error(Fault::Descriptors { what: "bytes", limit: bytes }));
        }
        if self.known.len() >= number {
            return Err(start.error(Fault::Descriptors { what: "number", limit: number }));
        }
        // Lower ids are predefined, or those of the descriptors' own types.
        if id < 64 {
            return Err(start.error(Fault::Descriptor { id }));
        }
        let kind = kind(cursor, id)?;
        cursor.finish()?;
        if self.known.insert(id, kind).is_some() {
            return Err(start.error(Fault::Duplicate { id }));
        }
        Ok(())
    }
}

/// Reads the fields of one of the descriptors' own structures: calls `read` with each field's number.
fn fields<'a>(
    cursor: &mut Cursor<'a>,
    id: i64,
    mut read: impl FnMut(&mut Cursor<'a>, u64) -> Result<(), GobError>,
) -> Result<(), GobError> {
    // Deltas count from −1, so the first field is 1 here.
    let mut number: u64 = 0;
    loop {
        let start = *cursor;
        match cursor.uint()? {
            0 => return Ok(()),
            delta => {
                number = number.checked_add(delta).ok_or_else(|| start.error(Fault::UnknownField { id, delta }))?;
                read(cursor, number)?;
            }
        }
    }
}

/// Reads a `wireType` value, which has exactly one field.
fn kind(cursor: &mut Cursor<'_>, id: i64) -> Result<Kind, GobError> {
    let start = *cursor;
    let mut found = None;
    fields(cursor, id, |cursor, number| {
        let kind = match number {
            1..=7 if found.is_none() => composed(cursor, id, number)?,
            _ => return Err(cursor.error(Fault::Descriptor { id })),
        };
        found = Some(kind);
        Ok(())
    })?;
    found.ok_or_else(|| start.error(Fault::Descriptor { id }))
}

/// The content of a descriptor's inner structure; missing fields are zero, as in Go.
#[derive(Default)]
struct Parts {
    numbers: [i64; 2],
    fields: Vec<Field>,
}

/// Reads the inner structure of a `wireType`: the common part first, then the fields of its form.
fn composed(cursor: &mut Cursor<'_>, id: i64, form: u64) -> Result<Kind, GobError> {
    let start = *cursor;
    let mut parts = Parts::default();
    fields(cursor, id, |cursor, number| {
        match (form, number) {
            (_, 1) => common(cursor, id)?,
            (1 | 2 | 4, 2) => parts.numbers[0] = cursor.int()?,
            (1 | 4, 3) => parts.numbers[1] = cursor.int()?,
            (3, 2) => parts.fields = field_list(cursor, id)?,
            _ => return Err(cursor.error(Fault::Descriptor { id })),
        }
        Ok(())
    })?;
    let [first, second] = parts.numbers;
    Ok(match form {
        1 => Kind::Array {
            element: first,
            length: u64::try_from(second).map_err(|_| start.error(Fault::Descriptor { id }))?,
        },
        2 => Kind::Slice { element: first },
        3 => Kind::Struct(parts.fields.into()),
        4 => Kind::Map { key: first, element: second },
        _ => Kind::Opaque,
    })
}

/// Skips the common part, a name and an id: the id of the descriptor's message identifies the type.
fn common(cursor: &mut Cursor<'_>, id: i64) -> Result<(), GobError> {
    fields(cursor, id, |cursor, number| match number {
        1 => cursor.byte_string().map(drop),
        2 => cursor.int().map(drop),
        _ => Err(cursor.error(Fault::Descriptor { id })),
    })
}

fn field_list(cursor: &mut Cursor<'_>, id: i64) -> Result<Vec<Field>, GobError> {
    // At least a delta, a type and the end each: the descriptor's length bounds the list.
    let count = cursor.count(3)?;
    let mut list = Vec::with_capacity(count);
    for _ in 0..count {
        let mut field = Field { name: Arc::from(""), id: 0 };
        fields(cursor, id, |cursor, number| {
            match number {
                1 => field.name = String::from_utf8_lossy(cursor.byte_string()?).into(),
                2 => field.id = cursor.int()?,
                _ => return Err(cursor.error(Fault::Descriptor { id })),
            }
            Ok(())
        })?;
        list.push(field);
    }
    Ok(list)
}
