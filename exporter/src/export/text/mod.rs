//! Flows, events and losses as lines of text, for log bodies and for standard output.

pub mod event_line;
pub mod flow_line;
