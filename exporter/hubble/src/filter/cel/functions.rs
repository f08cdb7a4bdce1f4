//! The functions and operators of CEL that a filter may call.

use eyepiece_flow::go_duration;
use eyepiece_flow::rfc3339::rfc3339;

use super::budget::Budget;
use super::kind::Kind;
use super::value::{List, Value};
use crate::filter::expression::Regex;

#[derive(Clone, Debug)]
pub(super) enum Function {
    Equal,
    Unequal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
    Negate,
    Not,
    In,
    Index,
    Size,
    StartsWith,
    EndsWith,
    Contains,
    /// With its pattern, a literal: nothing is compiled at evaluation.
    Matches(Regex),
    ToBool,
    ToBytes,
    ToDouble,
    ToDuration,
    ToDyn,
    ToInt,
    ToText,
    ToTimestamp,
    ToUint,
}

impl Function {
    /// Returns the function of a name. Of methods (`text.startsWith(…)`), the target is the first argument.
    pub(super) fn by_name(name: &str, method: bool) -> Option<Self> {
        Some(match (name, method) {
            ("_==_", false) => Self::Equal,
            ("_!=_", false) => Self::Unequal,
            ("_<_", false) => Self::Less,
            ("_<=_", false) => Self::LessOrEqual,
            ("_>_", false) => Self::Greater,
            ("_>=_", false) => Self::GreaterOrEqual,
            ("_+_", false) => Self::Add,
            ("_-_", false) => Self::Subtract,
            ("_*_", false) => Self::Multiply,
            ("_/_", false) => Self::Divide,
            ("_%_", false) => Self::Remainder,
            ("-_", false) => Self::Negate,
            ("!_", false) => Self::Not,
            ("@in", false) => Self::In,
            ("_[_]", false) => Self::Index,
            ("size", _) => Self::Size,
            ("startsWith", true) => Self::StartsWith,
            ("endsWith", true) => Self::EndsWith,
            ("contains", true) => Self::Contains,
            ("bool", false) => Self::ToBool,
            ("bytes", false) => Self::ToBytes,
            ("double", false) => Self::ToDouble,
            ("duration", false) => Self::ToDuration,
            ("dyn", false) => Self::ToDyn,
            ("int", false) => Self::ToInt,
            ("string", false) => Self::ToText,
            ("timestamp", false) => Self::ToTimestamp,
            ("uint", false) => Self::ToUint,
            _ => return None,
        })
    }

