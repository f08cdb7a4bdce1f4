//! One unary gRPC call with bytes for a message, by gRPC's "gRPC over HTTP2".

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{BufMut as _, Bytes, BytesMut};
use http::{HeaderMap, StatusCode};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt as _, Limited};

use super::{Client, MAX_RESPONSE};
use crate::export::otlp::config::Compression;
use crate::export::otlp::retry::{Outcome, accepted, grpc_code_of_http, grpc_outcome};

/// Compression flag and length before a message.
const FRAME_HEADER: usize = 5;

pub(super) async fn send(client: &Client, message: Bytes) -> Outcome {
    let Ok(length) = u32::try_from(message.len()) else {
        return Outcome::Refused { message: "the request is longer than gRPC allows".into() };
    };
    let mut frame = BytesMut::with_capacity(FRAME_HEADER);
    frame.put_u8(u8::from(client.compression == Compression::Gzip));
    frame.put_u32(length);
    let body = Chunks(VecDeque::from([frame.freeze(), message]));
    let response = match client.inner.request(client.request(body.boxed())).await {
        Ok(response) => response,
        Err(error) => return client.target.unreachable(&error),
    };
    client.target.answered();
    let (parts, body) = response.into_parts();
    // An answer of a status alone has it in the headers.
    if let Some(status) = Status::of(&parts.headers) {
        return client.target.grpc_status(status.code, status.outcome(&[]));
    }
    if parts.status != StatusCode::OK {
        let message = format!("HTTP status {}", parts.status.as_u16());
        let outcome = grpc_outcome(grpc_code_of_http(parts.status.as_u16()), &message, &[]);
        return client.target.no_grpc_status(outcome);
    }
    let collected = match Limited::new(body, MAX_RESPONSE).collect().await {
        Ok(collected) => collected,
        Err(error) => return client.target.unreachable(&*error),
    };
    match collected.trailers().and_then(Status::of) {
        Some(status) => client.target.grpc_status(status.code, status.outcome(&collected.to_bytes())),
        None => client.target.no_grpc_status(grpc_outcome(2, "the answer has no grpc-status", &[])),
    }
}

/// `grpc-status` and what comes with it.
struct Status {
    code: u32,
    message: String,
    metadata: Vec<u8>,
}

impl Status {
    fn of(headers: &HeaderMap) -> Option<Self> {
        let code = headers.get("grpc-status")?.to_str().ok().and_then(|code| code.parse().ok()).unwrap_or(2);
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let metadata = base64_decoded(text("grpc-status-details-bin")).unwrap_or_default();
        Some(Self { code, message: percent_decoded(text("grpc-message")), metadata })
    }

    fn outcome(&self, body: &[u8]) -> Outcome {
        if self.code != 0 {
            return grpc_outcome(self.code, &self.message, &self.metadata);
        }
        match body.split_at_checked(FRAME_HEADER) {
            // We accept no compression, so a set flag is not ours to read.
            Some(([0, ..], message)) => accepted(message),
            _ => Outcome::Accepted,
        }
    }
}

/// Decodes what it can: a bad sequence stays as it is, as gRPC asks.
fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let digits = tail.get(..2).filter(|digits| digits.iter().all(u8::is_ascii_hexdigit));
        let digits = digits.and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) if first == b'%' => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            _ => {
                bytes.push(first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Base64 of RFC 4648 with or without padding; none for anything else.
fn base64_decoded(text: &str) -> Option<Vec<u8>> {
    let text = text.trim_end_matches('=');
    let mut bytes = Vec::with_capacity(text.len() * 3 / 4);
    let (mut bits, mut count) = (0_u32, 0);
    for character in text.bytes() {
        let value = match character {
            b'A'..=b'Z' => character - b'A',
            b'a'..=b'z' => character - b'a' + 26,
            b'0'..=b'9' => character - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
        }
    }
    // A single left-over character can't be a byte.
    (count != 6).then_some(bytes)
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

    use super::{Status, base64_decoded, percent_decoded};
    use crate::export::otlp::retry::Outcome;

    #[test]
    fn base64_with_and_without_padding() {
        let cases: [(&str, Option<&[u8]>); 10] = [
            ("", Some(b"")),
            ("Zg", Some(b"f")),
            ("Zg==", Some(b"f")),
            ("Zm8", Some(b"fo")),
            ("Zm9v", Some(b"foo")),
            ("Zm9vYg==", Some(b"foob")),
            ("+/8", Some(&[0xfb, 0xff])),
            ("Z", None),
            ("Zm9v!", None),
            ("Zm9vY", None),
        ];
        for (text, expected) in cases {
            assert_eq!(base64_decoded(text).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn percent_sequences() {
        for (text, expected) in
            [("a%20b", "a b"), ("%", "%"), ("%4", "%4"), ("%zz%41", "%zzA"), ("%+1", "%+1"), ("%c3%a9", "é")]
        {
            assert_eq!(percent_decoded(text), expected);
        }
    }

    #[test]
    fn odd_statuses_refuse_and_never_panic() {
        let outcome = |pairs: &[(&'static str, &'static str)], body: &[u8]| {
            let headers: HeaderMap =
                pairs.iter().map(|&(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
            Status::of(&headers).map(|status| status.outcome(body))
        };
        assert_eq!(outcome(&[], &[]), None);
        for body in [&[][..], &[0], &[0; 5], &[1, 0, 0, 0, 1, 9], &[0, 0, 0, 0, 1, 9]] {
            assert_eq!(outcome(&[("grpc-status", "0")], body), Some(Outcome::Accepted), "{body:?}");
        }
        for status in ["", "x", "-1", "99999999999", "99", "2"] {
            let metadata = ("grpc-status-details-bin", "!!!");
            let refused = outcome(&[("grpc-status", status), metadata], &[]);
            assert!(matches!(refused, Some(Outcome::Refused { .. })), "{status}");
        }
    }
}
