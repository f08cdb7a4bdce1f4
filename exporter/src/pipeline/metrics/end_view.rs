//! One end of the flows in a view: its value by context and direction, its labels, its address.

use std::net::IpAddr;

use eyepiece_flow::flow::{Direction, End, Flow};
use eyepiece_flow::interner::{Lease, Symbol, Symbols};
use eyepiece_flow::lookup::{EndEntity, FlowEnd};

use super::context::Context;
use super::ends::{PackedAddress, PackedEnd, PackedValue};
use super::metric_contexts::{EndContexts, LabelSet};
use crate::metadata::context_names::ContextNames;
use crate::metadata::entity_labels::EntityLabels;
use crate::metadata::{NameSnapshot, WantedTexts};

/// How a view names one end.
#[derive(Debug)]
pub(super) struct EndView {
    contexts: EndContexts,
    /// Without the identifiers that only an entity has: most ends of a busy node are the world's.
    without_entity: EndContexts,
    labels: EntityLabels,
    /// The place of `labels` in the names of entities; `None` if there are none.
    place: Option<usize>,
    /// Whether the address is a label.
    has_address: bool,
}

/// The addresses of a flow's ends that it has.
#[inline]
pub(super) fn addresses(flow: &Flow) -> [Option<&IpAddr>; 2] {
    let ip = flow.ip.as_ref();
    [
        ip.filter(|_| !flow.no_source_address).map(|ip| &ip.source),
        ip.filter(|_| !flow.no_destination_address).map(|ip| &ip.destination),
    ]
}

impl EndView {
    /// `labels` are those of both ends, of which those of `end` are used.
    pub(super) fn new(contexts: &EndContexts, labels: LabelSet, end: FlowEnd, wanted: &WantedTexts) -> Self {
        let of_entity = labels.of_entity(end);
        Self {
            contexts: contexts.clone(),
            without_entity: contexts.map(Context::without_entity),
            labels: of_entity,
            place: wanted.place(of_entity),
            has_address: labels.has_address(end),
        }
    }

    /// Returns whether the address may be the value.
    pub(super) fn may_be_address(&self) -> bool {
        self.contexts.all().any(Context::may_be_address)
    }

    #[inline]
    pub(super) fn pack(
        &self,
        end: &End,
        direction: Direction,
        address: Option<&IpAddr>,
        names: &NameSnapshot,
    ) -> PackedEnd {
        let (contexts, names) = self.texts(end, names);
        let value = contexts.of(direction).packed(end, address.is_some(), names);
        let labels = self.place.map_or(Symbol::EMPTY, |place| names.labels(place));
        PackedEnd { value, labels, address: self.address(value, address) }
    }

    /// The value of an end, which has neither labels nor an address. Inlined: a call is 3 ns of a flow's 35.
    #[inline(always)]
    pub(super) fn value(&self, end: &End, direction: Direction, names: &NameSnapshot) -> PackedValue {
        let (contexts, names) = self.texts(end, names);
        contexts.of(direction).packed(end, false, names)
    }

    /// The contexts of an end, and the texts of its entity.
    #[inline]
    fn texts<'a>(&'a self, end: &End, names: &'a NameSnapshot) -> (&'a EndContexts, &'a ContextNames) {
        match end.entity {
            0 => (&self.without_entity, ContextNames::NONE),
            entity => (&self.contexts, names.context_names(entity)),
        }
    }

    /// An end with this entity, which its flow carries, and what keeps its texts alive.
    pub(super) fn pack_carried(
        &self,
        end: &End,
        direction: Direction,
        entity: &EndEntity<'_>,
        address: Option<&IpAddr>,
        symbols: &Symbols,
    ) -> (PackedEnd, [Option<Lease>; 2]) {
        let context = self.contexts.of(direction);
        let (value, of_value) = context.packed_carried(end, address.is_some(), entity, symbols);
        let of_labels = self.place.and_then(|_| self.labels.text(entity)).map(|text| symbols.lease(&text));
        let labels = of_labels.as_ref().map_or(Symbol::EMPTY, Lease::symbol);
        (PackedEnd { value, labels, address: self.address(value, address) }, [of_value, of_labels])
    }

    #[inline]
    fn address(&self, value: PackedValue, address: Option<&IpAddr>) -> PackedAddress {
        let is_used = self.has_address || value == PackedValue::ADDRESS;
        PackedAddress::of(address.filter(|_| is_used))
    }
}
