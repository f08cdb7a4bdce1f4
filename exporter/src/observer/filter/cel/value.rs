//! The values that an expression works with, borrowed from the flow wherever they can be.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::rc::Rc;

use prost_reflect::{Cardinality, DynamicMessage, FieldDescriptor, ReflectMessage, Value as ProtoValue};

use super::evaluate::Budget;
use super::kind::Kind;
use super::parser::Literal;

/// A value.
#[derive(Clone, Debug)]
pub(super) enum Value<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    Text(Cow<'a, str>),
    Bytes(Cow<'a, [u8]>),
    /// Nanoseconds since the Unix epoch.
    Timestamp(i128),
    /// Nanoseconds.
    Duration(i128),
    List(Rc<Vec<Value<'a>>>),
    Map(Rc<Vec<(Value<'a>, Value<'a>)>>),
    Message(&'a DynamicMessage),
    /// One that is not there.
    Missing(Rc<DynamicMessage>),
}

/// What it costs to compare two messages: about as many fields as a flow has with what is in it.
const MESSAGE_STEPS: usize = 200;
/// Nanoseconds of a second.
const SECOND: i128 = 1_000_000_000;

impl<'a> Value<'a> {
    /// What a literal stands for.
    pub(super) fn of_literal(literal: &'a Literal) -> Self {
        match literal {
            Literal::Null => Self::Null,
            Literal::Bool(value) => Self::Bool(*value),
            // The grammar makes the first kind into the second.
            Literal::Integer(value) => Self::Int(value.cast_signed()),
            Literal::Int(value) => Self::Int(*value),
            Literal::Uint(value) => Self::Uint(*value),
            Literal::Double(value) => Self::Double(*value),
            Literal::Text(text) => Self::Text(Cow::Borrowed(text)),
            Literal::Bytes(bytes) => Self::Bytes(Cow::Borrowed(bytes)),
        }
    }

    /// A message's field; where it is not there, what proto3 says it is then.
    pub(super) fn field(&self, field: &FieldDescriptor) -> Option<Value<'a>> {
        match self {
            Self::Message(message) => Some(match message.get_field(field) {
                Cow::Borrowed(value) => Self::of_proto(value),
                Cow::Owned(value) => Self::absent(value, field),
            }),
            Self::Missing(message) => Some(Self::absent(message.get_field(field).into_owned(), field)),
            _ => None,
        }
    }

    /// Whether a message's field is there: set, or for plain values and lists, other than nothing.
    pub(super) fn has_field(&self, field: &FieldDescriptor) -> Option<bool> {
        match self {
            Self::Message(message) => Some(message.has_field(field)),
            Self::Missing(message) => Some(message.has_field(field)),
            _ => None,
        }
    }

    /// A field that is not there.
    fn absent(value: ProtoValue, field: &FieldDescriptor) -> Self {
        if field.cardinality() == Cardinality::Repeated {
            return Self::List(Rc::new(Vec::new()));
        }
        match (Kind::of_field(field), value) {
            (Kind::Wrapper(_), _) => Self::Null,
            (Kind::Timestamp, _) => Self::Timestamp(0),
            (Kind::Duration, _) => Self::Duration(0),
            (Kind::Dyn, _) => Self::Null,
            (_, ProtoValue::Message(message)) => Self::Missing(Rc::new(message)),
            (Kind::Bool, _) => Self::Bool(false),
            (Kind::Int, ProtoValue::EnumNumber(number)) => Self::Int(number.into()),
            (Kind::Int, _) => Self::Int(0),
            (Kind::Uint, _) => Self::Uint(0),
            (Kind::Double, _) => Self::Double(0.0),
            (Kind::Bytes, _) => Self::Bytes(Cow::Borrowed(&[])),
            _ => Self::Text(Cow::Borrowed("")),
        }
    }

    fn of_proto(value: &'a ProtoValue) -> Self {
        match value {
            ProtoValue::Bool(value) => Self::Bool(*value),
            ProtoValue::I32(value) | ProtoValue::EnumNumber(value) => Self::Int((*value).into()),
            ProtoValue::I64(value) => Self::Int(*value),
            ProtoValue::U32(value) => Self::Uint((*value).into()),
            ProtoValue::U64(value) => Self::Uint(*value),
            ProtoValue::F32(value) => Self::Double((*value).into()),
            ProtoValue::F64(value) => Self::Double(*value),
            ProtoValue::String(text) => Self::Text(Cow::Borrowed(text)),
            ProtoValue::Bytes(bytes) => Self::Bytes(Cow::Borrowed(bytes)),
            ProtoValue::List(values) => Self::List(Rc::new(values.iter().map(Self::of_proto).collect())),
            // No message of flows has a map.
            ProtoValue::Map(_) => Self::Map(Rc::default()),
            ProtoValue::Message(message) => Self::of_message(message),
        }
    }

    fn of_message(message: &'a DynamicMessage) -> Self {
        let number = |name| match message.get_field_by_name(name).as_deref() {
            Some(ProtoValue::I64(value)) => i128::from(*value),
            Some(ProtoValue::I32(value)) => i128::from(*value),
            _ => 0,
        };
        match message.descriptor().full_name() {
            "google.protobuf.Timestamp" => Self::Timestamp(number("seconds") * SECOND + number("nanos")),
            "google.protobuf.Duration" => Self::Duration(number("seconds") * SECOND + number("nanos")),
            name if name.starts_with("google.protobuf.") && name.ends_with("Value") => {
                let field = message.descriptor().get_field_by_name("value");
                field.and_then(|field| Self::Message(message).field(&field)).unwrap_or(Self::Null)
            }
            _ => Self::Message(message),
        }
    }

    /// How many elements, characters, bytes or so: what it costs to go through it.
    pub(super) fn weight(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Bytes(bytes) => bytes.len(),
            Self::List(values) => values.len(),
            Self::Map(entries) => entries.len(),
            _ => 0,
        }
    }

    /// What a map has under a text, or a message in the field of that name.
    pub(super) fn key(&self, name: &str) -> Option<Value<'a>> {
        match self {
            Self::Map(entries) => entries
                .iter()
                .find(|(key, _)| matches!(key, Self::Text(key) if key == name))
                .map(|(_, value)| value.clone()),
            _ => self.field(&self.message()?.descriptor().get_field_by_name(name)?),
        }
    }

    /// Whether there is something under a text.
    pub(super) fn has_key(&self, name: &str) -> Option<bool> {
        match self {
            Self::Map(entries) => Some(entries.iter().any(|(key, _)| matches!(key, Self::Text(key) if key == name))),
            _ => self.has_field(&self.message()?.descriptor().get_field_by_name(name)?),
        }
    }

    /// The first of some that is the same; none where the budget ends before it.
    pub(super) fn position<'b>(
        &self,
        mut all: impl Iterator<Item = &'b Value<'a>>,
        budget: &mut Budget,
    ) -> Option<Option<usize>>
    where
        'a: 'b,
    {
        let mut at = 0;
        loop {
            let Some(one) = all.next() else { return Some(None) };
            if self.equals(one, budget)? {
                return Some(Some(at));
            }
            at += 1;
        }
    }

    /// Whether it is one of some; none where the budget ends before that is known.
    pub(super) fn is_among<'b>(&self, all: impl Iterator<Item = &'b Value<'a>>, budget: &mut Budget) -> Option<bool>
    where
        'a: 'b,
    {
        self.position(all, budget).map(|found| found.is_some())
    }

    /// Whether two are the same, numbers of different kinds too; none where the budget ends before that is known.
    pub(super) fn equals(&self, other: &Self, budget: &mut Budget) -> Option<bool> {
        budget.spend(1)?;
        Some(match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::List(one), Self::List(two)) => {
                if one.len() != two.len() {
                    return Some(false);
                }
                for (one, two) in one.iter().zip(two.iter()) {
                    if !one.equals(two, budget)? {
                        return Some(false);
                    }
                }
                true
            }
            (Self::Map(one), Self::Map(two)) => {
                if one.len() != two.len() {
                    return Some(false);
                }
                for (key, value) in one.iter() {
                    let Some(at) = key.position(two.iter().map(|(key, _)| key), budget)? else { return Some(false) };
                    if !value.equals(&two[at].1, budget)? {
                        return Some(false);
                    }
                }
                true
            }
            _ => match (self.message(), other.message()) {
                (Some(one), Some(two)) => {
                    budget.spend(MESSAGE_STEPS)?;
                    one == two
                }
                _ => self.compare(other) == Some(Ordering::Equal),
            },
        })
    }

    fn message(&self) -> Option<&DynamicMessage> {
        match self {
            Self::Message(message) => Some(message),
            Self::Missing(message) => Some(message),
            _ => None,
        }
    }

    /// Which comes first; none where they have no order.
    pub(super) fn compare(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Bool(one), Self::Bool(two)) => Some(one.cmp(two)),
            (Self::Text(one), Self::Text(two)) => Some(one.cmp(two)),
            (Self::Bytes(one), Self::Bytes(two)) => Some(one.cmp(two)),
            (Self::Timestamp(one), Self::Timestamp(two)) | (Self::Duration(one), Self::Duration(two)) => {
                Some(one.cmp(two))
            }
            (Self::Double(one), two) => one.partial_cmp(&two.as_double()?),
            (one, Self::Double(two)) => one.as_double()?.partial_cmp(two),
            (one, two) => Some(one.as_integer()?.cmp(&two.as_integer()?)),
        }
    }

    /// Any integer.
    pub(super) fn as_integer(&self) -> Option<i128> {
        match self {
            Self::Int(value) => Some((*value).into()),
            Self::Uint(value) => Some((*value).into()),
            _ => None,
        }
    }

    #[allow(clippy::cast_precision_loss, reason = "CEL compares integers with doubles as doubles")]
    fn as_double(&self) -> Option<f64> {
        match self {
            Self::Double(value) => Some(*value),
            other => other.as_integer().map(|value| value as f64),
        }
    }
}
