//! Metrics of a snapshot, made of tables of series.

use std::collections::HashMap;

use super::context::Context;
use super::ends::{ContextLabels, Value};
use super::labels::Labels;
use super::metric_contexts::{Contexts, EndContexts, LabelSet};
use super::series::{OVERFLOW, Slot, Table};
use super::series_key::SeriesKey;
use super::snapshot::{EndLabel, Identity, Metric, MetricKind, Point};

/// Returns a metric with contexts; `value` and `labels` unpack slots and keys.
pub(super) fn metric<V>(
    kind: MetricKind,
    contexts: &Contexts,
    table: &Table<SeriesKey>,
    value: impl Fn(u32, &Slot) -> V,
    labels: impl Fn(u64) -> Labels,
) -> Metric<V> {
    let points = points(table, value, |key| identity(key, &labels));
    let Contexts { source, destination, labels } = contexts;
    let (source, destination) = (end_label(source), end_label(destination));
    Metric { kind, source, destination, labels: *labels, points, exemplars: HashMap::new() }
}

/// Returns the identity of a key.
pub(super) fn identity(key: SeriesKey, labels: impl Fn(u64) -> Labels) -> Identity {
    let ([source, destination], context) = key.values();
    Identity::Series { source, destination, context, labels: labels(key.labels) }
}

/// Returns a metric without contexts.
pub(super) fn without_contexts(kind: MetricKind, points: Vec<Point>) -> Metric {
    let (source, destination) = (EndLabel::Absent, EndLabel::Absent);
    Metric { kind, source, destination, labels: LabelSet::default(), points, exemplars: HashMap::new() }
}

/// Returns the points of a table; `value` gets the number of a slot and the slot.
pub(super) fn points<K: Copy + Eq + std::hash::Hash, V>(
    table: &Table<K>,
    value: impl Fn(u32, &Slot) -> V,
    identity: impl Fn(K) -> Identity,
) -> Vec<Point<V>> {
    let point = |number, slot: &Slot, identity| Point { start: slot.start, value: value(number, slot), identity };
    let overflow = table.overflow().map(|slot| point(OVERFLOW, &slot, Identity::Overflow));
    table.numbered().map(|(key, number, slot)| point(number, slot, identity(key))).chain(overflow).collect()
}

/// Returns the identity of a series with these labels alone.
pub(super) fn without_ends(labels: Labels) -> Identity {
    let context = ContextLabels::default();
    Identity::Series { source: Value::None, destination: Value::None, context, labels }
}

/// Returns the label of an end with these contexts.
pub(super) fn end_label(contexts: &EndContexts) -> EndLabel {
    let mut present = contexts.all().filter(|context| !context.is_absent());
    if contexts.is_absent() {
        EndLabel::Absent
    } else if present.all(Context::is_address) {
        EndLabel::Address
    } else {
        EndLabel::Name
    }
}