    /// Returns the kind of the result; `None` if there is no overload for these kinds of arguments.
    pub(super) fn result(&self, arguments: &[Kind]) -> Option<Kind> {
        use Kind::{Bool, Bytes, Double, Duration, Dyn, Int, List, Map, Text, Timestamp, Uint};
        match arguments {
            [one] => match (self, one.inner()) {
                (Self::Not, Bool | Dyn) => Some(Bool),
                (Self::Negate, kind @ (Int | Double | Duration | Dyn)) => Some(kind.clone()),
                (Self::Size, Text | Bytes | List(_) | Map(..) | Dyn) => Some(Int),
                (Self::ToDyn, _) => Some(Dyn),
                (Self::ToBool, Bool | Text | Dyn) => Some(Bool),
                (Self::ToBytes, Bytes | Text | Dyn) => Some(Bytes),
                (Self::ToDouble, Double | Int | Uint | Text | Dyn) => Some(Double),
                (Self::ToInt, Int | Uint | Double | Text | Timestamp | Duration | Dyn) => Some(Int),
                (Self::ToUint, Int | Uint | Double | Text | Dyn) => Some(Uint),
                (Self::ToText, Bool | Int | Uint | Text | Bytes | Dyn) => Some(Text),
                (Self::ToTimestamp, Timestamp | Int | Text | Dyn) => Some(Timestamp),
                (Self::ToDuration, Duration | Text | Dyn) => Some(Duration),
                (Self::Matches(_), Text | Dyn) => Some(Bool),
                _ => None,
            },
            [one, two] => match (self, one.inner(), two.inner()) {
                (Self::Equal | Self::Unequal, ..) => one.unify(two).map(|_| Bool),
                (Self::Less | Self::LessOrEqual | Self::Greater | Self::GreaterOrEqual, one, two) => {
                    let kind = one.unify(two)?;
                    matches!(kind, Bool | Int | Uint | Double | Text | Bytes | Timestamp | Duration | Dyn)
                        .then_some(Bool)
                }
                (Self::Add, Timestamp, Duration) | (Self::Add, Duration, Timestamp) => Some(Timestamp),
                (Self::Subtract, Timestamp, Timestamp) => Some(Duration),
                (Self::Subtract, Timestamp, Duration) => Some(Timestamp),
                (Self::Add, one, two) => one
                    .unify(two)
                    .filter(|kind| matches!(kind, Int | Uint | Double | Text | Bytes | List(_) | Duration | Dyn)),
                (Self::Subtract, one, two) => {
                    one.unify(two).filter(|kind| matches!(kind, Int | Uint | Double | Duration | Dyn))
                }
                (Self::Multiply | Self::Divide, one, two) => {
                    one.unify(two).filter(|kind| matches!(kind, Int | Uint | Double | Dyn))
                }
                (Self::Remainder, one, two) => one.unify(two).filter(|kind| matches!(kind, Int | Uint | Dyn)),
                (Self::In, _, Dyn) => Some(Bool),
                (Self::In, _, List(kind) | Map(kind, _)) => one.unify(kind).map(|_| Bool),
                (Self::Index, Dyn, _) => Some(Dyn),
                (Self::Index, List(kind), Int | Dyn) => Some((**kind).clone()),
                (Self::Index, Map(key, value), _) => two.unify(key).map(|_| (**value).clone()),
                (Self::StartsWith | Self::EndsWith | Self::Contains, Text | Dyn, Text | Dyn) => Some(Bool),
                _ => None,
            },
            _ => None,
        }
    }

