//! Why bytes are no gob, and where.

use thiserror::Error;

/// What is wrong, and where: the bytes are of no use from there on.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("gob: {fault} at offset {offset}")]
pub struct GobError {
    /// Bytes from the start of what was to be decoded.
    pub offset: usize,
    /// What is wrong there.
    pub fault: Fault,
}

/// What is wrong with the bytes.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// The message, or what was given, ends inside a value.
    #[error("the bytes end inside of a value")]
    Ended,
    /// A number of more than 8 bytes.
    #[error("a number of {bytes} bytes")]
    Number {
        /// How many bytes it says it has.
        bytes: usize,
    },
    /// A message that may not be as long, or an empty one.
    #[error("a message of {length} bytes, at most {limit} are read")]
    MessageLength {
        /// How long it says it is.
        length: u64,
        /// The longest that is read.
        limit: usize,
    },
    /// A length or count of more than there is.
    #[error("a count of {count} where {left} bytes are left")]
    Count {
        /// How many it says there are.
        count: u64,
        /// Bytes left.
        left: usize,
    },
    /// An array with another count than its type has.
    #[error("an array of {count}, its type has {length}")]
    ArrayLength {
        /// How many it says there are.
        count: u64,
        /// How many the type has.
        length: u64,
    },
    /// More bytes in a message than its value has.
    #[error("{bytes} bytes behind the value of a message")]
    Behind {
        /// How many.
        bytes: usize,
    },
    /// A value of a type that no descriptor has defined.
    #[error("a value of the unknown type {id}")]
    UnknownType {
        /// The type's id.
        id: i64,
    },
    /// A structure with a field that its descriptor does not have.
    #[error("a field {delta} behind the last, the type {id} has no such field")]
    UnknownField {
        /// The type's id.
        id: i64,
        /// How far from the field before.
        delta: u64,
    },
    /// A value that is no payload.
    #[error("a value of type {id}, which is no payload")]
    NoPayload {
        /// The type's id.
        id: i64,
    },
    /// A field of the payload with a type that it can't have.
    #[error("the payload's field {field} has type {id}")]
    FieldType {
        /// The field's name.
        field: &'static str,
        /// Its type's id.
        id: i64,
    },
    /// A descriptor that describes nothing, or twice.
    #[error("a descriptor of type {id} that is none")]
    Descriptor {
        /// The type's id.
        id: i64,
    },
    /// A type id that is defined already.
    #[error("a second descriptor of type {id}")]
    Duplicate {
        /// The type's id.
        id: i64,
    },
    /// More descriptors than are kept.
    #[error("more descriptors than are kept ({what}: {limit})")]
    Descriptors {
        /// `number` or `bytes`.
        what: &'static str,
        /// How many are kept.
        limit: usize,
    },
    /// An interface's value whose type is defined inside of it: Go spreads such a value over several messages. None of
    /// Cilium's types has an interface.
    #[error("an interface's value that defines the type {id}")]
    Interface {
        /// The type's id.
        id: i64,
    },
    /// Values in values in values.
    #[error("values nested deeper than {limit}")]
    Depth {
        /// How deep they may be.
        limit: usize,
    },
    /// A value of more parts than are kept.
    #[error("more than {limit} values in one")]
    Values {
        /// How many are kept.
        limit: usize,
    },
    /// A value that is neither a structure nor begins as others do, or a bool that is neither.
    #[error("a byte {value:#04x} where {wanted} belongs")]
    Byte {
        /// What stands there.
        value: u8,
        /// What should.
        wanted: &'static str,
    },
}

impl GobError {
    /// A word for counters: one of a few, whatever the input.
    pub const fn reason(&self) -> &'static str {
        match self.fault {
            Fault::Ended | Fault::Count { .. } | Fault::ArrayLength { .. } | Fault::Behind { .. } => "gob_length",
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
