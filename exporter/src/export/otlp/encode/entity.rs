//! Encodes entity events as `LogRecord`s, by OpenTelemetry's specification of them.

use eyepiece_semconv::{attribute, event};

use super::wire::{self, MAP_ATTRIBUTES, RECORD_ATTRIBUTES as FIELD};
use crate::export::text::entity_line;
use crate::metadata::entity_events::event::{EntityEvent, Value};

/// Severity of all of them, by `SeverityNumber` of OTLP: the specification has none.
const INFO: (u8, &str) = (9, "INFO");

/// Appends the `LogRecord` of an entity event. `observed` is its arrival, ns since the Unix epoch.
pub(super) fn write(entity_event: &EntityEvent, observed: u64, out: &mut Vec<u8>) {
    let EntityEvent { time, report_interval, entity } = entity_event;
    let name = if report_interval.is_some() { event::ENTITY_STATE } else { event::ENTITY_DELETE };
    let mut body = String::new();
    entity_line::write(entity_event, &mut body);
    wire::record(out, (*time, observed), INFO, &body, name);
    wire::string(out, FIELD, attribute::ENTITY_TYPE, entity.kind.name.as_bytes());
    let mut map = Vec::new();
    for (name, text) in &entity.id {
        wire::string(&mut map, MAP_ATTRIBUTES, name, text.as_bytes());
    }
    wire::map(out, FIELD, attribute::ENTITY_ID, &map);
    let Some(interval) = report_interval else { return };
    map.clear();
    for (name, value) in &entity.description {
        match value {
            Value::Text(text) => wire::string(&mut map, MAP_ATTRIBUTES, name, text.as_bytes()),
            Value::Number(number) => wire::signed(&mut map, MAP_ATTRIBUTES, name, *number),
            Value::Texts(texts) => wire::texts(&mut map, MAP_ATTRIBUTES, name, texts.iter().map(String::as_str)),
        }
    }
    if !map.is_empty() {
        wire::map(out, FIELD, attribute::ENTITY_DESCRIPTION, &map);
    }
    wire::int(out, FIELD, attribute::ENTITY_REPORT_INTERVAL, *interval);
}
