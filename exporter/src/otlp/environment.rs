//! The variables of the OTLP exporter specification, and those of the resource, as partial settings.

use std::str::FromStr;
use std::time::Duration;

use super::config::{Compression, Endpoint, Headers, Protocol, Settings};

/// What the environment says: `logs` and `metrics` rank above `general`, all of them below the configuration file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Environment {
    /// For both signals.
    pub general: Settings,
    /// For log records alone.
    pub logs: Settings,
    /// For metrics alone.
    pub metrics: Settings,
    /// `OTEL_SERVICE_NAME`; it wins over `service.name` in `attributes`.
    pub service_name: Option<String>,
    /// `OTEL_RESOURCE_ATTRIBUTES`, in order.
    pub attributes: Vec<(String, String)>,
}

/// A variable that can't be used.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{variable}: {message}")]
pub struct EnvironmentError {
    /// Its name.
    pub variable: String,
    /// What is wrong, and what would be right; without secrets.
    pub message: String,
}

/// Reads all variables of `OTEL_EXPORTER_OTLP_*`, `OTEL_RESOURCE_ATTRIBUTES` and `OTEL_SERVICE_NAME`.
///
/// An empty value is the same as none, as the specification says. Variables for traces and profiles, and unknown
/// ones, are left alone: they are other programs'.
///
/// # Errors
/// All that is wrong at once, each with its variable.
pub fn from_variables<K, V>(variables: impl IntoIterator<Item = (K, V)>) -> Result<Environment, Vec<EnvironmentError>>
where
    K: AsRef<str>,
    V: AsRef<str>,
{
    let mut environment = Environment::default();
    let mut errors = Vec::new();
    for (variable, value) in variables {
        let (variable, value) = (variable.as_ref(), value.as_ref().trim());
        if value.is_empty() {
            continue;
        }
        if let Err(message) = apply(&mut environment, variable, value) {
            errors.push(EnvironmentError { variable: variable.to_owned(), message });
        }
    }
    // The order of an environment is arbitrary, a report's is not.
    errors.sort_by(|a, b| a.variable.cmp(&b.variable));
    if errors.is_empty() { Ok(environment) } else { Err(errors) }
}

fn apply(environment: &mut Environment, variable: &str, value: &str) -> Result<(), String> {
    match variable {
        "OTEL_SERVICE_NAME" => environment.service_name = Some(value.to_owned()),
        "OTEL_RESOURCE_ATTRIBUTES" => environment.attributes = pairs(value, "an attribute", "attributes")?,
        _ => {
            let Some(name) = variable.strip_prefix("OTEL_EXPORTER_OTLP_") else { return Ok(()) };
            if let Some(name) = name.strip_prefix("LOGS_") {
                return setting(&mut environment.logs, name, value, true);
            }
            if let Some(name) = name.strip_prefix("METRICS_") {
                // Series here are sums since their own start; nothing would turn them into differences.
                if name == "TEMPORALITY_PREFERENCE" && !value.eq_ignore_ascii_case("cumulative") {
                    return Err(format!("`{value}` is not supported: only cumulative is"));
                }
                return setting(&mut environment.metrics, name, value, true);
            }
            return setting(&mut environment.general, name, value, false);
        }
    }
    Ok(())
}

fn setting(settings: &mut Settings, name: &str, value: &str, of_signal: bool) -> Result<(), String> {
    match name {
        "ENDPOINT" => settings.endpoint = Some(Endpoint { url: value.to_owned(), of_signal }),
        "PROTOCOL" => settings.protocol = Some(protocol(value)?),
        "HEADERS" => settings.headers = Some(Headers(pairs(value, "a header", "headers")?)),
        "COMPRESSION" => {
            let parsed = Compression::from_str(value);
            settings.compression = Some(parsed.map_err(|right| format!("`{value}` is not {right}"))?);
        }
        "TIMEOUT" => settings.timeout = Some(milliseconds(value)?),
        "CERTIFICATE" => settings.ca = Some(value.into()),
        "CLIENT_CERTIFICATE" => settings.cert = Some(value.into()),
        "CLIENT_KEY" => settings.key = Some(value.into()),
        "INSECURE" => settings.insecure = Some(boolean(value)?),
        _ => {}
    }
    Ok(())
}

