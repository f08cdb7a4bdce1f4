//! The end of a request: its own deadline (`grpc-timeout`), or a shutdown.

use std::pin::Pin;
use std::time::Duration;

use http::HeaderMap;
use tokio::time::{Instant, sleep_until};
use tonic::Status;

use crate::support::shutdown;
use crate::support::shutdown::Stop;

/// The header with a request's timeout (gRPC over HTTP/2, "Timeout").
const TIMEOUT: &str = "grpc-timeout";
/// Digits of the timeout at most.
const MAX_DIGITS: usize = 8;
/// Streams have half of a shutdown's time to end by themselves; the other half is for sending the status to clients.
const STREAM_SHARE: u32 = 2;

/// Returns the status of a request whose time is over.
pub(super) type RequestDeadline = Pin<Box<dyn Future<Output = Status> + Send>>;

/// The status of requests that a shutdown ends.
pub fn shutting_down() -> Status {
    Status::unavailable("the server is shutting down")
}

/// Returns the deadline of a request with these headers.
pub(super) fn of_request(headers: &HeaderMap, stop: Stop) -> RequestDeadline {
    // A timeout that overflows the clock is no timeout.
    let own = timeout(headers).and_then(|timeout| Instant::now().checked_add(timeout));
    Box::pin(async move {
        tokio::select! {
            () = shutdown_share_used(stop) => shutting_down(),
            () = sleep_until(own.unwrap_or_else(Instant::now)), if own.is_some() => {
                Status::deadline_exceeded("the request's timeout has passed")
            }
        }
    })
}

/// Returns when a shutdown has used the share of its time in which streams end by themselves.
async fn shutdown_share_used(mut stop: Stop) {
    let deadline = shutdown::requested(&mut stop).await;
    let left = deadline.saturating_duration_since(Instant::now());
    sleep_until(deadline - left / STREAM_SHARE).await;
}

/// The timeout of a request; `None` if the header is missing or invalid.
fn timeout(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(TIMEOUT)?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > MAX_DIGITS || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let number = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(number * 60 * 60)),
        "M" => Some(Duration::from_secs(number * 60)),
        "S" => Some(Duration::from_secs(number)),
        "m" => Some(Duration::from_millis(number)),
        "u" => Some(Duration::from_micros(number)),
        "n" => Some(Duration::from_nanos(number)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::{HeaderMap, HeaderValue};

    use super::{TIMEOUT, timeout};

    #[test]
    fn timeout_header_is_parsed() {
        for (text, expected) in [
            ("1H", Some(Duration::from_secs(3600))),
            ("2M", Some(Duration::from_secs(120))),
            ("10S", Some(Duration::from_secs(10))),
            ("0m", Some(Duration::ZERO)),
            ("7u", Some(Duration::from_micros(7))),
            ("99999999n", Some(Duration::from_nanos(99_999_999))),
            ("99999999H", Some(Duration::from_secs(99_999_999 * 3600))),
            ("100000000n", None),
            ("S", None),
            ("", None),
            ("+1S", None),
            ("1s", None),
            ("1", None),
            ("1é", None),
        ] {
            let headers = HeaderMap::from_iter([(TIMEOUT.parse().unwrap(), HeaderValue::from_str(text).unwrap())]);
            assert_eq!(timeout(&headers), expected, "{text:?}");
        }
        assert_eq!(timeout(&HeaderMap::new()), None);
    }
}
