//! Flows, events, losses and entities as lines of text, for log bodies and for standard output.

pub mod entity_line;
pub mod event_line;
pub mod flow_line;
