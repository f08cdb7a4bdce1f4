//! The environment's variables by name, and problems with them.

use crate::error::Problem;

/// The environment: names and values.
pub(super) type Variables = [(String, String)];

/// Returns a variable and its value without white space; `None` if it is unset or empty.
pub(super) fn get<'a>(variables: &'a Variables, name: &str) -> Option<(&'a str, &'a str)> {
    let (name, value) = variables.iter().find(|(candidate, _)| candidate == name)?;
    Some((name.as_str(), value.trim())).filter(|(_, value)| !value.is_empty())
}

/// A problem with a variable, as a warning or a mistake.
pub(super) fn problem(name: &str, wrong: impl Into<String>, right: &str) -> Problem {
    Problem { key: name.to_owned(), origin: String::new(), wrong: wrong.into(), right: right.to_owned() }
}
