//! Kinds of values, as CEL's checker knows them.

use std::fmt;

use prost_reflect::{Cardinality, FieldDescriptor, Kind as ProtoKind, MessageDescriptor};

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kind {
    /// Known only at evaluation.
    Dyn,
    Null,
    Bool,
    Int,
    Uint,
    Double,
    Text,
    Bytes,
    Timestamp,
    Duration,
    /// One of the above, or null (`google.protobuf.BoolValue` …).
    Wrapper(Box<Kind>),
    List(Box<Kind>),
    Map(Box<Kind>, Box<Kind>),
    Message(MessageDescriptor),
}

impl Kind {
    /// Returns the kind of a field.
    pub(super) fn of_field(field: &FieldDescriptor) -> Self {
        let one = Self::of_one(&field.kind());
        if field.cardinality() == Cardinality::Repeated { Self::List(Box::new(one)) } else { one }
    }

    fn of_one(kind: &ProtoKind) -> Self {
        match kind {
            ProtoKind::Double | ProtoKind::Float => Self::Double,
            ProtoKind::Int32
            | ProtoKind::Int64
            | ProtoKind::Sint32
            | ProtoKind::Sint64
            | ProtoKind::Sfixed32
            | ProtoKind::Sfixed64
            | ProtoKind::Enum(_) => Self::Int,
            ProtoKind::Uint32 | ProtoKind::Uint64 | ProtoKind::Fixed32 | ProtoKind::Fixed64 => Self::Uint,
            ProtoKind::Bool => Self::Bool,
            ProtoKind::String => Self::Text,
            ProtoKind::Bytes => Self::Bytes,
            ProtoKind::Message(message) => match message.full_name() {
                "google.protobuf.Timestamp" => Self::Timestamp,
                "google.protobuf.Duration" => Self::Duration,
                "google.protobuf.Any" => Self::Dyn,
                name => match wrapped(name) {
                    Some(kind) => Self::Wrapper(Box::new(kind)),
                    None => Self::Message(message.clone()),
                },
            },
        }
    }

    /// Returns the wrapped kind of a wrapper, else the kind itself.
    pub(super) fn inner(&self) -> &Self {
        if let Self::Wrapper(kind) = self { kind } else { self }
    }

    /// Returns the common kind of two, if any.
    pub(super) fn unify(&self, other: &Self) -> Option<Self> {
        match (self, other) {
            (Self::Dyn, kind) | (kind, Self::Dyn) => Some(kind.clone()),
            (Self::Null, kind) | (kind, Self::Null) if kind.takes_null() => Some(kind.clone()),
            (Self::Wrapper(one), Self::Wrapper(two)) if one == two => Some(self.clone()),
            (Self::Wrapper(one), kind) | (kind, Self::Wrapper(one)) if **one == *kind => Some(kind.clone()),
            (Self::List(one), Self::List(two)) => Some(Self::List(Box::new(one.unify(two)?))),
            (Self::Map(key, value), Self::Map(other_key, other_value)) => {
                Some(Self::Map(Box::new(key.unify(other_key)?), Box::new(value.unify(other_value)?)))
            }
            (one, two) => (one == two).then(|| one.clone()),
        }
    }

    const fn takes_null(&self) -> bool {
        matches!(self, Self::Null | Self::Timestamp | Self::Duration | Self::Wrapper(_) | Self::Message(_))
    }
}

/// Returns the wrapped kind of a wrapper message.
fn wrapped(name: &str) -> Option<Kind> {
    Some(match name.strip_prefix("google.protobuf.")? {
        "BoolValue" => Kind::Bool,
        "Int32Value" | "Int64Value" => Kind::Int,
        "UInt32Value" | "UInt64Value" => Kind::Uint,
        "FloatValue" | "DoubleValue" => Kind::Double,
        "StringValue" => Kind::Text,
        "BytesValue" => Kind::Bytes,
        _ => return None,
    })
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dyn => f.write_str("dyn"),
            Self::Null => f.write_str("null"),
            Self::Bool => f.write_str("bool"),
            Self::Int => f.write_str("int"),
            Self::Uint => f.write_str("uint"),
            Self::Double => f.write_str("double"),
            Self::Text => f.write_str("string"),
            Self::Bytes => f.write_str("bytes"),
            Self::Timestamp => f.write_str("timestamp"),
            Self::Duration => f.write_str("duration"),
            Self::Wrapper(kind) => write!(f, "wrapper({kind})"),
            Self::List(kind) => write!(f, "list({kind})"),
            Self::Map(key, value) => write!(f, "map({key}, {value})"),
            Self::Message(message) => f.write_str(message.full_name()),
        }
    }
}
