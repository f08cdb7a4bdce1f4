//! The values of an evaluation, borrowed from the flow if possible.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::rc::Rc;

use prost_reflect::{DynamicMessage, FieldDescriptor, MessageDescriptor, ReflectMessage, Value as ProtoValue};

use super::budget::Budget;
use super::kind::Kind;
use super::literal::Literal;
use super::rc_cow::RcCow;

/// A value; cloning it copies nothing.
#[derive(Clone, Debug)]
pub(super) enum Value<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    Text(RcCow<'a, str>),
    Bytes(RcCow<'a, [u8]>),
    /// Nanoseconds since the Unix epoch.
    Timestamp(i128),
    /// Nanoseconds.
    Duration(i128),
    List(List<'a>),
    Map(Rc<Vec<(Value<'a>, Value<'a>)>>),
    Message(&'a DynamicMessage),
    /// An unset message.
    Missing(MessageDescriptor),
}

/// A list. Its elements become values only when they are read; cloning it copies nothing.
#[derive(Clone, Debug)]
pub(super) enum List<'a> {
    /// A field of the flow.
    Proto(&'a [ProtoValue]),
    /// Literals of the expression.
    Literals(&'a [Literal]),
    /// Made at evaluation.
    Made(Rc<Vec<Value<'a>>>),
}

impl<'a> List<'a> {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Proto(values) => values.len(),
            Self::Literals(literals) => literals.len(),
            Self::Made(values) => values.len(),
        }
    }

    pub(super) fn get(&self, at: usize) -> Option<Value<'a>> {
        match self {
            Self::Proto(values) => values.get(at).map(Value::of_proto),
            Self::Literals(literals) => literals.get(at).map(Value::of_literal),
            Self::Made(values) => values.get(at).cloned(),
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Value<'a>> {
        (0..self.len()).filter_map(|at| self.get(at))
    }
}

/// Nanoseconds of a second.
const SECOND: i128 = 1_000_000_000;

impl<'a> Value<'a> {
    pub(super) fn of_literal(literal: &'a Literal) -> Self {
        match literal {
            Literal::Null => Self::Null,
            Literal::Bool(value) => Self::Bool(*value),
            // The parser turns these into `Int`.
            Literal::Integer(value) => Self::Int(value.cast_signed()),
            Literal::Int(value) => Self::Int(*value),
            Literal::Uint(value) => Self::Uint(*value),
            Literal::Double(value) => Self::Double(*value),
            Literal::Text(text) => Self::Text(RcCow::Borrowed(text)),
            Literal::Bytes(bytes) => Self::Bytes(RcCow::Borrowed(bytes)),
        }
    }

    /// Returns an owned text.
    pub(super) fn of_text(text: String) -> Self {
        Self::Text(RcCow::Owned(Rc::new(text)))
    }

    /// Returns owned bytes.
    pub(super) fn of_bytes(bytes: Vec<u8>) -> Self {
        Self::Bytes(RcCow::Owned(Rc::new(bytes)))
    }

    /// Returns an owned list.
    pub(super) fn of_values(values: Vec<Self>) -> Self {
        Self::List(List::Made(Rc::new(values)))
    }

    /// Returns a message's field; proto3's default if it is unset.
    pub(super) fn field(&self, field: &FieldDescriptor) -> Option<Value<'a>> {
        match self {
            Self::Message(message) => Some(match message.get_field(field) {
                Cow::Borrowed(value) => Self::of_proto(value),
                Cow::Owned(_) => Self::absent(field),
            }),
            Self::Missing(_) => Some(Self::absent(field)),
            _ => None,
        }
    }

    /// Returns whether a message's field is set; for plain values and lists, whether it is not the default.
    pub(super) fn has_field(&self, field: &FieldDescriptor) -> Option<bool> {
        match self {
            Self::Message(message) => Some(message.has_field(field)),
            Self::Missing(_) => Some(false),
            _ => None,
        }
    }

    /// Returns proto3's default of a field.
    fn absent(field: &FieldDescriptor) -> Self {
        match Kind::of_field(field) {
            Kind::Wrapper(_) | Kind::Null | Kind::Dyn => Self::Null,
            Kind::Timestamp => Self::Timestamp(0),
            Kind::Duration => Self::Duration(0),
            Kind::Message(message) => Self::Missing(message),
            Kind::Bool => Self::Bool(false),
            // Also of enums: in proto3 their first value is 0.
            Kind::Int => Self::Int(0),
            Kind::Uint => Self::Uint(0),
            Kind::Double => Self::Double(0.0),
            Kind::Bytes => Self::Bytes(RcCow::Borrowed(&[])),
            Kind::Text => Self::Text(RcCow::Borrowed("")),
            Kind::List(_) => Self::List(List::Proto(&[])),
            // No message of flows has one.
            Kind::Map(..) => Self::Map(Rc::default()),
        }
    }

    pub(super) fn of_proto(value: &'a ProtoValue) -> Self {
        match value {
            ProtoValue::Bool(value) => Self::Bool(*value),
            ProtoValue::I32(value) | ProtoValue::EnumNumber(value) => Self::Int((*value).into()),
            ProtoValue::I64(value) => Self::Int(*value),
            ProtoValue::U32(value) => Self::Uint((*value).into()),
            ProtoValue::U64(value) => Self::Uint(*value),
            ProtoValue::F32(value) => Self::Double((*value).into()),
            ProtoValue::F64(value) => Self::Double(*value),
            ProtoValue::String(text) => Self::Text(RcCow::Borrowed(text)),
            ProtoValue::Bytes(bytes) => Self::Bytes(RcCow::Borrowed(bytes)),
            ProtoValue::List(values) => Self::List(List::Proto(values)),
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

    /// Returns the number of elements that a macro visits; `None` if it cannot.
    pub(super) fn length(&self) -> Option<usize> {
        match self {
            Self::List(values) => Some(values.len()),
            Self::Map(entries) => Some(entries.len()),
            _ => None,
        }
    }

    /// Returns an element of a list, or a key of a map.
    pub(super) fn element(&self, at: usize) -> Option<Value<'a>> {
        match self {
            Self::List(values) => values.get(at),
            Self::Map(entries) => entries.get(at).map(|(key, _)| key.clone()),
            _ => None,
        }
    }

    /// Returns the number of elements or bytes: the cost of reading the value.
    pub(super) fn weight(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Bytes(bytes) => bytes.len(),
            Self::List(values) => values.len(),
            Self::Map(entries) => entries.len(),
            _ => 0,
        }
    }

    /// Returns the value of a map's key, or of a message's field.
    pub(super) fn key(&self, name: &'a str, budget: &mut Budget) -> Option<Value<'a>> {
        match self {
            Self::Map(entries) => self.index_of(name, budget)?.map(|at| entries[at].1.clone()),
            _ => self.field(&self.named_field(name, budget)?),
        }
    }

    /// Returns whether a map has a key, or a message's field is set.
    pub(super) fn has_key(&self, name: &'a str, budget: &mut Budget) -> Option<bool> {
        match self {
            Self::Map(_) => Some(self.index_of(name, budget)?.is_some()),
            _ => self.has_field(&self.named_field(name, budget)?),
        }
    }

    /// Returns the index of a map's key.
    fn index_of(&self, name: &'a str, budget: &mut Budget) -> Option<Option<usize>> {
        let Self::Map(entries) = self else { return None };
        Self::Text(RcCow::Borrowed(name)).position(entries.iter().map(|(key, _)| key.clone()), budget)
    }

    fn named_field(&self, name: &str, budget: &mut Budget) -> Option<FieldDescriptor> {
        budget.read(name.len())?;
        match self {
            Self::Message(message) => message.descriptor().get_field_by_name(name),
            Self::Missing(message) => message.get_field_by_name(name),
            _ => None,
        }
    }

    /// Returns the index of the first equal value; `None` if the budget is exceeded.
    pub(super) fn position(&self, all: impl IntoIterator<Item = Self>, budget: &mut Budget) -> Option<Option<usize>> {
        for (at, one) in all.into_iter().enumerate() {
            if self.equals(&one, budget)? {
                return Some(Some(at));
            }
        }
        Some(None)
    }

    /// Returns whether two values are equal, also numbers of different kinds; `None` if the budget is exceeded.
    pub(super) fn equals(&self, other: &Self, budget: &mut Budget) -> Option<bool> {
        budget.spend(1)?;
        Some(match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::Text(one), Self::Text(two)) => same(one.as_bytes(), two.as_bytes(), budget)?,
            (Self::Bytes(one), Self::Bytes(two)) => same(one, two, budget)?,
            (Self::List(one), Self::List(two)) => {
                if one.len() != two.len() {
                    return Some(false);
                }
                for (one, two) in one.iter().zip(two.iter()) {
                    if !one.equals(&two, budget)? {
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
                    let keys = two.iter().map(|(key, _)| key.clone());
                    let Some(at) = key.position(keys, budget)? else { return Some(false) };
                    if !value.equals(&two[at].1, budget)? {
                        return Some(false);
                    }
                }
                true
            }
            (Self::Message(one), Self::Message(two)) => {
                budget.compare_messages()?;
                one == two
            }
            (Self::Missing(one), Self::Missing(two)) => one == two,
            (Self::Message(one), Self::Missing(two)) | (Self::Missing(two), Self::Message(one)) => {
                **one == DynamicMessage::new(two.clone())
            }
            _ => self.compare(other) == Some(Ordering::Equal),
        })
    }

    /// Returns the order of two values, if they have one.
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

    /// Returns a signed or unsigned integer.
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

/// Returns whether bytes are equal.
fn same(one: &[u8], two: &[u8], budget: &mut Budget) -> Option<bool> {
    if one.len() != two.len() {
        return Some(false);
    }
    budget.read(one.len())?;
    Some(one == two)
}
