//! The error of building a client.

use super::tls::TlsError;
use crate::export::otlp::config::SettingError;

/// The error of building a client.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Standard output is no receiver.
    #[error("the protocol stdout has no client")]
    NoClient,
    /// Settings that no request can use.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Settings(Vec<SettingError>),
    /// A certificate, a key or the system's root certificates.
    #[error(transparent)]
    Tls(#[from] TlsError),
}
