//! A flow from a line of `-o jsonpb`, with the fields that the table of flags needs.

use serde_json::Value;

/// The flow of a response.
pub(crate) struct Flow<'a>(pub(crate) &'a Value);

impl<'a> Flow<'a> {
    /// Returns a member by its path; null if it is missing.
    pub(crate) fn at(&self, path: &[&str]) -> &'a Value {
        path.iter().fold(&self.0["flow"], |value, &name| &value[name])
    }

    /// Returns a text, or a number as text; empty if it is missing.
    pub(crate) fn text(&self, path: &[&str]) -> String {
        match self.at(path) {
            Value::String(text) => text.clone(),
            Value::Null => String::new(),
            other => other.to_string(),
        }
    }

    pub(crate) fn uuid(&self) -> String {
        self.text(&["uuid"])
    }

    /// An address of `source` or `destination`.
    pub(crate) fn ip(&self, end: &str) -> String {
        self.text(&["IP", end])
    }

    /// A port of `source` or `destination`, of whatever protocol has one.
    pub(crate) fn port(&self, end: &str) -> String {
        ["TCP", "UDP", "SCTP"]
            .iter()
            .map(|protocol| self.text(&["l4", protocol, &format!("{end}_port")]))
            .find(|port| !port.is_empty())
            .unwrap_or_default()
    }

    /// Returns whether the layer 4 is of one of these (`TCP`, `UDP`, `ICMPv4`, `ICMPv6`).
    pub(crate) fn has_l4(&self, names: &[&str]) -> bool {
        names.iter().any(|name| self.at(&["l4", name]).is_object())
    }

    pub(crate) fn has_label(&self, end: &str, label: &str) -> bool {
        self.at(&[end, "labels"]).as_array().is_some_and(|labels| labels.iter().any(|one| one == label))
    }

    /// Returns whether either end is so.
    pub(crate) fn either(&self, is: impl Fn(&Self, &str) -> bool) -> bool {
        ["source", "destination"].iter().any(|end| is(self, end))
    }

    /// A header of HTTP, by its name in lower case.
    pub(crate) fn http(&self, name: &str) -> String {
        self.text(&["l7", "http", name])
    }
}
