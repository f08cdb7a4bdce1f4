//! The telemetry schema: names that are generated from `registry/*.yaml`, and what they say.
//!
//! Adding a name: write it into the registry, then `EYEPIECE_REGENERATE=1 cargo test -p eyepiece-semconv`.

// Laid out by its generator; the test that regenerates it compares byte by byte.
#[rustfmt::skip]
mod generated;

pub use generated::{attribute, event, hubble_label, metric};

/// A metric of the registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metric {
    /// Name, with dots.
    pub name: &'static str,
    /// Unit in UCUM, `{flow}` where a number of things is counted.
    pub unit: &'static str,
    /// One sentence.
    pub description: &'static str,
    /// How values behave.
    pub instrument: Instrument,
    /// Attributes that its series may carry.
    pub attributes: &'static [&'static str],
}

/// How a metric's values behave, by OpenTelemetry's instruments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Instrument {
    /// A sum that only grows.
    Counter,
    /// A momentary value.
    Gauge,
    /// A sum that also falls.
    UpDownCounter,
    /// A distribution.
    Histogram,
}

impl Metric {
    /// The registry's metric of this name.
    pub fn find(name: &str) -> Option<&'static Self> {
        metric::ALL.binary_search_by(|metric| metric.name.cmp(name)).ok().map(|index| &metric::ALL[index])
    }
}

#[cfg(test)]
mod tests {
    use super::{Instrument, Metric, attribute, hubble_label, metric};

    #[test]
    fn every_metric_is_found_by_its_name() {
        for metric in metric::ALL {
            assert_eq!(Metric::find(metric.name), Some(metric));
        }
        assert_eq!(Metric::find("hubble.nothing"), None);
        assert_eq!(metric::HUBBLE_DROP.instrument, Instrument::Counter);
        assert!(metric::HUBBLE_DROP.attributes.contains(&attribute::HUBBLE_DROP_REASON));
    }

    #[test]
    fn labels_are_hubbles() {
        for (attribute, label) in [
            (attribute::HUBBLE_DROP_REASON, Some("reason")),
            (attribute::HUBBLE_SOURCE_NAME, Some("source")),
            (attribute::NETWORK_TYPE, Some("family")),
            (attribute::HUBBLE_SUMMARY, None),
            ("no.such", None),
        ] {
            assert_eq!(hubble_label(attribute), label, "{attribute}");
        }
    }
}
