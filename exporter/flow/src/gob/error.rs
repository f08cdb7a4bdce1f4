//! Errors of decoding gob.

use thiserror::Error;

/// An error at an offset. Nothing after it can be decoded.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("invalid gob at offset {offset}: expected {fault}")]
pub struct GobError {
    /// Offset from the start of the decoded bytes.
    pub offset: usize,
    /// The error.
    pub fault: Fault,
}

/// An error of the encoded bytes. Its text names the expected bytes.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages name the fields")]
pub enum Fault {
    /// The message or the input ends inside a value.
    #[error("the rest of a value, found the end of the bytes")]
    UnexpectedEnd,
    /// A number of more than 8 bytes.
    #[error("a number of at most 8 bytes, found {bytes}")]
    Number { bytes: usize },
    /// A message that is empty or longer than the limit.
    #[error("a message of 1 to {limit} bytes, found {length}")]
    MessageLength { length: u64, limit: usize },
    /// A length or count beyond the end of the message.
    #[error("a count of at most {left}, the bytes that are left, found {count}")]
    Count { count: u64, left: usize },
    /// An array of another length than its type.
    #[error("an array of {length}, found {count}")]
    ArrayLength { count: u64, length: u64 },
    /// Bytes in a message after its value.
    #[error("the end of a message, found {bytes} bytes behind its value")]
    TrailingBytes { bytes: usize },
    /// A value of an undefined type.
    #[error("a value of a defined type, found type {id}")]
    UnknownType { id: i64 },
    /// A structure with a field that its type does not have.
    #[error("a field of type {id}, found one {delta} behind the last")]
    UnknownField { id: i64, delta: u64 },
    /// A value of a type other than a payload.
    #[error("a payload, found a value of type {id}")]
    NoPayload { id: i64 },
    /// A field of the payload with another type.
    #[error("the type of the payload's field {field}, found type {id}")]
    FieldType { field: &'static str, id: i64 },
    /// A descriptor without a form, or with two.
    #[error("a descriptor of type {id} with one form")]
    Descriptor { id: i64 },
    /// A type that is defined already.
    #[error("one descriptor of type {id}, found a second")]
    Duplicate { id: i64 },
    /// Too many descriptors.
    #[error("descriptors within the limit of their {what}, {limit}")]
    Descriptors {
        /// `number` or `bytes`.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
    /// An interface's value that defines its type: Go spreads it over several messages. Cilium's types have none.
    #[error("an interface's value of a defined type, found the definition of type {id}")]
    Interface { id: i64 },
    /// Values nested too deeply.
    #[error("values nested at most {limit} deep")]
    Depth { limit: usize },
    /// A value of too many parts.
    #[error("at most {limit} values in one")]
    Values { limit: usize },
    /// A byte with an invalid value, in a bool or before a value that is not a structure.
    #[error("{wanted}, found the byte {value:#04x}")]
    Byte { value: u8, wanted: &'static str },
}

impl GobError {
    /// The reason in telemetry: one of a fixed set.
    pub const fn reason(&self) -> &'static str {
        match self.fault {
            Fault::UnexpectedEnd | Fault::Count { .. } | Fault::ArrayLength { .. } | Fault::TrailingBytes { .. } => {
                "gob_length"
            }
            Fault::MessageLength { .. } => "gob_message_length",
            Fault::UnknownType { .. } | Fault::UnknownField { .. } => "gob_unknown_type",
            Fault::NoPayload { .. } | Fault::FieldType { .. } => "gob_no_payload",
            Fault::Descriptor { .. }
            | Fault::Duplicate { .. }
            | Fault::Descriptors { .. }
            | Fault::Interface { .. } => "gob_descriptor",
            Fault::Depth { .. } | Fault::Values { .. } => "gob_too_large",
            Fault::Number { .. } | Fault::Byte { .. } => "gob_invalid",
        }
    }
}
