//! Values and their faults.

use figment::value::Value;

/// The fault of a value, and the expected form.
pub(super) type Fault = (String, String);
/// The converted value, or everything that is wrong with its entries.
pub(super) type Entries = Result<Value, Vec<Fault>>;

/// Describes a value's type for messages. Containers are not quoted: they may hold secrets.
pub(super) fn found(value: &Value) -> String {
    match value {
        Value::String(_, text) => format!("{text:?} is a text"),
        Value::Bool(_, flag) => format!("{flag} is no text or number"),
        Value::Num(_, number) => match (number.to_i128(), number.to_u128(), number.to_f64()) {
            (Some(number), _, _) => format!("{number} is a number"),
            (_, Some(number), _) => format!("{number} is a number"),
            (_, _, Some(number)) => format!("{number} is a number with a fraction"),
            _ => "it is a number".to_owned(),
        },
        Value::Array(..) => "it is a list".to_owned(),
        Value::Dict(..) => "it is a table".to_owned(),
        _ => "it is of another type".to_owned(),
    }
}

pub(super) fn is_empty(value: &Value) -> bool {
    value.as_str().is_some_and(str::is_empty)
}

pub(super) fn text<'v>(value: &'v Value, right: &str) -> Result<&'v str, Fault> {
    value.as_str().ok_or_else(|| (found(value), right.to_owned()))
}

/// The value, if nothing is wrong.
pub(super) fn if_all_valid(value: Value, wrong: Vec<Fault>) -> Entries {
    if wrong.is_empty() { Ok(value) } else { Err(wrong) }
}

/// A list of texts that are not empty and pass the check.
pub(super) fn each(value: &Value, right: &str, check: impl Fn(&str) -> Result<(), String>) -> Entries {
    let Value::Array(_, items) = value else { return Err(vec![(found(value), right.to_owned())]) };
    let wrong = items.iter().filter_map(|item| match item.as_str() {
        None => Some(format!("in the list, {}", found(item))),
        Some("") => Some("the list has an empty text".to_owned()),
        Some(text) => check(text).err(),
    });
    if_all_valid(value.clone(), wrong.map(|wrong| (wrong, right.to_owned())).collect())
}
