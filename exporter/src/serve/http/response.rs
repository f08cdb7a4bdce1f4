//! Answers: texts and documents that no cache keeps.

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Response, StatusCode};
use http_body_util::Full;

/// The answer to a request.
pub type Answer = Response<Full<Bytes>>;

/// Returns an answer in plain text.
pub fn text(code: StatusCode, body: impl Into<Bytes>) -> Answer {
    response(code, "text/plain; charset=utf-8", body.into())
}

/// Returns an answer with a content type.
pub fn response(code: StatusCode, content_type: &'static str, body: Bytes) -> Answer {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = code;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Returns the answer to a method other than GET and HEAD.
pub fn method_not_allowed() -> Answer {
    let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "invalid method: expected GET or HEAD\n");
    response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
    response
}
