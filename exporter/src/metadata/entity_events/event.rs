//! An entity event: an entity with its attributes, as a receiver of OTLP gets it.

use std::fmt;
use std::sync::Arc;

use eyepiece_semconv::{EntityType, attribute};

/// An entity that is there, or gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntityEvent {
    /// When that was found, ns since the Unix epoch.
    pub time: u64,
    /// Seconds until an unchanged entity is reported again, 0 for never; `None` if the entity is gone.
    pub report_interval: Option<u64>,
    /// The entity, as it is or was last.
    pub entity: Arc<ReportedEntity>,
}

/// An entity by the registry of names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportedEntity {
    /// Its type.
    pub kind: &'static EntityType,
    /// Its identifying attributes, at least one.
    pub id: Vec<(&'static str, String)>,
    /// Its further attributes.
    pub description: Vec<(&'static str, Value)>,
}

/// The value of an attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A text.
    Text(String),
    /// A number.
    Number(i64),
    /// Texts.
    Texts(Vec<String>),
}

/// Type and name, for people.
impl fmt::Display for ReportedEntity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.description.iter().find(|(name, _)| *name == attribute::HUBBLE_ENTITY_NAME);
        match name {
            Some((_, Value::Text(name))) => write!(f, "{} {name}", self.kind.name),
            _ => {
                let id: Vec<_> = self.id.iter().map(|(_, value)| value.as_str()).collect();
                write!(f, "{} {}", self.kind.name, id.join(" "))
            }
        }
    }
}
