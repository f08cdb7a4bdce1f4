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

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash};

use foldhash::fast::RandomState;

use super::snapshot::{Identity, Point};

/// A series by the hash of its texts, which are long. Two series with the same hash would only share a start time.
type SeriesId = u64;

/// The exported state of one metric.
#[derive(Clone, Debug, Default)]
pub(super) struct ExportedState {
    hasher: RandomState,
    series: HashMap<SeriesId, ExportedSeries>,
    members: HashMap<Identity, Member>,
}

#[derive(Clone, Copy, Debug)]
struct ExportedSeries {
    start: u64,
    /// Sum of the members that have left.
    left: u64,
}

#[derive(Clone, Copy, Debug)]
struct Member {
    series: SeriesId,
    start: u64,
    value: u64,
}

/// A series of the current round.
#[derive(Clone, Copy, Debug)]
pub(super) struct SeriesSum {
    id: SeriesId,
    start: u64,
    value: u64,
    /// Whether it has a member of the last round.
    continues: bool,
}

/// The current round of exports.
#[derive(Debug)]
pub(super) struct ExportRound<'a> {
    exported: &'a mut ExportedState,
    members: HashMap<Identity, Member>,
}

impl ExportedState {
    /// Starts a round.
    pub(super) fn start_round(&mut self) -> ExportRound<'_> {
        ExportRound { exported: self, members: HashMap::new() }
    }
}

impl ExportRound<'_> {
    /// Creates a series with these texts, without members.
    pub(super) fn series(&self, texts: &impl Hash) -> SeriesSum {
        SeriesSum { id: self.exported.hasher.hash_one(texts), start: u64::MAX, value: 0, continues: false }
    }

    /// Adds a member to a series.
    pub(super) fn add(&mut self, series: &mut SeriesSum, point: &Point) {
        series.start = series.start.min(point.start);
        series.value = series.value.saturating_add(point.value);
        let member = Member { series: series.id, start: point.start, value: point.value };
        let stays =
            |last: &Member| last.series == member.series && last.start == member.start && last.value <= member.value;
        if self.exported.members.get(&point.identity).is_some_and(stays) {
            series.continues = true;
            self.exported.members.remove(&point.identity);
        }
        self.members.insert(point.identity, member);
    }

    /// Ends the round. Returns start and value of each series, in order.
    pub(super) fn finish(self, series: impl Iterator<Item = SeriesSum>) -> Vec<(u64, u64)> {
        let Self { exported, members } = self;
        for left in std::mem::replace(&mut exported.members, members).into_values() {
            if let Some(series) = exported.series.get_mut(&left.series) {
                series.left = series.left.saturating_add(left.value);
            }
        }
        let mut current = HashMap::with_capacity(exported.series.len());
        let list = series
            .map(|sum| {
                let series = match exported.series.get(&sum.id) {
                    Some(series) if sum.continues => *series,
                    Some(series) => ExportedSeries { start: sum.start.max(series.start.saturating_add(1)), left: 0 },
                    None => ExportedSeries { start: sum.start, left: 0 },
                };
                current.insert(sum.id, series);
                (series.start, sum.value.saturating_add(series.left))
            })
            .collect();
        exported.series = current;
        list
    }
}
