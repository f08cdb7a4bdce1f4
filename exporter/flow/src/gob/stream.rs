//! Decodes a stream of payload messages, as one connection of the monitor 1.2 socket carries it.

use super::builtin;
use super::cursor::Cursor;
use super::descriptor::{Field, Kind, Types};
use super::error::{Fault, GobError};
use super::payload::Payload;
use super::skip::{Walk, skip};

/// What a stream may ask of its reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The longest message, in bytes behind its length.
    pub message: usize,
    /// How many types a stream may define.
    pub descriptors: usize,
    /// The bytes of all descriptors of a stream together.
    pub descriptor_bytes: usize,
}

impl Default for Limits {
    /// A payload of 1 MiB, far above the 64 KiB of a perf sample and the longest access-log event, and what a message
    /// has around it; Cilium defines a single type of 56 bytes.
    fn default() -> Self {
        Self { message: (1 << 20) + 64, descriptors: 64, descriptor_bytes: 16 << 10 }
    }
}

/// What a field of the payload's structure is to us.
#[derive(Clone, Copy, Debug)]
enum Role {
    Data,
    Cpu,
    Lost,
    Kind,
    /// Of that type, to be passed over.
    Unknown(i64),
}

/// Decodes one stream. After an error it is of no use: the bytes that follow have no known beginning.
#[derive(Debug)]
pub struct PayloadDecoder {
    limits: Limits,
    types: Types,
    /// The type of the last payload, and what its fields are.
    plan: Option<(i64, Vec<Role>)>,
    /// Bytes at the beginning of the next call that are descriptors which are learned already.
    learned: usize,
    needed: usize,
}

impl PayloadDecoder {
    /// For a new stream.
    pub fn new(limits: Limits) -> Self {
        Self { limits, types: Types::default(), plan: None, learned: 0, needed: 1 }
    }

    /// The next payload, and how many bytes it took with the descriptors in front of it; none where more are needed.
    ///
    /// `bytes` begins where the last payload ended. After `Ok(None)` the next call's begins with the same bytes.
    ///
    /// # Errors
    /// What is wrong, with the offset from the start of `bytes`.
    pub fn decode<'a>(&mut self, bytes: &'a [u8]) -> Result<Option<(Payload<'a>, usize)>, GobError> {
        loop {
            let Some((start, end)) = self.message(bytes)? else {
                return Ok(None);
            };
            let mut cursor = Cursor::new(&bytes[..end], start);
            let id = cursor.int()?;
            if id >= 0 {
                let payload = self.payload(&mut cursor, id)?;
                self.learned = 0;
                self.needed = 1;
                return Ok(Some((payload, end)));
            }
            let Limits { descriptors, descriptor_bytes, .. } = self.limits;
            self.types.learn(&mut cursor, id.wrapping_neg(), descriptors, descriptor_bytes)?;
            self.learned = end;
        }
    }

    /// How many bytes the next call needs at least to get on, after one that gave none: what it was given, and more.
    /// Never more than [`longest`](Self::longest).
    pub const fn needed(&self) -> usize {
        self.needed
    }

    /// The most that a reader has to keep for a payload: all descriptors and the longest message, with their lengths.
    pub const fn longest(&self) -> usize {
        // A message's length and a descriptor's id have at most 9 bytes each.
        self.limits.message + self.limits.descriptor_bytes + 18 * (self.limits.descriptors + 1)
    }

    /// Where the next message's body is, if all of it is there.
    #[inline]
    fn message(&mut self, bytes: &[u8]) -> Result<Option<(usize, usize)>, GobError> {
        let mut cursor = Cursor::new(bytes, self.learned);
        let length = match cursor.uint() {
            Ok(length) => length,
            Err(GobError { fault: Fault::Ended, .. }) => {
                self.needed = bytes.len() + 1;
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let limit = self.limits.message;
        let body = match usize::try_from(length) {
            Ok(body) if (1..=limit).contains(&body) => body,
            _ => {
                return Err(GobError { offset: self.learned, fault: Fault::MessageLength { length, limit } });
            }
        };
        if body > cursor.left() {
            self.needed = cursor.at() + body;
            return Ok(None);
        }
        Ok(Some((cursor.at(), cursor.at() + body)))
    }

    /// The value of a message, of a type with a payload's fields.
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

/// What the fields of a type are to us. The structure's own name does not matter, as for Go's decoder.
fn plan(types: &Types, id: i64) -> Result<Vec<Role>, Fault> {
    let fields = match types.get(id) {
        Some(Kind::Struct(fields)) => fields,
        Some(_) => return Err(Fault::NoPayload { id }),
        None => return Err(Fault::UnknownType { id }),
    };
    let roles = fields.iter().map(role).collect::<Result<Vec<Role>, Fault>>()?;
    // Go refuses a structure that has nothing in common with the one it was asked for.
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
