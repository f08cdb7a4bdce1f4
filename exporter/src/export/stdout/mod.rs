//! Flows, events and metrics as rows and tables on standard output.

pub mod flows;
pub mod metrics;
pub mod row;
