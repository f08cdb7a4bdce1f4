//! Maps OpenTelemetry's variables to settings, by its SDK configuration and OTLP exporter specifications.

mod exporters;
mod limits;
mod variables;

use std::time::Duration;

pub(crate) use self::exporters::{PROMETHEUS_HOST, PROMETHEUS_PORT, listen_ip};
use self::variables::{Variables, flag, get, problem};
use crate::choices::Temporality;
use crate::error::Problem;
use crate::settings::{Logs, Otlp};
use crate::units::parse_duration;

/// Exporter variables for all signals and for each; the key's path follows the signal's.
const EXPORTER: [(&str, &str); 7] = [
    ("PROTOCOL", "protocol"),
    ("HEADERS", "headers"),
    ("COMPRESSION", "compression"),
    ("TIMEOUT", "timeout"),
    ("CERTIFICATE", "tls.ca"),
    ("CLIENT_CERTIFICATE", "tls.cert"),
    ("CLIENT_KEY", "tls.key"),
];

/// Infix of a signal's variables and the table that they set.
const SIGNALS: [(&str, &str); 3] = [("", "otlp"), ("METRICS_", "otlp.metrics"), ("LOGS_", "otlp.logs")];

/// Variables with milliseconds.
const MILLISECONDS: [(&str, &str); 2] =
    [("OTEL_METRIC_EXPORT_INTERVAL", "otlp.metrics.interval"), ("OTEL_BLRP_SCHEDULE_DELAY", "otlp.logs.delay")];

/// Variables that limit a whole export, and the timeout of its requests.
const EXPORT_LIMITS: [(&str, &str); 2] =
    [("OTEL_METRIC_EXPORT_TIMEOUT", "otlp.metrics.timeout"), ("OTEL_BLRP_EXPORT_TIMEOUT", "otlp.logs.timeout")];

/// The settings of all variables. By the specification, empty variables count as unset, and an invalid value is a warning.
pub(crate) fn settings<'a>(
    variables: &'a Variables,
    warnings: &mut Vec<Problem>,
) -> Vec<(&'a str, &'static str, String)> {
    let mut settings = Vec::new();
    temporality(variables, warnings, &mut settings);
    for (name, path) in MILLISECONDS {
        if let Some((name, value)) = get(variables, name) {
            settings.extend(milliseconds(name, value, warnings).map(|(value, _)| (name, path, value)));
        }
    }
    let insecure = SIGNALS.map(|(infix, _)| flag(variables, &format!("OTEL_EXPORTER_OTLP_{infix}INSECURE"), warnings));
    for ((infix, table), own_insecure) in SIGNALS.into_iter().zip(insecure) {
        for (suffix, key) in EXPORTER {
            let Some((name, value)) = get(variables, &format!("OTEL_EXPORTER_OTLP_{infix}{suffix}")) else { continue };
            // Words are case-insensitive.
            let value =
                if matches!(suffix, "PROTOCOL" | "COMPRESSION") { value.to_lowercase() } else { value.to_owned() };
            let value = match suffix {
                "TIMEOUT" => milliseconds(name, &value, warnings).map(|(value, _)| value),
                _ => Some(value),
            };
            settings.extend(value.zip(path(table, key)).map(|(value, path)| (name, path, value)));
        }
        let is_insecure = own_insecure.or(insecure[0]).unwrap_or_default();
        if let Some((name, value)) = endpoint(variables, infix, is_insecure) {
            settings.extend(path(table, "endpoint").map(|path| (name, path, value)));
        }
    }
    limit_exports(variables, warnings, &mut settings);
    batches(variables, warnings, &mut settings);
    limits::settings(variables, warnings, &mut settings);
    // They win over the protocol.
    exporters::settings(variables, warnings, &mut settings);
    if let Some((name, value)) = get(variables, "OTEL_LOG_LEVEL") {
        settings.push((name, "log.level", value.to_lowercase()));
    }
    resource(variables, warnings, &mut settings);
    settings
}

/// The key table's static text of a path.
fn path(table: &str, key: &str) -> Option<&'static str> {
    crate::keys::find(&format!("{table}.{key}")).map(|key| key.path)
}

/// An endpoint; one without a scheme (`host:4317`) uses TLS, unless `…_INSECURE` is true.
fn endpoint<'a>(variables: &'a Variables, infix: &str, is_insecure: bool) -> Option<(&'a str, String)> {
    let (name, value) = get(variables, &format!("OTEL_EXPORTER_OTLP_{infix}ENDPOINT"))?;
    if value.contains("://") {
        return Some((name, value.to_owned()));
    }
    Some((name, format!("{}://{value}", if is_insecure { "http" } else { "https" })))
}

