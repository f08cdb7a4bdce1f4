//! Decodes a value with its descriptors, which follows the type byte in messages 129 and 130.

use std::sync::Arc;

use super::bounds::{LEAST_VALUE, MAX_DEPTH};
use super::builtin;
use super::cursor::Cursor;
use super::descriptor::{Field, Kind, Types};
use super::error::{Fault, GobError};
use super::skip::{Walk, array_count, interface_type};

/// Parts of one value: an access-log event has a few hundred. Bounds the memory at some 4 MB beside texts.
const MAX_VALUES: usize = 65_536;
/// Types of one value; an access-log event has 18.
const MAX_DESCRIPTORS: usize = 128;
/// Bytes of their descriptors; an access-log event has 1,100.
const MAX_DESCRIPTOR_BYTES: usize = 64 << 10;

/// A value of any type.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A bool.
    Bool(bool),
    /// A signed number.
    Int(i64),
    /// An unsigned number.
    Uint(u64),
    /// A float.
    Float(f64),
    /// A slice of bytes.
    Bytes(Vec<u8>),
    /// A string; bytes that are not UTF-8 are replaced.
    Text(String),
    /// A slice or an array, or the two parts of a complex number.
    List(Vec<Value>),
    /// A map, in the encoded order: Go's is random.
    Map(Vec<(Value, Value)>),
    /// A structure.
    Struct(Struct),
    /// Bytes of a GobEncoder, BinaryMarshaler or TextMarshaler.
    Binary(Vec<u8>),
    /// An interface without a value.
    Nil,
}

/// A structure, with the fields that were sent.
#[derive(Clone, Debug, PartialEq)]
pub struct Struct {
    fields: Arc<[Field]>,
    values: Vec<(usize, Value)>,
}

impl Struct {
    /// Returns a field by its name in Go; `None` if the type has no such field, or its value is zero, empty or nil.
    pub fn get(&self, field: &str) -> Option<&Value> {
        self.iter().find_map(|(name, value)| (name == field).then_some(value))
    }

    /// Returns whether the type has such a field, sent or not.
    pub fn has(&self, field: &str) -> bool {
        self.fields.iter().any(|known| *known.name == *field)
    }

    /// The fields that were sent, in the order of the type.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.values.iter().map(|(number, value)| (&*self.fields[*number].name, value))
    }
}

impl Value {
    /// Returns the text of a string.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Returns an unsigned number.
    pub const fn as_uint(&self) -> Option<u64> {
        match self {
            Self::Uint(number) => Some(*number),
            _ => None,
        }
    }

    /// Returns a signed number.
    pub const fn as_int(&self) -> Option<i64> {
        match self {
            Self::Int(number) => Some(*number),
            _ => None,
        }
    }

    /// Returns the bytes of a byte slice or of a marshaler.
    pub fn as_bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Bytes(bytes) | Self::Binary(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// Returns the elements of a slice or array.
    pub fn as_list(&self) -> Option<&[Self]> {
        match self {
            Self::List(list) => Some(list),
            _ => None,
        }
    }

    /// Returns the keys and values of a map.
    pub fn as_map(&self) -> Option<&[(Self, Self)]> {
        match self {
            Self::Map(map) => Some(map),
            _ => None,
        }
    }

    /// Returns a structure.
    pub const fn as_struct(&self) -> Option<&Struct> {
        match self {
            Self::Struct(fields) => Some(fields),
            _ => None,
        }
    }
}

/// Decodes the value at the start of `bytes`, after its descriptors. Returns it with the number of bytes that they took
/// together; padding may follow.
///
/// # Errors
/// The bytes are invalid or incomplete; offsets count from the start of `bytes`.
pub fn value(bytes: &[u8]) -> Result<(Value, usize), GobError> {
    let mut types = Types::default();
    let mut cursor = Cursor::new(bytes, 0);
    loop {
        let mut message = cursor.part()?;
        let id = message.int()?;
        if id < 0 {
            types.define(&mut message, id.wrapping_neg(), MAX_DESCRIPTORS, MAX_DESCRIPTOR_BYTES)?;
            continue;
        }
        let mut reader = Reader { types: &types, values_left: MAX_VALUES };
        let value = reader.whole(&mut message, id, MAX_DEPTH)?;
        message.finish()?;
        return Ok((value, cursor.at()));
    }
}

/// Reads values up to the limit of parts.
struct Reader<'a> {
    types: &'a Types,
    values_left: usize,
}

