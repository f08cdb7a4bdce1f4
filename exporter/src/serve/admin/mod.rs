//! The admin endpoint: /healthz, /readyz, /status and /lookup over HTTP/1.1, on its own thread.

mod host;
mod ready;
mod report;
mod server;
pub(crate) mod table;

pub use ready::Ready;
pub use server::{Bound, Config, Documents};
