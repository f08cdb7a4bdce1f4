//! One unary gRPC call with encoded messages (gRPC over HTTP2).

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use bytes::{BufMut as _, Bytes, BytesMut};
use http::{HeaderMap, StatusCode};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt as _, Limited};
use tonic::{Code, Status};

use super::connection::{Connection, MAX_RESPONSE};
use crate::export::otlp::retry::{Outcome, accepted, grpc_code_of_http, grpc_outcome};

/// Compression flag and length before a message.
const FRAME_HEADER: usize = 5;

/// Sends a message, which is gzip-compressed if `is_compressed`.
pub(super) async fn send(connection: &Connection, message: Bytes, is_compressed: bool) -> Outcome {
    let Ok(length) = u32::try_from(message.len()) else {
        let message = "the request is longer than gRPC allows".into();
        return Outcome::Refused { message, error_type: "too_large".into() };
    };
    let mut frame = BytesMut::with_capacity(FRAME_HEADER);
    frame.put_u8(u8::from(is_compressed));
    frame.put_u32(length);
    let body = Chunks(VecDeque::from([frame.freeze(), message]));
    let response = match connection.request(body.boxed()).await {
        Ok(response) => response,
        Err(outcome) => return outcome,
    };
    let (target, (parts, body)) = (&connection.target, response.into_parts());
    // A response without messages may have its status in the headers.
    if let Some((code, status)) = status(&parts.headers) {
        return target.grpc_status(code, outcome(code, &status, &[]));
    }
    if parts.status != StatusCode::OK {
        let message = format!("HTTP status {}", parts.status.as_u16());
        let outcome = grpc_outcome(grpc_code_of_http(parts.status.as_u16()), &message, &[]);
        return target.no_grpc_status(outcome);
    }
    let collected = match Limited::new(body, MAX_RESPONSE).collect().await {
        Ok(collected) => collected,
        Err(error) => return target.unreachable(&*error).await,
    };
    match collected.trailers().and_then(status) {
        Some((code, status)) => target.grpc_status(code, outcome(code, &status, &collected.to_bytes())),
        None => target.no_grpc_status(grpc_outcome(Code::Unknown, "the answer has no grpc-status", &[])),
    }
}

const DETAILS: &str = "grpc-status-details-bin";
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Reads `grpc-status`, its message and details. tonic panics on details that are not base64: those are omitted. It
/// replaces the code if the message is not UTF-8: the code is read separately.
fn status(headers: &HeaderMap) -> Option<(Code, Status)> {
    let code = Code::from_bytes(headers.get("grpc-status")?.as_bytes());
    if headers.get(DETAILS).is_some_and(|details| BASE64.decode(details).is_err()) {
        let mut headers = headers.clone();
        headers.remove(DETAILS);
        return Some((code, Status::from_header_map(&headers)?));
    }
    Some((code, Status::from_header_map(headers)?))
}

fn outcome(code: Code, status: &Status, body: &[u8]) -> Outcome {
    if code != Code::Ok {
        return grpc_outcome(code, status.message(), status.details());
    }
    match body.split_at_checked(FRAME_HEADER) {
        // We accept no compression, so a message with that flag cannot be read.
        Some(([0, ..], message)) => accepted(message),
        _ => Outcome::Accepted,
    }
}

/// A body of chunks that are sent as they are.
struct Chunks(VecDeque<Bytes>);

impl Body for Chunks {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.pop_front().map(|chunk| Ok(Frame::data(chunk))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.iter().map(|chunk| chunk.len() as u64).sum())
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::{DETAILS, outcome, status};
    use crate::export::otlp::retry::Outcome;

    fn of_headers(pairs: &[(&'static str, &'static str)], body: &[u8]) -> Option<Outcome> {
        let headers: HeaderMap =
            pairs.iter().map(|&(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
        status(&headers).map(|(code, status)| outcome(code, &status, body))
    }

    #[test]
    fn odd_statuses_refuse_without_panic() {
        assert_eq!(of_headers(&[], &[]), None);
        for body in [&[][..], &[0], &[0; 5], &[1, 0, 0, 0, 1, 9], &[0, 0, 0, 0, 1, 9]] {
            assert_eq!(of_headers(&[("grpc-status", "0")], body), Some(Outcome::Accepted), "{body:?}");
        }
        for status in ["", "x", "-1", "99999999999", "99", "2"] {
            for details in ["!!!", "Z", "Zm9vY", "Zg", "Zg=="] {
                let refused = of_headers(&[("grpc-status", status), (DETAILS, details)], &[]);
                assert!(matches!(refused, Some(Outcome::Refused { .. })), "{status} {details}");
            }
        }
    }

    #[test]
    fn invalid_message_keeps_code() {
        let of_code = |code| of_headers(&[("grpc-status", code), ("grpc-message", "%ff")], &[]);
        assert_eq!(of_code("0"), Some(Outcome::Accepted));
        assert!(matches!(of_code("14"), Some(Outcome::Retry { .. })));
    }

    #[test]
    fn message_is_percent_decoded() {
        let message = "gRPC INVALID_ARGUMENT: a b% %zzA é".to_owned();
        let error_type = "INVALID_ARGUMENT".into();
        let headers = [("grpc-status", "3"), ("grpc-message", "a%20b% %zz%41 %c3%a9")];
        assert_eq!(of_headers(&headers, &[]), Some(Outcome::Refused { message, error_type }));
    }
}
