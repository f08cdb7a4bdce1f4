//! State of one reader's exported series, so that a sum never falls under the same start time.
//!
//! Several series become one if their texts are equal: an interface that was created again under its name, an end with a
//! reused name, two reasons with one text. An exported series follows these rules:
//!
//! - It is the sum of its members since the start of the first one.
//! - A member that leaves (it expired, or has another name) leaves its last exported value in the sum. That value is
//!   complete: an idle series lives longer than the time between two rounds. So the sum continues.
//! - Without a member of the last round the series starts again: with the values of its current members and a later start
//!   time. The values of former members are dropped.
//!
//! A series without members is dropped as well. So the state is bounded by the points of the last round.

use std::hash::{BuildHasher, Hash};

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use hashbrown::hash_map::Entry;

use super::durations::Durations;
use super::snapshot::{Identity, Point};

/// A series by the hash of its texts, which are long. Two series with the same hash would only share a start time.
type SeriesId = u64;

/// A value that only grows.
pub(super) trait Cumulative: Copy + Default {
    /// The sum of both.
    fn plus(self, other: Self) -> Self;

    /// Returns whether a later value may have grown from this one.
    fn may_grow_to(&self, later: &Self) -> bool;
}

impl Cumulative for u64 {
    fn plus(self, other: Self) -> Self {
        self.saturating_add(other)
    }

    fn may_grow_to(&self, later: &Self) -> bool {
        self <= later
    }
}

impl Cumulative for Durations {
    fn plus(self, other: Self) -> Self {
        let buckets = std::array::from_fn(|bucket| self.buckets[bucket].saturating_add(other.buckets[bucket]));
        Self { sum_ns: self.sum_ns.saturating_add(other.sum_ns), buckets }
    }

    fn may_grow_to(&self, later: &Self) -> bool {
        self.sum_ns <= later.sum_ns && self.buckets.iter().zip(&later.buckets).all(|(own, later)| own <= later)
    }
}

/// The exported state of one metric.
#[derive(Clone, Debug, Default)]
pub(super) struct ExportedState<V> {
    hasher: RandomState,
    series: ExportedSeriesMap<V>,
    members: HashMap<Identity, Member<V>, RandomState>,
    /// The number of the last round.
    round: u64,
}

type ExportedSeriesMap<V> = HashMap<SeriesId, ExportedSeries<V>, RandomState>;

#[derive(Clone, Copy, Debug)]
struct ExportedSeries<V> {
    start: u64,
    /// Sum of the members that have left.
    left: V,
}

#[derive(Clone, Copy, Debug)]
struct Member<V> {
    series: SeriesId,
    start: u64,
    value: V,
    /// The last round that had it.
    round: u64,
}

impl<V: Cumulative> Member<V> {
    /// Adds the value of this member, which has left, to its series.
    fn leave(&self, series: &mut ExportedSeriesMap<V>) {
        if let Some(series) = series.get_mut(&self.series) {
            series.left = series.left.plus(self.value);
        }
    }
}

/// A series of the current round.
#[derive(Clone, Copy, Debug)]
pub(super) struct SeriesSum<V> {
    id: SeriesId,
    start: u64,
    value: V,
    /// Whether it has a member of the last round.
    continues: bool,
}

/// The current round of exports.
#[derive(Debug)]
pub(super) struct ExportRound<'a, V> {
    exported: &'a mut ExportedState<V>,
}

impl<V: Cumulative> ExportedState<V> {
    /// Starts a round.
    pub(super) fn start_round(&mut self) -> ExportRound<'_, V> {
        self.round += 1;
        ExportRound { exported: self }
    }
}

impl<V: Cumulative> ExportRound<'_, V> {
    /// Creates a series with these texts, without members.
    pub(super) fn series(&self, texts: &impl Hash) -> SeriesSum<V> {
        SeriesSum { id: self.exported.hasher.hash_one(texts), start: u64::MAX, value: V::default(), continues: false }
    }

    /// Adds a member to a series.
    pub(super) fn add(&mut self, series: &mut SeriesSum<V>, point: &Point<V>) {
        series.start = series.start.min(point.start);
        series.value = series.value.plus(point.value);
        let ExportedState { series: of_last, members, round, .. } = &mut *self.exported;
        let member = Member { series: series.id, start: point.start, value: point.value, round: *round };
        match members.entry(point.identity) {
            Entry::Occupied(mut entry) => {
                let last = entry.insert(member);
                let is_same = (last.series, last.start) == (member.series, member.start);
                if is_same && last.value.may_grow_to(&member.value) {
                    series.continues = true;
                } else {
                    last.leave(of_last);
                }
            }
            Entry::Vacant(entry) => {
                entry.insert(member);
            }
        }
    }

    /// Ends the round. Returns start and value of each series, in order.
    pub(super) fn finish(self, series: impl Iterator<Item = SeriesSum<V>>) -> Vec<(u64, V)> {
        let ExportedState { series: of_last, members, round, .. } = self.exported;
        members.retain(|_, member| {
            let is_there = member.round == *round;
            if !is_there {
                member.leave(of_last);
            }
            is_there
        });
        // After many have left.
        let room = 2 * members.len();
        members.shrink_to(room);
        let mut current = HashMap::with_capacity_and_hasher(of_last.len(), RandomState::default());
        let list = series
            .map(|sum| {
                let series = match of_last.get(&sum.id) {
                    Some(series) if sum.continues => *series,
                    Some(series) => {
                        ExportedSeries { start: sum.start.max(series.start.saturating_add(1)), left: V::default() }
                    }
                    None => ExportedSeries { start: sum.start, left: V::default() },
                };
                current.insert(sum.id, series);
                (series.start, sum.value.plus(series.left))
            })
            .collect();
        *of_last = current;
        list
    }
}
