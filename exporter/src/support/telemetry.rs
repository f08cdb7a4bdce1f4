//! Own metrics: events received, lost, decoded, exported and dropped, by reason.
//!
//! Components write them per batch, never per event. The OTLP exporter and `eyepiece status` read them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use eyepiece_semconv::attribute;

use super::clock::unix_now;
use super::durations::Durations;
use super::lock::lock;
use crate::support::decode_errors::Examples;
use crate::support::export_health::Exports;
use crate::support::grpc_calls::GrpcCalls;

/// The kind of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// A momentary value.
    Gauge,
}

/// Name and attributes of one number, in order. The name is in the schema (`eyepiece.events.received`).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// Metric name.
    pub name: &'static str,
    /// Attribute names and values.
    pub attributes: Vec<(&'static str, String)>,
}

/// A number that a component updates. Cloning shares it.
#[derive(Clone, Debug, Default)]
pub struct Number(Arc<AtomicU64>);

impl Number {
    /// Adds a count of our own to a counter or gauge. Such sums never reach the maximum.
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    /// Adds a count of another program to a counter. It may be any number, so the counter saturates. Costs more than
    /// [`Number::add`] and must not be mixed with it.
    pub fn saturating_add(&self, n: u64) {
        let mut now = self.get();
        while let Err(other) =
            self.0.compare_exchange_weak(now, now.saturating_add(n), Ordering::Relaxed, Ordering::Relaxed)
        {
            now = other;
        }
    }

    /// Subtracts from a gauge what was added to it.
    pub fn sub(&self, n: u64) {
        self.0.fetch_sub(n, Ordering::Relaxed);
    }

    /// Sets a gauge.
    pub fn set(&self, n: u64) {
        self.0.store(n, Ordering::Relaxed);
    }

    /// Returns the value.
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

/// The durations of one series of a histogram.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DurationSample {
    /// Name and attributes.
    pub key: Key,
    /// The first duration's time, ns since the Unix epoch.
    pub start: u64,
    /// The durations since then.
    pub durations: Durations,
}

/// Series of a metric with attributes of their own: those of both hooks of 2,048 interfaces. The four metrics with so
/// many take 2 MiB of a request then, half of the receivers' default limit. Further ones share a series.
pub const MAX_SERIES: usize = 4096;
/// Counters of removed subjects that are kept at once.
const MAX_RETIRED: usize = 1000;

/// The registry of own metrics. Registering takes a lock, counting does not.
///
/// If a metric has [`MAX_SERIES`] series, new ones share one with the attribute `otel.metric.overflow`. It is a sum, so
/// a gauge with many series must be updated by `add` and `sub`, not by `set`.
#[derive(Clone, Debug, Default)]
pub struct Telemetry {
    numbers: Arc<Mutex<Table>>,
    /// With the time of the first one, ns since the Unix epoch.
    durations: Arc<Mutex<BTreeMap<Key, (u64, Durations)>>>,
    examples: Examples,
    exports: Exports,
    calls: GrpcCalls,
}

#[derive(Debug, Default)]
struct Table {
    entries: BTreeMap<Key, Entry>,
    /// Number of series by metric.
    series: BTreeMap<&'static str, usize>,
}

impl Table {
    fn entry(&mut self, key: Key, new: impl FnOnce() -> Entry) -> &mut Entry {
        let series = self.series.entry(key.name).or_default();
        let is_known = *series < MAX_SERIES || self.entries.contains_key(&key);
        let key = if is_known { key } else { overflow(key.name) };
        self.entries.entry(key).or_insert_with(|| {
            *series += 1;
            new()
        })
    }

    fn remove(&mut self, key: &Key) -> bool {
        let is_there = self.entries.remove(key).is_some();
        if let Some(series) = self.series.get_mut(key.name).filter(|_| is_there) {
            *series -= 1;
        }
        is_there
    }
}

#[derive(Debug)]
struct Entry {
    kind: Kind,
    number: Number,
    /// Start of an age, whose value is the seconds since then.
    since: Option<Instant>,
    /// The removal of its subject; `None` while it exists.
    retired: Option<Instant>,
}

impl Entry {
    fn value(&self) -> u64 {
        self.since.map_or_else(|| self.number.get(), |since| since.elapsed().as_secs())
    }
}

