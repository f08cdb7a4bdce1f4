//! A client that costs little: counts messages by their frames, and decodes none.

use std::path::Path;
use std::time::Instant;

use bytes::{Buf as _, Bytes};
use eyepiece::proto::observer::GetFlowsRequest;
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message as _;
use tokio::net::UnixStream;

/// Bytes of a frame's head: compressed or not, and the length, big-endian (gRPC over HTTP/2).
const HEAD: usize = 5;
/// Windows of a client that always reads.
const WINDOW: u32 = 4 << 20;

/// Asks once, and counts until the end of the answer.
pub(crate) fn flows_per_second(path: &Path, request: &GetFlowsRequest) -> f64 {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let stream = UnixStream::connect(path).await.expect("a server");
        let (mut sender, connection) = hyper::client::conn::http2::Builder::new(TokioExecutor::new())
            .initial_stream_window_size(WINDOW)
            .initial_connection_window_size(WINDOW)
            .handshake::<_, Full<Bytes>>(TokioIo::new(stream))
            .await
            .expect("HTTP/2");
        let connection = tokio::spawn(connection);
        let message = request.encode_to_vec();
        let mut body = vec![0];
        body.extend((message.len() as u32).to_be_bytes());
        body.extend(message);
        let request = http::Request::post("http://localhost/observer.Observer/GetFlows")
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(Full::new(Bytes::from(body)))
            .expect("a request");
        let start = Instant::now();
        let mut body = sender.send_request(request).await.expect("an answer").into_body();
        let mut frames = Frames::default();
        while let Some(frame) = body.frame().await {
            match frame.expect("the answer goes on").into_data() {
                Ok(data) => frames.count(data),
                Err(frame) => {
                    let trailers = frame.into_trailers().unwrap_or_default();
                    assert_eq!(trailers.get("grpc-status").map(http::HeaderValue::as_bytes), Some(&b"0"[..]));
                }
            }
        }
        let elapsed = start.elapsed();
        drop(sender);
        connection.abort();
        frames.messages as f64 / elapsed.as_secs_f64()
    })
}

/// Frames of messages, wherever they are cut.
#[derive(Default)]
struct Frames {
    messages: u64,
    head: Vec<u8>,
    left: usize,
}

impl Frames {
    fn count(&mut self, mut data: Bytes) {
        while data.has_remaining() {
            if self.left > 0 {
                let skipped = self.left.min(data.remaining());
                data.advance(skipped);
                self.left -= skipped;
                continue;
            }
            let wanted = (HEAD - self.head.len()).min(data.remaining());
            self.head.extend_from_slice(&data.split_to(wanted));
            if let [_, length @ ..] = &self.head[..]
                && let Ok(length) = <[u8; 4]>::try_from(length)
            {
                self.left = u32::from_be_bytes(length) as usize;
                self.messages += 1;
                self.head.clear();
            }
        }
    }
}