impl Reader<'_> {
    /// Reads a value outside of a structure: any but a structure is preceded by a zero.
    fn whole(&mut self, cursor: &mut Cursor<'_>, id: i64, depth: usize) -> Result<Value, GobError> {
        if !matches!(self.types.get(id), Some(Kind::Struct(_))) {
            let wanted = "the zero before a value that is not a structure";
            match cursor.take(1)? {
                [0] => {}
                other => return Err(cursor.error(Fault::Byte { value: other[0], wanted })),
            }
        }
        self.value(cursor, id, depth)
    }

    fn value(&mut self, cursor: &mut Cursor<'_>, id: i64, depth: usize) -> Result<Value, GobError> {
        self.spend(cursor, 1)?;
        Ok(match id {
            builtin::BOOL => boolean(cursor)?,
            builtin::INT => Value::Int(cursor.int()?),
            builtin::UINT => Value::Uint(cursor.uint()?),
            builtin::FLOAT => float(cursor)?,
            builtin::BYTES => Value::Bytes(cursor.byte_string()?.to_vec()),
            builtin::STRING => Value::Text(String::from_utf8_lossy(cursor.byte_string()?).into_owned()),
            builtin::COMPLEX => Value::List(vec![float(cursor)?, float(cursor)?]),
            _ => {
                let limit = MAX_DEPTH;
                let depth = depth.checked_sub(1).ok_or_else(|| cursor.error(Fault::Depth { limit }))?;
                match id {
                    builtin::INTERFACE => self.interface(cursor, depth)?,
                    _ => self.composed(cursor, id, depth)?,
                }
            }
        })
    }

    fn composed(&mut self, cursor: &mut Cursor<'_>, id: i64, depth: usize) -> Result<Value, GobError> {
        let types = self.types;
        Ok(match types.get(id) {
            Some(Kind::Opaque) => Value::Binary(cursor.byte_string()?.to_vec()),
            Some(Kind::Array { element, length }) => {
                let count = array_count(cursor, *length)?;
                Value::List(self.list(cursor, *element, count, depth)?)
            }
            Some(Kind::Slice { element }) => {
                let count = cursor.count(LEAST_VALUE)?;
                Value::List(self.list(cursor, *element, count, depth)?)
            }
            Some(Kind::Map { key, element }) => Value::Map(self.map(cursor, *key, *element, depth)?),
            Some(Kind::Struct(fields)) => Value::Struct(self.structure(cursor, id, fields, depth)?),
            None => return Err(cursor.error(Fault::UnknownType { id })),
        })
    }

    fn list(
        &mut self,
        cursor: &mut Cursor<'_>,
        element: i64,
        count: usize,
        depth: usize,
    ) -> Result<Vec<Value>, GobError> {
        // Charged before the list is allocated, and again for each element, which only halves the limit for lists.
        self.spend(cursor, count)?;
        let mut list = Vec::with_capacity(count);
        for _ in 0..count {
            list.push(self.value(cursor, element, depth)?);
        }
        Ok(list)
    }

    fn map(
        &mut self,
        cursor: &mut Cursor<'_>,
        key: i64,
        element: i64,
        depth: usize,
    ) -> Result<Vec<(Value, Value)>, GobError> {
        let count = cursor.count(2 * LEAST_VALUE)?;
        self.spend(cursor, 2 * count)?;
        let mut map = Vec::with_capacity(count);
        for _ in 0..count {
            map.push((self.value(cursor, key, depth)?, self.value(cursor, element, depth)?));
        }
        Ok(map)
    }

    fn structure(
        &mut self,
        cursor: &mut Cursor<'_>,
        id: i64,
        fields: &Arc<[Field]>,
        depth: usize,
    ) -> Result<Struct, GobError> {
        let mut values = Vec::new();
        let mut walk = Walk::new(id, fields.len());
        while let Some(field) = walk.next(cursor)? {
            values.push((field, self.value(cursor, fields[field].id, depth)?));
        }
        Ok(Struct { fields: Arc::clone(fields), values })
    }

    /// Reads an interface's value.
    fn interface(&mut self, cursor: &mut Cursor<'_>, depth: usize) -> Result<Value, GobError> {
        let Some(id) = interface_type(cursor)? else {
            return Ok(Value::Nil);
        };
        let mut inner = cursor.part()?;
        let value = self.whole(&mut inner, id, depth)?;
        inner.finish()?;
        Ok(value)
    }

    /// Charges parts.
    fn spend(&mut self, cursor: &Cursor<'_>, count: usize) -> Result<(), GobError> {
        let left = self.values_left.checked_sub(count);
        self.values_left = left.ok_or_else(|| cursor.error(Fault::Values { limit: MAX_VALUES }))?;
        Ok(())
    }
}

fn boolean(cursor: &mut Cursor<'_>) -> Result<Value, GobError> {
    let start = *cursor;
    match cursor.uint()? {
        0 => Ok(Value::Bool(false)),
        1 => Ok(Value::Bool(true)),
        // The error shows the lowest byte.
        other => Err(start.error(Fault::Byte { value: other as u8, wanted: "a bool" })),
    }
}

/// Reads a float: its bits in reversed byte order, so that numbers with few digits are short.
fn float(cursor: &mut Cursor<'_>) -> Result<Value, GobError> {
    Ok(Value::Float(f64::from_bits(cursor.uint()?.swap_bytes())))
}

#[cfg(test)]
mod tests;
