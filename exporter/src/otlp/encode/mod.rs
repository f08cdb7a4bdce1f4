//! Encodes flows straight to the bytes of an `ExportLogsServiceRequest`, without a structure in between.

mod flow;
mod request;
pub(crate) mod text;
mod wire;

pub use flow::{FlowEncoder, severity};
pub use request::{LogsRequest, Pushed, RequestBuilder};
