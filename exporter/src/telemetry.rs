//! Our own counters: what was received, lost, decoded, exported and dropped, by reason.
//!
//! Written per batch, never per event; read by the OTLP self-telemetry and by `eyepiece status`.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::export_health::Exports;
use crate::undecodable::Examples;

/// What a number means, for those who export it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// A momentary value.
    Gauge,
}

/// Name and attributes of one number, in order: the name is of the schema (`eyepiece.events.received`).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// Metric name.
    pub name: &'static str,
    /// Attribute names and values.
    pub attributes: Vec<(&'static str, String)>,
}

/// A number that a component keeps; cloning shares it.
#[derive(Clone, Debug, Default)]
pub struct Number(Arc<AtomicU64>);

impl Number {
    /// Adds to a counter what was counted here, one by one: no such sum comes near the end.
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    /// Adds to a counter what somebody else said, which may be any number: it stays at the largest then. Costs more than
    /// [`Number::add`], and is not to be mixed with it.
    pub fn add_told(&self, n: u64) {
        let mut now = self.get();
        while let Err(other) =
            self.0.compare_exchange_weak(now, now.saturating_add(n), Ordering::Relaxed, Ordering::Relaxed)
        {
            now = other;
        }
    }

    /// Takes from a gauge what was added to it.
    pub fn sub(&self, n: u64) {
        self.0.fetch_sub(n, Ordering::Relaxed);
    }

    /// Sets a gauge.
    pub fn set(&self, n: u64) {
        self.0.store(n, Ordering::Relaxed);
    }

    /// The value now.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// One exported value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Name and attributes.
    pub key: Key,
    /// Counter or gauge.
    pub kind: Kind,
    /// The value.
    pub value: u64,
}

/// Sums of what is gone that are kept at once: OpenTelemetry's SDK exports 2000 series of a metric, and those that there
/// are come first.
const RETIRED_MAX: usize = 1000;

/// The registry of all numbers. Registering takes a lock, counting does not.
#[derive(Clone, Debug, Default)]
pub struct Telemetry {
    numbers: Arc<Mutex<Table>>,
    examples: Examples,
    exports: Exports,
}

type Table = BTreeMap<Key, Entry>;

#[derive(Debug)]
struct Entry {
    kind: Kind,
    number: Number,
    /// Where the value is an age, since when, in seconds.
    since: Option<Instant>,
    /// When its subject went; none while it is there.
    retired: Option<Instant>,
}

impl Entry {
    fn value(&self) -> u64 {
        self.since.map_or_else(|| self.number.get(), |since| since.elapsed().as_secs())
    }
}

impl Telemetry {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.numbers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The counter of a name and its attributes, made where it is new.
    pub fn counter(&self, name: &'static str, attributes: &[(&'static str, &str)]) -> Number {
        self.number(Kind::Counter, name, attributes)
    }

    /// The gauge of a name and its attributes, made where it is new.
    pub fn gauge(&self, name: &'static str, attributes: &[(&'static str, &str)]) -> Number {
        self.number(Kind::Gauge, name, attributes)
    }

    /// Makes a gauge of the seconds since this call.
    pub fn age(&self, name: &'static str) {
        let since = Some(Instant::now());
        self.table()
            .insert(key(name, &[]), Entry { kind: Kind::Gauge, number: Number::default(), since, retired: None });
    }

    fn number(&self, kind: Kind, name: &'static str, attributes: &[(&'static str, &str)]) -> Number {
        let mut table = self.table();
        let new = || Entry { kind, number: Number::default(), since: None, retired: None };
        let entry = table.entry(key(name, attributes)).or_insert_with(new);
        // Its subject is back, or another one has its name: the sum goes on.
        entry.retired = None;
        entry.number.clone()
    }

    /// Forgets a number whose subject is gone at once: for momentary values (a hook that is no more).
    pub fn remove(&self, name: &'static str, attributes: &[(&'static str, &str)]) {
        self.table().remove(&key(name, attributes));
    }

    /// Forgets a sum whose subject is gone, but not before [`Telemetry::expire`]'s grace is over: its last value is to be
    /// seen by an export. One of nothing goes at once, and where too many have gone lately, the one that went first.
    pub fn retire(&self, name: &'static str, attributes: &[(&'static str, &str)], now: Instant) {
        let (mut table, key) = (self.table(), key(name, attributes));
        let Some(entry) = table.get_mut(&key) else { return };
        if entry.number.get() == 0 {
            table.remove(&key);
            return;
        }
        entry.retired = Some(now);
        let mut retired: Vec<_> = table.iter().filter_map(|(key, entry)| Some((entry.retired?, key))).collect();
        if retired.len() > RETIRED_MAX {
            retired.sort_unstable();
            if let Some(first) = retired.first().map(|(_, key)| Key::clone(key)) {
                table.remove(&first);
            }
        }
    }

    /// Removes what was retired at least `grace` ago; to be called every now and then.
    pub fn expire(&self, now: Instant, grace: Duration) {
        let is_over = |retired: Instant| now.saturating_duration_since(retired) >= grace;
        self.table().retain(|_, entry| !entry.retired.is_some_and(is_over));
    }

    /// Examples of events that could not be decoded.
    pub const fn examples(&self) -> &Examples {
        &self.examples
    }

    /// How the exports of signals do.
    pub const fn exports(&self) -> &Exports {
        &self.exports
    }

    /// All values now, ordered by name and attributes.
    pub fn samples(&self) -> Vec<Sample> {
        let table = self.table();
        table.iter().map(|(key, entry)| Sample { key: key.clone(), kind: entry.kind, value: entry.value() }).collect()
    }
}

