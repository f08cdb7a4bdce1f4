//! Encodes flows and events straight to the bytes of an `ExportLogsServiceRequest`, without a structure in between.

mod event;
mod flow;
mod l7;
mod metadata;
mod request;
mod wire;

pub(in crate::export) use flow::TCP_FLAGS;
pub use flow::{FlowEncoder, severity};
pub use request::{LogsRequest, Pushed, RequestBuilder};
