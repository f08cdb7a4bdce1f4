//! TLS of the servers: certificates from files, read again when these change.

mod files;
mod reload;

pub use files::{TlsError, TlsFiles};
pub(crate) use reload::{CurrentTls, TlsReloader};