fn key(name: &'static str, attributes: &[(&'static str, &str)]) -> Key {
    Key { name, attributes: attributes.iter().map(|&(key, value)| (key, value.to_owned())).collect() }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::{Kind, RETIRED_MAX, Telemetry};

    #[test]
    fn what_is_retired_leaves_after_the_grace() {
        const GRACE: Duration = Duration::from_secs(5);
        let (telemetry, start) = (Telemetry::default(), Instant::now());
        let values = || telemetry.samples().iter().map(|sample| sample.value).collect::<Vec<_>>();
        for (netns, drops) in [("1", 2), ("2", 3)] {
            telemetry.counter("drops", &[("netns", netns)]).add(drops);
            telemetry.retire("drops", &[("netns", netns)], start);
        }
        telemetry.retire("drops", &[("netns", "3")], start);
        telemetry.expire(start + GRACE - Duration::from_nanos(1), GRACE);
        assert_eq!(values(), [2, 3], "still to be exported");
        telemetry.counter("drops", &[("netns", "1")]).add(1);
        telemetry.expire(start + GRACE, GRACE);
        assert_eq!(values(), [3], "who is back goes on with the same sum");
        telemetry.expire(start + GRACE * 9, GRACE);
        assert_eq!(values(), [3]);
        telemetry.counter("drops", &[("netns", "4")]);
        telemetry.retire("drops", &[("netns", "4")], start);
        assert_eq!(values(), [3], "nothing is left to be seen of 4");
    }

    #[test]
    fn capacity_edges_of_what_is_retired() {
        for n in [0, 1, RETIRED_MAX - 1, RETIRED_MAX, RETIRED_MAX + 1, RETIRED_MAX * 2] {
            let (telemetry, start) = (Telemetry::default(), Instant::now());
            for number in 0..n {
                let (name, now) = (number.to_string(), start + Duration::from_secs(number as u64));
                telemetry.counter("drops", &[("netns", &name)]).add(number as u64 + 1);
                telemetry.retire("drops", &[("netns", &name)], now);
            }
            let left: u64 = telemetry.samples().iter().map(|sample| sample.value).sum();
            let expected: usize = (n.saturating_sub(RETIRED_MAX)..n).map(|number| number + 1).sum();
            assert_eq!(
                (telemetry.samples().len(), left),
                (n.min(RETIRED_MAX), expected as u64),
                "the last ones of {n}"
            );
        }
    }

    #[test]
    fn an_age_is_of_seconds_and_grows_by_itself() {
        let telemetry = Telemetry::default();
        telemetry.age("uptime");
        let value = || telemetry.samples()[0].value;
        assert!(value() < 1000, "it begins now");
        let since = Instant::now().checked_sub(Duration::from_secs(100)).expect("the machine is up for longer");
        telemetry.table().values_mut().for_each(|entry| entry.since = Some(since));
        assert!((100..1100).contains(&value()), "{}", value());
        assert_eq!(telemetry.samples()[0].kind, Kind::Gauge);
    }

    #[test]
    fn what_others_say_never_makes_a_counter_begin_anew() {
        let number = Telemetry::default().counter("lost", &[]);
        for (told, sum) in [(0, 0), (7, 7), (u64::MAX - 8, u64::MAX - 1), (1, u64::MAX), (1, u64::MAX)] {
            number.add_told(told);
            assert_eq!(number.get(), sum, "{told}");
        }
    }

    #[test]
    fn one_number_for_a_name_and_its_attributes() {
        let telemetry = Telemetry::default();
        let (a, b) = (telemetry.counter("lost", &[("cpu", "0")]), telemetry.counter("lost", &[("cpu", "0")]));
        a.add(2);
        b.add(3);
        telemetry.gauge("depth", &[]).set(7);
        let samples = telemetry.samples();
        assert_eq!(samples.len(), 2);
        assert_eq!((samples[0].key.name, samples[0].kind, samples[0].value), ("depth", Kind::Gauge, 7));
        assert_eq!((samples[1].key.name, samples[1].kind, samples[1].value), ("lost", Kind::Counter, 5));
        telemetry.remove("lost", &[("cpu", "0")]);
        assert_eq!(telemetry.samples().len(), 1);
    }
}
