//! Counts messages by their frames, and decodes none.

use std::path::Path;
use std::time::Instant;

use bytes::{Buf as _, Bytes};
use eyepiece_hubble::proto::observer::GetFlowsRequest;
use http_body_util::BodyExt as _;

use crate::served::{Client, WINDOW};

/// Bytes of a frame's head: compressed or not, and the length, big-endian (gRPC over HTTP/2).
const HEAD: usize = 5;

/// Asks once, and counts until the end of the answer.
pub(crate) fn flows_per_second(path: &Path, request: &GetFlowsRequest) -> f64 {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let mut client = Client::connect(path, WINDOW).await;
        let start = Instant::now();
        let mut body = client.flows(request).await;
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
        frames.messages as f64 / start.elapsed().as_secs_f64()
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
