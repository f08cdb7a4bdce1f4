//! Errors of connections and calls to a server, and their texts.

use std::io::ErrorKind;
use std::time::Duration;

use eyepiece_hubble::terminal::safe;
use tonic::{Code, Status};

use super::address::Address;
use crate::support::error_chain::{causes, error_chain};
use crate::support::pem::PemError;

type AnyError = dyn std::error::Error + 'static;

/// The error of connecting.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages name the fields")]
pub enum ClientError {
    /// Nothing listens, or it cannot be reached.
    #[error("cannot reach {address}: {message}{hint}")]
    Connect {
        /// The address.
        address: Address,
        /// The failure, with its causes.
        message: String,
        /// A hint at the cause.
        hint: &'static str,
        /// The system's error, if there was one.
        kind: Option<ErrorKind>,
    },
    /// It took too long.
    #[error("cannot reach {address}: no answer within {timeout:?}")]
    Timeout { address: Address, timeout: Duration },
    /// A file with a certificate or key.
    #[error(transparent)]
    File(#[from] PemError),
    /// TLS cannot be set up.
    #[error("cannot configure TLS: {message}")]
    Tls { message: String },
    /// Settings that exclude each other.
    #[error("{0}")]
    Config(&'static str),
}

impl ClientError {
    /// A server that cannot be reached.
    pub(super) fn connect(address: Address, is_tls: bool, error: &AnyError) -> Self {
        let kind = causes(error).find_map(|cause| cause.downcast_ref::<std::io::Error>().map(std::io::Error::kind));
        let hint = hint(&address, is_tls, kind);
        Self::Connect { address, message: error_chain(error), hint, kind }
    }
}

/// Returns a hint at the cause, by the system's error.
fn hint(address: &Address, is_tls: bool, kind: Option<ErrorKind>) -> &'static str {
    match (address, kind) {
        (Address::Unix(_), Some(ErrorKind::NotFound)) => {
            ": is its server running? eyepiece's own listens at hubble.listen"
        }
        (Address::Unix(_), Some(ErrorKind::ConnectionRefused)) => ": its server has ended",
        (Address::Unix(_), Some(ErrorKind::PermissionDenied)) => ": root may connect, and the socket's group",
        (Address::Tcp { .. }, Some(ErrorKind::ConnectionRefused)) => ": does a Hubble server listen there?",
        (Address::Tcp { .. }, _) if is_tls => {
            ": does it speak TLS, and is its certificate from a trusted authority (--tls-ca-cert-files, \
             hubble_source.tls.ca), for the requested name (--tls-server-name, hubble_source.tls.server_name)?"
        }
        _ => "",
    }
}

/// Returns how the connection broke; `None` if the server itself ended the call.
pub fn broken_connection(status: &Status) -> Option<String> {
    let source = std::error::Error::source(status)?;
    let cause = causes(source).find_map(|cause| cause.downcast_ref::<tonic::transport::Error>());
    cause.map(|_| format!("the connection broke: {}", error_chain(source)))
}

/// The end of a call as a text for people. Go's servers answer `Unknown` if they name no code.
pub fn status_text(status: &Status) -> String {
    if let Some(broken) = broken_connection(status) {
        return broken;
    }
    match (status.code(), status.message()) {
        (Code::Unknown, message) if !message.is_empty() => safe(message).into_owned(),
        (code, "") => code.description().to_owned(),
        (code, message) => format!("{}: {}", code.description(), safe(message)),
    }
}

/// Returns whether the server sent data before a request, as gRPC servers do. hyper has no method for it: no other
/// method matches, and it has no cause.
pub(crate) fn is_unexpected_message(error: &hyper::Error) -> bool {
    let is_other = error.is_user() || error.is_canceled() || error.is_closed() || error.is_incomplete_message();
    let is_end = error.is_timeout() || error.is_shutdown() || error.is_body_write_aborted();
    std::error::Error::source(error).is_none() && !is_other && !is_end
}
