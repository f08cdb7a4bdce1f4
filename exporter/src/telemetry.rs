//! Our own counters: what was received, lost, decoded, exported and dropped, by reason.
//!
//! Written per batch, never per event; read by the OTLP self-telemetry and by `eyepiece status`.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

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
    /// Adds to a counter.
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
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

/// The registry of all numbers. Registering takes a lock, counting does not.
#[derive(Clone, Debug, Default)]
pub struct Telemetry {
    numbers: Arc<Mutex<BTreeMap<Key, (Kind, Number)>>>,
    examples: Examples,
}

impl Telemetry {
    /// The counter of a name and its attributes, made where it is new.
    pub fn counter(&self, name: &'static str, attributes: &[(&'static str, &str)]) -> Number {
        self.number(Kind::Counter, name, attributes)
    }

    /// The gauge of a name and its attributes, made where it is new.
    pub fn gauge(&self, name: &'static str, attributes: &[(&'static str, &str)]) -> Number {
        self.number(Kind::Gauge, name, attributes)
    }

    fn number(&self, kind: Kind, name: &'static str, attributes: &[(&'static str, &str)]) -> Number {
        let attributes = attributes.iter().map(|&(key, value)| (key, value.to_owned())).collect();
        let mut table = self.numbers.lock().unwrap_or_else(PoisonError::into_inner);
        table.entry(Key { name, attributes }).or_insert_with(|| (kind, Number::default())).1.clone()
    }

    /// Forgets a number whose subject is gone (an interface, a client).
    pub fn remove(&self, name: &'static str, attributes: &[(&'static str, &str)]) {
        let attributes = attributes.iter().map(|&(key, value)| (key, value.to_owned())).collect();
        self.numbers.lock().unwrap_or_else(PoisonError::into_inner).remove(&Key { name, attributes });
    }

    /// Examples of events that could not be decoded.
    pub const fn examples(&self) -> &Examples {
        &self.examples
    }

    /// All values now, ordered by name and attributes.
    pub fn samples(&self) -> Vec<Sample> {
        let table = self.numbers.lock().unwrap_or_else(PoisonError::into_inner);
        table
            .iter()
            .map(|(key, (kind, number))| Sample { key: key.clone(), kind: *kind, value: number.get() })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{Kind, Telemetry};

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
