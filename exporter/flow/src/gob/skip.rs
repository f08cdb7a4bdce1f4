//! Skips the values of unknown fields, of any type.

use super::bounds::{LEAST_VALUE, MAX_DEPTH};
use super::builtin;
use super::cursor::Cursor;
use super::descriptor::{Kind, Types};
use super::error::{Fault, GobError};

/// Skips one value of a type. Every step takes a byte or more, so the message's length bounds the time.
pub(super) fn skip(cursor: &mut Cursor<'_>, types: &Types, id: i64) -> Result<(), GobError> {
    nested(cursor, types, id, MAX_DEPTH)
}

fn nested(cursor: &mut Cursor<'_>, types: &Types, id: i64, depth: usize) -> Result<(), GobError> {
    match id {
        builtin::BOOL | builtin::INT | builtin::UINT | builtin::FLOAT => return cursor.uint().map(drop),
        builtin::BYTES | builtin::STRING => return cursor.byte_string().map(drop),
        builtin::COMPLEX => {
            cursor.uint()?;
            return cursor.uint().map(drop);
        }
        builtin::INTERFACE => return interface(cursor),
        _ => {}
    }
    let depth = depth.checked_sub(1).ok_or_else(|| cursor.error(Fault::Depth { limit: MAX_DEPTH }))?;
    match types.get(id) {
        Some(Kind::Opaque) => cursor.byte_string().map(drop),
        Some(Kind::Array { element, length }) => {
            let count = array_count(cursor, *length)?;
            (0..count).try_for_each(|_| nested(cursor, types, *element, depth))
        }
        Some(Kind::Slice { element }) => {
            let count = cursor.count(LEAST_VALUE)?;
            (0..count).try_for_each(|_| nested(cursor, types, *element, depth))
        }
        Some(Kind::Map { key, element }) => {
            let count = cursor.count(2 * LEAST_VALUE)?;
            (0..count).try_for_each(|_| {
                nested(cursor, types, *key, depth)?;
                nested(cursor, types, *element, depth)
            })
        }
        Some(Kind::Struct(fields)) => {
            let mut walk = Walk::new(id, fields.len());
            while let Some(field) = walk.next(cursor)? {
                nested(cursor, types, fields[field].id, depth)?;
            }
            Ok(())
        }
        None => Err(cursor.error(Fault::UnknownType { id })),
    }
}

/// Skips an interface's value.
fn interface(cursor: &mut Cursor<'_>) -> Result<(), GobError> {
    match interface_type(cursor)? {
        Some(_) => cursor.byte_string().map(drop),
        None => Ok(()),
    }
}

/// Reads the type before an interface's value: its name and its id. Returns `None` if the name is empty: there is no
/// value. A length and the value follow.
pub(super) fn interface_type(cursor: &mut Cursor<'_>) -> Result<Option<i64>, GobError> {
    if cursor.byte_string()?.is_empty() {
        return Ok(None);
    }
    let start = *cursor;
    let id = cursor.int()?;
    if id < 0 {
        return Err(start.error(Fault::Interface { id: id.wrapping_neg() }));
    }
    Ok(Some(id))
}

/// Reads the count before an array's elements, which must be its type's.
pub(super) fn array_count(cursor: &mut Cursor<'_>, length: u64) -> Result<usize, GobError> {
    let start = *cursor;
    let count = cursor.count(LEAST_VALUE)?;
    match count as u64 == length {
        true => Ok(count),
        false => Err(start.error(Fault::ArrayLength { count: count as u64, length })),
    }
}

/// Iterates over the fields of a structure that are present: deltas between their numbers, 0 at the end.
pub(super) struct Walk {
    id: i64,
    fields: usize,
    /// The number after the last field's: deltas are at least 1, and count from −1.
    next: usize,
}

impl Walk {
    /// Iterates over a structure of type `id` with so many fields.
    #[inline]
    pub(super) const fn new(id: i64, fields: usize) -> Self {
        Self { id, fields, next: 0 }
    }

    /// Returns the number of the next field, or `None` after the last.
    #[inline]
    pub(super) fn next(&mut self, cursor: &mut Cursor<'_>) -> Result<Option<usize>, GobError> {
        let start = *cursor;
        let delta = cursor.uint()?;
        if delta == 0 {
            return Ok(None);
        }
        if delta > (self.fields - self.next) as u64 {
            return Err(start.error(Fault::UnknownField { id: self.id, delta }));
        }
        // At most the number of fields.
        self.next += delta as usize;
        Ok(Some(self.next - 1))
    }
}
