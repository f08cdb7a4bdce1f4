//! The outcome of a receiver's answer, and the pause before the next attempt, by the OTLP specification.

use std::borrow::Cow;
use std::time::{Duration, SystemTime};

use opentelemetry_proto::tonic::collector::logs::v1::{ExportLogsPartialSuccess, ExportLogsServiceResponse};
use prost::Message as _;
use prost_types::Any;
use tonic::Code;

use crate::support::backoff::Backoff;

/// The kind of a failure, as `error.type` of OpenTelemetry's conventions has it: an HTTP status, the name of a gRPC code, or
/// a word.
pub type ErrorType = Cow<'static, str>;

/// The outcome of one attempt to send a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The receiver accepted all of it.
    Accepted,
    /// The receiver accepted it except for `rejected` records or data points; never sent again. With 0 it is a warning.
    Partial {
        /// Number of rejected records or points.
        rejected: u64,
        /// The receiver's message.
        message: String,
    },
    /// Not accepted this time: send it again, not before the receiver's `delay`.
    Retry {
        /// The receiver's delay, if it named one.
        delay: Option<Duration>,
        /// The reason.
        message: String,
        /// Its kind.
        error_type: ErrorType,
    },
    /// Permanently refused.
    Refused {
        /// The reason.
        message: String,
        /// Its kind.
        error_type: ErrorType,
    },
}

impl Outcome {
    /// A request without an answer: retryable.
    pub(crate) fn unanswered(message: impl Into<String>, error_type: &'static str) -> Self {
        Self::Retry { delay: None, message: message.into(), error_type: error_type.into() }
    }

    /// Changes the message of a request that was not accepted.
    pub(crate) fn with_message(self, change: impl FnOnce(String) -> String) -> Self {
        match self {
            Self::Retry { delay, message, error_type } => Self::Retry { delay, message: change(message), error_type },
            Self::Refused { message, error_type } => Self::Refused { message: change(message), error_type },
            taken => taken,
        }
    }
}

/// The longest delay of a receiver that is respected, so that a wrong clock does not end the export.
pub const MAX_SERVER_DELAY: Duration = Duration::from_secs(300);

/// Longest message of a receiver in the log, in bytes.
const MAX_MESSAGE: usize = 256;

// google/rpc/status.proto and error_details.proto.

#[derive(Clone, PartialEq, prost::Message)]
struct RpcStatus {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
    #[prost(message, repeated, tag = "3")]
    details: Vec<Any>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct RetryInfo {
    #[prost(message, optional, tag = "1")]
    delay: Option<prost_types::Duration>,
}

/// The outcome of an accepted request, from its `Export…ServiceResponse`.
///
/// An undecodable response counts as empty: the status was success, and a repetition would duplicate records.
pub fn accepted(response: &[u8]) -> Outcome {
    // The responses of both signals have the same fields.
    let partial = ExportLogsServiceResponse::decode(response).ok().and_then(|response| response.partial_success);
    match partial {
        Some(ExportLogsPartialSuccess { rejected_log_records: rejected, error_message })
            if rejected > 0 || !error_message.is_empty() =>
        {
            Outcome::Partial { rejected: u64::try_from(rejected).unwrap_or(0), message: shortened(error_message) }
        }
        _ => Outcome::Accepted,
    }
}

/// The outcome of an HTTP response. `now` converts the date of a `Retry-After` to a delay.
pub fn http_outcome(status: u16, retry_after: Option<&str>, body: &[u8], now: SystemTime) -> Outcome {
    if (200..300).contains(&status) {
        return accepted(body);
    }
    // OTLP defines a Status; proxies and other servers send a line of text.
    let text = match RpcStatus::decode(body) {
        Ok(status) => status.message,
        Err(_) => std::str::from_utf8(body).ok().and_then(|text| text.lines().next()).unwrap_or_default().to_owned(),
    };
    let message = shortened(format!("HTTP status {status}: {text}").trim_end_matches(": ").to_owned());
    let error_type = status.to_string().into();
    match status {
        429 | 502 | 503 | 504 => {
            let delay = retry_after.and_then(|value| parse_retry_after(value, now));
            Outcome::Retry { delay, message, error_type }
        }
        _ => Outcome::Refused { message, error_type },
    }
}

/// Parses `Retry-After` (RFC 9110): seconds, or a date.
fn parse_retry_after(value: &str, now: SystemTime) -> Option<Duration> {
    let value = value.trim();
    let delay = match value.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        // A past date means now.
        Err(_) => httpdate::parse_http_date(value).ok()?.duration_since(now).unwrap_or_default(),
    };
    Some(delay.min(MAX_SERVER_DELAY))
}

