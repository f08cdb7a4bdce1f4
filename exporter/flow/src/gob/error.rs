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
pub enum Fault {
    /// The message or the input ends inside a value.
    #[error("the bytes end inside of a value")]
    UnexpectedEnd,
    /// A number of more than 8 bytes.
    #[error("a number of {bytes} bytes")]
    Number {
        /// Its bytes, as encoded.
        bytes: usize,
    },
    /// A message that is empty or longer than the limit.
    #[error("a message of {length} bytes, at most {limit} are read")]
    MessageLength {
        /// Its bytes, as encoded.
        length: u64,
        /// The limit.
        limit: usize,
    },
    /// A length or count beyond the end of the message.
    #[error("a count of {count} where {left} bytes are left")]
    Count {
        /// The count, as encoded.
        count: u64,
        /// Bytes that are left.
        left: usize,
    },
    /// An array of another length than its type.
    #[error("an array of {count}, its type has {length}")]
    ArrayLength {
        /// The count, as encoded.
        count: u64,
        /// The length in the type.
        length: u64,
    },
    /// Bytes in a message after its value.
    #[error("{bytes} bytes behind the value of a message")]
    TrailingBytes {
        /// Their number.
        bytes: usize,
    },
    /// A value of an undefined type.
    #[error("a value of the unknown type {id}")]
    UnknownType {
        /// The type's id.
        id: i64,
    },
    /// A structure with a field that its type does not have.
    #[error("a field {delta} behind the last, the type {id} has no such field")]
    UnknownField {
        /// The type's id.
        id: i64,
        /// Difference to the number of the field before.
        delta: u64,
    },
    /// A value of a type other than a payload.
    #[error("a value of type {id}, which is not a payload")]
    NoPayload {
        /// The type's id.
        id: i64,
    },
    /// A field of the payload with another type.
    #[error("the payload's field {field} has type {id}")]
    FieldType {
        /// The field's name.
        field: &'static str,
        /// Its type's id.
        id: i64,
    },
    /// A descriptor without a form, or with two.
    #[error("an invalid descriptor of type {id}")]
    Descriptor {
        /// The type's id.
        id: i64,
    },
    /// A type that is defined already.
    #[error("a second descriptor of type {id}")]
    Duplicate {
        /// The type's id.
        id: i64,
    },
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
    Interface {
        /// The type's id.
        id: i64,
    },
    /// Values nested too deeply.
    #[error("values nested deeper than {limit}")]
    Depth {
        /// The limit of levels.
        limit: usize,
    },
    /// A value of too many parts.
    #[error("more than {limit} values in one")]
    Values {
        /// The limit.
        limit: usize,
    },
    /// A byte with an invalid value, in a bool or before a value that is not a structure.
    #[error("invalid byte {value:#04x}: expected {wanted}")]
    Byte {
        /// The byte.
        value: u8,
        /// The expected content.
        wanted: &'static str,
    },
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
