//! Error messages of failed requests: the endpoint, the cause, and the likely mistake in the settings.

use std::error::Error;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use eyepiece_config::Protocol;
use http::Uri;
use hyper_util::client::legacy;
use rustls::{AlertDescription, CertificateError};
use tonic::Code;

use crate::client::error::is_unexpected_message;
use crate::export::otlp::retry::Outcome;
use crate::support::error_chain::{causes, error_chain};
use crate::support::lock::lock;

/// The time that a canceled request waits for the failure of its connection.
const CAUSE_TIMEOUT: Duration = Duration::from_millis(100);

/// The kind of a failed or broken connection.
const UNREACHABLE: &str = "unreachable";

/// The receiver, as messages name it.
#[derive(Debug)]
pub(super) struct Target {
    /// Scheme, host and port.
    endpoint: String,
    /// The endpoint with the path, over HTTP.
    url: String,
    protocol: Protocol,
    signal: &'static str,
    /// A server has answered in our protocol: later failures are no mistake in the endpoint.
    has_answered: AtomicBool,
    /// The message of the last failure that had a cause.
    last_failure: Mutex<Option<String>>,
}

/// A mistake in the endpoint or in its settings.
enum Mistake {
    /// The server does not answer with HTTP/2 frames.
    NoHttp2,
    /// The server does not answer with HTTP/1.1.
    NoHttp1,
    /// The server does not answer with TLS.
    NoTls,
    /// The server's certificate is not trusted, or is for another host.
    Certificate(CertificateError),
    /// The server requires a client certificate, or another one.
    ClientCertificate(AlertDescription),
    /// The TLS server does not support our HTTP version.
    NoCommonProtocol,
    /// No server listens.
    Refused,
}

impl Target {
    pub(super) fn new(uri: &Uri, protocol: Protocol, signal: &'static str) -> Self {
        let authority = uri.authority().map_or("", http::uri::Authority::as_str);
        let endpoint = format!("{}://{authority}", uri.scheme_str().unwrap_or("http"));
        let url = if protocol == Protocol::HttpProtobuf { uri.to_string() } else { endpoint.clone() };
        Self { endpoint, url, protocol, signal, has_answered: AtomicBool::new(false), last_failure: Mutex::default() }
    }

    /// A server has answered in our protocol.
    pub(super) fn answered(&self) {
        self.has_answered.store(true, Ordering::Relaxed);
        *self.last_failure() = None;
    }

    /// The outcome of a request without an answer: it is sent again.
    ///
    /// A request that waited for the connection of another one is canceled when that one fails: the cause is there, and
    /// may be reported a moment later.
    pub(super) async fn unreachable(&self, error: &(dyn Error + Send + Sync + 'static)) -> Outcome {
        if is_canceled(error) {
            if self.last_failure().is_none() {
                tokio::time::sleep(CAUSE_TIMEOUT).await;
            }
            if let Some(message) = self.last_failure().clone() {
                return Outcome::unanswered(message, UNREACHABLE);
            }
        }
        let cause = error_chain(error);
        let Self { endpoint, .. } = self;
        let message = match mistake(error) {
            Some(Mistake::Refused) => format!("connection refused ({endpoint})"),
            Some(mistake) => format!("{endpoint} {}", self.likely(&mistake)),
            None if self.is_closed(error) => format!(
                "{endpoint} closed the connection without an answer ({cause}): {}, or does it expect TLS (https://)?",
                self.other_port()
            ),
            None => format!("{cause} ({endpoint})"),
        };
        *self.last_failure() = Some(message.clone());
        Outcome::unanswered(message, UNREACHABLE)
    }

    fn last_failure(&self) -> MutexGuard<'_, Option<String>> {
        lock(&self.last_failure)
    }

    /// The outcome of a request without an answer in time.
    pub(super) fn timed_out(&self, time: Duration) -> Outcome {
        Outcome::unanswered(format!("no answer within {time:?} ({})", self.endpoint), "timeout")
    }

    /// Returns whether a plaintext connection was closed before any answer, as TLS servers do.
    fn is_closed(&self, error: &(dyn Error + 'static)) -> bool {
        let is_plain = self.endpoint.starts_with("http://") && !self.has_answered.load(Ordering::Relaxed);
        is_plain && causes(error).any(is_end)
    }

    /// Asks whether the other protocol is meant.
    const fn other_port(&self) -> &'static str {
        match self.protocol {
            Protocol::HttpProtobuf => "is it the gRPC port (otlp.protocol = \"grpc\")",
            Protocol::Grpc | Protocol::Stdout => "is it the HTTP port (otlp.protocol = \"http/protobuf\")",
        }
    }

