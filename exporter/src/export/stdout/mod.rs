//! Flows, events and metrics as lines of text for people.

pub mod event_line;
pub mod flow_line;
pub mod flows;
pub mod metrics;
pub mod row;