/// Adds the limits of whole exports that are shorter than the timeouts of requests. A request is the whole export here.
fn limit_exports<'a>(
    variables: &'a Variables,
    warnings: &mut Vec<Problem>,
    settings: &mut Vec<(&'a str, &'static str, String)>,
) {
    for (name, path) in EXPORT_LIMITS {
        let Some((name, value)) = get(variables, name) else { continue };
        let Some((text, limit)) = milliseconds(name, value, warnings) else { continue };
        let timeout = request_timeout(path, |key| {
            settings.iter().rev().find(|(_, path, _)| *path == key).map(|(_, _, value)| value.as_str())
        });
        if limit < timeout {
            settings.push((name, path, text));
        }
    }
}

/// The timeout of a signal's requests: by its own key, else the general one. `given` returns the text of a key.
pub(crate) fn request_timeout<'s>(own_key: &str, given: impl Fn(&str) -> Option<&'s str>) -> Duration {
    let text = given(own_key).or_else(|| given("otlp.timeout"));
    text.and_then(|text| parse_duration(text).ok()).unwrap_or(Otlp::default().timeout)
}

/// The size of batches that a queue allows, if it is smaller than the default batch.
pub(crate) fn bounded_batch(queue: u32) -> Option<u32> {
    (1..Logs::default().batch_records).contains(&queue).then_some(queue)
}

/// Parses a duration in milliseconds, as a setting's text as well.
fn milliseconds(name: &str, value: &str, warnings: &mut Vec<Problem>) -> Option<(String, Duration)> {
    let text = format!("{value}ms");
    if let Ok(duration) = parse_duration(&text)
        && !duration.is_zero()
        && value.bytes().all(|byte| byte.is_ascii_digit())
    {
        return Some((text, duration));
    }
    let wrong = format!("{value:?} is no number of milliseconds, the variable is ignored");
    warnings.push(problem(name, wrong, "use a whole number above 0 without a unit, such as 10000"));
    None
}

/// Adds the sizes of queue and batches of log records.
fn batches<'a>(
    variables: &'a Variables,
    warnings: &mut Vec<Problem>,
    settings: &mut Vec<(&'a str, &'static str, String)>,
) {
    let mut number = |name| {
        let (name, value) = get(variables, name)?;
        match value.parse::<u32>() {
            Ok(number) if number > 0 => Some((name, number)),
            _ => {
                let wrong = format!("{value:?} is no number of log records, the variable is ignored");
                warnings.push(problem(name, wrong, "use a whole number above 0"));
                None
            }
        }
    };
    let queue = number("OTEL_BLRP_MAX_QUEUE_SIZE");
    let batch = number("OTEL_BLRP_MAX_EXPORT_BATCH_SIZE");
    settings.extend(queue.map(|(name, number)| (name, "otlp.logs.queue_records", number.to_string())));
    let bound = queue.and_then(|(name, queue)| Some((name, bounded_batch(queue)?)));
    settings.extend(batch.or(bound).map(|(name, number)| (name, "otlp.logs.batch_records", number.to_string())));
}

/// Adds the preferred temporality.
fn temporality<'a>(
    variables: &'a Variables,
    warnings: &mut Vec<Problem>,
    settings: &mut Vec<(&'a str, &'static str, String)>,
) {
    let Some((name, value)) = get(variables, "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE") else { return };
    match value.to_lowercase() {
        word if Temporality::NAMES.contains(&&*word) => settings.push((name, "otlp.metrics.temporality", word)),
        _ => {
            let right = format!("use one of {}", Temporality::NAMES.join(", "));
            warnings.push(problem(name, format!("{value:?} is not known, the variable is ignored"), &right));
        }
    }
}

/// `OTEL_SERVICE_NAME` wins over `service.name` in `OTEL_RESOURCE_ATTRIBUTES`. By the specification, an invalid list is
/// discarded as a whole.
fn resource<'a>(
    variables: &'a Variables,
    warnings: &mut Vec<Problem>,
    settings: &mut Vec<(&'a str, &'static str, String)>,
) {
    if let Some((name, value)) = get(variables, "OTEL_RESOURCE_ATTRIBUTES") {
        match crate::convert::pairs(value) {
            Ok(pairs) => {
                let service = pairs.iter().rfind(|(key, _)| key == "service.name");
                settings.extend(service.map(|(_, service)| (name, "otlp.service_name", service.clone())));
                // As a text: figment merges tables entry by entry, but a text is one value with one origin.
                let others: Vec<_> = value.split(',').filter(|pair| !is_service_name(pair)).collect();
                if others.iter().any(|pair| !pair.trim().is_empty()) {
                    settings.push((name, "otlp.resource_attributes", others.join(",")));
                }
            }
            Err(wrong) => {
                let wrong = format!("{wrong}, the variable is ignored");
                warnings.push(problem(name, wrong, "use name=value,name=value with values percent-encoded"));
            }
        }
    }
    if let Some((name, value)) = get(variables, "OTEL_SERVICE_NAME") {
        settings.push((name, "otlp.service_name", value.to_owned()));
    }
}

fn is_service_name(pair: &str) -> bool {
    pair.split_once('=').is_some_and(|(key, _)| key.trim() == "service.name")
}
