//! The admin endpoint: /healthz, /readyz and /status over HTTP/1.1, on its own thread.

mod host;
mod ready;
mod report;
mod server;
pub mod status;
pub(crate) mod table;

pub use ready::Ready;
pub use server::{Admin, AdminError, Bound, Config};
pub use status::{
    ConnectionStatus, ExampleStatus, ExportStatus, HookStatus, InterfacesStatus, NodeStatus, PrivilegesStatus,
    SampleStatus, Status, ThreadsStatus,
};
