//! URI and headers of requests, from a signal's export settings. The settings were checked when they were loaded.

use eyepiece_config::{Export, Protocol, Signal};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Uri};

/// A setting that no request can use.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{key}: {message}")]
pub struct SettingError {
    /// Name of the setting within `[otlp]`.
    pub key: &'static str,
    /// The mistake, without secrets.
    pub message: String,
}

impl SettingError {
    fn new(key: &'static str, message: impl Into<String>) -> Self {
        Self { key, message: message.into() }
    }
}

/// Returns all mistakes in a signal's headers. Endpoints are checked when settings are loaded.
pub fn check(export: &Export) -> Vec<SettingError> {
    headers(export).1
}

/// Path of the gRPC method.
pub(super) const fn grpc_path(signal: Signal) -> &'static str {
    match signal {
        Signal::Logs => "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
        Signal::Metrics => "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
    }
}

/// The URI of every request: the endpoint, over gRPC with the method's path.
pub(super) fn request_uri(export: &Export, signal: Signal) -> Result<Uri, SettingError> {
    let invalid = |error: http::Error| SettingError::new("endpoint", format!("`{}`: {error}", export.endpoint));
    let uri: Uri = export.endpoint.parse().map_err(|error: http::uri::InvalidUri| invalid(error.into()))?;
    if export.protocol == Protocol::HttpProtobuf {
        return Ok(uri);
    }
    let mut parts = uri.into_parts();
    parts.path_and_query = Some(PathAndQuery::from_static(grpc_path(signal)));
    Uri::from_parts(parts).map_err(|error| invalid(error.into()))
}

/// The configured headers with values marked as sensitive, and the faults of the others.
pub(super) fn headers(export: &Export) -> (HeaderMap, Vec<SettingError>) {
    let mut map = HeaderMap::with_capacity(export.headers.len());
    let mut errors = Vec::new();
    let mut error = |message| errors.push(SettingError::new("headers", message));
    for (name, value) in &export.headers {
        let (Ok(header), Ok(mut value)) = (name.parse::<HeaderName>(), HeaderValue::from_str(value.expose())) else {
            error(format!("`{name}` is not a header"));
            continue;
        };
        if FRAMING.contains(&header.as_str()) || header.as_str().starts_with("grpc-") {
            error(format!("`{name}` is set by the protocol itself"));
            continue;
        }
        value.set_sensitive(true);
        map.append(header, value);
    }
    (map, errors)
}

/// Headers that would break the request's framing.
const FRAMING: [&str; 9] = [
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "host",
    "keep-alive",
    "te",
    "transfer-encoding",
    "upgrade",
];

#[cfg(test)]
mod tests {
    use eyepiece_config::{Otlp, Protocol, Secret, Signal};

    use super::{check, headers, request_uri};

    #[test]
    fn uri_has_path_of_protocol() {
        const METHOD: &str = "opentelemetry.proto.collector.logs.v1.LogsService/Export";
        for (endpoint, protocol, expected) in [
            ("http://c:4318", Protocol::HttpProtobuf, "http://c:4318/v1/logs"),
            ("http://[::1]:4317", Protocol::Grpc, &format!("http://[::1]:4317/{METHOD}")),
            ("https://c:4317/ignored", Protocol::Grpc, &format!("https://c:4317/{METHOD}")),
        ] {
            let otlp = Otlp { endpoint: endpoint.to_owned(), protocol, ..Otlp::default() };
            let uri = request_uri(&otlp.export(Signal::Logs), Signal::Logs);
            assert_eq!(uri.map(|uri| uri.to_string()).as_deref(), Ok(expected), "{endpoint}");
        }
    }

    #[test]
    fn errors_come_together_without_secrets() {
        let secret = || Secret::new("s3cret");
        let given = [("a b", secret()), ("x", Secret::new("s3cret\n")), ("host", secret()), ("grpc-timeout", secret())];
        let headers_given = given.map(|(name, value)| (name.to_owned(), value)).into();
        let otlp = Otlp { headers: headers_given, ..Otlp::default() };
        let errors = check(&otlp.export(Signal::Logs));
        let keys: Vec<_> = errors.iter().map(|error| error.key).collect();
        assert_eq!(keys, ["headers"; 4]);
        assert!(!format!("{errors:?}").contains("s3cret"));
        let otlp = Otlp { headers: [("k".to_owned(), secret())].into(), ..Otlp::default() };
        assert!(!format!("{:?}", headers(&otlp.export(Signal::Logs))).contains("s3cret"));
    }
}
