//! Decodes a stream of payload messages: one connection of the monitor 1.2 socket.

use super::builtin;
use super::cursor::Cursor;
use super::descriptor::{Field, Kind, Types};
use super::error::{Fault, GobError};
use super::payload::Payload;
use super::skip::{Walk, skip};

/// Limits of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a message, without its length.
    pub message: usize,
    /// Types that a stream may define.
    pub descriptors: usize,
    /// Bytes of all descriptors of a stream together.
    pub descriptor_bytes: usize,
}

impl Default for Limits {
    /// A payload of 1 MiB with its frame, far above the 64 KiB of a perf sample and the longest access-log event; Cilium
    /// defines a single type of 56 bytes.
    fn default() -> Self {
        Self { message: (1 << 20) + 64, descriptors: 64, descriptor_bytes: 16 << 10 }
    }
}

/// The role of a field in the payload's structure.
#[derive(Clone, Copy, Debug)]
enum Role {
    Data,
    Cpu,
    Lost,
    Kind,
    /// An unknown field of that type, which is skipped.
    Unknown(i64),
}

/// Decodes one stream. After an error the stream cannot go on: the start of the next message is unknown.
#[derive(Debug)]
pub struct PayloadDecoder {
    limits: Limits,
    types: Types,
    /// The type of the last payload, and the roles of its fields.
    plan: Option<(i64, Vec<Role>)>,
    /// Bytes at the start of the next input that are descriptors already defined.
    defined: usize,
    needed: usize,
}

impl PayloadDecoder {
    /// A decoder of a new stream.
    pub fn new(limits: Limits) -> Self {
        Self { limits, types: Types::default(), plan: None, defined: 0, needed: 1 }
    }

    /// Decodes the next payload. Returns it with the bytes that it and its descriptors took, or `None` if more are
    /// needed.
    ///
    /// `bytes` starts at the end of the last payload. After `Ok(None)` the next input starts with the same bytes.
    ///
    /// # Errors
    /// The bytes are invalid; offsets count from the start of `bytes`.
    pub fn decode<'a>(&mut self, bytes: &'a [u8]) -> Result<Option<(Payload<'a>, usize)>, GobError> {
        loop {
            let Some((start, end)) = self.message(bytes)? else {
                return Ok(None);
            };
            let mut cursor = Cursor::new(&bytes[..end], start);
            let id = cursor.int()?;
            if id >= 0 {
                let payload = self.payload(&mut cursor, id)?;
                self.defined = 0;
                self.needed = 1;
                return Ok(Some((payload, end)));
            }
            let Limits { descriptors, descriptor_bytes, .. } = self.limits;
            self.types.define(&mut cursor, id.wrapping_neg(), descriptors, descriptor_bytes)?;
            self.defined = end;
        }
    }

    /// After `Ok(None)`, the least bytes that the next input needs: the same bytes and more, at most
    /// [`longest`](Self::longest).
    pub const fn needed(&self) -> usize {
        self.needed
    }

    /// The most bytes to keep for a payload: all descriptors and the longest message, with their lengths.
    pub const fn longest(&self) -> usize {
        // A message's length and a descriptor's id have at most 9 bytes each.
        self.limits.message + self.limits.descriptor_bytes + 18 * (self.limits.descriptors + 1)
    }

    /// Returns start and end of the next message's body, if it is complete.
    #[inline]
    fn message(&mut self, bytes: &[u8]) -> Result<Option<(usize, usize)>, GobError> {
        let mut cursor = Cursor::new(bytes, self.defined);
        let length = match cursor.uint() {
            Ok(length) => length,
            Err(GobError { fault: Fault::UnexpectedEnd, .. }) => {
                self.needed = bytes.len() + 1;
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let limit = self.limits.message;
        let body = match usize::try_from(length) {
            Ok(body) if (1..=limit).contains(&body) => body,
            _ => {
                return Err(GobError { offset: self.defined, fault: Fault::MessageLength { length, limit } });
            }
        };
        if body > cursor.left() {
            self.needed = cursor.at() + body;
            return Ok(None);
        }
        Ok(Some((cursor.at(), cursor.at() + body)))
    }

    /// Reads the value of a message.
    #[inline]
    fn payload<'a>(&mut self, cursor: &mut Cursor<'a>, id: i64) -> Result<Payload<'a>, GobError> {
        if self.plan.as_ref().is_none_or(|(planned, _)| *planned != id) {
            self.plan = Some((id, plan(&self.types, id).map_err(|fault| cursor.error(fault))?));
        }
        let roles = self.plan.as_ref().map_or(&[][..], |(_, roles)| roles.as_slice());
        let mut payload = Payload::default();
        let mut walk = Walk::new(id, roles.len());
        while let Some(field) = walk.next(cursor)? {
            match roles[field] {
                Role::Data => payload.data = cursor.byte_string()?,
                Role::Cpu => payload.cpu = cursor.int()?,
                Role::Lost => payload.lost = cursor.uint()?,
                Role::Kind => payload.kind = cursor.int()?,
                Role::Unknown(id) => skip(cursor, &self.types, id)?,
            }
        }
        cursor.finish()?;
        Ok(payload)
    }
}

impl Default for PayloadDecoder {
    fn default() -> Self {
        Self::new(Limits::default())
    }
}

/// Returns the roles of a type's fields. As in Go's decoder, the structure's name does not matter.
fn plan(types: &Types, id: i64) -> Result<Vec<Role>, Fault> {
    let fields = match types.get(id) {
        Some(Kind::Struct(fields)) => fields,
        Some(_) => return Err(Fault::NoPayload { id }),
        None => return Err(Fault::UnknownType { id }),
    };
    let roles = fields.iter().map(role).collect::<Result<Vec<Role>, Fault>>()?;
    // Go rejects a structure without a field in common.
    if roles.iter().all(|role| matches!(role, Role::Unknown(_))) {
        return Err(Fault::NoPayload { id });
    }
    Ok(roles)
}

fn role(field: &Field) -> Result<Role, Fault> {
    let (name, wanted, role) = match &*field.name {
        "Data" => ("Data", builtin::BYTES, Role::Data),
        "CPU" => ("CPU", builtin::INT, Role::Cpu),
        "Lost" => ("Lost", builtin::UINT, Role::Lost),
        "Type" => ("Type", builtin::INT, Role::Kind),
        _ => return Ok(Role::Unknown(field.id)),
    };
    match field.id == wanted {
        true => Ok(role),
        false => Err(Fault::FieldType { field: name, id: field.id }),
    }
}

#[cfg(test)]
mod tests;
