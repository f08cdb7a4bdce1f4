//! The error of observing.

use std::path::PathBuf;

use eyepiece_config::ConfigError;

use crate::client::error::{ClientError, broken_connection, status_text};

/// The error of observing.
#[derive(Debug, thiserror::Error)]
pub(in crate::cli) enum ObserveError {
    /// Flags that are invalid, or exclude each other.
    #[error("{0}")]
    Usage(String),
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error("no Hubble server is known: hubble.listen is empty; set it, or use --server")]
    NoServer,
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The end of a call.
    #[error("{0}")]
    Call(String),
    #[error("{}: {source}", path.display())]
    Input { path: PathBuf, source: std::io::Error },
    #[error("cannot write to standard output: {0}")]
    Output(#[from] std::io::Error),
    #[error("cannot start: {0}")]
    Runtime(std::io::Error),
    #[error("the server is not healthy: {0}")]
    Unhealthy(&'static str),
}

impl ObserveError {
    /// A call that ended with an error before its first message.
    #[allow(clippy::needless_pass_by_value, reason = "`map_err` hands it over")]
    pub(super) fn refused(status: tonic::Status) -> Self {
        Self::Call(match broken_connection(&status) {
            Some(broken) => {
                format!("{broken}: TLS on one side alone ends so, and a client certificate that is missing")
            }
            None => answer_text(&status),
        })
    }

    /// A stream that ended with an error.
    pub(super) fn ended(status: &tonic::Status) -> Self {
        Self::Call(broken_connection(status).unwrap_or_else(|| answer_text(status)))
    }
}

fn answer_text(status: &tonic::Status) -> String {
    format!("the server answers: {}", status_text(status))
}
