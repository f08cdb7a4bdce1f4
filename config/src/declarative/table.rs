//! The table of nodes: what each of them sets, and which have no effect here.
//!
//! The names are those of OpenTelemetry's configuration schema 1.1, of 1.0 where they differ, and three that the schema
//! got after 1.1: `attribute_value_depth_limit`, `max_request_size` and `max_response_size`.

use self::Effect::{LimitsExport, Only, Read, Sets, Unsupported};
use self::Form::{AbsolutePath, Delay, Interval, Number, Timeout, Words};

/// The newest version whose nodes are in the table, as major and minor number.
pub(super) const VERSION: (u32, u32) = (1, 1);

/// A node and its effect.
#[derive(Debug)]
pub(super) struct Row {
    /// Its path below the node that the rows belong to.
    pub(super) path: &'static str,
    pub(super) effect: Effect,
}

/// The effect of a node.
#[derive(Clone, Copy, Debug)]
pub(super) enum Effect {
    /// It sets this key: a whole path, or in an exporter one below its signal's table.
    Sets(&'static str, Form),
    /// It limits a whole export, in milliseconds. The key is the timeout of a request: the shorter of the two holds.
    LimitsExport(&'static str),
    /// Only these values are supported: they are what this program does in any case.
    Only(&'static [&'static str]),
    /// None; it is named in a warning.
    Unsupported,
    /// It is read by a function of its own.
    Read,
}

/// The form of a value, and how it becomes a setting.
#[derive(Clone, Copy, Debug)]
pub(super) enum Form {
    /// A whole number, which the table of keys checks.
    Number,
    /// Milliseconds between two actions, above 0.
    Interval,
    /// Milliseconds of a pause; 0 is none.
    Delay,
    /// Milliseconds until something is given up; 0 is no limit.
    Timeout,
    /// The absolute path of a file.
    AbsolutePath,
    /// One of the words on the left.
    Words(&'static [(&'static str, &'static str)]),
}

const fn row(path: &'static str, effect: Effect) -> Row {
    Row { path, effect }
}

const LEVELS: &[(&str, &str)] = &[
    ("trace", "trace"),
    ("trace2", "trace"),
    ("trace3", "trace"),
    ("trace4", "trace"),
    ("debug", "debug"),
    ("debug2", "debug"),
    ("debug3", "debug"),
    ("debug4", "debug"),
    ("info", "info"),
    ("info2", "info"),
    ("info3", "info"),
    ("info4", "info"),
    ("warn", "warn"),
    ("warn2", "warn"),
    ("warn3", "warn"),
    ("warn4", "warn"),
    ("error", "error"),
    ("error2", "error"),
    ("error3", "error"),
    ("error4", "error"),
    // The least severe messages that this program has beyond warnings.
    ("fatal", "error"),
    ("fatal2", "error"),
    ("fatal3", "error"),
    ("fatal4", "error"),
];

const TEMPORALITIES: &[(&str, &str)] = &[("cumulative", "cumulative"), ("delta", "delta"), ("low_memory", "lowmemory")];

/// Nodes of the file.
pub(super) const FILE: &[Row] = &[
    row("file_format", Read),
    row("disabled", Read),
    row("log_level", Sets("log.level", Words(LEVELS))),
    row("resource", Read),
    // Log records alone have limits of their own.
    row("attribute_limits.attribute_count_limit", Sets("otlp.logs.attribute_count_limit", Number)),
    row("attribute_limits.attribute_value_length_limit", Sets("otlp.logs.attribute_value_length_limit", Number)),
    row("attribute_limits.attribute_value_depth_limit", Unsupported),
    row("logger_provider", Read),
    row("meter_provider", Read),
    row("tracer_provider", Read),
    row("propagator", Read),
    row("instrumentation/development", Read),
    row("distribution", Read),
];

/// Nodes of the file about traces, or about libraries in other programs.
pub(super) const FOREIGN: [&str; 3] = ["tracer_provider", "propagator", "instrumentation/development"];

/// Nodes of `resource`.
pub(super) const RESOURCE: &[Row] = &[
    row("attributes", Read),
    row("attributes_list", Read),
    row("detection/development.attributes", Unsupported),
    row("detection/development.detectors", Read),
    row("schema_url", Unsupported),
];

/// Nodes of a resource attribute.
pub(super) const ATTRIBUTE: &[Row] = &[row("name", Read), row("value", Read), row("type", Read)];

/// Nodes of a header.
pub(super) const HEADER: &[Row] = &[row("name", Read), row("value", Read)];

/// Nodes of `logger_provider`.
pub(super) const LOGGER_PROVIDER: &[Row] = &[
    row("processors", Read),
    row("limits.attribute_count_limit", Sets("otlp.logs.attribute_count_limit", Number)),
    row("limits.attribute_value_length_limit", Sets("otlp.logs.attribute_value_length_limit", Number)),
    row("limits.attribute_value_depth_limit", Unsupported),
    row("logger_configurator/development", Unsupported),
];

/// Nodes of a processor of log records without a queue.
pub(super) const SIMPLE_PROCESSOR: &[Row] = &[row("exporter", Read)];

/// Nodes of a processor of log records with a queue.
pub(super) const BATCH_PROCESSOR: &[Row] = &[
    row("schedule_delay", Sets("otlp.logs.delay", Delay)),
    row("export_timeout", LimitsExport("otlp.logs.timeout")),
    row("max_queue_size", Sets("otlp.logs.queue_records", Number)),
    row("max_export_batch_size", Sets("otlp.logs.batch_records", Number)),
    row("exporter", Read),
];

/// Nodes of `meter_provider`.
pub(super) const METER_PROVIDER: &[Row] = &[
    row("readers", Read),
    row("views", Unsupported),
    // Exemplars are those of flows with a trace context.
    row("exemplar_filter", Only(&["trace_based"])),
    row("meter_configurator/development", Unsupported),
];

/// Nodes of a reader that sends metrics.
pub(super) const PERIODIC_READER: &[Row] = &[
    row("interval", Sets("otlp.metrics.interval", Interval)),
    row("timeout", LimitsExport("otlp.metrics.timeout")),
    row("max_export_batch_size/development", Unsupported),
    row("exporter", Read),
];

/// Nodes of a reader that serves metrics.
pub(super) const PULL_READER: &[Row] = &[row("exporter", Read)];

/// Nodes of all readers.
pub(super) const READER: &[Row] = &[
    row("producers", Unsupported),
    row("cardinality_limits.default", Sets("metrics.max_series", Number)),
    row("cardinality_limits.counter", Unsupported),
    row("cardinality_limits.gauge", Unsupported),
    row("cardinality_limits.histogram", Unsupported),
    row("cardinality_limits.observable_counter", Unsupported),
    row("cardinality_limits.observable_gauge", Unsupported),
    row("cardinality_limits.observable_up_down_counter", Unsupported),
    row("cardinality_limits.up_down_counter", Unsupported),
];

/// Nodes of an exporter by OTLP; keys are below the signal's table.
pub(super) const OTLP: &[Row] = &[
    row("endpoint", Read),
    row("headers", Read),
    row("headers_list", Read),
    row("tls.ca_file", Sets("tls.ca", AbsolutePath)),
    row("tls.cert_file", Sets("tls.cert", AbsolutePath)),
    row("tls.key_file", Sets("tls.key", AbsolutePath)),
    row("compression", Sets("compression", Words(&[("none", "none"), ("gzip", "gzip")]))),
    row("timeout", Sets("timeout", Timeout)),
    row("max_request_size", Unsupported),
    row("max_response_size", Unsupported),
];

/// Nodes of an exporter by gRPC, beside those of OTLP.
pub(super) const GRPC: &[Row] = &[row("tls.insecure", Read)];

/// Nodes of an exporter by HTTP, beside those of OTLP.
pub(super) const HTTP: &[Row] = &[row("encoding", Only(&["protobuf"]))];

/// No nodes.
pub(super) const NO_ROWS: &[Row] = &[];

/// Nodes of an exporter of metrics, beside those of its protocol; keys are below the signal's table.
pub(super) const METRIC_EXPORTER: &[Row] = &[
    row("temporality_preference", Sets("temporality", Words(TEMPORALITIES))),
    row("default_histogram_aggregation", Only(&["explicit_bucket_histogram"])),
];

/// Nodes of an exporter that prints metrics, which it does cumulatively.
pub(super) const METRIC_CONSOLE: &[Row] = &[
    row("temporality_preference", Only(&["cumulative"])),
    row("default_histogram_aggregation", Only(&["explicit_bucket_histogram"])),
];

/// Nodes of the exporter for Prometheus.
pub(super) const PROMETHEUS: &[Row] = &[
    row("host", Read),
    row("port", Read),
    row("scope_info_enabled", Only(&["true"])),
    row("target_info_enabled/development", Only(&["true"])),
    row("translation_strategy", Only(&["underscore_escaping_with_suffixes"])),
    row("resource_constant_labels", Unsupported),
    // Names of version 1.0.
    row("without_scope_info", Only(&["false"])),
    row("without_target_info/development", Only(&["false"])),
    row("with_resource_constant_labels", Unsupported),
];

#[cfg(test)]
mod tests {
    use super::{BATCH_PROCESSOR, Effect, FILE, METRIC_EXPORTER, OTLP, PERIODIC_READER, READER};
    use crate::keys;

    #[test]
    fn rows_set_known_keys() {
        for (prefix, rows) in [
            ("", FILE),
            ("", BATCH_PROCESSOR),
            ("", PERIODIC_READER),
            ("", READER),
            ("otlp.logs.", OTLP),
            ("otlp.metrics.", OTLP),
            ("otlp.metrics.", METRIC_EXPORTER),
        ] {
            for row in rows {
                if let Effect::Sets(key, _) | Effect::LimitsExport(key) = row.effect {
                    assert!(keys::find(&format!("{prefix}{key}")).is_some(), "{prefix}{key}");
                }
            }
        }
    }
}