/// The outcome of a gRPC status other than OK. `details` is the decoded `grpc-status-details-bin`.
pub fn grpc_outcome(code: Code, message: &str, details: &[u8]) -> Outcome {
    let name = GRPC_CODES.get(code as usize).copied().unwrap_or_default();
    let message = shortened(format!("gRPC {name}: {message}").trim_end_matches(": ").to_owned());
    let error_type = name.into();
    match (code, retry_info(details)) {
        (
            Code::Cancelled
            | Code::DeadlineExceeded
            | Code::Aborted
            | Code::OutOfRange
            | Code::Unavailable
            | Code::DataLoss,
            delay,
        ) => Outcome::Retry { delay, message, error_type },
        // Without RetryInfo the receiver will not recover.
        (Code::ResourceExhausted, Some(delay)) => Outcome::Retry { delay: Some(delay), message, error_type },
        _ => Outcome::Refused { message, error_type },
    }
}

/// The delay of the `google.rpc.RetryInfo` in a `google.rpc.Status`.
fn retry_info(details: &[u8]) -> Option<Duration> {
    let status = RpcStatus::decode(details).ok()?;
    let info = status.details.iter().find(|any| any.type_url.ends_with("/google.rpc.RetryInfo"))?;
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
pub(crate) const fn grpc_code_of_http(status: u16) -> Code {
    match status {
        400 => Code::Internal,
        401 => Code::Unauthenticated,
        403 => Code::PermissionDenied,
        404 => Code::Unimplemented,
        429 | 502 | 503 | 504 => Code::Unavailable,
        _ => Code::Unknown,
    }
}

/// Truncates a message and replaces control characters, which could control a terminal.
fn shortened(mut message: String) -> String {
    let end = message.floor_char_boundary(MAX_MESSAGE);
    message.truncate(end);
    message.replace(char::is_control, " ")
}

/// The pause before the next attempt: the receiver's delay and a little more, if it asked for one.
pub(super) fn pause(backoff: &mut Backoff, server_delay: Option<Duration>) -> Duration {
    match server_delay {
        Some(delay) if !delay.is_zero() => delay + backoff.delay() / 10,
        _ => backoff.delay(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use prost::Message as _;

    use super::{
        Any, Backoff, Code, ExportLogsPartialSuccess, ExportLogsServiceResponse, MAX_SERVER_DELAY, Outcome, RetryInfo,
        RpcStatus, accepted, grpc_outcome, http_outcome, pause,
    };
    use crate::support::backoff::BackoffRange;

    fn delay(outcome: &Outcome) -> Option<Option<u64>> {
        match outcome {
            Outcome::Retry { delay, .. } => Some(delay.map(|delay| delay.as_secs())),
            _ => None,
        }
    }

    #[test]
    fn http_statuses_have_outcomes() {
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
        let status = RpcStatus { code: 3, message: "too\nbig".into(), details: Vec::new() }.encode_to_vec();
        let refused = Outcome::Refused { message: "HTTP status 400: too big".into(), error_type: "400".into() };
        assert_eq!(http_outcome(400, None, &status, now), refused);
    }

    fn details(info: Option<RetryInfo>) -> Vec<u8> {
        let other = Any { type_url: "type.googleapis.com/google.rpc.DebugInfo".into(), value: vec![1, 2, 3] };
        let info = info.map(|info| Any {
            type_url: "type.googleapis.com/google.rpc.RetryInfo".into(),
            value: info.encode_to_vec(),
        });
        let details = std::iter::once(other).chain(info).collect();
        RpcStatus { code: 8, message: String::new(), details }.encode_to_vec()
    }

    #[test]
    fn grpc_codes_have_outcomes() {
        for code in 1..17 {
            let retryable = matches!(code, 1 | 4 | 10 | 11 | 14 | 15);
            for details in [Vec::new(), details(None), vec![0xff; 7]] {
                let expected = retryable.then_some(None);
                assert_eq!(delay(&grpc_outcome(Code::from_i32(code), "m", &details)), expected, "{code}");
            }
            let info = details(Some(RetryInfo { delay: Some(prost_types::Duration { seconds: 7, nanos: 0 }) }));
            let expected = (retryable || code == 8).then_some(Some(7));
            assert_eq!(delay(&grpc_outcome(Code::from_i32(code), "m", &info)), expected, "{code} with RetryInfo");
        }
        let cases = [(None, 0), (Some((-5, -5)), 0), (Some((i64::MAX, i32::MAX)), MAX_SERVER_DELAY.as_secs())];
        for (given, expected) in cases {
            let delay_given = given.map(|(seconds, nanos)| prost_types::Duration { seconds, nanos });
            let outcome = grpc_outcome(Code::ResourceExhausted, "", &details(Some(RetryInfo { delay: delay_given })));
            assert_eq!(delay(&outcome), Some(Some(expected)), "{given:?}");
        }
        let (message, error_type) = ("gRPC INVALID_ARGUMENT: no".to_owned(), "INVALID_ARGUMENT".into());
        assert_eq!(grpc_outcome(Code::InvalidArgument, "no", b""), Outcome::Refused { message, error_type });
    }

    #[test]
    fn partial_success_has_bounded_message() {
        let response = |rejected, message: &str| {
            let partial = ExportLogsPartialSuccess { rejected_log_records: rejected, error_message: message.into() };
            accepted(&ExportLogsServiceResponse { partial_success: Some(partial) }.encode_to_vec())
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
    fn server_delay_is_minimum() {
        let range = BackoffRange { initial: Duration::from_secs(1), max: Duration::from_secs(30) };
        let mut backoff = Backoff::new(range, fastrand::Rng::new());
        for _ in 0..50 {
            let asked = pause(&mut backoff, Some(Duration::from_secs(100))).as_secs_f64();
            assert!((100.0..=103.0).contains(&asked), "{asked}");
            backoff.reset();
            assert!(pause(&mut backoff, Some(Duration::ZERO)) >= range.initial / 2);
        }
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig { failure_persistence: None, ..Default::default() })]

        /// Any answer has an outcome, a bounded pause and a bounded message without control characters.
        #[test]
        fn any_answer_has_bounded_outcome(status: u16, retry_after: String, body: Vec<u8>, code: i32, message: String) {
            for outcome in [
                http_outcome(status, Some(&retry_after), &body, SystemTime::now()),
                grpc_outcome(Code::from_i32(code), &message, &body),
                accepted(&body),
            ] {
                let (pause, text) = match outcome {
                    Outcome::Accepted => (None, String::new()),
                    Outcome::Retry { delay, message, .. } => (delay, message),
                    Outcome::Partial { message, .. } | Outcome::Refused { message, .. } => (None, message),
                };
                proptest::prop_assert!(pause.unwrap_or_default() <= MAX_SERVER_DELAY);
                proptest::prop_assert!(text.len() <= 512 && !text.contains(char::is_control));
            }
        }
    }
}
