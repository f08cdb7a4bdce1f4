//! Why a connection or a request is turned away, out of what libraries say and what was read.

use std::error::Error as _;
use std::io;

use rustls::{AlertDescription, Error as TlsError, PeerIncompatible};

/// Why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    /// It could not be accepted, most likely for want of descriptors; counted for each attempt.
    NotAccepted,
    /// All places are taken.
    TooManyConnections,
    /// All requests' places are taken.
    TooManyStreams,
    /// There is no room for more bytes of requests.
    TooManyBytes,
    /// It was not there in time.
    RequestTimeout,
    /// Its first frame did not come in time.
    HandshakeTimeout,
    /// It left before it had said anything of use: a port scan, a probe.
    ClosedEarly,
    /// It speaks in the clear where TLS is.
    PlaintextToTls,
    /// It speaks TLS where none is.
    TlsToPlaintext,
    /// It speaks HTTP/1.
    Http1,
    /// It speaks something else.
    NotHttp2,
    /// It does not speak TLS 1.3.
    TlsVersion,
    /// Its protocols (ALPN) are others than HTTP/2.
    NoHttp2Offered,
    /// It has no certificate, and has to have one.
    NoClientCertificate,
    /// Its certificate is of none of our authorities, out of date, or otherwise bad.
    BadClientCertificate,
    /// It does not trust our certificate.
    NotTrusted,
    /// Another fault of TLS.
    Tls,
    /// The socket failed.
    Io,
}

impl Reason {
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

    /// Of a TLS handshake that failed.
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

    /// Of a fault of TLS: a client's certificate is refused after the handshake has ended for the client.
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
                // Its authority has the name of ours and another key.
                | AlertDescription::DecryptError
                | AlertDescription::BadCertificate
                | AlertDescription::CertificateUnknown
                | AlertDescription::CertificateExpired
                | AlertDescription::UnsupportedCertificate,
            ) => Self::NotTrusted,
            _ => Self::Tls,
        }
    }

    /// Of a connection that ended before its preface was there, by what it began with.
    pub(super) fn of_beginning(bytes: &[u8]) -> Self {
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

/// The fault of TLS that an error of HTTP/2 comes from.
pub(super) fn tls_cause(error: &hyper::Error) -> Option<Reason> {
    let mut cause = error.source();
    while let Some(error) = cause {
        if let Some(found) = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref)
            && let Some(found) = found.downcast_ref::<TlsError>()
        {
            return Some(Reason::of_tls(found));
        }
        cause = error.source();
    }
    None
}
