//! Settings of the OTLP client for one signal: partial ones by layer, and what they resolve to.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use http::uri::{PathAndQuery, Scheme};
use http::{HeaderMap, HeaderName, HeaderValue, Uri};

/// Default of OTLP's `timeout`, by the OTLP exporter specification.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);
/// Default endpoint for gRPC, by the OTLP exporter specification.
pub const DEFAULT_GRPC_ENDPOINT: &str = "http://localhost:4317";
/// Default endpoint for HTTP, by the OTLP exporter specification.
pub const DEFAULT_HTTP_ENDPOINT: &str = "http://localhost:4318";

/// What a request carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// Log records.
    Logs,
    /// Metrics.
    Metrics,
}

impl Signal {
    /// Name in attributes and messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Logs => "logs",
            Self::Metrics => "metrics",
        }
    }

    /// Path below a base endpoint over HTTP.
    const fn http_path(self) -> &'static str {
        match self {
            Self::Logs => "v1/logs",
            Self::Metrics => "v1/metrics",
        }
    }

    /// Path of the gRPC method.
    pub(crate) const fn grpc_path(self) -> &'static str {
        match self {
            Self::Logs => "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
            Self::Metrics => "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
        }
    }
}

/// How requests travel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// `grpc`.
    #[default]
    Grpc,
    /// `http/protobuf`.
    HttpProtobuf,
    /// `stdout`: readable records instead of OTLP.
    Stdout,
}

impl FromStr for Protocol {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "grpc" => Ok(Self::Grpc),
            "http/protobuf" => Ok(Self::HttpProtobuf),
            "stdout" => Ok(Self::Stdout),
            _ => Err("one of grpc, http/protobuf, stdout"),
        }
    }
}

/// How bodies are compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compression {
    /// `none`.
    #[default]
    None,
    /// `gzip`.
    Gzip,
}

impl FromStr for Compression {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "none" => Ok(Self::None),
            "gzip" => Ok(Self::Gzip),
            _ => Err("one of none, gzip"),
        }
    }
}

/// Where requests go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// The URL as it was given.
    pub url: String,
    /// Whether it was given for one signal: over HTTP it is then used as it is, else `/v1/…` is appended.
    pub of_signal: bool,
}

/// Header names and values. Values are secrets: they never show in [`fmt::Debug`].
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Headers(pub Vec<(String, String)>);

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, _)| (name, "…"))).finish()
    }
}

/// Settings of one layer; what is none there comes from the layer below.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Where requests go.
    pub endpoint: Option<Endpoint>,
    /// How requests travel.
    pub protocol: Option<Protocol>,
    /// Sent with every request.
    pub headers: Option<Headers>,
    /// How bodies are compressed.
    pub compression: Option<Compression>,
    /// Of one request, connecting included.
    pub timeout: Option<Duration>,
    /// PEM file of the authorities that may sign the receiver's certificate; the system's without it.
    pub ca: Option<PathBuf>,
    /// PEM file of our certificate chain.
    pub cert: Option<PathBuf>,
    /// PEM file of our certificate's key.
    pub key: Option<PathBuf>,
    /// What a gRPC endpoint without a scheme means: plaintext (true) or TLS.
    pub insecure: Option<bool>,
}

/// Why settings can't be used.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{key}: {message}")]
pub struct SettingError {
    /// Name of the setting within `[otlp]`.
    pub key: &'static str,
    /// What is wrong, and what would be right; without secrets.
    pub message: String,
}

impl SettingError {
    fn new(key: &'static str, message: impl Into<String>) -> Self {
        Self { key, message: message.into() }
    }
}

/// Settings of the client for one signal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// How requests travel.
    pub protocol: Protocol,
    /// Where they go, path included.
    pub uri: Uri,
    /// Sent with every request; values are marked as sensitive.
    pub headers: HeaderMap,
    /// How bodies are compressed.
    pub compression: Compression,
    /// Of one request, connecting included.
    pub timeout: Duration,
    /// PEM file of authorities; the system's without it.
    pub ca: Option<PathBuf>,
    /// PEM files of our certificate chain and its key.
    pub identity: Option<(PathBuf, PathBuf)>,
}

