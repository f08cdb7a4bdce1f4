//! The telemetry schema: names that are generated from `registry/*.yaml`, and their definitions.
//!
//! To add a name, write it into the registry, then `EYEPIECE_REGENERATE=1 cargo test -p eyepiece-semconv`.

// Formatted by its generator; a test compares it byte by byte.
#[rustfmt::skip]
mod generated;

// All: a new item of the generator needs no line here.
pub use generated::*;

/// A metric of the registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metric {
    /// Name, with dots.
    pub name: &'static str,
    /// Unit in UCUM, `{flow}` for a count.
    pub unit: &'static str,
    /// One sentence.
    pub description: &'static str,
    /// The kind of its values.
    pub instrument: Instrument,
    /// Attributes that its series may carry.
    pub attributes: &'static [Usage],
}

/// An event of the registry: a kind of log record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// Name, with dots.
    pub name: &'static str,
    /// Attributes that its records may carry.
    pub attributes: &'static [Usage],
}

/// A type of the registry's entities.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntityType {
    /// Name, with dots.
    pub name: &'static str,
    /// The attributes that identify an entity; it has the first one.
    pub identifying: &'static [&'static str],
    /// Its further attributes.
    pub descriptive: &'static [&'static str],
}

/// An attribute as a metric or an event uses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// The attribute's name.
    pub name: &'static str,
    /// Whether every series or record carries it.
    pub required: bool,
}

/// An attribute of the registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attribute {
    /// Name, with dots.
    pub name: &'static str,
    /// Type of its values.
    pub r#type: Type,
}

/// The type of an attribute's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// A text.
    String,
    /// A list of texts.
    Strings,
    /// A whole number.
    Int,
    /// A boolean.
    Boolean,
    /// A map of other attributes.
    Map,
}

/// The kind of a metric's values, by OpenTelemetry's instruments.
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

impl Event {
    /// The registry's event of this name.
    pub fn find(name: &str) -> Option<&'static Self> {
        event::ALL.iter().find(|event| event.name == name)
    }
}

impl EntityType {
    /// The registry's type of entities of this name.
    pub fn find(name: &str) -> Option<&'static Self> {
        entity::ALL.iter().find(|entity| entity.name == name)
    }
}

impl Attribute {
    /// The registry's attribute of this name.
    pub fn find(name: &str) -> Option<&'static Self> {
        let found = attribute::ALL.binary_search_by(|attribute| attribute.name.cmp(name));
        found.ok().map(|index| &attribute::ALL[index])
    }
}

#[cfg(test)]
mod tests {
    use super::{
        Attribute, EntityType, Event, Instrument, Metric, Type, Usage, attribute, entity, event, hubble_label, metric,
    };

    #[test]
    fn definitions_are_found_by_name() {
        for metric in metric::ALL {
            assert_eq!(Metric::find(metric.name), Some(metric));
        }
        for event in event::ALL {
            assert_eq!(Event::find(event.name), Some(event));
        }
        for attribute in attribute::ALL {
            assert_eq!(Attribute::find(attribute.name), Some(attribute));
        }
        for entity in entity::ALL {
            assert_eq!(EntityType::find(entity.name), Some(entity));
        }
        assert_eq!(
            (Metric::find("hubble.no"), Event::find("hubble.no"), Attribute::find("hubble.no")),
            (None, None, None)
        );
        assert_eq!(metric::HUBBLE_DROP.instrument, Instrument::Counter);
        let reason = Usage { name: attribute::HUBBLE_DROP_REASON, required: false };
        assert!(
            metric::EYEPIECE_DATAPATH_IGNORED
                .attributes
                .contains(&Usage { name: attribute::EYEPIECE_REASON, required: true })
        );
        assert!(metric::HUBBLE_DROP.attributes.contains(&reason));
        for (name, r#type) in [
            (attribute::HUBBLE_DROP_NETNS, Type::Int),
            (attribute::DESTINATION_PORT, Type::Int),
            (attribute::DNS_ANSWERS, Type::Strings),
            (attribute::OTEL_METRIC_OVERFLOW, Type::Boolean),
            (attribute::ENTITY_ID, Type::Map),
            (attribute::SOURCE_ADDRESS, Type::String),
        ] {
            assert_eq!(Attribute::find(name).map(|attribute| attribute.r#type), Some(r#type), "{name}");
        }
    }

    #[test]
    fn labels_match_hubble() {
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
