//! Replaces references to variables in scalars, by OpenTelemetry's configuration data model.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};

/// The variable that names the file.
pub(crate) const VARIABLE: &str = "OTEL_CONFIG_FILE";

/// The expected form of a reference.
const FORM: &str = "write ${NAME}, ${env:NAME} or ${NAME:-default}; $$ stands for one $";

/// The environment, and the variables that the file refers to.
#[derive(Debug)]
pub(super) struct Environment<'e> {
    variables: &'e [(OsString, OsString)],
    used: BTreeSet<String>,
}

impl<'e> Environment<'e> {
    pub(super) const fn new(variables: &'e [(OsString, OsString)]) -> Self {
        Self { variables, used: BTreeSet::new() }
    }

    /// The value of a variable; empty if it is unset.
    pub(super) fn value(&mut self, name: &str) -> Result<&'e str, Invalid> {
        self.used.insert(name.to_owned());
        let value = self.variables.iter().find(|(known, _)| known == name).map(|(_, value)| value.to_str());
        value.unwrap_or(Some("")).ok_or_else(|| Invalid {
            wrong: format!("the variable {name} is not UTF-8"),
            right: "set it to UTF-8 text or unset it",
        })
    }

    /// The set variables of OpenTelemetry that neither name the file nor are a part of it.
    pub(super) fn unused(&self) -> Vec<&'e str> {
        let is_set = |value: &OsStr| value.to_str().is_none_or(|value| !value.trim().is_empty());
        let names = self.variables.iter().filter(|(_, value)| is_set(value)).filter_map(|(name, _)| name.to_str());
        let is_ours = |name: &&str| name.starts_with("OTEL_") && *name != VARIABLE && !self.used.contains(*name);
        let names: BTreeSet<_> = names.filter(is_ours).collect();
        names.into_iter().collect()
    }
}

/// An invalid reference; the file's text is not quoted, it may be secret.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Invalid {
    pub(super) wrong: String,
    pub(super) right: &'static str,
}

/// A scalar after the substitution.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Substituted {
    pub(super) text: String,
    /// Whether one of its references has no default: a default stands in the file as any other text.
    pub(super) has_variable: bool,
}

/// Replaces all references in a scalar. `most` bounds the bytes of the result.
///
/// What comes from a variable is neither searched for references nor for `$$`.
pub(super) fn substitute(text: &str, environment: &mut Environment<'_>, most: usize) -> Result<Substituted, Invalid> {
    let mut output = Substituted { text: String::new(), has_variable: false };
    for (position, part) in text.split("$$").enumerate() {
        if position > 0 {
            output.text.push('$');
        }
        replace(part, environment, most, &mut output)?;
    }
    Ok(output)
}

/// Replaces the references in a part without an escaped `$`.
fn replace(
    part: &str,
    environment: &mut Environment<'_>,
    most: usize,
    output: &mut Substituted,
) -> Result<(), Invalid> {
    let mut rest = part;
    while let Some((before, inner)) = rest.split_once("${") {
        // Without an end or a content it is no reference, but text.
        let Some((content, after)) = inner.split_once('}') else { break };
        output.text.push_str(before);
        if content.is_empty() {
            output.text.push_str("${}");
        } else {
            let (value, has_default) = resolve(content, environment)?;
            output.text.push_str(value);
            output.has_variable |= !has_default;
        }
        if output.text.len() > most {
            return Err(Invalid {
                wrong: "with the values of its variables it is too long".to_owned(),
                right: "shorten it",
            });
        }
        rest = after;
    }
    output.text.push_str(rest);
    Ok(())
}

/// The value that a reference stands for, and whether it has a default.
fn resolve<'t, 'e: 't>(content: &'t str, environment: &mut Environment<'e>) -> Result<(&'t str, bool), Invalid> {
    let Some((name, default)) = parse(content).or_else(|| content.strip_prefix("env:").and_then(parse)) else {
        return Err(Invalid { wrong: "it has an invalid reference to a variable".to_owned(), right: FORM });
    };
    let value = environment.value(name)?;
    Ok((if value.is_empty() { default } else { value }, !default.is_empty()))
}

/// Parses `NAME` and `NAME:-default`.
fn parse(content: &str) -> Option<(&str, &str)> {
    let (name, default) = content.split_once(":-").unwrap_or((content, ""));
    let is_name = name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let is_printable = !default.contains(|c: char| c.is_control() && c != '\t');
    (is_name && is_printable).then_some((name, default))
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::{Environment, substitute};

    fn environment(pairs: &[(&str, &str)]) -> Vec<(OsString, OsString)> {
        pairs.iter().map(|(name, value)| (name.into(), value.into())).collect()
    }

    #[test]
    fn references_are_replaced() {
        let variables = environment(&[("A", "a"), ("_B2", "b"), ("EMPTY", ""), ("REF", "${A}$$"), ("env", "e")]);
        for (text, expected) in [
            ("", ""),
            ("plain", "plain"),
            ("${A}", "a"),
            ("${env:A}", "a"),
            ("x${A}y${_B2}z", "xaybz"),
            ("${NONE}", ""),
            ("${EMPTY:-d}", "d"),
            ("${NONE:-}", ""),
            ("${NONE:-a:-b c}", "a:-b c"),
            ("${env:NONE:-d}", "d"),
            ("${env:-d}", "e"),
            ("${REF}", "${A}$$"),
            ("${NONE:-${A}}", "${A}"),
            ("${NONE:-$${NONE}}", "${NONE:-${NONE}}"),
            ("$${A}", "${A}"),
            ("$$${A}", "$a"),
            ("$$$${A}", "$${A}"),
            ("$${A:-${A}}", "${A:-a}"),
            ("a $$ b $ c", "a $ b $ c"),
            ("$A {A}", "$A {A}"),
            ("${}${A}", "${}a"),
            ("${A", "${A"),
        ] {
            let found = substitute(text, &mut Environment::new(&variables), 100);
            assert_eq!(found.map(|found| found.text), Ok(expected.to_owned()), "{text}");
        }
    }

    #[test]
    fn invalid_references_are_rejected() {
        let variables = environment(&[("A", "s3cret")]);
        for text in [
            "${A:?error}",
            "${1A}",
            "${A_$B}",
            "${A }",
            "${sys:A}",
            "${env:}",
            "${é}",
            "${${A}",
            "${ {A}",
            "${-}",
            "${A:-\n}",
        ] {
            let found = substitute(text, &mut Environment::new(&variables), 100).expect_err(text);
            assert_eq!(found.wrong, "it has an invalid reference to a variable", "{text}");
        }
    }

    #[test]
    fn long_result_is_rejected() {
        let variables = environment(&[("A", "0123456789")]);
        assert!(substitute("${A}${A}", &mut Environment::new(&variables), 20).is_ok());
        let found = substitute("${A}${A}${A}${A}", &mut Environment::new(&variables), 20).expect_err("it is too long");
        assert!(found.wrong.ends_with("too long"), "{found:?}");
    }

    #[test]
    fn unused_variables_are_found() {
        let variables = environment(&[
            ("OTEL_Z", "1"),
            ("OTEL_A", "1"),
            ("OTEL_USED", "1"),
            ("OTEL_EMPTY", " "),
            ("OTEL_CONFIG_FILE", "/f"),
            ("EYEPIECE_X", "1"),
        ]);
        let mut environment = Environment::new(&variables);
        assert_eq!(environment.value("OTEL_USED"), Ok("1"));
        assert_eq!(environment.unused(), ["OTEL_A", "OTEL_Z"]);
    }
}