impl Telemetry {
    fn table(&self) -> MutexGuard<'_, Table> {
        lock(&self.numbers)
    }

    /// Returns the counter of a name and attributes, created if new.
    pub fn counter(&self, name: &'static str, attributes: &[(&'static str, &str)]) -> Number {
        self.number(Kind::Counter, name, attributes)
    }

    /// Returns the gauge of a name and attributes, created if new.
    pub fn gauge(&self, name: &'static str, attributes: &[(&'static str, &str)]) -> Number {
        self.number(Kind::Gauge, name, attributes)
    }

    /// Exports a number under this name and these attributes as well.
    pub fn share(&self, kind: Kind, name: &'static str, attributes: &[(&'static str, &str)], number: &Number) {
        let new = Entry { kind, number: number.clone(), since: None, retired: None };
        self.table().entry(key(name, attributes), || new);
    }

    /// Adds a duration to the histogram of a name and attributes. It takes a lock: for what happens at most some times a
    /// second. Their values are few, so that nothing limits the series.
    pub fn observe(&self, name: &'static str, attributes: &[(&'static str, &str)], duration: Duration) {
        let mut durations = lock(&self.durations);
        let (_, of_series) =
            durations.entry(key(name, attributes)).or_insert_with(|| (unix_now(), Durations::default()));
        of_series.add(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX));
    }

    /// All histograms, ordered by name and attributes.
    pub fn durations(&self) -> Vec<DurationSample> {
        let sample = |(key, (start, durations)): (&Key, &(u64, Durations))| DurationSample {
            key: key.clone(),
            start: *start,
            durations: *durations,
        };
        lock(&self.durations).iter().map(sample).collect()
    }

    /// Creates a gauge of the seconds since this call.
    pub fn age(&self, name: &'static str) {
        let since = Some(Instant::now());
        let new = Entry { kind: Kind::Gauge, number: Number::default(), since, retired: None };
        self.table().entry(key(name, &[]), || new);
    }

    fn number(&self, kind: Kind, name: &'static str, attributes: &[(&'static str, &str)]) -> Number {
        let mut table = self.table();
        let entry = table.entry(key(name, attributes), || Entry {
            kind,
            number: Number::default(),
            since: None,
            retired: None,
        });
        // Its subject is back, or another one has its name: the sum continues.
        entry.retired = None;
        entry.number.clone()
    }

    /// Removes a gauge at once, for a subject that is gone (a detached hook). Returns whether it had a series of its own.
    pub fn remove(&self, name: &'static str, attributes: &[(&'static str, &str)]) -> bool {
        self.table().remove(&key(name, attributes))
    }

    /// Removes a counter after the grace of [`Telemetry::expire`], for a subject that is gone: its last value is still
    /// exported. A zero is removed at once. With too many retired counters the one that was retired first is removed.
    pub fn retire(&self, name: &'static str, attributes: &[(&'static str, &str)], now: Instant) {
        let (mut table, key) = (self.table(), key(name, attributes));
        let Some(entry) = table.entries.get_mut(&key) else { return };
        if entry.number.get() == 0 {
            table.remove(&key);
            return;
        }
        entry.retired = Some(now);
        let mut retired: Vec<_> = table.entries.iter().filter_map(|(key, entry)| Some((entry.retired?, key))).collect();
        if retired.len() > MAX_RETIRED {
            retired.sort_unstable();
            if let Some(first) = retired.first().map(|(_, key)| Key::clone(key)) {
                table.remove(&first);
            }
        }
    }

    /// Removes counters that were retired at least `grace` ago; to be called periodically.
    pub fn expire(&self, now: Instant, grace: Duration) {
        let is_over = |retired: Instant| now.saturating_duration_since(retired) >= grace;
        let mut table = self.table();
        let entries = table.entries.iter();
        let over: Vec<_> =
            entries.filter(|(_, entry)| entry.retired.is_some_and(is_over)).map(|(key, _)| key.clone()).collect();
        for key in &over {
            table.remove(key);
        }
    }

    /// Examples of events that cannot be decoded.
    pub const fn examples(&self) -> &Examples {
        &self.examples
    }

    /// Health of the signals' exports.
    pub const fn exports(&self) -> &Exports {
        &self.exports
    }

    /// Calls of our gRPC services, which only pages for Prometheus show.
    pub const fn calls(&self) -> &GrpcCalls {
        &self.calls
    }

    /// All values, ordered by name and attributes.
    pub fn samples(&self) -> Vec<Sample> {
        let table = self.table();
        table
            .entries
            .iter()
            .map(|(key, entry)| Sample { key: key.clone(), kind: entry.kind, value: entry.value() })
            .collect()
    }
}

fn overflow(name: &'static str) -> Key {
    key(name, &[(attribute::OTEL_METRIC_OVERFLOW, "true")])
}

