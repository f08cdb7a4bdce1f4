//! Classifies the reasons of a missing connection to a Hubble server, for telemetry.

use std::io::ErrorKind;

use tonic::Code;

use crate::client::error::ClientError;

/// The server ended the stream without an error.
pub(super) const CLOSED: &str = "closed";
/// The server no longer answers.
pub(super) const NO_ANSWER: &str = "no_answer";

/// The reason of a failed attempt to connect.
pub(super) const fn of_connecting(error: &ClientError) -> &'static str {
    match error {
        ClientError::Timeout { .. } => "timeout",
        ClientError::File { .. } => "file",
        ClientError::Tls { .. } | ClientError::Config(_) => "settings",
        ClientError::Connect { kind, .. } => match kind {
            Some(ErrorKind::NotFound) => "not_there",
            Some(ErrorKind::PermissionDenied) => "permission_denied",
            Some(ErrorKind::ConnectionRefused) => "refused",
            Some(ErrorKind::TimedOut) => "timeout",
            // rustls: an invalid certificate, or bytes that are no TLS.
            Some(ErrorKind::InvalidData) => "tls",
            _ => "connect_failed",
        },
    }
}

/// The reason of a stream's end: gRPC's code.
pub(super) const fn of_stream(code: Code) -> &'static str {
    match code {
        // Also a server that is gone.
        Code::Unavailable => "unavailable",
        Code::Ok => CLOSED,
        Code::Cancelled => "cancelled",
        Code::Unknown => "unknown",
        Code::InvalidArgument => "invalid_argument",
        Code::DeadlineExceeded => "deadline_exceeded",
        Code::NotFound => "not_found",
        Code::AlreadyExists => "already_exists",
        Code::PermissionDenied => "permission_denied",
        Code::ResourceExhausted => "resource_exhausted",
        Code::FailedPrecondition => "failed_precondition",
        Code::Aborted => "aborted",
        Code::OutOfRange => "message_too_long",
        Code::Unimplemented => "unimplemented",
        Code::Internal => "internal",
        Code::DataLoss => "data_loss",
        Code::Unauthenticated => "unauthenticated",
    }
}
