//! Labels of flows, `source:key=value`, and of reserved identities.

use eyepiece_flow::labels::Labels;

/// Source of labels without one.
pub(super) const UNSPECIFIED: &str = "unspec";
/// Source of the labels of reserved identities.
const RESERVED: &str = "reserved";

/// A parsed label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Label<'a> {
    pub(super) source: &'a str,
    pub(super) key: &'a str,
    pub(super) value: &'a str,
}

impl<'a> Label<'a> {
    /// Parses a label as Cilium does: `$key` and `reserved.key` are reserved, a missing source is `unspec`.
    pub(super) fn parse(text: &'a str) -> Self {
        let (source, rest) = if let Some(rest) = text.strip_prefix('$') {
            (RESERVED, rest)
        } else if let Some((source, rest)) = text.split_once(':') {
            (source, rest)
        } else if let Some(rest) = text.strip_prefix("reserved.") {
            (RESERVED, rest)
        } else {
            ("", text)
        };
        let (key, value) = match rest.split_once('=') {
            None => (rest, ""),
            Some(("", key)) if source == RESERVED => (key, ""),
            Some(parts) => parts,
        };
        Self { source: if source.is_empty() { UNSPECIFIED } else { source }, key, value }
    }
}

/// Returns the value of the first label with a key, of a source or of any.
pub(super) fn value<'a>(labels: Labels<'a>, source: Option<&str>, key: &str) -> Option<&'a str> {
    let mut labels = labels.iter().map(Label::parse);
    labels.find(|label| label.key == key && source.is_none_or(|source| source == label.source)).map(|label| label.value)
}

#[cfg(test)]
mod tests {
    use eyepiece_flow::labels::Labels;

    use super::{Label, value};

    #[test]
    fn label_is_parsed_as_in_cilium() {
        for (text, source, key, value) in [
            ("k8s:app=x", "k8s", "app", "x"),
            ("k8s:app", "k8s", "app", ""),
            ("k8s:app=x=y:z", "k8s", "app", "x=y:z"),
            ("app=x", "unspec", "app", "x"),
            (":app=x", "unspec", "app", "x"),
            ("reserved:host", "reserved", "host", ""),
            ("reserved:=host", "reserved", "host", ""),
            ("k8s:=host", "k8s", "", "host"),
            ("$host", "reserved", "host", ""),
            ("reserved.host", "reserved", "host", ""),
            ("cidr:1.1.1.1/32", "cidr", "1.1.1.1/32", ""),
            ("a=b:c", "a=b", "c", ""),
            ("", "unspec", "", ""),
        ] {
            assert_eq!(Label::parse(text), Label { source, key, value }, "{text}");
        }
    }

    #[test]
    fn label_values_are_found_by_key() {
        let given = ["k8s:app=a".to_owned(), "container:app=b".to_owned()];
        let labels = Labels::Given(&given);
        assert_eq!(value(labels, None, "app"), Some("a"));
        assert_eq!(value(labels, Some("container"), "app"), Some("b"));
        assert_eq!(value(labels, Some("any"), "app"), None);
        assert_eq!(value(Labels::Reserved(Some("reserved:world")), Some("reserved"), "world"), Some(""));
        assert_eq!(value(Labels::NONE, None, "world"), None);
    }
}