fn protocol(value: &str) -> Result<Protocol, String> {
    match Protocol::from_str(value) {
        // Standard output is a setting of ours, not of the specification's.
        Ok(protocol) if protocol != Protocol::Stdout => Ok(protocol),
        _ => Err(format!("`{value}` is not one of grpc, http/protobuf")),
    }
}

fn milliseconds(value: &str) -> Result<Duration, String> {
    match value.parse() {
        Ok(0) => Err("0 would let no request finish: give milliseconds, such as 10000".into()),
        Ok(milliseconds) => Ok(Duration::from_millis(milliseconds)),
        Err(_) => Err(format!("`{value}` is not a whole number of milliseconds, such as 10000")),
    }
}

fn boolean(value: &str) -> Result<bool, String> {
    match value {
        _ if value.eq_ignore_ascii_case("true") => Ok(true),
        _ if value.eq_ignore_ascii_case("false") => Ok(false),
        _ => Err(format!("`{value}` is neither true nor false")),
    }
}

/// `key=value,key=value`, both sides percent-encoded, as in W3C Baggage without properties. Values may be secrets:
/// messages tell positions.
fn pairs(text: &str, one: &str, many: &str) -> Result<Vec<(String, String)>, String> {
    let mut pairs = Vec::new();
    let wrong = |index: usize, why: &str| format!("{one} (number {} of the {many}) {why}", index + 1);
    for (index, item) in text.split(',').enumerate() {
        let item = item.trim();
        if item.is_empty() {
            continue;
        }
        let (key, value) = item.split_once('=').ok_or_else(|| wrong(index, "is not key=value"))?;
        let key = percent_decoded(key.trim()).ok_or_else(|| wrong(index, "has a key with a bad %-sequence"))?;
        let value = percent_decoded(value.trim()).ok_or_else(|| wrong(index, "has a value with a bad %-sequence"))?;
        if key.is_empty() {
            return Err(wrong(index, "has an empty key"));
        }
        pairs.push((key, value));
    }
    Ok(pairs)
}

