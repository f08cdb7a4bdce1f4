//! Our server of Hubble's observer in a bench, and the smallest client that it can have.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use eyepiece::serve::grpc;
use eyepiece::serve::grpc::{Bind, Limits, MAX_MESSAGE_BYTES};
use eyepiece::serve::observer::namespaces::Namespaces;
use eyepiece::serve::observer::ring::Ring;
use eyepiece::serve::observer::service::ObserverService;
use eyepiece::serve::observer::{Deps, Observer};
use eyepiece::services::observer::observer_server::ObserverServer;
use eyepiece::support::clock::unix_now;
use eyepiece::support::shutdown;
use eyepiece::support::telemetry::Telemetry;
use eyepiece_flow::lookup::NoLookup;
use eyepiece_hubble::node::Node;
use eyepiece_hubble::proto::observer::GetFlowsRequest;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message as _;
use tokio::net::UnixStream;
use tokio::task::JoinHandle;
use tonic::service::Routes;

/// Windows of a client that always reads.
pub(crate) const WINDOW: u32 = 4 << 20;

/// Serves a ring at a unix socket.
pub(crate) async fn serve(path: &Path, ring: Arc<Ring>, limits: Limits, stop: shutdown::Stop) -> JoinHandle<()> {
    let telemetry = Telemetry::default();
    let socket = eyepiece::support::unix_listener::Config { path: path.to_owned(), mode: 0o600, group: None };
    let config = grpc::Config {
        listen: vec![Bind::Unix(socket)],
        tls: None,
        limits,
        version: http::HeaderValue::from_static("0"),
        telemetry: telemetry.clone(),
    };
    let observer = Observer::new(Deps {
        ring,
        namespaces: Namespaces::default(),
        node: Node { name: "node".to_owned(), cluster: String::new() },
        names: Arc::new(NoLookup),
        telemetry,
        stop: stop.clone(),
        now: unix_now,
    });
    let routes =
        Routes::new(ObserverServer::new(ObserverService(observer)).max_decoding_message_size(MAX_MESSAGE_BYTES));
    let bound = config.bind().await.expect("a socket");
    tokio::spawn(bound.serve(routes, None, stop))
}

/// A client's end of a connection.
#[derive(Clone)]
pub(crate) struct Client(SendRequest<Full<Bytes>>);

impl Client {
    /// Connects; each stream, and all of them together, may lag by this many bytes.
    pub(crate) async fn connect(path: &Path, window: u32) -> Self {
        let stream = UnixStream::connect(path).await.expect("a server");
        let (sender, connection) = http2::Builder::new(TokioExecutor::new())
            .initial_stream_window_size(window)
            .initial_connection_window_size(WINDOW.max(window))
            .handshake::<_, Full<Bytes>>(TokioIo::new(stream))
            .await
            .expect("HTTP/2");
        // Ends with the last sender.
        tokio::spawn(connection);
        Self(sender)
    }

    /// Asks for flows; the answer's bytes.
    pub(crate) async fn flows(&mut self, request: &GetFlowsRequest) -> Incoming {
        let message = request.encode_to_vec();
        let mut body = vec![0];
        body.extend((message.len() as u32).to_be_bytes());
        body.extend(message);
        let request = http::Request::post("http://localhost/observer.Observer/GetFlows")
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(Full::new(Bytes::from(body)))
            .expect("a request");
        self.0.ready().await.expect("a connection");
        self.0.send_request(request).await.expect("an answer").into_body()
    }
}
