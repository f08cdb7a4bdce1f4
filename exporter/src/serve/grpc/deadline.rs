//! When a request's time is over: its own (`grpc-timeout`), or that of a shutdown.

use std::pin::Pin;
use std::time::Duration;

use http::HeaderMap;
use tokio::time::{Instant, sleep_until};
use tonic::Status;

use crate::support::shutdown;
use crate::support::shutdown::Stop;

/// The header with a request's time (gRPC over HTTP/2, "Timeout").
const TIMEOUT: &str = "grpc-timeout";
/// Digits of it at most.
const DIGITS: usize = 8;
/// The part of a shutdown's time that streams have to end by themselves; in the rest the clients hear that they ended.
const OWN_SHARE: u32 = 2;

/// Says how a request that is late ends, once it is.
pub(super) type Late = Pin<Box<dyn Future<Output = Status> + Send>>;

/// Of a request with such headers.
pub(super) fn late(headers: &HeaderMap, stop: Stop) -> Late {
    // A time that the clock does not reach is none.
    let own = timeout(headers).and_then(|timeout| Instant::now().checked_add(timeout));
    Box::pin(async move {
        tokio::select! {
            () = leaving(stop) => Status::unavailable("the server is shutting down"),
            () = sleep_until(own.unwrap_or_else(Instant::now)), if own.is_some() => {
                Status::deadline_exceeded("the request's time is over")
            }
        }
    })
}

/// Returns when streams that have not ended by themselves are to be ended.
async fn leaving(mut stop: Stop) {
    let deadline = shutdown::requested(&mut stop).await;
    let left = deadline.saturating_duration_since(Instant::now());
    sleep_until(deadline - left / OWN_SHARE).await;
}

/// What a client gives us; what is no time is none.
fn timeout(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(TIMEOUT)?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > DIGITS || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
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
    fn times_of_requests() {
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
