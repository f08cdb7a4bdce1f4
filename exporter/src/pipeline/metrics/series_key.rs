//! The key of a series in a metric with contexts, and the names that it refers to.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use eyepiece_flow::interner::{Symbol, Symbols};

use super::ends::{ContextLabels, PackedEnds, Value};
use super::series::{SeriesLeases, Table};

/// Key of a series in a metric with contexts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SeriesKey {
    pub(super) ends: PackedEnds,
    pub(super) labels: u64,
}

impl SeriesKey {
    /// The values of source and destination, and the further labels.
    pub(super) fn values(self) -> ([Value; 2], ContextLabels) {
        self.ends.unpack()
    }
}

impl Hash for SeriesKey {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.ends.hash(self.labels, state);
    }
}

/// Returns the names that a key refers to. The series owns those that a flow carried, as nothing else does; it follows
/// those of a snapshot.
pub(super) fn key_names(symbols: &Symbols, key: SeriesKey, is_carried: bool) -> SeriesLeases {
    let ([source, destination], labels) = key.values();
    let of_value = |value| if let Value::Symbol(symbol) = value { symbol } else { Symbol::EMPTY };
    let of_joined = Symbol::EMPTY;
    [of_value(source), of_value(destination), labels.source, labels.destination, of_joined].map(|symbol| {
        let is_held = symbol != Symbol::EMPTY;
        is_held.then(|| if is_carried { symbols.hold(symbol) } else { symbols.follow(symbol) })?.map(Arc::new)
    })
}

/// Returns the slot of a key's series in one of the tables.
pub(super) fn place(
    table: &mut Table<SeriesKey>,
    symbols: &Symbols,
    key: SeriesKey,
    is_carried: bool,
    now: u64,
) -> u32 {
    table.place(key, now, || key_names(symbols, key, is_carried))
}
