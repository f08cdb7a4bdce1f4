//! Formats an entity event as one line.

use std::fmt::Write as _;

use crate::metadata::entity_events::event::EntityEvent;

/// Appends the line of an entity event: in the form of other events, and with the entity's type and name.
pub fn write(event: &EntityEvent, out: &mut String) {
    let name = if event.report_interval.is_some() { "ENTITY_STATE" } else { "ENTITY_DELETE" };
    // Writing to a String cannot fail.
    write!(out, "{name}: {}", event.entity).unwrap_or_default();
}
