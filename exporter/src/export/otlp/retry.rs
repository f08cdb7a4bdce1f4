//! What a receiver's answer means, and how long to wait before the next attempt: the rules of the OTLP specification.

use std::time::{Duration, SystemTime};

use prost::Message as _;

/// How an attempt to send one request ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All of it was taken.
    Accepted,
    /// Taken, but for `rejected` records or data points; never sent again. With 0 it is a warning.
    Partial {
        /// How many were not taken.
        rejected: u64,
        /// Why, in the receiver's words.
        message: String,
    },
    /// Not taken this time: send it again, not before `delay` where the receiver named one.
    Retry {
        /// The receiver's wish.
        delay: Option<Duration>,
        /// Why.
        message: String,
    },
    /// Refused for good.
    Refused {
        /// Why.
        message: String,
    },
}

impl Outcome {
    /// A connection that could not be made, or broke: retryable.
    pub(crate) fn unreachable(message: impl Into<String>) -> Self {
        Self::Retry { delay: None, message: message.into() }
    }

    /// The same, with another message for a request that was not taken.
    pub(crate) fn with_message(self, change: impl FnOnce(String) -> String) -> Self {
        match self {
            Self::Retry { delay, message } => Self::Retry { delay, message: change(message) },
            Self::Refused { message } => Self::Refused { message: change(message) },
            taken => taken,
        }
    }
}

/// A receiver may ask for any pause; past this one we ask again, so that a wrong clock does not end the export.
pub const MAX_SERVER_DELAY: Duration = Duration::from_secs(300);

/// Longest message of a receiver that is kept for the log, in bytes.
const MAX_MESSAGE: usize = 256;

// The parts of opentelemetry/proto/collector/*/v1 and google/rpc that decide; both signals' responses are alike.