fn key(name: &'static str, attributes: &[(&'static str, &str)]) -> Key {
    Key { name, attributes: attributes.iter().map(|&(key, value)| (key, value.to_owned())).collect() }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::{Kind, MAX_RETIRED, MAX_SERIES, Telemetry, overflow};

    #[test]
    fn retired_counters_leave_after_grace() {
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
        assert_eq!(values(), [3], "the sum of a returning subject continues");
        telemetry.expire(start + GRACE * 9, GRACE);
        assert_eq!(values(), [3]);
        telemetry.counter("drops", &[("netns", "4")]);
        telemetry.retire("drops", &[("netns", "4")], start);
        assert_eq!(values(), [3], "a zero is removed at once");
    }

    #[test]
    fn capacity_edges_of_retired_counters() {
        for n in [0, 1, MAX_RETIRED - 1, MAX_RETIRED, MAX_RETIRED + 1, MAX_RETIRED * 2] {
            let (telemetry, start) = (Telemetry::default(), Instant::now());
            for number in 0..n {
                let (name, now) = (number.to_string(), start + Duration::from_secs(number as u64));
                telemetry.counter("drops", &[("netns", &name)]).add(number as u64 + 1);
                telemetry.retire("drops", &[("netns", &name)], now);
            }
            let left: u64 = telemetry.samples().iter().map(|sample| sample.value).sum();
            let expected: usize = (n.saturating_sub(MAX_RETIRED)..n).map(|number| number + 1).sum();
            assert_eq!(
                (telemetry.samples().len(), left),
                (n.min(MAX_RETIRED), expected as u64),
                "the last ones of {n}"
            );
        }
    }

    #[test]
    fn further_series_share_the_overflow() {
        for n in [MAX_SERIES - 1, MAX_SERIES, MAX_SERIES + 1, MAX_SERIES + 5] {
            let telemetry = Telemetry::default();
            telemetry.gauge("other", &[]).add(7);
            let names: Vec<_> = (0..n).map(|number| number.to_string()).collect();
            let gauge = |name: &String| telemetry.gauge("hooks", &[("interface", name)]);
            let numbers: Vec<_> = names.iter().map(gauge).collect();
            numbers.iter().for_each(|number| number.add(1));
            let shared = || {
                let samples = telemetry.samples();
                samples.iter().find(|sample| sample.key == overflow("hooks")).map(|sample| sample.value)
            };
            let beyond = n.saturating_sub(MAX_SERIES) as u64;
            assert_eq!(shared(), (beyond > 0).then_some(beyond), "{n}");
            gauge(&names[0]).add(1);
            assert_eq!(numbers[0].get(), 2, "a known series continues");
            assert_eq!(telemetry.remove("hooks", &[("interface", &names[n - 1])]), beyond == 0, "{n}");
            // New series get the room; those in the shared series stay there.
            telemetry.remove("hooks", &[("interface", &names[0])]);
            telemetry.remove("hooks", &[("interface", &names[1])]);
            telemetry.gauge("hooks", &[("interface", "new")]).add(1);
            assert_eq!(shared(), (beyond > 0).then_some(beyond), "{n}");
        }
    }

    #[test]
    fn age_grows_by_itself() {
        let telemetry = Telemetry::default();
        telemetry.age("uptime");
        let value = || telemetry.samples()[0].value;
        assert!(value() < 1000, "it begins now");
        let since = Instant::now().checked_sub(Duration::from_secs(100)).expect("the machine is up for longer");
        telemetry.table().entries.values_mut().for_each(|entry| entry.since = Some(since));
        assert!((100..1100).contains(&value()), "{}", value());
        assert_eq!(telemetry.samples()[0].kind, Kind::Gauge);
    }

    #[test]
    fn shared_number_has_both_names() {
        let telemetry = Telemetry::default();
        let number = telemetry.gauge("depth", &[]);
        // A second time, it stays the first one.
        for shared in [&number, &telemetry.gauge("other", &[])] {
            telemetry.share(Kind::Gauge, "size", &[("queue", "logs")], shared);
        }
        number.set(7);
        let samples: Vec<_> = telemetry.samples().into_iter().map(|sample| (sample.key.name, sample.value)).collect();
        assert_eq!(samples, [("depth", 7), ("other", 0), ("size", 7)]);
    }

    #[test]
    fn durations_are_counted_by_series() {
        let telemetry = Telemetry::default();
        for (name, error, milliseconds) in [("b", "", 6), ("a", "", 1), ("b", "500", 20_000), ("b", "", 7)] {
            telemetry.observe(name, &[("error", error)], Duration::from_millis(milliseconds));
        }
        let durations = telemetry.durations();
        let shown = durations.iter().map(|sample| {
            let error = sample.key.attributes[0].1.as_str();
            (sample.key.name, error, sample.durations.count(), sample.durations.sum_ns / 1_000_000)
        });
        assert_eq!(shown.collect::<Vec<_>>(), [("a", "", 1, 1), ("b", "", 2, 13), ("b", "500", 1, 20_000)]);
        assert!(durations.iter().all(|sample| sample.start > 0) && telemetry.samples().is_empty());
    }

    #[test]
    fn saturating_add_never_wraps() {
        let number = Telemetry::default().counter("lost", &[]);
        for (count, sum) in [(0, 0), (7, 7), (u64::MAX - 8, u64::MAX - 1), (1, u64::MAX), (1, u64::MAX)] {
            number.saturating_add(count);
            assert_eq!(number.get(), sum, "{count}");
        }
    }

    #[test]
    fn equal_keys_share_number() {
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
