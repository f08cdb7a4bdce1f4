//! The contexts of a metric, as Hubble's handlers have them.

use eyepiece_config::{ContextLabel, ContextOptions};
use eyepiece_flow::flow::Direction;
use eyepiece_flow::lookup::FlowEnd;

use super::context::{Context, Identifier};
use crate::metadata::entity_labels::EntityLabels;

/// The contexts of one end, by the flow's direction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EndContexts {
    by_direction: [Context; 3],
}

impl EndContexts {
    /// The context of flows with a direction.
    #[inline]
    pub const fn of(&self, direction: Direction) -> &Context {
        &self.by_direction[direction as usize]
    }

    /// The contexts of all directions.
    pub fn all(&self) -> impl Iterator<Item = &Context> {
        self.by_direction.iter()
    }

    /// Converts the contexts of all directions.
    pub(super) fn map(&self, convert: impl FnMut(&Context) -> Context) -> Self {
        Self { by_direction: self.by_direction.each_ref().map(convert) }
    }

    /// Returns whether the metric has no label for the end.
    pub fn is_absent(&self) -> bool {
        self.all().all(Context::is_absent)
    }
}

impl From<&Context> for EndContexts {
    fn from(context: &Context) -> Self {
        Self { by_direction: [(); 3].map(|()| context.clone()) }
    }
}

impl From<&eyepiece_config::EndContexts> for EndContexts {
    fn from(options: &eyepiece_config::EndContexts) -> Self {
        let or_any = |own: &[Identifier]| Context::of(if own.is_empty() { &options.any } else { own });
        Self { by_direction: [Context::of(&options.any), or_any(&options.ingress), or_any(&options.egress)] }
    }
}

/// A set of the labels that `labelsContext` can have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LabelSet(u16);

impl LabelSet {
    /// The set of these labels.
    pub fn of(labels: &[ContextLabel]) -> Self {
        Self(labels.iter().fold(0, |set, label| set | 1 << *label as u16))
    }

    /// Returns whether a label is in the set.
    pub const fn has(self, label: ContextLabel) -> bool {
        self.0 >> label as u16 & 1 == 1
    }

    /// Returns whether it has no label.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Returns whether an end's address is in the set.
    pub const fn has_address(self, end: FlowEnd) -> bool {
        self.has(match end {
            FlowEnd::Source => ContextLabel::SourceIp,
            FlowEnd::Destination => ContextLabel::DestinationIp,
        })
    }

    /// The labels of an end's entity: those between its address and the labels of the other end.
    pub const fn of_entity(self, end: FlowEnd) -> EntityLabels {
        let first = match end {
            FlowEnd::Source => ContextLabel::SourcePod,
            FlowEnd::Destination => ContextLabel::DestinationPod,
        };
        // Truncation is intended.
        EntityLabels::from_bits((self.0 >> first as u16) as u8)
    }
}

/// How a metric names the ends of its flows, and its further labels.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contexts {
    /// The source.
    pub source: EndContexts,
    /// The destination.
    pub destination: EndContexts,
    /// Further labels.
    pub labels: LabelSet,
}

impl Contexts {
    /// The same contexts in both directions, without further labels.
    pub fn of(source: &Context, destination: &Context) -> Self {
        Self { source: source.into(), destination: destination.into(), labels: LabelSet::default() }
    }
}

impl From<&ContextOptions> for Contexts {
    fn from(options: &ContextOptions) -> Self {
        Self {
            source: (&options.source).into(),
            destination: (&options.destination).into(),
            labels: LabelSet::of(&options.labels),
        }
    }
}

#[cfg(test)]
mod tests {
    use eyepiece_config::{ContextLabel, Handler};
    use eyepiece_flow::flow::Direction;
    use eyepiece_flow::lookup::FlowEnd;

    use super::{Contexts, LabelSet};
    use crate::metadata::entity_labels::EntityLabels;
    use crate::pipeline::metrics::Context;

    #[test]
    fn direction_goes_before_plain_context() {
        let line = "drop:sourceContext=pod;sourceEgressContext=ip;destinationIngressContext=dns|ip";
        let handler: Handler = line.parse().expect("a handler");
        let contexts = Contexts::from(&handler.contexts);
        let context = |text: &str| text.parse::<Context>().expect(text);
        for (direction, source, destination) in
            [(Direction::Unknown, "pod", ""), (Direction::Ingress, "pod", "dns|ip"), (Direction::Egress, "ip", "")]
        {
            assert_eq!(contexts.source.of(direction), &context(source), "{direction:?}");
            assert_eq!(contexts.destination.of(direction), &context(destination), "{direction:?}");
        }
        assert!(!contexts.destination.is_absent() && Contexts::default().destination.is_absent());
    }

    #[test]
    fn label_set_has_its_labels() {
        for (place, name) in ContextLabel::NAMES.iter().enumerate() {
            let label: ContextLabel = name.parse().expect(name);
            let set = LabelSet::of(&[label]);
            let found: Vec<_> =
                ContextLabel::NAMES.iter().filter(|name| set.has(name.parse().expect("a label"))).collect();
            assert_eq!(found, [name]);
            for (end, first) in [(FlowEnd::Source, 0), (FlowEnd::Destination, 6)] {
                assert_eq!(set.has_address(end), place == first, "{name}");
                let bits = (0..5).filter(|bit| place == first + 1 + bit).fold(0, |bits, bit| bits | 1 << bit);
                assert_eq!(set.of_entity(end), EntityLabels::from_bits(bits), "{name}");
            }
        }
    }
}
