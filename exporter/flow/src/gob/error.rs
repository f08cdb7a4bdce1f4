//! Errors of decoding gob.

use thiserror::Error;

/// An error at an offset. Nothing after it can be decoded.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("gob: {fault} at offset {offset}")]
pub struct GobError {
    /// Offset from the start of the decoded bytes.
    pub offset: usize,
    /// The error.
    pub fault: Fault,
}

/// An error of the encoded bytes.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages name the fields")]
pub enum Fault {
    /// The message or the input ends inside a value.
    #[error("the bytes end inside of a value")]
    UnexpectedEnd,
    /// A number of more than 8 bytes.
    #[error("a number of {bytes} bytes")]
    Number { bytes: usize },
    /// A message that is empty or longer than the limit.
    #[error("a message of {length} bytes, at most {limit} are read")]
    MessageLength { length: u64, limit: usize },
    /// A length or count beyond the end of the message.
    #[error("a count of {count} where {left} bytes are left")]
    Count { count: u64, left: usize },
    /// An array of another length than its type.
    #[error("an array of {count}, its type has {length}")]
    ArrayLength { count: u64, length: u64 },
    /// Bytes in a message after its value.
    #[error("{bytes} bytes behind the value of a message")]
    TrailingBytes { bytes: usize },
    /// A value of an undefined type.
    #[error("a value of the unknown type {id}")]
    UnknownType { id: i64 },
    /// A structure with a field that its type does not have.
    #[error("a field {delta} behind the last, the type {id} has no such field")]
    UnknownField { id: i64, delta: u64 },
    /// A value of a type other than a payload.
    #[error("a value of type {id}, which is not a payload")]
    NoPayload { id: i64 },
    /// A field of the payload with another type.
    #[error("the payload's field {field} has type {id}")]
    FieldType { field: &'static str, id: i64 },
    /// A descriptor without a form, or with two.
    #[error("an invalid descriptor of type {id}")]
    Descriptor { id: i64 },
    /// A type that is defined already.
    #[error("a second descriptor of type {id}")]
    Duplicate { id: i64 },
    /// Too many descriptors.
    #[error("too many descriptors (limit of {what}: {limit})")]
    Descriptors {
        /// `number` or `bytes`.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
    /// An interface's value that defines its type: Go spreads it over several messages. Cilium's types have none.
    #[error("an interface's value that defines the type {id}")]
    Interface { id: i64 },
    /// Values nested too deeply.
    #[error("values nested deeper than {limit}")]
    Depth { limit: usize },
    /// A value of too many parts.
    #[error("more than {limit} values in one")]
    Values { limit: usize },
    /// A byte with an invalid value, in a bool or before a value that is not a structure.
    #[error("invalid byte {value:#04x}: expected {wanted}")]
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
