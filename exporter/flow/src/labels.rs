//! The labels of a flow's source or destination, by one rule for messages, filters and metrics.

use crate::flow::{End, Flow};
use crate::l7::cluster_name;
use crate::lookup::{EndEntity, FlowEnd};
use crate::names::reserved_identity_label;

/// The labels of a source, destination or node, `source:key=value`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Labels<'a> {
    /// Labels of the flow.
    Given(&'a [String]),
    /// The label of a reserved identity.
    Reserved(Option<&'static str>),
}

impl<'a> Labels<'a> {
    /// No labels.
    pub const NONE: Self = Self::Reserved(None);

    /// The labels in order.
    pub fn iter(self) -> impl Iterator<Item = &'a str> {
        let (given, reserved) = match self {
            Self::Given(labels) => (labels, None),
            Self::Reserved(label) => (&[][..], label),
        };
        given.iter().map(String::as_str).chain(reserved)
    }
}

/// The labels of one end of a flow, and their cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndLabels<'a> {
    /// The labels.
    pub labels: Labels<'a>,
    /// The cluster that the entity of the labels names; may be empty.
    cluster: &'a str,
}

impl<'a> EndLabels<'a> {
    /// Returns the labels of an end with this entity: those of the flow's metadata, else those of an access-log record, else
    /// those of its entity, else, without metadata, that of a reserved identity.
    pub fn of(flow: &'a Flow, end: FlowEnd, entity: Option<EndEntity<'a>>) -> Self {
        let own = flow.record_labels(end);
        let is_given = flow.metadata.is_some();
        let used = entity.filter(|entity| own.is_empty() || is_given && !entity.labels.is_empty());
        let labels = match used.map_or(own, |entity| entity.labels) {
            [] if !is_given => Labels::Reserved(reserved_identity_label(flow.end(end).identity)),
            labels => Labels::Given(labels),
        };
        Self { labels, cluster: used.map_or("", |entity| entity.cluster_name) }
    }

    /// Returns the labels of an end whose event is not a flow.
    pub fn of_end(end: &End, entity: Option<EndEntity<'a>>) -> Self {
        let labels = match entity.map_or(&[][..], |entity| entity.labels) {
            [] => Labels::Reserved(reserved_identity_label(end.identity)),
            labels => Labels::Given(labels),
        };
        Self { labels, cluster: entity.map_or("", |entity| entity.cluster_name) }
    }

    /// Returns the cluster, or an empty text.
    pub fn cluster(self) -> &'a str {
        match self.labels {
            _ if !self.cluster.is_empty() => self.cluster,
            Labels::Given(labels) => cluster_name(labels).unwrap_or_default(),
            Labels::Reserved(_) => "",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{EndLabels, Labels};
    use crate::flow::{End, EventType, Flow};
    use crate::l7::L7;
    use crate::lookup::FlowEnd::{Destination, Source};
    use crate::lookup::end_entity;
    use crate::lookup::{FlowEnd, NoLookup};

    fn of(flow: &Flow, end: FlowEnd) -> EndLabels<'_> {
        EndLabels::of(flow, end, end_entity(flow, end, &NoLookup))
    }

    #[test]
    fn labels_come_from_record_then_identity() {
        let world = End { identity: 2, ..End::default() };
        let mut flow = Flow { source: world, destination: world, ..Flow::empty(EventType::default()) };
        assert_eq!(of(&flow, Source).labels, Labels::Reserved(Some("reserved:world")));
        let source_labels = vec!["k8s:io.cilium.k8s.policy.cluster=kind".to_owned()];
        flow.l7 = Some(Box::new(L7 { source_labels: source_labels.clone(), ..L7::default() }));
        assert_eq!((of(&flow, Source).labels, of(&flow, Source).cluster()), (Labels::Given(&source_labels), "kind"));
        assert_eq!(of(&flow, Destination).labels.iter().collect::<Vec<_>>(), ["reserved:world"]);
        flow.metadata = Some(Box::default());
        assert_eq!(of(&flow, Source).cluster(), "kind");
        assert_eq!(of(&flow, Destination), EndLabels { labels: Labels::Given(&[]), cluster: "" });
        assert_eq!(Labels::NONE.iter().count(), 0);
    }
}