impl Settings {
    /// The client's settings for a signal; defaults are the specification's.
    ///
    /// # Errors
    /// All that is wrong at once.
    pub fn resolve(self, signal: Signal) -> Result<Config, Vec<SettingError>> {
        let mut errors = Vec::new();
        let protocol = self.protocol.unwrap_or_default();
        let endpoint = self.endpoint.unwrap_or_else(|| Endpoint {
            url: if protocol == Protocol::HttpProtobuf { DEFAULT_HTTP_ENDPOINT } else { DEFAULT_GRPC_ENDPOINT }.into(),
            of_signal: false,
        });
        let uri = request_uri(&endpoint, protocol, self.insecure.unwrap_or(false), signal)
            .map_err(|error| errors.push(error))
            .unwrap_or_default();
        let headers = header_map(&self.headers.unwrap_or_default(), &mut errors);
        let identity = match (self.cert, self.key) {
            (Some(cert), Some(key)) => Some((cert, key)),
            (None, None) => None,
            (Some(_), None) => {
                errors.push(SettingError::new("tls.key", "missing beside tls.cert"));
                None
            }
            (None, Some(_)) => {
                errors.push(SettingError::new("tls.cert", "missing beside tls.key"));
                None
            }
        };
        let timeout = self.timeout.unwrap_or(DEFAULT_TIMEOUT);
        if timeout.is_zero() {
            errors.push(SettingError::new("timeout", "0 would let no request finish"));
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        let compression = self.compression.unwrap_or_default();
        Ok(Config { protocol, uri, headers, compression, timeout, ca: self.ca, identity })
    }
}

/// Applies the endpoint rules of the OTLP exporter specification.
fn request_uri(endpoint: &Endpoint, protocol: Protocol, insecure: bool, signal: Signal) -> Result<Uri, SettingError> {
    let invalid = |message: &str| SettingError::new("endpoint", format!("`{}` {message}", endpoint.url));
    let mut text = endpoint.url.trim().to_owned();
    if !text.contains("://") {
        if protocol == Protocol::HttpProtobuf {
            return Err(invalid("has no scheme: write http://… or https://…"));
        }
        text.insert_str(0, if insecure { "http://" } else { "https://" });
    }
    let uri = Uri::from_str(&text).map_err(|error| invalid(&format!("is not a URL: {error}")))?;
    if uri.scheme() != Some(&Scheme::HTTP) && uri.scheme() != Some(&Scheme::HTTPS) {
        return Err(invalid("has a scheme other than http and https"));
    }
    let Some(authority) = uri.authority().filter(|authority| !authority.host().is_empty()) else {
        return Err(invalid("names no host"));
    };
    if authority.as_str().contains('@') {
        return Err(SettingError::new("endpoint", "has a user name: put credentials into headers"));
    }
    let path = match protocol {
        // The gRPC specification knows no path in an endpoint.
        Protocol::Grpc | Protocol::Stdout => signal.grpc_path().to_owned(),
        Protocol::HttpProtobuf if endpoint.of_signal => uri.path().to_owned(),
        Protocol::HttpProtobuf => format!("{}/{}", uri.path().trim_end_matches('/'), signal.http_path()),
    };
    let path = match uri.query() {
        Some(query) if protocol == Protocol::HttpProtobuf => format!("{path}?{query}"),
        _ => path,
    };
    let mut parts = uri.into_parts();
    parts.path_and_query =
        Some(PathAndQuery::try_from(path).map_err(|error| invalid(&format!("has a bad path: {error}")))?);
    Uri::from_parts(parts).map_err(|error| invalid(&error.to_string()))
}

/// Checks names and values without showing the values.
fn header_map(headers: &Headers, errors: &mut Vec<SettingError>) -> HeaderMap {
    let mut map = HeaderMap::with_capacity(headers.0.len());
    for (name, text) in &headers.0 {
        let Ok(header) = HeaderName::from_bytes(name.as_bytes()) else {
            errors.push(SettingError::new("headers", format!("`{name}` is not a header name")));
            continue;
        };
        if FRAMING.contains(&header.as_str()) || header.as_str().starts_with("grpc-") {
            errors.push(SettingError::new("headers", format!("`{name}` is set by the protocol itself")));
            continue;
        }
        match HeaderValue::from_bytes(text.as_bytes()) {
            Ok(mut value) => {
                value.set_sensitive(true);
                map.append(header, value);
            }
            Err(_) => {
                errors.push(SettingError::new("headers", format!("the value of `{name}` has a control character")));
            }
        }
    }
    map
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
    use super::{Endpoint, Headers, Protocol, Settings, Signal};

    fn uri(url: &str, of_signal: bool, protocol: Protocol, insecure: bool) -> String {
        let endpoint = Some(Endpoint { url: url.into(), of_signal });
        let settings = Settings { endpoint, protocol: Some(protocol), insecure: Some(insecure), ..Settings::default() };
        match settings.resolve(Signal::Logs) {
            Ok(config) => config.uri.to_string(),
            Err(errors) => errors.iter().map(|error| format!("! {error}")).collect(),
        }
    }

    #[test]
    fn endpoints_by_the_specification() {
        use Protocol::{Grpc, HttpProtobuf as Http};
        const METHOD: &str = "opentelemetry.proto.collector.logs.v1.LogsService/Export";
        let cases = [
            ("http://c:4318", false, Http, false, "http://c:4318/v1/logs"),
            ("http://c:4318/", false, Http, false, "http://c:4318/v1/logs"),
            ("https://c/otlp", false, Http, false, "https://c/otlp/v1/logs"),
            ("https://c/otlp/?k=v", false, Http, false, "https://c/otlp/v1/logs?k=v"),
            ("http://c:4318", true, Http, false, "http://c:4318/"),
            ("http://c:4318/mine", true, Http, false, "http://c:4318/mine"),
            ("c:4318", false, Http, true, "! endpoint: `c:4318` has no scheme: write http://… or https://…"),
            ("ftp://c", false, Http, false, "! endpoint: `ftp://c` has a scheme other than http and https"),
            ("http://u:p@c", false, Http, false, "! endpoint: has a user name: put credentials into headers"),
            ("http://[::1]:4317", true, Grpc, false, &format!("http://[::1]:4317/{METHOD}")),
            ("http://c:4317/ignored", false, Grpc, false, &format!("http://c:4317/{METHOD}")),
            ("c:4317", false, Grpc, false, &format!("https://c:4317/{METHOD}")),
            ("c:4317", false, Grpc, true, &format!("http://c:4317/{METHOD}")),
            ("https://c:4317", false, Grpc, true, &format!("https://c:4317/{METHOD}")),
        ];
        for (url, of_signal, protocol, insecure, expected) in cases {
            assert_eq!(uri(url, of_signal, protocol, insecure), expected, "{url} {of_signal} {protocol:?}");
        }
        let default = |protocol| {
            let settings = Settings { protocol: Some(protocol), ..Settings::default() };
            settings.resolve(Signal::Metrics).unwrap().uri.to_string()
        };
        assert_eq!(default(Http), "http://localhost:4318/v1/metrics");
        assert!(default(Grpc).starts_with("http://localhost:4317/opentelemetry.proto.collector.metrics.v1."));
    }

    #[test]
    fn all_errors_at_once_and_no_secret_in_them() {
        let settings = Settings {
            endpoint: Some(Endpoint { url: "http://".into(), of_signal: false }),
            headers: Some(Headers(vec![
                ("a b".into(), "s3cret".into()),
                ("x".into(), "s3cret\n".into()),
                ("Host".into(), "s3cret".into()),
                ("grpc-timeout".into(), "s3cret".into()),
            ])),
            timeout: Some(std::time::Duration::ZERO),
            cert: Some("cert.pem".into()),
            ..Settings::default()
        };
        assert!(!format!("{settings:?}").contains("s3cret"));
        let errors = settings.resolve(Signal::Logs).unwrap_err();
        let keys: Vec<_> = errors.iter().map(|error| error.key).collect();
        assert_eq!(keys, ["endpoint", "headers", "headers", "headers", "headers", "tls.key", "timeout"]);
        assert!(!format!("{errors:?}").contains("s3cret"));
        let settings = Settings { headers: Some(Headers(vec![("k".into(), "s3cret".into())])), ..Settings::default() };
        assert!(!format!("{:?}", settings.resolve(Signal::Logs).unwrap()).contains("s3cret"));
    }
}
