//! The reason for refusing a connection or a request, from library errors and from the first bytes.

use std::io;

use rustls::{AlertDescription, Error as TlsError, PeerIncompatible};

use crate::support::error_chain::causes;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RefusalReason {
    /// accept(2) failed, usually because no file descriptor is left; each attempt counts.
    NotAccepted,
    /// The limit of connections is reached.
    TooManyConnections,
    /// The limit of requests in progress is reached.
    TooManyStreams,
    /// The limit of request bytes is reached.
    TooManyBytes,
    /// The request's body was not complete in time.
    RequestTimeout,
    /// The client's first frame did not arrive in time.
    HandshakeTimeout,
    /// The client closed before it sent a preface: a port scan, a probe.
    ClosedEarly,
    /// Plaintext to a TLS listener.
    PlaintextToTls,
    /// TLS to a plaintext listener.
    TlsToPlaintext,
    /// The client speaks HTTP/1.
    Http1,
    /// The client speaks another protocol.
    NotHttp2,
    /// The client does not offer TLS 1.3.
    TlsVersion,
    /// The client's ALPN does not offer HTTP/2.
    NoHttp2Offered,
    /// The client has no certificate, and one is required.
    NoClientCertificate,
    /// The client's certificate is expired, of an unknown authority, or otherwise invalid.
    BadClientCertificate,
    /// The client does not trust our certificate.
    NotTrusted,
    /// Another TLS error.
    Tls,
    /// The socket failed.
    Io,
}

impl RefusalReason {
    /// The reason in telemetry.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::NotAccepted => "not_accepted",
            Self::TooManyConnections => "too_many_connections",
            Self::TooManyStreams => "too_many_streams",
            Self::TooManyBytes => "too_many_request_bytes",
            Self::RequestTimeout => "request_timeout",
            Self::HandshakeTimeout => "handshake_timeout",
            Self::ClosedEarly => "closed_early",
            Self::PlaintextToTls => "plaintext_to_tls",
            Self::TlsToPlaintext => "tls_to_plaintext",
            Self::Http1 => "http1",
            Self::NotHttp2 => "not_http2",
            Self::TlsVersion => "tls_version",
            Self::NoHttp2Offered => "no_http2_offered",
            Self::NoClientCertificate => "no_client_certificate",
            Self::BadClientCertificate => "bad_client_certificate",
            Self::NotTrusted => "not_trusted",
            Self::Tls => "tls",
            Self::Io => "io",
        }
    }

    /// The reason of a failed TLS handshake.
    pub(super) fn of_handshake(error: &io::Error) -> Self {
        let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<TlsError>());
        match (tls, error.kind()) {
            (Some(error), _) => Self::of_tls(error),
            (None, io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe) => {
                Self::ClosedEarly
            }
            _ => Self::Io,
        }
    }

    /// The reason of a TLS error. A client certificate is refused after the client considers the handshake complete.
    pub(super) fn of_tls(error: &TlsError) -> Self {
        match error {
            TlsError::InvalidMessage(_) => Self::PlaintextToTls,
            TlsError::PeerIncompatible(
                PeerIncompatible::SupportedVersionsExtensionRequired | PeerIncompatible::Tls12NotOfferedOrEnabled,
            ) => Self::TlsVersion,
            TlsError::NoApplicationProtocol => Self::NoHttp2Offered,
            TlsError::NoCertificatesPresented => Self::NoClientCertificate,
            TlsError::InvalidCertificate(_) | TlsError::InvalidCertRevocationList(_) => Self::BadClientCertificate,
            TlsError::AlertReceived(
                AlertDescription::UnknownCA
                // The client's authority has the name of ours and another key.
                | AlertDescription::DecryptError
                | AlertDescription::BadCertificate
                | AlertDescription::CertificateUnknown
                | AlertDescription::CertificateExpired
                | AlertDescription::UnsupportedCertificate,
            ) => Self::NotTrusted,
            _ => Self::Tls,
        }
    }

    /// The reason of a connection that ended before its preface was complete, by its first bytes.
    pub(super) fn of_first_bytes(bytes: &[u8]) -> Self {
        const METHODS: [&[u8]; 7] = [b"GET ", b"POST", b"HEAD", b"PUT ", b"OPTI", b"DELE", b"CONN"];
        match bytes {
            [] => Self::ClosedEarly,
            // A TLS record: handshake, version 3.x (RFC 8446, 5.1).
            [0x16, 0x03, ..] => Self::TlsToPlaintext,
            _ if METHODS.iter().any(|method| bytes.starts_with(method)) => Self::Http1,
            _ => Self::NotHttp2,
        }
    }
}

/// The TLS error behind an error of HTTP/2.
pub(super) fn tls_cause(error: &hyper::Error) -> Option<RefusalReason> {
    causes(error).find_map(|cause| cause.downcast_ref::<TlsError>()).map(RefusalReason::of_tls)
}
