//! Why a request was not taken, with its endpoint and the mistake that is likely behind it.

use std::error::Error;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

use http::Uri;
use rustls::{AlertDescription, CertificateError};

use crate::export::otlp::config::Protocol;
use crate::export::otlp::retry::Outcome;

/// Where requests go, as messages name it.
#[derive(Debug)]
pub(super) struct Target {
    /// Scheme, host and port.
    endpoint: String,
    /// With the path, where the setting has one.
    url: String,
    protocol: Protocol,
    signal: &'static str,
    /// Something of our protocol has answered: what goes wrong from then on is no mistake in the endpoint.
    has_answered: AtomicBool,
}

/// A mistake in the endpoint or in what belongs to it.
enum Mistake {
    /// An HTTP/2 connection got bytes that are no frame of it.
    NoHttp2,
    /// An HTTP/1.1 connection got bytes that are no answer of it.
    NoHttp1,
    /// A TLS connection got bytes that are no message of it.
    NoTls,
    /// The server's certificate is not trusted, or not for this host.
    Certificate(CertificateError),
    /// The server wants a client certificate, or another one.
    ClientCertificate(AlertDescription),
    /// The TLS server does not speak our version of HTTP.
    NoCommonProtocol,
    /// Nothing listens.
    Refused,
}

impl Target {
    pub(super) fn new(uri: &Uri, protocol: Protocol, signal: &'static str) -> Self {
        let authority = uri.authority().map_or("", http::uri::Authority::as_str);
        let endpoint = format!("{}://{authority}", uri.scheme_str().unwrap_or("http"));
        let url = if protocol == Protocol::HttpProtobuf { uri.to_string() } else { endpoint.clone() };
        Self { endpoint, url, protocol, signal, has_answered: AtomicBool::new(false) }
    }

    /// Something has answered in our protocol.
    pub(super) fn answered(&self) {
        self.has_answered.store(true, Ordering::Relaxed);
    }

    /// A request got no answer: it is sent again.
    pub(super) fn unreachable(&self, error: &(dyn Error + 'static)) -> Outcome {
        let cause = chain(error);
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
        Outcome::unreachable(message)
    }

    /// A request got no answer in time.
    pub(super) fn timed_out(&self, time: std::time::Duration) -> Outcome {
        Outcome::unreachable(format!("no answer within {time:?} ({})", self.endpoint))
    }

    /// A plaintext connection that ends before anything was ever answered: a TLS server's way to refuse it.
    fn is_closed(&self, error: &(dyn Error + 'static)) -> bool {
        let is_plain = self.endpoint.starts_with("http://") && !self.has_answered.load(Ordering::Relaxed);
        is_plain && causes(error).any(is_end)
    }

    /// The question whether the protocol is the wrong one of two.
    const fn other_port(&self) -> &'static str {
        match self.protocol {
            Protocol::HttpProtobuf => "is it the gRPC port (otlp.protocol = \"grpc\")",
            Protocol::Grpc | Protocol::Stdout => "is it the HTTP port (otlp.protocol = \"http/protobuf\")",
        }
    }

    /// What follows the endpoint.
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

    /// Adds the endpoint, and what an HTTP status may mean, to the outcome of an answer.
    pub(super) fn http_status(&self, status: u16, outcome: Outcome) -> Outcome {
        let hint = match status {
            404 | 405 => format!(": is the path right? OTLP's is /v1/{}", self.signal),
            401 | 403 => ": are otlp.headers right?".to_owned(),
            _ => String::new(),
        };
        outcome.with_message(|message| format!("{message} ({}){hint}", self.url))
    }

    /// The same for an answer of gRPC's.
    pub(super) fn grpc_status(&self, code: u32, outcome: Outcome) -> Outcome {
        let hint = match code {
            UNIMPLEMENTED => format!(": does the receiver take {}?", self.signal),
            PERMISSION_DENIED | UNAUTHENTICATED => ": are otlp.headers right?".to_owned(),
            _ => String::new(),
        };
        outcome.with_message(|message| format!("{message} ({}){hint}", self.endpoint))
    }

    /// The same for an HTTP answer without a gRPC status.
    pub(super) fn no_grpc_status(&self, outcome: Outcome) -> Outcome {
        outcome.with_message(|message| format!("{} {} ({message})", self.endpoint, self.likely(&Mistake::NoHttp2)))
    }
}

/// Codes of gRPC whose cause is likely a setting.
const PERMISSION_DENIED: u32 = 7;
const UNIMPLEMENTED: u32 = 12;
const UNAUTHENTICATED: u32 = 16;

/// An error and its causes. An `io::Error`'s source is its inner error's source, so the inner one comes first.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error: &&'a (dyn Error + 'static)| {
        match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(inner) => Some(inner as &(dyn Error + 'static)),
            None => error.source(),
        }
    })
}

/// The mistake that the types in the chain show.
fn mistake(error: &(dyn Error + 'static)) -> Option<Mistake> {
    causes(error).find_map(|cause| {
        if let Some(error) = cause.downcast_ref::<h2::Error>() {
            // Its own finding about what came: the first bytes of an HTTP/1.1 answer, taken for a frame's length.
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
            .filter(|error| error.is_parse() || is_unasked(error))
            .map(|_| Mistake::NoHttp1)
    })
}

/// Whether the server sent something before it was asked, as a gRPC server does that greets. hyper has a kind for that
/// without a method: what is left of those that have no cause.
fn is_unasked(error: &hyper::Error) -> bool {
    let is_other = error.is_user() || error.is_canceled() || error.is_closed() || error.is_incomplete_message();
    let is_end = error.is_timeout() || error.is_shutdown() || error.is_body_write_aborted();
    error.source().is_none() && !is_other && !is_end
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

/// The other side has ended the connection, or sent what ended it before the request was on its way: that leaves no cause.
fn is_end(cause: &(dyn Error + 'static)) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    let is_io =
        |error: &io::Error| matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof);
    let is_http = |error: &hyper::Error| error.is_closed() || error.is_incomplete_message() || error.is_canceled();
    cause.downcast_ref::<io::Error>().is_some_and(is_io) || cause.downcast_ref::<hyper::Error>().is_some_and(is_http)
}

/// An error and its causes in one line: hyper's own texts name only the first.
pub(super) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}
