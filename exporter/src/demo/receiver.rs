//! An OTLP receiver over gRPC: unary calls over HTTP/2, without compression.

use std::convert::Infallible;
use std::future::ready;
use std::io;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, header};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use prost::Message as _;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

/// Compression flag and length before a message.
const FRAME_HEADER: usize = 5;
/// Receivers refuse more than 4 MiB by default.
const MAX_REQUEST: usize = 4 * 1024 * 1024;
/// gRPC status codes.
const OK: u8 = 0;
const INVALID_ARGUMENT: u8 = 3;
const UNIMPLEMENTED: u8 = 12;
const UNAVAILABLE: u8 = 14;

/// A received request.
#[derive(Debug)]
pub(super) enum Arrival {
    /// Log records: flows.
    Logs(ExportLogsServiceRequest),
    /// Metrics.
    Metrics(ExportMetricsServiceRequest),
}

/// Accepts connections until it is dropped; while the channel is full, the client waits.
///
/// # Errors
/// The listener failed.
pub(super) async fn run(listener: TcpListener, arrivals: mpsc::Sender<Arrival>) -> io::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        let arrivals = arrivals.clone();
        tokio::spawn(async move {
            let service = service_fn(|request| {
                let arrivals = arrivals.clone();
                async move { Ok::<_, Infallible>(response(export(request, &arrivals).await)) }
            });
            let served = http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service);
            if let Err(error) = served.await {
                tracing::debug!(%error, "a connection to the demo's receiver failed");
            }
        });
    }
}

/// Handles a request; returns the gRPC status.
async fn export(request: Request<Incoming>, arrivals: &mpsc::Sender<Arrival>) -> u8 {
    let path = request.uri().path().to_owned();
    let Ok(body) = Limited::new(request.into_body(), MAX_REQUEST).collect().await else { return INVALID_ARGUMENT };
    let mut body = body.to_bytes();
    if body.len() < FRAME_HEADER {
        return INVALID_ARGUMENT;
    }
    let frame = body.split_to(FRAME_HEADER);
    if frame[0] != 0 {
        return UNIMPLEMENTED;
    }
    let arrival = match path.as_str() {
        "/opentelemetry.proto.collector.logs.v1.LogsService/Export" => {
            ExportLogsServiceRequest::decode(body).map(Arrival::Logs)
        }
        "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export" => {
            ExportMetricsServiceRequest::decode(body).map(Arrival::Metrics)
        }
        _ => return UNIMPLEMENTED,
    };
    let Ok(arrival) = arrival else { return INVALID_ARGUMENT };
    if arrivals.send(arrival).await.is_ok() { OK } else { UNAVAILABLE }
}

/// An empty message, which means that all was accepted, and the status in the trailers.
fn response(status: u8) -> Response<BoxBody<Bytes, Infallible>> {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from(u16::from(status)));
    let body = Full::new(Bytes::from_static(&[0; FRAME_HEADER])).with_trailers(ready(Some(Ok(trailers))));
    let mut response = Response::new(body.boxed());
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    response
}
