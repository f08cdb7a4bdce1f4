//! Connections to one signal's receiver, and what all requests to it have in common.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use eyepiece_config::{Compression, Export, Protocol, Signal};
use http::{HeaderMap, HeaderValue, Request, Response, Uri, header, request};
use http_body_util::combinators::BoxBody;
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client as HyperClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};

use super::error::ClientError;
use super::failure::Target;
use super::tls;
use crate::export::otlp::config;
use crate::export::otlp::retry::Outcome;

/// Bytes of an answer that are read: OTLP's answers are small.
pub(super) const MAX_RESPONSE: usize = 64 * 1024;
/// Interval of keepalives: a firewall forgets an idle connection between two metric exports.
const TCP_KEEPALIVE: Duration = Duration::from_secs(30);

pub(super) type Body = BoxBody<Bytes, Infallible>;

/// Cloning shares the connections.
#[derive(Clone)]
pub(super) struct Connection {
    inner: HyperClient<HttpsConnector<HttpConnector>, Body>,
    pub(super) target: Arc<Target>,
    /// Method, URI and headers of every request.
    template: request::Parts,
}

impl Connection {
    pub(super) fn new(export: &Export, signal: Signal) -> Result<Self, ClientError> {
        let (headers, mut errors) = config::headers(export);
        let uri = config::request_uri(export, signal).map_err(|error| errors.push(error)).unwrap_or_default();
        if !errors.is_empty() {
            return Err(ClientError::Settings(errors));
        }
        let is_grpc = export.protocol == Protocol::Grpc;
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_keepalive(Some(TCP_KEEPALIVE));
        tcp.set_connect_timeout(Some(export.timeout));
        // Otherwise the kernel resends to a vanished receiver for a quarter of an hour, and every retry uses that
        // connection.
        tcp.set_tcp_user_timeout(Some(export.timeout + TCP_KEEPALIVE));
        let tls = tls::client_config(&export.tls, uri.scheme())?;
        let builder = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http();
        let connector = if is_grpc {
            builder.enable_http2().wrap_connector(tcp)
        } else {
            builder.enable_http1().wrap_connector(tcp)
        };
        let inner = HyperClient::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .timer(TokioTimer::new())
            .http2_only(is_grpc)
            .build(connector);
        let target = Arc::new(Target::new(&uri, export.protocol, signal.name()));
        Ok(Self { inner, target, template: template(export, uri, headers) })
    }

    pub(super) fn uri(&self) -> &Uri {
        &self.template.uri
    }

    /// Sends a request and returns the head of its answer.
    pub(super) async fn request(&self, body: Body) -> Result<Response<Incoming>, Outcome> {
        let request = Request::from_parts(self.template.clone(), body);
        match self.inner.request(request).await {
            Ok(response) => {
                self.target.answered();
                Ok(response)
            }
            Err(error) => Err(self.target.unreachable(&error).await),
        }
    }
}

fn template(export: &Export, uri: Uri, mut headers: HeaderMap) -> request::Parts {
    headers
        .entry(header::USER_AGENT)
        .or_insert(HeaderValue::from_static(concat!("eyepiece/", env!("CARGO_PKG_VERSION"))));
    let is_grpc = export.protocol == Protocol::Grpc;
    let content_type = if is_grpc { "application/grpc" } else { "application/x-protobuf" };
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    if is_grpc {
        headers.insert(header::TE, HeaderValue::from_static("trailers"));
    }
    if export.compression == Compression::Gzip {
        let name = if is_grpc { header::HeaderName::from_static("grpc-encoding") } else { header::CONTENT_ENCODING };
        headers.insert(name, HeaderValue::from_static("gzip"));
    }
    let (mut parts, ()) = Request::post(uri).body(()).unwrap_or_default().into_parts();
    parts.headers = headers;
    parts
}
