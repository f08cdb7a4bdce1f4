//! Labels as flows carry them, `source:key=value`, and the reserved ones of identities.

use crate::flow::Flow;

use super::Side;

/// Source of labels that name none.
const UNSPECIFIED: &str = "unspec";
/// Source of the labels of reserved identities.
const RESERVED: &str = "reserved";

/// Labels of the reserved identities, that of number 1 first (`pkg/identity/numericidentity.go` of Cilium).
const OF_RESERVED: [&str; 10] = [
    "reserved:host",
    "reserved:world",
    "reserved:unmanaged",
    "reserved:health",
    "reserved:init",
    "reserved:remote-node",
    "reserved:kube-apiserver",
    "reserved:ingress",
    "reserved:world-ipv4",
    "reserved:world-ipv6",
];

/// The label of a reserved identity.
pub fn of_reserved(identity: u32) -> Option<&'static str> {
    let at = usize::try_from(identity.checked_sub(1)?).ok()?;
    OF_RESERVED.get(at).copied()
}

/// A label in its parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Label<'a> {
    pub(super) source: &'a str,
    pub(super) key: &'a str,
    pub(super) value: &'a str,
}

impl<'a> Label<'a> {
    /// Takes a text apart as Cilium does: `$key` and `reserved.key` are reserved, no source is `unspec`.
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

/// The labels of something.
#[derive(Clone, Copy, Debug)]
pub(super) enum Labels<'a> {
    /// Those that came with it.
    Given(&'a [String]),
    /// That of its identity, if that is a reserved one.
    Reserved(Option<&'static str>),
}

impl<'a> Labels<'a> {
    /// None.
    pub(super) const NONE: Self = Self::Reserved(None);

    /// Of one end of a flow: where nobody told, an access-log record's own, and else what its identity says by itself.
    pub(super) fn of(flow: &'a Flow, side: Side) -> Self {
        if let Some((source, destination)) = flow.end_details() {
            return Self::Given(&side.of(source, destination).labels);
        }
        if let Some(l7) = &flow.l7 {
            return Self::Given(side.of(&l7.source_labels, &l7.destination_labels));
        }
        Self::Reserved(of_reserved(side.of(&flow.source, &flow.destination).identity))
    }

    /// The value of the first label with a key, of a source or of any.
    pub(super) fn value(self, source: Option<&str>, key: &str) -> Option<&'a str> {
        let fits = |label: &Label<'_>| label.key == key && source.is_none_or(|source| source == label.source);
        let found = match self {
            Self::Given(labels) => labels.iter().map(|label| Label::parse(label)).find(fits),
            Self::Reserved(label) => label.map(Label::parse).filter(fits),
        };
        found.map(|label| label.value)
    }
}

#[cfg(test)]
mod tests {
    use super::{Label, Labels, of_reserved};

    #[test]
    fn parts() {
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
    fn reserved() {
        assert_eq!(of_reserved(0), None);
        assert_eq!(of_reserved(1), Some("reserved:host"));
        assert_eq!(of_reserved(10), Some("reserved:world-ipv6"));
        assert_eq!(of_reserved(11), None);
        assert_eq!(of_reserved(u32::MAX), None);
    }

    #[test]
    fn values() {
        let given = ["k8s:app=a".to_owned(), "container:app=b".to_owned()];
        let labels = Labels::Given(&given);
        assert_eq!(labels.value(None, "app"), Some("a"));
        assert_eq!(labels.value(Some("container"), "app"), Some("b"));
        assert_eq!(labels.value(Some("any"), "app"), None);
        assert_eq!(Labels::Reserved(of_reserved(2)).value(None, "world"), Some(""));
        assert_eq!(Labels::NONE.value(None, "world"), None);
    }
}
