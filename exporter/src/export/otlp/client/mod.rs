//! Sends requests that are already encoded, over gRPC or HTTP, and tells what the receiver made of them.
//!
//! One HTTP client carries both protocols: gRPC's unary call is a POST over HTTP/2 with a five-byte frame and
//! trailers, so the bytes of a request are neither encoded nor copied a second time, and TLS, timeouts and errors are
//! the same code.

mod failure;
mod grpc;
mod http;
mod tls;

use std::fmt;
use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use ::http::{HeaderValue, Request, header};
use bytes::Bytes;
use flate2::write::GzEncoder;
use http_body_util::combinators::BoxBody;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client as HyperClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::time::timeout;

use self::failure::Target;
use super::config::{Compression, Config, Protocol, Signal};
use super::retry::Outcome;

pub use tls::TlsError;

/// An answer larger than this is not read further: OTLP's are tiny.
const MAX_RESPONSE: usize = 64 * 1024;
/// An idle connection says that it is alive this often, or a firewall forgets it between two metric exports.
const TCP_KEEPALIVE: Duration = Duration::from_secs(30);

type Body = BoxBody<Bytes, std::convert::Infallible>;
type Inner = HyperClient<HttpsConnector<HttpConnector>, Body>;

/// A client for one signal. Cloning shares its connections; it must be used within a tokio runtime.
#[derive(Clone)]
pub struct Client {
    inner: Inner,
    protocol: Protocol,
    compression: Compression,
    timeout: Duration,
    target: Arc<Target>,
    /// Method, URI and headers of every request.
    template: ::http::request::Parts,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("uri", &self.template.uri).field("protocol", &self.protocol).finish()
    }
}

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Standard output is no receiver.
    #[error("the protocol stdout has no client")]
    NoClient,
    /// A certificate, a key or the system's roots.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

impl Client {
    /// A client by its settings; it connects with the first request.
    ///
    /// # Errors
    /// Certificates or keys that can't be read or used, and the protocol `stdout`.
    pub fn new(config: &Config, signal: Signal) -> Result<Self, ClientError> {
        if config.protocol == Protocol::Stdout {
            return Err(ClientError::NoClient);
        }
        let grpc = config.protocol == Protocol::Grpc;
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_keepalive(Some(TCP_KEEPALIVE));
        tcp.set_connect_timeout(Some(config.timeout));
        // Without it the kernel resends to a receiver that vanished for a quarter of an hour, on a connection that
        // every retry would use again.
        tcp.set_tcp_user_timeout(Some(config.timeout + TCP_KEEPALIVE));
        let builder = HttpsConnectorBuilder::new().with_tls_config(tls::client_config(config)?).https_or_http();
        let connector =
            if grpc { builder.enable_http2().wrap_connector(tcp) } else { builder.enable_http1().wrap_connector(tcp) };
        let inner = HyperClient::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .timer(TokioTimer::new())
            .http2_only(grpc)
            .build(connector);
        let timeout = config.timeout;
        Ok(Self {
            inner,
            protocol: config.protocol,
            compression: config.compression,
            timeout,
            target: Arc::new(Target::new(&config.uri, config.protocol, signal.name())),
            template: template(config, signal),
        })
    }

    /// Sends one encoded `Export…ServiceRequest`, once; waits no longer than the configured timeout.
    pub async fn send(&self, request: Bytes) -> Outcome {
        let body = match self.compression {
            Compression::None => request,
            Compression::Gzip => match gzip(&request) {
                Ok(body) => body,
                Err(error) => return Outcome::Refused { message: format!("gzip: {error}") },
            },
        };
        let attempt = async {
            match self.protocol {
                Protocol::Grpc => grpc::send(self, body).await,
                _ => http::send(self, body).await,
            }
        };
        match timeout(self.timeout, attempt).await {
            Ok(outcome) => outcome,
            Err(_) => self.target.timed_out(self.timeout),
        }
    }

    fn request(&self, body: Body) -> Request<Body> {
        Request::from_parts(self.template.clone(), body)
    }
}

/// What all requests have in common.
fn template(config: &Config, signal: Signal) -> ::http::request::Parts {
    let (mut parts, ()) = Request::post(config.uri.clone()).body(()).unwrap_or_default().into_parts();
    let gzip = config.compression == Compression::Gzip;
    let headers = &mut parts.headers;
    *headers = config.headers.clone();
    headers
        .entry(header::USER_AGENT)
        .or_insert(HeaderValue::from_static(concat!("eyepiece/", env!("CARGO_PKG_VERSION"))));
    if config.protocol == Protocol::Grpc {
        debug_assert_eq!(parts.uri.path(), signal.grpc_path());
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        headers.insert(header::TE, HeaderValue::from_static("trailers"));
        if gzip {
            headers.insert("grpc-encoding", HeaderValue::from_static("gzip"));
        }
    } else {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
        if gzip {
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
    }
    parts
}

fn gzip(request: &[u8]) -> std::io::Result<Bytes> {
    // Flow records repeat themselves: the fast level already takes off nine tenths.
    let mut encoder = GzEncoder::new(Vec::with_capacity(request.len() / 4), flate2::Compression::fast());
    encoder.write_all(request)?;
    encoder.finish().map(Bytes::from)
}
