//! Encodes flows and events straight to the bytes of an `ExportLogsServiceRequest`.

mod entity;
mod event;
mod flow;
mod l7;
mod limits;
mod metadata;
mod request;
mod wire;

pub use flow::{FlowEncoder, severity};
pub use limits::AttributeLimits;
pub use request::{LogsRequest, Pushed, RequestBuilder};