    /// Calls the function with one argument; `None` if it fails.
    pub(super) fn of_one<'a>(&self, one: Value<'a>, budget: &mut Budget) -> Option<Value<'a>> {
        Some(match (self, one) {
            (Self::Not, Value::Bool(value)) => Value::Bool(!value),
            (Self::Negate, Value::Int(value)) => Value::Int(value.checked_neg()?),
            (Self::Negate, Value::Double(value)) => Value::Double(-value),
            (Self::Negate, Value::Duration(value)) => Value::Duration(-value),
            (Self::Size, Value::Text(text)) => Value::Int(text.chars().count().try_into().ok()?),
            (Self::Size, value @ (Value::Bytes(_) | Value::List(_) | Value::Map(_))) => {
                Value::Int(value.weight().try_into().ok()?)
            }
            (Self::Matches(regex), Value::Text(text)) => {
                budget.search(text.len(), regex.memory_usage())?;
                Value::Bool(regex.is_match(&*text))
            }
            (Self::ToDyn, value)
            | (Self::ToBool, value @ Value::Bool(_))
            | (Self::ToBytes, value @ Value::Bytes(_))
            | (Self::ToDouble, value @ Value::Double(_))
            | (Self::ToInt, value @ Value::Int(_))
            | (Self::ToUint, value @ Value::Uint(_))
            | (Self::ToText, value @ Value::Text(_))
            | (Self::ToTimestamp, value @ Value::Timestamp(_))
            | (Self::ToDuration, value @ Value::Duration(_)) => value,
            (function, value) => return function.convert(&value, budget),
        })
    }

    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "CEL's conversions round")]
    fn convert<'a>(&self, value: &Value<'_>, budget: &mut Budget) -> Option<Value<'a>> {
        budget.allocate(value.weight())?;
        Some(match (self, value) {
            (Self::ToBool, Value::Text(text)) => match &**text {
                "1" | "t" | "T" | "true" | "TRUE" | "True" => Value::Bool(true),
                "0" | "f" | "F" | "false" | "FALSE" | "False" => Value::Bool(false),
                _ => return None,
            },
            (Self::ToBytes, Value::Text(text)) => Value::of_bytes(text.as_bytes().to_vec()),
            (Self::ToDouble, Value::Int(value)) => Value::Double(*value as f64),
            (Self::ToDouble, Value::Uint(value)) => Value::Double(*value as f64),
            (Self::ToDouble, Value::Text(text)) => Value::Double(text.parse().ok()?),
            (Self::ToInt, Value::Uint(value)) => Value::Int((*value).try_into().ok()?),
            // The last double below 2^63 and the first above −2^63, as in Go's.
            (Self::ToInt, Value::Double(value))
                if *value > -9.223_372_036_854_775e18 && *value < 9.223_372_036_854_775e18 =>
            {
                Value::Int(*value as i64)
            }
            (Self::ToInt, Value::Text(text)) => Value::Int(text.parse().ok()?),
            (Self::ToInt, Value::Timestamp(nanos)) => Value::Int(nanos.div_euclid(1_000_000_000).try_into().ok()?),
            (Self::ToInt, Value::Duration(nanos)) => Value::Int((*nanos).try_into().ok()?),
            (Self::ToUint, Value::Int(value)) => Value::Uint((*value).try_into().ok()?),
            (Self::ToUint, Value::Double(value)) if *value >= 0.0 && *value < 18_446_744_073_709_549_568.0 =>
            {
                #[allow(clippy::cast_sign_loss, reason = "the value is not negative")]
                Value::Uint(*value as u64)
            }
            (Self::ToUint, Value::Text(text)) if !text.starts_with('+') => Value::Uint(text.parse().ok()?),
            (Self::ToText, Value::Bool(value)) => Value::of_text(value.to_string()),
            (Self::ToText, Value::Int(value)) => Value::of_text(value.to_string()),
            (Self::ToText, Value::Uint(value)) => Value::of_text(value.to_string()),
            (Self::ToText, Value::Bytes(bytes)) => Value::of_text(String::from_utf8(bytes.to_vec()).ok()?),
            (Self::ToTimestamp, Value::Int(seconds)) => Value::Timestamp(i128::from(*seconds) * 1_000_000_000),
            (Self::ToTimestamp, Value::Text(text)) => {
                let time = rfc3339(text)?;
                Value::Timestamp(i128::from(time.seconds) * 1_000_000_000 + i128::from(time.nanos))
            }
            (Self::ToDuration, Value::Text(text)) => Value::Duration(go_duration::parse(text)?.into()),
            _ => return None,
        })
    }

    /// Calls the function with two arguments; `None` if it fails.
    pub(super) fn of_two<'a>(&self, one: Value<'a>, two: Value<'a>, budget: &mut Budget) -> Option<Value<'a>> {
        Some(match (self, one, two) {
            (Self::Equal, one, two) => Value::Bool(one.equals(&two, budget)?),
            (Self::Unequal, one, two) => Value::Bool(!one.equals(&two, budget)?),
            (Self::Less | Self::LessOrEqual | Self::Greater | Self::GreaterOrEqual, one, two) => {
                Value::Bool(ordered(&one, &two)?.is_some_and(|order| self.accepts(order)))
            }
            (Self::StartsWith, Value::Text(one), Value::Text(two)) => Value::Bool(one.starts_with(&*two)),
            (Self::EndsWith, Value::Text(one), Value::Text(two)) => Value::Bool(one.ends_with(&*two)),
            (Self::Contains, Value::Text(one), Value::Text(two)) => Value::Bool(one.contains(&*two)),
            (Self::In, one, Value::List(values)) => Value::Bool(one.position(values.iter(), budget)?.is_some()),
            (Self::In, one, Value::Map(entries)) => {
                let keys = entries.iter().map(|(key, _)| key.clone());
                Value::Bool(one.position(keys, budget)?.is_some())
            }
            (Self::Index, Value::List(values), index) => values.get(usize::try_from(index.as_integer()?).ok()?)?,
            (Self::Index, Value::Map(entries), index) => {
                let at = index.position(entries.iter().map(|(key, _)| key.clone()), budget)??;
                entries.get(at)?.1.clone()
            }
            (Self::Add, Value::Text(one), Value::Text(two)) => {
                budget.allocate(one.len() + two.len())?;
                Value::of_text([&*one, &*two].concat())
            }
            (Self::Add, Value::Bytes(one), Value::Bytes(two)) => {
                budget.allocate(one.len() + two.len())?;
                Value::of_bytes([&*one, &*two].concat())
            }
            (Self::Add, Value::List(one), Value::List(two)) => concat_lists(&one, &two, budget)?,
            (Self::Subtract, Value::Timestamp(one), Value::Timestamp(two)) => Value::Duration(one - two),
            (function, Value::Timestamp(one), Value::Duration(two)) => {
                Value::Timestamp(function.of_integers(one, two)?)
            }
            (Self::Add, Value::Duration(one), Value::Timestamp(two)) => Value::Timestamp(one + two),
            (Self::Add | Self::Subtract, Value::Duration(one), Value::Duration(two)) => {
                Value::Duration(self.of_integers(one, two)?)
            }
            (function, Value::Int(one), Value::Int(two)) => {
                Value::Int(function.of_integers(one.into(), two.into())?.try_into().ok()?)
            }
            (function, Value::Uint(one), Value::Uint(two)) => {
                Value::Uint(function.of_integers(one.into(), two.into())?.try_into().ok()?)
            }
            (function, Value::Double(one), Value::Double(two)) => Value::Double(function.of_doubles(one, two)?),
            _ => return None,
        })
    }

    /// Returns whether a comparison is true for an order.
    const fn accepts(&self, order: std::cmp::Ordering) -> bool {
        match self {
            Self::Less => order.is_lt(),
            Self::LessOrEqual => order.is_le(),
            Self::Greater => order.is_gt(),
            _ => order.is_ge(),
        }
    }

    fn of_doubles(&self, one: f64, two: f64) -> Option<f64> {
        match self {
            Self::Add => Some(one + two),
            Self::Subtract => Some(one - two),
            Self::Multiply => Some(one * two),
            Self::Divide => Some(one / two),
            _ => None,
        }
    }

    /// Calculates with integers of 64 bits; the caller checks the range of the result.
    fn of_integers(&self, one: i128, two: i128) -> Option<i128> {
        match self {
            Self::Add => one.checked_add(two),
            Self::Subtract => one.checked_sub(two),
            Self::Multiply => one.checked_mul(two),
            Self::Divide => one.checked_div(two),
            Self::Remainder => one.checked_rem(two),
            _ => None,
        }
    }
}

fn concat_lists<'a>(one: &List<'a>, two: &List<'a>, budget: &mut Budget) -> Option<Value<'a>> {
    let length = one.len() + two.len();
    budget.spend(length)?;
    budget.allocate(length * size_of::<Value<'_>>())?;
    let mut values = Vec::with_capacity(length);
    values.extend(one.iter().chain(two.iter()));
    Some(Value::of_values(values))
}

/// Returns the order of two values: `None` if their kinds have none, `Some(None)` if one is NaN.
fn ordered(one: &Value<'_>, two: &Value<'_>) -> Option<Option<std::cmp::Ordering>> {
    let order = one.compare(two);
    let is_double = |value: &Value<'_>| matches!(value, Value::Double(_));
    (order.is_some() || is_double(one) || is_double(two)).then_some(order)
}