#[derive(Clone, PartialEq, prost::Message)]
struct ExportResponse {
    #[prost(message, optional, tag = "1")]
    partial_success: Option<PartialSuccess>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct PartialSuccess {
    #[prost(int64, tag = "1")]
    rejected: i64,
    #[prost(string, tag = "2")]
    message: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct RpcStatus {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
    #[prost(message, repeated, tag = "3")]
    metadata: Vec<Any>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Any {
    #[prost(string, tag = "1")]
    type_url: String,
    #[prost(bytes = "vec", tag = "2")]
    value: Vec<u8>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct RetryInfo {
    #[prost(message, optional, tag = "1")]
    delay: Option<Seconds>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Seconds {
    #[prost(int64, tag = "1")]
    seconds: i64,
    #[prost(int32, tag = "2")]
    nanos: i32,
}

/// The outcome of a request that was taken, by its `Export…ServiceResponse`.
///
/// A response that can't be decoded is taken for an empty one: the status said success, and sending again would
/// double the records.
pub fn accepted(response: &[u8]) -> Outcome {
    let partial = ExportResponse::decode(response).ok().and_then(|response| response.partial_success);
    match partial {
        Some(PartialSuccess { rejected, message }) if rejected > 0 || !message.is_empty() => {
            Outcome::Partial { rejected: u64::try_from(rejected).unwrap_or(0), message: shortened(message) }
        }
        _ => Outcome::Accepted,
    }
}

/// The outcome of an HTTP response; `now` makes a `Retry-After` date into a delay.
pub fn http_outcome(status: u16, retry_after: Option<&str>, body: &[u8], now: SystemTime) -> Outcome {
    if (200..300).contains(&status) {
        return accepted(body);
    }
    // OTLP wants a Status; proxies and wrong servers send a line of text.
    let words = match RpcStatus::decode(body) {
        Ok(status) => status.message,
        Err(_) => std::str::from_utf8(body).ok().and_then(|text| text.lines().next()).unwrap_or_default().to_owned(),
    };
    let message = shortened(format!("HTTP status {status}: {words}").trim_end_matches(": ").to_owned());
    match status {
        429 | 502 | 503 | 504 => {
            let delay = retry_after.and_then(|value| parse_retry_after(value, now));
            Outcome::Retry { delay, message }
        }
        _ => Outcome::Refused { message },
    }
}

/// `Retry-After` of RFC 9110: seconds, or a date.
fn parse_retry_after(value: &str, now: SystemTime) -> Option<Duration> {
    let value = value.trim();
    let delay = match value.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        // A date in the past means now.
        Err(_) => httpdate::parse_http_date(value).ok()?.duration_since(now).unwrap_or_default(),
    };
    Some(delay.min(MAX_SERVER_DELAY))
}

/// The outcome of a gRPC status other than OK; `details` is the decoded `grpc-status-details-bin`.
pub fn grpc_outcome(code: u32, message: &str, metadata: &[u8]) -> Outcome {
    let name = usize::try_from(code).ok().and_then(|code| GRPC_CODES.get(code)).copied().unwrap_or("an unknown code");
    let message = shortened(format!("gRPC {name}: {message}").trim_end_matches(": ").to_owned());
    let info = retry_info(metadata);
    match (name, info) {
        ("CANCELLED" | "DEADLINE_EXCEEDED" | "ABORTED" | "OUT_OF_RANGE" | "UNAVAILABLE" | "DATA_LOSS", info) => {
            Outcome::Retry { delay: info, message }
        }
        // Without RetryInfo the receiver says that it will not recover.
        ("RESOURCE_EXHAUSTED", Some(delay)) => Outcome::Retry { delay: Some(delay), message },
        _ => Outcome::Refused { message },
    }
}

/// The delay of the `google.rpc.RetryInfo` in a `google.rpc.Status`.
fn retry_info(metadata: &[u8]) -> Option<Duration> {
    let status = RpcStatus::decode(metadata).ok()?;
    let info = status.metadata.iter().find(|any| any.type_url.ends_with("/google.rpc.RetryInfo"))?;
    let delay = RetryInfo::decode(info.value.as_slice()).ok()?.delay.unwrap_or_default();
    let seconds = Duration::from_secs(u64::try_from(delay.seconds).unwrap_or(0));
    let nanos = Duration::from_nanos(u64::try_from(delay.nanos).unwrap_or(0));
    Some(seconds.saturating_add(nanos).min(MAX_SERVER_DELAY))
}

/// Names of the gRPC status codes, by number.
const GRPC_CODES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// The gRPC code of an HTTP status without a gRPC status, by gRPC's http-grpc-status-mapping.
pub(crate) const fn grpc_code_of_http(status: u16) -> u32 {
    match status {
        400 => 13,
        401 => 16,
        403 => 7,
        404 => 12,
        429 | 502 | 503 | 504 => 14,
        _ => 2,
    }
}

/// Cuts at a character, and leaves no control characters for a terminal to obey.
fn shortened(mut message: String) -> String {
    let end = message.floor_char_boundary(MAX_MESSAGE);
    message.truncate(end);
    message.replace(char::is_control, " ")
}

/// Pauses between attempts: doubling from `initial` to `max`, each half to one and a half of it by chance, so that
/// many exporters do not come back at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// First pause.
    pub initial: Duration,
    /// Longest pause that we choose ourselves.
    pub max: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { initial: Duration::from_secs(1), max: Duration::from_secs(30) }
    }
}

impl Backoff {
    /// Pause after `attempts` failures in a row (at least 1), at least `server_delay` where the receiver named one.
    pub fn pause(&self, attempts: u32, server_delay: Option<Duration>) -> Duration {
        // 16 doublings of any useful first pause are past any useful maximum.
        let doublings = attempts.saturating_sub(1).min(16);
        let base = self.initial.saturating_mul(1 << doublings).min(self.max);
        let chance = fastrand::f64();
        match server_delay {
            Some(delay) if !delay.is_zero() => delay + base.mul_f64(chance * 0.1),
            _ => base.mul_f64(0.5 + chance),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use prost::Message as _;

    use super::{
        Any, Backoff, ExportResponse, MAX_SERVER_DELAY, Outcome, PartialSuccess, RetryInfo, RpcStatus, Seconds,
        accepted, grpc_outcome, http_outcome,
    };

    fn delay(outcome: &Outcome) -> Option<Option<u64>> {
        match outcome {
            Outcome::Retry { delay, .. } => Some(delay.map(|delay| delay.as_secs())),
            _ => None,
        }
    }

    #[test]
    fn http_statuses() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777 - 60);
        for status in 100..600 {
            let outcome = http_outcome(status, None, b"", now);
            match status {
                200..300 => assert_eq!(outcome, Outcome::Accepted, "{status}"),
                429 | 502 | 503 | 504 => assert_eq!(delay(&outcome), Some(None), "{status}"),
                _ => assert!(matches!(outcome, Outcome::Refused { .. }), "{status}"),
            }
        }
        let cases = [
            ("17", Some(17)),
            (" 0 ", Some(0)),
            ("99999999", Some(MAX_SERVER_DELAY.as_secs())),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(60)),
            ("Sunday, 06-Nov-94 08:49:37 GMT", Some(60)),
            ("Sun, 06 Nov 1994 08:00:00 GMT", Some(0)),
            ("Sat, 06 Nov 2094 08:00:00 GMT", Some(MAX_SERVER_DELAY.as_secs())),
            ("soon", None),
            ("-1", None),
        ];
        for (value, expected) in cases {
            assert_eq!(delay(&http_outcome(503, Some(value), b"", now)), Some(expected), "{value}");
        }
        let status = RpcStatus { code: 3, message: "too\nbig".into(), metadata: Vec::new() }.encode_to_vec();
        let refused = Outcome::Refused { message: "HTTP status 400: too big".into() };
        assert_eq!(http_outcome(400, None, &status, now), refused);
    }

    fn metadata(info: Option<RetryInfo>) -> Vec<u8> {
        let other = Any { type_url: "type.googleapis.com/google.rpc.DebugInfo".into(), value: vec![1, 2, 3] };
        let info = info.map(|info| Any {
            type_url: "type.googleapis.com/google.rpc.RetryInfo".into(),
            value: info.encode_to_vec(),
        });
        let metadata = std::iter::once(other).chain(info).collect();
        RpcStatus { code: 8, message: String::new(), metadata }.encode_to_vec()
    }

    #[test]
    fn grpc_codes() {
        for code in 1..20 {
            let retryable = matches!(code, 1 | 4 | 10 | 11 | 14 | 15);
            for metadata in [Vec::new(), metadata(None), vec![0xff; 7]] {
                let expected = retryable.then_some(None);
                assert_eq!(delay(&grpc_outcome(code, "m", &metadata)), expected, "{code}");
            }
            let info = metadata(Some(RetryInfo { delay: Some(Seconds { seconds: 7, nanos: 0 }) }));
            let expected = (retryable || code == 8).then_some(Some(7));
            assert_eq!(delay(&grpc_outcome(code, "m", &info)), expected, "{code} with RetryInfo");
        }
        let cases = [(None, 0), (Some((-5, -5)), 0), (Some((i64::MAX, i32::MAX)), MAX_SERVER_DELAY.as_secs())];
        for (given, expected) in cases {
            let delay_given = given.map(|(seconds, nanos)| Seconds { seconds, nanos });
            let outcome = grpc_outcome(8, "", &metadata(Some(RetryInfo { delay: delay_given })));
            assert_eq!(delay(&outcome), Some(Some(expected)), "{given:?}");
        }
        let message = "gRPC INVALID_ARGUMENT: no".to_owned();
        assert_eq!(grpc_outcome(3, "no", b""), Outcome::Refused { message });
    }

    #[test]
    fn partial_success() {
        let response = |rejected, message: &str| {
            let partial = PartialSuccess { rejected, message: message.into() };
            accepted(&ExportResponse { partial_success: Some(partial) }.encode_to_vec())
        };
        let partial = |rejected, message: &str| Outcome::Partial { rejected, message: message.into() };
        assert_eq!(response(0, ""), Outcome::Accepted);
        assert_eq!(response(3, ""), partial(3, ""));
        assert_eq!(response(0, "hm"), partial(0, "hm"));
        assert_eq!(response(-1, "hm"), partial(0, "hm"));
        assert_eq!(response(1, &"é".repeat(500)), partial(1, &"é".repeat(128)));
        assert_eq!(accepted(b""), Outcome::Accepted);
        assert_eq!(accepted(&[0xff, 0xff]), Outcome::Accepted);
    }

    #[test]
    fn pauses_double_up_to_the_maximum() {
        let backoff = Backoff { initial: Duration::from_secs(1), max: Duration::from_secs(30) };
        for (attempts, base) in [(0, 1), (1, 1), (2, 2), (3, 4), (5, 16), (6, 30), (u32::MAX, 30)] {
            for _ in 0..50 {
                let pause = backoff.pause(attempts, None).as_secs_f64();
                let base = f64::from(base);
                assert!((base * 0.5..=base * 1.5).contains(&pause), "{attempts}: {pause}");
                let asked = backoff.pause(attempts, Some(Duration::from_secs(100))).as_secs_f64();
                assert!((100.0..=103.0).contains(&asked), "{attempts}: {asked}");
                assert!(backoff.pause(attempts, Some(Duration::ZERO)).as_secs_f64() >= base * 0.5);
            }
        }
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig { failure_persistence: None, ..Default::default() })]

        /// Whatever a receiver says has a meaning, a bounded pause and a bounded message without control characters.
        #[test]
        fn any_answer(status: u16, retry_after: String, body: Vec<u8>, code: u32, message: String) {
            for outcome in [
                http_outcome(status, Some(&retry_after), &body, SystemTime::now()),
                grpc_outcome(code, &message, &body),
                accepted(&body),
            ] {
                let (pause, text) = match outcome {
                    Outcome::Accepted => (None, String::new()),
                    Outcome::Retry { delay, message } => (delay, message),
                    Outcome::Partial { message, .. } | Outcome::Refused { message } => (None, message),
                };
                proptest::prop_assert!(pause.unwrap_or_default() <= MAX_SERVER_DELAY);
                proptest::prop_assert!(text.len() <= 512 && !text.contains(char::is_control));
            }
        }
    }
}
