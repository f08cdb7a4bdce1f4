//! One POST of OTLP's http/protobuf.

use std::time::SystemTime;

use bytes::Bytes;
use http::header;
use http_body_util::{BodyExt as _, Full, Limited};

use super::{Client, MAX_RESPONSE};
use crate::export::otlp::retry::{Outcome, http_outcome};

pub(super) async fn send(client: &Client, body: Bytes) -> Outcome {
    let response = match client.inner.request(client.request(Full::new(body).boxed())).await {
        Ok(response) => response,
        Err(error) => return client.target.unreachable(&error),
    };
    client.target.answered();
    let (parts, body) = response.into_parts();
    // What the body says is a detail: a status without its body still counts.
    let body = match Limited::new(body, MAX_RESPONSE).collect().await {
        Ok(body) => body.to_bytes(),
        Err(_) => Bytes::new(),
    };
    let retry_after = parts.headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok());
    let status = parts.status.as_u16();
    client.target.http_status(status, http_outcome(status, retry_after, &body, SystemTime::now()))
}
