//! One POST of OTLP's http/protobuf.

use std::time::SystemTime;

use bytes::Bytes;
use http::header;
use http_body_util::{BodyExt as _, Full, Limited};

use super::connection::{Connection, MAX_RESPONSE};
use crate::export::otlp::retry::{Outcome, http_outcome};

pub(super) async fn send(connection: &Connection, body: Bytes) -> Outcome {
    let response = match connection.request(Full::new(body).boxed()).await {
        Ok(response) => response,
        Err(outcome) => return outcome,
    };
    let (parts, body) = response.into_parts();
    // The body only adds details: a status without its body still counts.
    let body = match Limited::new(body, MAX_RESPONSE).collect().await {
        Ok(body) => body.to_bytes(),
        Err(_) => Bytes::new(),
    };
    let retry_after = parts.headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok());
    let status = parts.status.as_u16();
    connection.target.http_status(status, http_outcome(status, retry_after, &body, SystemTime::now()))
}
