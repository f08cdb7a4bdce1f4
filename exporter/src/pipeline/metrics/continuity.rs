//! What one reader was told of a metric's series, so that a sum never falls under the same start time.
//!
//! Several series of ours become one where their texts are equal: an interface that was made anew under its name, an
//! end whose name was given again, two reasons with one word. These rules hold for each series as it is told:
//!
//! - It is the sum of its members since the start of the one that began it.
//! - A member that leaves (it expired, or has another name by now) leaves the value that it was last told with behind.
//!   Nothing is missing of it: an idle series lives longer than the time between two looks. So the sum goes on.
//! - Where no member of the last look is there any more, the series begins anew: with what its members have, and with a
//!   later start. What the former ones left behind is forgotten.
//!
//! A series without members is forgotten too. So no more is remembered than the last look had points.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash};

use foldhash::fast::RandomState;

use super::snapshot::{Identity, Point};

/// A series by the hash of its texts: they are long, and two of the same hash would share no more than a start.
type SeriesId = u64;

/// What was told of one metric.
#[derive(Clone, Debug, Default)]
pub(super) struct Told {
    hasher: RandomState,
    series: HashMap<SeriesId, Sum>,
    members: HashMap<Identity, Member>,
}

/// A series as it was told.
#[derive(Clone, Copy, Debug)]
struct Sum {
    start: u64,
    /// Of members that have left.
    left: u64,
}

#[derive(Clone, Copy, Debug)]
struct Member {
    series: SeriesId,
    start: u64,
    value: u64,
}

/// A series that is being put together.
#[derive(Clone, Copy, Debug)]
pub(super) struct Gathered {
    id: SeriesId,
    start: u64,
    value: u64,
    /// Whether a member is one of the last look.
    goes_on: bool,
}

/// The look that is being taken.
#[derive(Debug)]
pub(super) struct Look<'a> {
    told: &'a mut Told,
    members: HashMap<Identity, Member>,
}

impl Told {
    /// Begins a look.
    pub(super) fn look(&mut self) -> Look<'_> {
        Look { told: self, members: HashMap::new() }
    }
}

impl Look<'_> {
    /// A series of these texts, without members.
    pub(super) fn begin(&self, texts: &impl Hash) -> Gathered {
        Gathered { id: self.told.hasher.hash_one(texts), start: u64::MAX, value: 0, goes_on: false }
    }

    /// Adds a member to a series.
    pub(super) fn add(&mut self, series: &mut Gathered, point: &Point) {
        series.start = series.start.min(point.start);
        series.value = series.value.saturating_add(point.value);
        let member = Member { series: series.id, start: point.start, value: point.value };
        let stays =
            |last: &Member| last.series == member.series && last.start == member.start && last.value <= member.value;
        if self.told.members.get(&point.identity).is_some_and(stays) {
            series.goes_on = true;
            self.told.members.remove(&point.identity);
        }
        self.members.insert(point.identity, member);
    }

    /// Ends the look: start and value of each series, in order.
    pub(super) fn end(self, series: impl Iterator<Item = Gathered>) -> Vec<(u64, u64)> {
        let Self { told, members } = self;
        for left in std::mem::replace(&mut told.members, members).into_values() {
            if let Some(sum) = told.series.get_mut(&left.series) {
                sum.left = sum.left.saturating_add(left.value);
            }
        }
        let mut now = HashMap::with_capacity(told.series.len());
        let list = series
            .map(|series| {
                let sum = match told.series.get(&series.id) {
                    Some(sum) if series.goes_on => *sum,
                    Some(sum) => Sum { start: series.start.max(sum.start.saturating_add(1)), left: 0 },
                    None => Sum { start: series.start, left: 0 },
                };
                now.insert(series.id, sum);
                (sum.start, series.value.saturating_add(sum.left))
            })
            .collect();
        told.series = now;
        list
    }
}
