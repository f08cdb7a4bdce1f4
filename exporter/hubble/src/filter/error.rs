//! The error of an invalid filter.

use std::fmt;

use eyepiece_flow::text::truncate;

/// Bytes of a value in an error, which is sent in a header of the response.
const SHOWN: usize = 128;

/// An invalid filter.
///
/// The text starts with Cilium's text for the same error, if there is one: clients show it to users.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{cause} (in {field}: {value:?})")]
pub struct FilterError {
    /// The field of `flow.FlowFilter`, or `whitelist` and `blacklist` for the lists themselves.
    pub field: &'static str,
    /// The value, truncated.
    pub value: String,
    /// The error.
    pub cause: String,
}

impl FilterError {
    pub(super) fn new(field: &'static str, value: &str, cause: impl fmt::Display) -> Self {
        Self { field, value: truncate(value.to_owned(), SHOWN), cause: cause.to_string() }
    }
}

#[cfg(test)]
mod tests {
    use super::FilterError;

    #[test]
    fn long_value_is_truncated_between_characters() {
        let error = FilterError::new("uuid", &"é".repeat(100), "no");
        assert_eq!(error.value, format!("{}…", "é".repeat(64)));
        assert!(error.to_string().starts_with("no (in uuid: \"éé"), "{error}");
        assert_eq!(FilterError::new("uuid", "a\nb", "no").to_string(), "no (in uuid: \"a\\nb\")");
    }
}
