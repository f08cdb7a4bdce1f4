//! Checks incomplete requests: they release memory and slots, and hold none of this machine's own clients.

use std::time::Duration;

use bytes::Bytes;
use eyepiece::serve::grpc::{Limits, MAX_MESSAGE_BYTES};
use eyepiece_hubble::proto::flow::FlowFilter;
use eyepiece_hubble::proto::observer::{GetFlowsRequest, ServerStatusRequest};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_stream::{Stream, StreamExt as _};
use tonic::{Code, Request};

use super::support::{Server, TIMEOUT, status};

type Frames = std::pin::Pin<Box<dyn Stream<Item = Result<Frame<Bytes>, std::io::Error>> + Send>>;

/// A connection of a client that sends what it likes.
async fn connect(server: &Server) -> SendRequest<StreamBody<Frames>> {
    let stream = TcpStream::connect(server.tcp).await.unwrap();
    let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    sender
}

/// Sends the beginning of a message and waits for the answer; the status that it has.
fn ask(sender: &SendRequest<StreamBody<Frames>>, sent: usize) -> JoinHandle<Code> {
    let mut sender = sender.clone();
    let mut head = vec![0];
    head.extend((MAX_MESSAGE_BYTES as u32).to_be_bytes());
    let pieces = (0..sent).step_by(64 << 10).map(move |at| vec![0; (64 << 10).min(sent - at)]);
    let pieces = (sent > 0).then_some(head).into_iter().chain(pieces);
    let frames = tokio_stream::iter(pieces.map(|piece| Ok(Frame::data(Bytes::from(piece)))));
    let frames: Frames = Box::pin(frames.chain(tokio_stream::pending()));
    let request = http::Request::post("http://localhost/observer.Observer/GetFlows")
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(StreamBody::new(frames))
        .unwrap();
    tokio::spawn(async move {
        let answer = sender.send_request(request).await.unwrap();
        let of = |headers: &http::HeaderMap| Some(headers.get("grpc-status")?.to_str().ok()?.parse::<i32>().unwrap());
        let first = of(answer.headers());
        let trailers = answer.into_body().collect().await.ok().and_then(|body| body.trailers().and_then(of));
        Code::from(first.or(trailers).expect("a status"))
    })
}

#[tokio::test]
async fn incomplete_messages_are_bounded() {
    let limits = Limits { request_timeout: Duration::from_secs(3), ..Limits::default() };
    let server = Server::start(1, limits).await;
    let senders = [connect(&server).await, connect(&server).await];
    let asked: Vec<_> = (0..60).map(|number| ask(&senders[number % 2], MAX_MESSAGE_BYTES - 1)).collect();
    let mut others = server.client().await;
    let mut codes = Vec::new();
    for one in asked {
        assert_eq!(status(&mut others).await.num_flows, 1, "a small request is served");
        codes.push(timeout(TIMEOUT, one).await.expect("it is ended").unwrap());
    }
    let of = |code| codes.iter().filter(|found| **found == code).count();
    let (large, late) = (of(Code::ResourceExhausted), of(Code::DeadlineExceeded));
    assert!(large > 0 && late > 0 && large + late == codes.len(), "{codes:?}");
    assert_eq!(server.number("refused", "too_many_request_bytes"), large as u64);
    assert_eq!(server.number("refused", "request_timeout"), late as u64);
    server.until("streams", "", 0).await;
    // What they had is given back.
    let filter = FlowFilter { http_method: vec!["x".repeat(MAX_MESSAGE_BYTES - 100)], ..FlowFilter::default() };
    let request = GetFlowsRequest { whitelist: vec![filter], ..GetFlowsRequest::default() };
    for _ in 0..10 {
        assert!(others.get_flows(request.clone()).await.unwrap().into_inner().message().await.unwrap().is_none());
    }
}

#[tokio::test]
async fn requests_without_body_hold_no_slot() {
    let limits = Limits { streams: 8, request_timeout: Duration::from_secs(2), ..Limits::default() };
    let server = Server::start(1, limits).await;
    let sender = connect(&server).await;
    let asked: Vec<_> = (0..8).map(|_| ask(&sender, 0)).collect();
    server.until("requests", "", 8).await;
    assert_eq!(status(&mut server.unix_client().await).await.num_flows, 1, "this machine has places of its own");
    let mut others = server.client().await;
    if let Err(refused) = others.server_status(ServerStatusRequest::default()).await {
        assert_eq!(refused.code(), Code::ResourceExhausted);
    }
    for one in asked {
        assert_eq!(timeout(TIMEOUT, one).await.expect("it is ended").unwrap(), Code::DeadlineExceeded);
    }
    server.until("streams", "", 0).await;
    assert_eq!(status(&mut others).await.num_flows, 1);
}

#[tokio::test]
async fn request_ends_at_client_deadline() {
    let server = Server::start(1, Limits::default()).await;
    let mut request = Request::new(GetFlowsRequest { follow: true, ..GetFlowsRequest::default() });
    request.metadata_mut().insert("grpc-timeout", "1S".parse().unwrap());
    let mut answer = server.client().await.get_flows(request).await.unwrap().into_inner();
    let end = async {
        loop {
            match answer.message().await {
                Ok(message) => assert!(message.is_some(), "it ends with a status"),
                Err(end) => return end,
            }
        }
    };
    assert_eq!(timeout(TIMEOUT, end).await.expect("it is ended").code(), Code::DeadlineExceeded);
    server.until("streams", "", 0).await;
}
