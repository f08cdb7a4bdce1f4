//! The environment's variables by name, and problems with them.

use crate::error::Problem;

/// The environment: names and values.
pub(super) type Variables = [(String, String)];

/// Returns a variable and its value without white space; `None` if it is unset or empty.
pub(super) fn get<'a>(variables: &'a Variables, name: &str) -> Option<(&'a str, &'a str)> {
    let (name, value) = variables.iter().find(|(candidate, _)| candidate == name)?;
    Some((name.as_str(), value.trim())).filter(|(_, value)| !value.is_empty())
}

/// Returns a boolean variable. By the specification, anything but true counts as false.
pub(super) fn flag(variables: &Variables, name: &str, warnings: &mut Vec<Problem>) -> Option<bool> {
    let (name, value) = get(variables, name)?;
    let is_true = value.eq_ignore_ascii_case("true");
    if !is_true && !value.eq_ignore_ascii_case("false") {
        let wrong = format!("{value:?} is neither true nor false, it counts as false");
        warnings.push(problem(name, wrong, "use true or false"));
    }
    Some(is_true)
}

/// A problem with a variable, as a warning or a mistake.
pub(super) fn problem(name: &str, wrong: impl Into<String>, right: &str) -> Problem {
    Problem { key: name.to_owned(), origin: String::new(), wrong: wrong.into(), right: right.to_owned() }
}
