//! Why a filter is refused.

use std::fmt;

use eyepiece_flow::text::truncate;

/// Bytes of a value that an error shows at most: it travels in a header of the answer.
const SHOWN: usize = 128;

/// A filter that cannot be.
///
/// Its text starts with the words of Cilium's for the same fault where it has one: clients show them to people.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{why} (in {field}: {value:?})")]
pub struct FilterError {
    /// Name of the field of `flow.FlowFilter`, or `whitelist`, `blacklist` for the lists themselves.
    pub field: &'static str,
    /// The value, cut where it is long.
    pub value: String,
    /// What is wrong with it.
    pub why: String,
}

impl FilterError {
    /// The error of a value.
    pub(super) fn new(field: &'static str, value: &str, why: impl fmt::Display) -> Self {
        Self { field, value: truncate(value.to_owned(), SHOWN), why: why.to_string() }
    }
}

#[cfg(test)]
mod tests {
    use super::FilterError;

    #[test]
    fn long_values_are_cut_between_characters() {
        let error = FilterError::new("uuid", &"é".repeat(100), "no");
        assert_eq!(error.value, format!("{}…", "é".repeat(64)));
        assert!(error.to_string().starts_with("no (in uuid: \"éé"), "{error}");
        assert_eq!(FilterError::new("uuid", "a\nb", "no").to_string(), "no (in uuid: \"a\\nb\")");
    }
}
