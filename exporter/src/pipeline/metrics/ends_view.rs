//! Both ends of the flows of some metrics, packed into keys by the metrics' contexts.

use std::net::IpAddr;

use eyepiece_config::ContextLabel;
use eyepiece_flow::flow::{Direction, End, Flow};
use eyepiece_flow::interner::{Lease, Symbols};
use eyepiece_flow::lookup::{BatchLookup, EndEntity, FlowEnd, NoLookup, end_entity};

use super::end_view::{EndView, addresses};
use super::ends::{PackedEnd, PackedEnds};
use super::metric_contexts::Contexts;
use crate::metadata::{NameSnapshot, WantedTexts};

/// How some metrics name both ends of their flows.
#[derive(Debug)]
pub(super) struct EndsView {
    contexts: Contexts,
    source: EndView,
    destination: EndView,
    /// Whether keys may have labels or addresses.
    is_wide: bool,
    /// Whether the labels of the source are those of the flow's destination, and the reverse.
    is_swapped: bool,
}

/// The texts that the ends of a flow with entities of its own refer to.
pub(super) type CarriedLeases = [[Option<Lease>; 2]; 2];

impl EndsView {
    pub(super) fn new(contexts: Contexts, wanted: &WantedTexts) -> Self {
        Self::with_order(contexts, wanted, false)
    }

    /// Metrics of requests that are counted by their responses: the response's destination is the request's source. As in
    /// Hubble each context stays with its end of the response, and only the labels are exchanged.
    pub(super) fn swapped(contexts: Contexts, wanted: &WantedTexts) -> Self {
        Self::with_order(contexts, wanted, true)
    }

    fn with_order(contexts: Contexts, wanted: &WantedTexts, is_swapped: bool) -> Self {
        let Contexts { source, destination, labels } = &contexts;
        let (first, second) = if is_swapped { (destination, source) } else { (source, destination) };
        let source = EndView::new(first, *labels, FlowEnd::Source, wanted);
        let destination = EndView::new(second, *labels, FlowEnd::Destination, wanted);
        let is_wide = !labels.is_empty() || source.may_be_address() || destination.may_be_address();
        Self { contexts, source, destination, is_wide, is_swapped }
    }

    pub(super) const fn contexts(&self) -> &Contexts {
        &self.contexts
    }

    /// The ends of a flow without entities of its own.
    #[inline(always)]
    pub(super) fn of_flow(&self, names: &NameSnapshot, flow: &Flow) -> PackedEnds {
        let ends = [&flow.source, &flow.destination];
        if self.is_wide {
            return self.wide(names, ends, flow.direction, addresses(flow));
        }
        let [source, destination] = self.ordered(ends);
        PackedEnds::narrow([
            self.source.value(source, flow.direction, names),
            self.destination.value(destination, flow.direction, names),
        ])
    }

    /// The ends of packets without a flow.
    pub(super) fn of_totals(
        &self,
        names: &NameSnapshot,
        ends: [&End; 2],
        direction: Direction,
        addresses: [&IpAddr; 2],
    ) -> PackedEnds {
        self.wide(names, ends, direction, addresses.map(Some))
    }

    /// The ends of a flow that carries their entities, or labels of theirs in a record of layer 7, and what keeps their texts
    /// alive.
    #[cold]
    pub(super) fn of_carried(
        &self,
        symbols: &Symbols,
        names: &NameSnapshot,
        flow: &Flow,
    ) -> (PackedEnds, CarriedLeases) {
        let [first, second] = self.ordered([FlowEnd::Source, FlowEnd::Destination]);
        let [from, to] = self.ordered(addresses(flow));
        let (source, of_source) = carried(&self.source, first, flow, from, symbols, names);
        let (destination, of_destination) = carried(&self.destination, second, flow, to, symbols, names);
        let ends = PackedEnds::new([source, destination], self.direction(flow.direction), self.is_wide);
        (ends, [of_source, of_destination])
    }

    #[inline]
    fn wide(
        &self,
        names: &NameSnapshot,
        ends: [&End; 2],
        direction: Direction,
        addresses: [Option<&IpAddr>; 2],
    ) -> PackedEnds {
        let ([first, second], [from, to]) = (self.ordered(ends), self.ordered(addresses));
        let source = self.source.pack(first, direction, from, names);
        let destination = self.destination.pack(second, direction, to, names);
        PackedEnds::new([source, destination], self.direction(direction), self.is_wide)
    }

    #[inline]
    fn ordered<T>(&self, [source, destination]: [T; 2]) -> [T; 2] {
        if self.is_swapped { [destination, source] } else { [source, destination] }
    }

    #[inline]
    fn direction(&self, direction: Direction) -> Option<Direction> {
        self.contexts.labels.has(ContextLabel::TrafficDirection).then_some(direction)
    }
}

/// Packs an end of a flow that carries its entity. An access-log record has labels alone, which precede those of its entity;
/// an end without them is packed as that of any flow.
fn carried(
    view: &EndView,
    which: FlowEnd,
    flow: &Flow,
    address: Option<&IpAddr>,
    symbols: &Symbols,
    names: &NameSnapshot,
) -> (PackedEnd, [Option<Lease>; 2]) {
    let end = flow.end(which);
    let lookup = BatchLookup { batch: Some(names), machine: &NoLookup };
    let entity = end_entity(flow, which, &lookup);
    if flow.metadata.is_none() {
        let own = flow.record_labels(which);
        if own.is_empty() {
            return (view.pack(end, flow.direction, address, names), Default::default());
        }
        let entity = entity.map_or_else(|| EndEntity::of_labels(own), |entity| entity.with_labels(own));
        return view.pack_carried(end, flow.direction, &entity, address, symbols);
    }
    match entity {
        Some(entity) => view.pack_carried(end, flow.direction, &entity, address, symbols),
        None => Default::default(),
    }
}
