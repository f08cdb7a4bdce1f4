//! Labels of flows, `source:key=value`, and of reserved identities.

use eyepiece_flow::flow::Flow;
use eyepiece_flow::l7::cluster_name;
use eyepiece_flow::lookup::{FlowEnd, NameLookup, end_entity};
use eyepiece_flow::names::reserved_identity_label;

use super::side::Side;

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

/// The labels of a source, destination or node.
#[derive(Clone, Copy, Debug)]
pub(super) enum Labels<'a> {
    /// Labels of the flow.
    Given(&'a [String]),
    /// The label of a reserved identity.
    Reserved(Option<&'static str>),
}

impl<'a> Labels<'a> {
    /// No labels.
    pub(super) const NONE: Self = Self::Reserved(None);

    /// Returns the labels of a flow's source or destination: those of its metadata, else those of an access-log record, else
    /// those of its entity, else, without metadata, that of a reserved identity.
    pub(super) fn of(flow: &'a Flow, side: Side, names: &'a dyn NameLookup) -> Self {
        let end = end_entity(flow, side.of(FlowEnd::Source, FlowEnd::Destination), names);
        let own = flow.l7.as_ref().map_or(&[][..], |l7| side.of(&l7.source_labels, &l7.destination_labels));
        let is_used = |known: &&[String]| own.is_empty() || flow.metadata.is_some() && !known.is_empty();
        match end.map(|end| end.labels).filter(is_used).unwrap_or(own) {
            [] if flow.metadata.is_none() => {
                Self::Reserved(reserved_identity_label(side.of(&flow.source, &flow.destination).identity))
            }
            labels => Self::Given(labels),
        }
    }

    /// Returns the cluster in the labels, or an empty text.
    pub(super) fn cluster(self) -> &'a str {
        match self {
            Self::Given(labels) => cluster_name(labels).unwrap_or_default(),
            Self::Reserved(_) => "",
        }
    }

    /// Returns the value of the first label with a key, of a source or of any.
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
    use eyepiece_flow::flow::{End, EventType, Flow};
    use eyepiece_flow::l7::L7;
    use eyepiece_flow::lookup::NoLookup;

    use super::{Label, Labels};
    use crate::filter::side::Side;

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
        assert_eq!(labels.value(None, "app"), Some("a"));
        assert_eq!(labels.value(Some("container"), "app"), Some("b"));
        assert_eq!(labels.value(Some("any"), "app"), None);
        let world = End { identity: 2, ..End::default() };
        let mut flow = Flow { source: world, destination: world, ..Flow::empty(EventType::default()) };
        assert_eq!(Labels::of(&flow, Side::Source, &NoLookup).value(None, "world"), Some(""));
        let source_labels = vec!["k8s:io.cilium.k8s.policy.cluster=kind".to_owned()];
        flow.l7 = Some(Box::new(L7 { source_labels, ..L7::default() }));
        assert_eq!(Labels::of(&flow, Side::Source, &NoLookup).value(None, "world"), None);
        assert_eq!(Labels::of(&flow, Side::Source, &NoLookup).cluster(), "kind");
        assert_eq!(Labels::of(&flow, Side::Destination, &NoLookup).value(Some("reserved"), "world"), Some(""));
        flow.metadata = Some(Box::default());
        assert_eq!(Labels::of(&flow, Side::Source, &NoLookup).cluster(), "kind");
        assert_eq!(Labels::of(&flow, Side::Destination, &NoLookup).value(None, "world"), None);
        assert_eq!(Labels::NONE.value(None, "world"), None);
    }
}
