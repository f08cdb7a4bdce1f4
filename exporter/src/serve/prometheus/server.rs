//! The configuration of the endpoint and its answers.

use std::net::SocketAddr;
use std::time::Instant;

use bytes::Bytes;
use eyepiece_semconv::metric;
use http::header::{CONTENT_ENCODING, VARY};
use http::request::Parts;
use http::{HeaderValue, Method, StatusCode};

use super::negotiation::{self, Encoding};
use super::pages::{PageQueue, Pages, Renderer};
use crate::export::prometheus::RequestMetrics;
use crate::serve::http::{
    Answer, Bound as HttpBound, Config as HttpConfig, Handler, Limits, Refusals, Server, ServerError,
    method_not_allowed, response, text,
};
use crate::serve::tls::TlsFiles;
use crate::support::grpc_calls::GrpcCalls;
use crate::support::telemetry::Telemetry;

/// A few Prometheus servers, each with one connection for each scrape.
const LIMITS: Limits = Limits { connections: 128, per_address: 16 };
/// The page at `/`, for people.
const INDEX: &str = "<!DOCTYPE html>\n<title>eyepiece</title>\n<p><a href=\"/metrics\">metrics</a>\n";

/// The configuration of the Prometheus endpoint.
#[derive(Clone, Debug)]
pub struct Config {
    /// `prometheus.listen`; port 0 selects a free one.
    pub listen: SocketAddr,
    /// `prometheus.tls`; `None`: plaintext.
    pub tls: Option<TlsFiles>,
    /// Counts refused connections, and has the calls of Hubble's API.
    pub telemetry: Telemetry,
}

/// A bound address; clients wait in the kernel's queue until it is served.
pub struct Bound {
    http: HttpBound,
    calls: GrpcCalls,
}

impl Config {
    /// Reads the certificates and binds the address.
    ///
    /// # Errors
    /// The certificates cannot be used, or the address cannot be bound.
    pub fn bind(self) -> Result<Bound, ServerError> {
        let Self { listen, tls, telemetry } = self;
        let (name, key) = ("prometheus", "prometheus.listen");
        let refusals = Refusals::new(&telemetry, metric::EYEPIECE_PROMETHEUS_REFUSED.name);
        let http = HttpConfig { name, key, listen, tls, limits: LIMITS, refusals }.bind()?;
        Ok(Bound { http, calls: telemetry.calls().clone() })
    }
}

impl Bound {
    /// The bound address.
    pub const fn address(&self) -> SocketAddr {
        self.http.addr
    }

    /// Serves the address.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub fn serve(self, pages: impl Pages) -> Result<Server, ServerError> {
        let metrics = RequestMetrics::new(&self.calls);
        let (renderer, queue) = Renderer::new(pages, metrics.clone());
        self.http.serve(Endpoint { queue, metrics }, renderer.run())
    }
}

struct Endpoint {
    queue: PageQueue,
    metrics: RequestMetrics,
}

impl Handler for Endpoint {
    async fn respond(&self, head: Parts) -> Answer {
        let is_read = matches!(head.method, Method::GET | Method::HEAD);
        match head.uri.path() {
            "/metrics" => {
                let start = Instant::now();
                let answer = if is_read { self.page(&head).await } else { method_not_allowed() };
                self.metrics.observe(answer.status(), start.elapsed());
                answer
            }
            "/" if is_read => {
                response(StatusCode::OK, "text/html; charset=utf-8", Bytes::from_static(INDEX.as_bytes()))
            }
            "/" => method_not_allowed(),
            _ => text(StatusCode::NOT_FOUND, "invalid path: expected /metrics\n"),
        }
    }
}

impl Endpoint {
    async fn page(&self, head: &Parts) -> Answer {
        let (format, encoding) = (negotiation::format(&head.headers), negotiation::encoding(&head.headers));
        match self.queue.get(format, encoding).await {
            Ok(page) => {
                let mut answer = response(StatusCode::OK, format.content_type(), page);
                let headers = answer.headers_mut();
                headers.insert(VARY, HeaderValue::from_static("accept, accept-encoding"));
                if encoding == Encoding::Gzip {
                    headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
                }
                answer
            }
            Err(why) => text(StatusCode::SERVICE_UNAVAILABLE, format!("cannot render the metrics: {why}\n")),
        }
    }
}
