//! The export of one signal: general settings and its own, combined by OTLP's specification.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use crate::choices::{Compression, Protocol};
use crate::secret::Secret;
use crate::settings::{Otlp, Overrides, Tls};

/// One of OpenTelemetry's signals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// Metrics.
    Metrics,
    /// Log records.
    Logs,
}

impl Signal {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Metrics, Self::Logs];

    /// The table below `otlp`, and the last part of the HTTP path.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Metrics => "metrics",
            Self::Logs => "logs",
        }
    }
}

/// The export settings of one signal.
#[derive(Clone, Debug, PartialEq)]
pub struct Export {
    /// Whether it is exported.
    pub enabled: bool,
    /// The URL to send to: over HTTP with its path (`/v1/logs`), over gRPC the server's.
    pub endpoint: String,
    /// The protocol.
    pub protocol: Protocol,
    /// Headers of every request, names in lower case.
    pub headers: BTreeMap<String, Secret>,
    /// Compression of requests.
    pub compression: Compression,
    /// Timeout of a request.
    pub timeout: Duration,
    /// Certificates.
    pub tls: Tls,
}

impl Otlp {
    /// The settings of a signal. A signal's own endpoint is used unchanged, or with the path `/`. To the general one
    /// HTTP appends `v1/<signal>` (OTLP exporter specification, endpoint URLs for OTLP/HTTP).
    pub fn export(&self, signal: Signal) -> Export {
        let (enabled, own) = self.signal(signal);
        let protocol = own.protocol.unwrap_or(self.protocol);
        let endpoint = endpoint(own.endpoint.as_deref(), &self.endpoint, protocol, signal);
        // Without encryption the files need not exist.
        let encrypted = !endpoint.starts_with("http://");
        let file = |own: &Option<PathBuf>, general: &Option<PathBuf>| {
            own.clone().or_else(|| general.clone()).filter(|_| encrypted)
        };
        Export {
            enabled,
            endpoint,
            protocol,
            headers: if own.headers.is_empty() { self.headers.clone() } else { own.headers.clone() },
            compression: own.compression.unwrap_or(self.compression),
            timeout: own.timeout.unwrap_or(self.timeout),
            tls: Tls {
                ca: file(&own.tls.ca, &self.tls.ca),
                cert: file(&own.tls.cert, &self.tls.cert),
                key: file(&own.tls.key, &self.tls.key),
            },
        }
    }

    pub(crate) fn signal(&self, signal: Signal) -> (bool, &Overrides) {
        match signal {
            Signal::Metrics => (self.metrics.enabled, &self.metrics.overrides),
            Signal::Logs => (self.logs.enabled, &self.logs.overrides),
        }
    }

    pub(crate) fn signal_mut(&mut self, signal: Signal) -> &mut Overrides {
        match signal {
            Signal::Metrics => &mut self.metrics.overrides,
            Signal::Logs => &mut self.logs.overrides,
        }
    }
}

fn endpoint(own: Option<&str>, general: &str, protocol: Protocol, signal: Signal) -> String {
    match (own, protocol) {
        (Some(own), Protocol::HttpProtobuf) if path(own).is_empty() => format!("{own}/"),
        (Some(own), Protocol::HttpProtobuf) => own.to_owned(),
        (None, Protocol::HttpProtobuf) => format!("{}/v1/{}", general.trim_end_matches('/'), signal.name()),
        // gRPC's paths are its methods'.
        (own, Protocol::Grpc | Protocol::Stdout) => {
            let url = own.unwrap_or(general);
            url.strip_suffix(path(url)).unwrap_or(url).to_owned()
        }
    }
}

/// A URL without its user, password, query and fragment, which may be secret. For status pages and logs.
pub fn public_url(url: &str) -> String {
    let url = url.split(['?', '#']).next().unwrap_or_default();
    let (scheme, rest) = url.split_once("://").map_or(("", url), |(scheme, rest)| (scheme, rest));
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    if scheme.is_empty() { format!("{host}{path}") } else { format!("{scheme}://{host}{path}") }
}

/// The path of a URL with a scheme: empty, or from the first `/` on.
pub(crate) fn path(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.find('/').map_or("", |slash| &rest[slash..])
}

#[cfg(test)]
mod tests {
    use super::{Protocol, Signal, endpoint, public_url};

    #[test]
    fn public_url_hides_secrets() {
        for (url, expected) in [
            ("http://c:4317", "http://c:4317"),
            ("https://user:password@c:4318/v1/logs?token=secret#part", "https://c:4318/v1/logs"),
            ("https://a@b@[::1]:4318?x", "https://[::1]:4318"),
            ("https://c/@here", "https://c/@here"),
            ("c:1?x@y", "c:1"),
            ("", ""),
        ] {
            assert_eq!(public_url(url), expected, "{url}");
        }
    }

    #[test]
    fn endpoints_follow_specification() {
        let http = Protocol::HttpProtobuf;
        for (own, general, protocol, signal, expected) in [
            (None, "http://c:4318", http, Signal::Logs, "http://c:4318/v1/logs"),
            (None, "http://c:4318/", http, Signal::Metrics, "http://c:4318/v1/metrics"),
            (None, "http://c/mycollector/", http, Signal::Logs, "http://c/mycollector/v1/logs"),
            (Some("http://d:4318"), "http://c", http, Signal::Logs, "http://d:4318/"),
            (Some("http://d/x/y"), "http://c", http, Signal::Metrics, "http://d/x/y"),
            (None, "http://c:4317/", Protocol::Grpc, Signal::Logs, "http://c:4317"),
            (Some("https://d:4317"), "http://c", Protocol::Grpc, Signal::Logs, "https://d:4317"),
            (Some("https://d:4317/v1/logs"), "http://c", Protocol::Grpc, Signal::Logs, "https://d:4317"),
            (None, "http://c:4317/a/b/", Protocol::Grpc, Signal::Metrics, "http://c:4317"),
        ] {
            assert_eq!(endpoint(own, general, protocol, signal), expected);
        }
    }
}