/// None where a `%` is not followed by two hexadecimal digits, or where the result is not UTF-8.
fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        if first == b'%' {
            let digits = tail.get(..2).filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))?;
            bytes.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
            rest = &tail[2..];
        } else {
            bytes.push(first);
            rest = tail;
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::config::{Compression, Headers, Protocol, Signal};
    use super::{Environment, from_variables};

    fn read(variables: &[(&str, &str)]) -> Environment {
        from_variables(variables.iter().copied()).unwrap()
    }

    fn owned(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect()
    }

    #[test]
    fn every_variable_for_every_signal() {
        for prefix in ["OTEL_EXPORTER_OTLP_", "OTEL_EXPORTER_OTLP_LOGS_", "OTEL_EXPORTER_OTLP_METRICS_"] {
            let variables = [
                ("ENDPOINT", "https://c:1/x"),
                ("PROTOCOL", "http/protobuf"),
                ("HEADERS", "authorization=Basic%20a%3D%3D, x = y ,,z="),
                ("COMPRESSION", "gzip"),
                ("TIMEOUT", "2500"),
                ("CERTIFICATE", "/ca"),
                ("CLIENT_CERTIFICATE", "/cert"),
                ("CLIENT_KEY", "/key"),
                ("INSECURE", "True"),
            ];
            let environment =
                from_variables(variables.map(|(name, value)| (format!("{prefix}{name}"), value))).unwrap();
            let of_signal = prefix != "OTEL_EXPORTER_OTLP_";
            let settings = match prefix {
                "OTEL_EXPORTER_OTLP_LOGS_" => environment.logs,
                "OTEL_EXPORTER_OTLP_METRICS_" => environment.metrics,
                _ => environment.general,
            };
            assert_eq!(settings.endpoint.map(|e| (e.url, e.of_signal)), Some(("https://c:1/x".into(), of_signal)));
            assert_eq!(settings.protocol, Some(Protocol::HttpProtobuf));
            let headers = owned(&[("authorization", "Basic a=="), ("x", "y"), ("z", "")]);
            assert_eq!(settings.headers, Some(Headers(headers)));
            assert_eq!(settings.compression, Some(Compression::Gzip));
            assert_eq!(settings.timeout, Some(Duration::from_millis(2500)));
            assert_eq!(settings.ca, Some("/ca".into()));
            assert_eq!(settings.cert, Some("/cert".into()));
            assert_eq!(settings.key, Some("/key".into()));
            assert_eq!(settings.insecure, Some(true));
        }
    }

    #[test]
    fn the_signal_wins_and_empty_is_unset() {
        let environment = read(&[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://general:4318"),
            ("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "http://logs:4318/mine"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
            ("OTEL_EXPORTER_OTLP_LOGS_PROTOCOL", ""),
            ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "nonsense"),
            ("HOME", "/root"),
        ]);
        let logs = environment.logs.or(environment.general.clone()).resolve(Signal::Logs).unwrap();
        let metrics = environment.metrics.or(environment.general).resolve(Signal::Metrics).unwrap();
        assert_eq!(logs.uri.to_string(), "http://logs:4318/mine");
        assert_eq!(metrics.uri.to_string(), "http://general:4318/v1/metrics");
    }

    #[test]
    fn the_resource() {
        let environment =
            read(&[("OTEL_SERVICE_NAME", "s"), ("OTEL_RESOURCE_ATTRIBUTES", "a=1,b.c=x%2Cy,service.name=t")]);
        assert_eq!(environment.service_name.as_deref(), Some("s"));
        assert_eq!(environment.attributes, owned(&[("a", "1"), ("b.c", "x,y"), ("service.name", "t")]));
    }

    #[test]
    fn all_errors_each_with_its_variable() {
        let errors = from_variables([
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"),
            ("OTEL_EXPORTER_OTLP_LOGS_PROTOCOL", "stdout"),
            ("OTEL_EXPORTER_OTLP_COMPRESSION", "zstd"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "10s"),
            ("OTEL_EXPORTER_OTLP_METRICS_TIMEOUT", "0"),
            ("OTEL_EXPORTER_OTLP_INSECURE", "yes"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "token=s3cret,s3cret"),
            ("OTEL_EXPORTER_OTLP_LOGS_HEADERS", "token=s3cret%G0"),
            ("OTEL_EXPORTER_OTLP_METRICS_HEADERS", "=s3cret"),
            ("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "delta"),
            ("OTEL_RESOURCE_ATTRIBUTES", "a"),
        ])
        .unwrap_err();
        let report: Vec<_> = errors.iter().map(ToString::to_string).collect();
        let expected = [
            "OTEL_EXPORTER_OTLP_COMPRESSION: `zstd` is not one of none, gzip",
            "OTEL_EXPORTER_OTLP_HEADERS: a header (number 2 of the headers) is not key=value",
            "OTEL_EXPORTER_OTLP_INSECURE: `yes` is neither true nor false",
            "OTEL_EXPORTER_OTLP_LOGS_HEADERS: a header (number 1 of the headers) has a value with a bad %-sequence",
            "OTEL_EXPORTER_OTLP_LOGS_PROTOCOL: `stdout` is not one of grpc, http/protobuf",
            "OTEL_EXPORTER_OTLP_METRICS_HEADERS: a header (number 1 of the headers) has an empty key",
            "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE: `delta` is not supported: only cumulative is",
            "OTEL_EXPORTER_OTLP_METRICS_TIMEOUT: 0 would let no request finish: give milliseconds, such as 10000",
            "OTEL_EXPORTER_OTLP_PROTOCOL: `http/json` is not one of grpc, http/protobuf",
            "OTEL_EXPORTER_OTLP_TIMEOUT: `10s` is not a whole number of milliseconds, such as 10000",
            "OTEL_RESOURCE_ATTRIBUTES: an attribute (number 1 of the attributes) is not key=value",
        ];
        assert_eq!(report, expected);
    }
}