    /// The message behind the endpoint.
    fn likely(&self, mistake: &Mistake) -> String {
        let bare = self.endpoint.trim_start_matches("https://");
        let other_port = self.other_port();
        match mistake {
            Mistake::NoHttp2 => format!("does not speak gRPC: {other_port}?"),
            Mistake::NoHttp1 if self.endpoint.starts_with("https://") => {
                format!("does not speak HTTP/1.1: {other_port}?")
            }
            Mistake::NoHttp1 => format!("does not speak HTTP/1.1: {other_port}, or does it expect TLS (https://)?"),
            Mistake::NoTls => format!("does not speak TLS: is it http://{bare}?"),
            Mistake::NoCommonProtocol => format!("has TLS, and no HTTP version of ours behind it: {other_port}?"),
            Mistake::Certificate(CertificateError::UnknownIssuer) => {
                "has a certificate of an unknown authority: is otlp.tls.ca the file of its authority?".to_owned()
            }
            Mistake::Certificate(error) => format!("has a certificate that cannot be trusted: {error}"),
            Mistake::ClientCertificate(alert) => {
                format!("refuses our TLS ({alert:?}): does it expect otlp.tls.cert and otlp.tls.key of its authority?")
            }
            Mistake::Refused => "refuses connections".to_owned(),
        }
    }

    /// Adds the endpoint and a hint for the HTTP status to the outcome of an answer.
    pub(super) fn http_status(&self, status: u16, outcome: Outcome) -> Outcome {
        let hint = match status {
            404 | 405 => format!(": is the path right? OTLP's is /v1/{}", self.signal),
            401 | 403 => ": are otlp.headers right?".to_owned(),
            _ => String::new(),
        };
        outcome.with_message(|message| format!("{message} ({}){hint}", self.url))
    }

    /// Adds the endpoint and a hint for the gRPC status to the outcome of an answer.
    pub(super) fn grpc_status(&self, code: Code, outcome: Outcome) -> Outcome {
        let hint = match code {
            Code::Unimplemented => format!(": does the receiver take {}?", self.signal),
            Code::PermissionDenied | Code::Unauthenticated => ": are otlp.headers right?".to_owned(),
            _ => String::new(),
        };
        outcome.with_message(|message| format!("{message} ({}){hint}", self.endpoint))
    }

    /// Adds the endpoint and a hint to the outcome of an HTTP answer without a gRPC status.
    pub(super) fn no_grpc_status(&self, outcome: Outcome) -> Outcome {
        outcome.with_message(|message| format!("{} {} ({message})", self.endpoint, self.likely(&Mistake::NoHttp2)))
    }
}

/// Finds the mistake by the error types in the chain.
fn mistake(error: &(dyn Error + 'static)) -> Option<Mistake> {
    causes(error).find_map(|cause| {
        if let Some(error) = cause.downcast_ref::<h2::Error>() {
            // h2 reads the first bytes of an HTTP/1.1 answer as the length of a frame.
            let is_ours = error.reason() == Some(h2::Reason::FRAME_SIZE_ERROR) && !error.is_remote();
            return is_ours.then_some(Mistake::NoHttp2);
        }
        if let Some(error) = cause.downcast_ref::<rustls::Error>() {
            return of_tls(error);
        }
        if let Some(error) = cause.downcast_ref::<io::Error>() {
            return (error.kind() == io::ErrorKind::ConnectionRefused).then_some(Mistake::Refused);
        }
        cause
            .downcast_ref::<hyper::Error>()
            .filter(|error| error.is_parse() || is_unexpected_message(error))
            .map(|_| Mistake::NoHttp1)
    })
}

/// Returns whether a request ended with the connection that another request was opening. The client's error for that is
/// private: it is a failed connect without a cause in the system, in TLS or in HTTP.
fn is_canceled(error: &(dyn Error + 'static)) -> bool {
    let has_cause = |cause: &(dyn Error + 'static)| {
        cause.is::<io::Error>() || cause.is::<rustls::Error>() || cause.is::<h2::Error>() || cause.is::<hyper::Error>()
    };
    error.downcast_ref::<legacy::Error>().is_some_and(legacy::Error::is_connect) && !causes(error).any(has_cause)
}

fn of_tls(error: &rustls::Error) -> Option<Mistake> {
    use AlertDescription::{
        AccessDenied, BadCertificate, CertificateRequired, CertificateUnknown, NoApplicationProtocol, UnknownCA,
    };
    match error {
        rustls::Error::InvalidMessage(_) => Some(Mistake::NoTls),
        rustls::Error::InvalidCertificate(error) => Some(Mistake::Certificate(error.clone())),
        rustls::Error::NoApplicationProtocol | rustls::Error::AlertReceived(NoApplicationProtocol) => {
            Some(Mistake::NoCommonProtocol)
        }
        rustls::Error::AlertReceived(
            alert @ (AccessDenied | BadCertificate | CertificateRequired | CertificateUnknown | UnknownCA),
        ) => Some(Mistake::ClientCertificate(*alert)),
        _ => None,
    }
}

/// Returns whether the server closed the connection. If it did so before the request was sent, hyper gives no cause.
fn is_end(cause: &(dyn Error + 'static)) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    let is_io =
        |error: &io::Error| matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof);
    let is_http = |error: &hyper::Error| error.is_closed() || error.is_incomplete_message() || error.is_canceled();
    cause.downcast_ref::<io::Error>().is_some_and(is_io) || cause.downcast_ref::<hyper::Error>().is_some_and(is_http)
}
