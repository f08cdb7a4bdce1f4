//! OpenTelemetry's variables that are ignored, with the warning of each.

use eyepiece_config::{Compression, Signal};

use crate::support::ok;

#[test]
fn ignored_opentelemetry_variables_are_warned_about() {
    const TIME: &str = "use a whole number above 0 without a unit, such as 10000";
    const PLAIN: &str =
        "the endpoint begins with http://, so nothing is encrypted; use an https:// endpoint, or leave it out";
    const PATH: &str = "leave the path out, or set the protocol to http/protobuf";
    const PAIRS: &str = "use name=value,name=value with values percent-encoded";
    const TEMPORALITY: &str = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE";
    for (env, message) in [
        (
            "OTEL_EXPORTER_OTLP_TIMEOUT=10s",
            format!("OTEL_EXPORTER_OTLP_TIMEOUT: \"10s\" is no number of milliseconds, the variable is ignored; {TIME}"),
        ),
        (
            "OTEL_METRIC_EXPORT_INTERVAL=0",
            format!("OTEL_METRIC_EXPORT_INTERVAL: \"0\" is no number of milliseconds, the variable is ignored; {TIME}"),
        ),
        (
            "OTEL_EXPORTER_OTLP_PROTOCOL=http/json",
            "otlp.protocol (from OTEL_EXPORTER_OTLP_PROTOCOL): \"http/json\" is not known, the variable is ignored; \
             use grpc, http/protobuf, stdout"
                .to_owned(),
        ),
        (
            "OTEL_EXPORTER_OTLP_LOGS_COMPRESSION=zstd",
            "otlp.logs.compression (from OTEL_EXPORTER_OTLP_LOGS_COMPRESSION): \"zstd\" is not known, the variable is \
             ignored; use none, gzip"
                .to_owned(),
        ),
        (
            "OTEL_LOG_LEVEL=verbose",
            "log.level (from OTEL_LOG_LEVEL): \"verbose\" is not known, the variable is ignored; use off, error, warn, \
             info, debug, trace"
                .to_owned(),
        ),
        (
            "OTEL_BLRP_MAX_QUEUE_SIZE=-1",
            "OTEL_BLRP_MAX_QUEUE_SIZE: \"-1\" is no number of log records, the variable is ignored; use a whole number above \
             0"
                .to_owned(),
        ),
        (
            "OTEL_BLRP_MAX_QUEUE_SIZE=99999999",
            "otlp.logs.queue_records (from OTEL_BLRP_MAX_QUEUE_SIZE): 99999999 is too large, the variable is ignored; use a \
             whole number from 1 to 16777216"
                .to_owned(),
        ),
        (
            "OTEL_EXPORTER_OTLP_TIMEOUT=18446744073709551615",
            format!(
                "OTEL_EXPORTER_OTLP_TIMEOUT: \"18446744073709551615\" is no number of milliseconds, the variable is ignored; \
                 {TIME}"
            ),
        ),
        (
            "OTEL_RESOURCE_ATTRIBUTES=a=b,c",
            format!("OTEL_RESOURCE_ATTRIBUTES: entry 2 has no name=value form, the variable is ignored; {PAIRS}"),
        ),
        (
            "OTEL_RESOURCE_ATTRIBUTES=a=b,c=%",
            format!(
                "OTEL_RESOURCE_ATTRIBUTES: the value of entry 2 is not percent-encoded UTF-8, the variable is ignored; {PAIRS}"
            ),
        ),
        (
            "OTEL_SDK_DISABLED=1",
            "OTEL_SDK_DISABLED: \"1\" is neither true nor false, it counts as false; use true or false".to_owned(),
        ),
        (
            "OTEL_EXPORTER_OTLP_LOGS_INSECURE=yes",
            "OTEL_EXPORTER_OTLP_LOGS_INSECURE: \"yes\" is neither true nor false, it counts as false; use true or false"
                .to_owned(),
        ),
        (
            "OTEL_ATTRIBUTE_COUNT_LIMIT=many",
            "OTEL_ATTRIBUTE_COUNT_LIMIT: \"many\" is no limit, the variable is ignored; use a whole number from 0 to \
             4294967295"
                .to_owned(),
        ),
        (
            "OTEL_METRICS_EXEMPLAR_FILTER=always_on",
            "OTEL_METRICS_EXEMPLAR_FILTER: the variable is not supported and ignored; unset it".to_owned(),
        ),
        (
            "OTEL_METRICS_EXPORTER=otlp,zipkin",
            "OTEL_METRICS_EXPORTER: \"zipkin\" is not known, it is ignored; use otlp, console, prometheus or none".to_owned(),
        ),
        (
            "OTEL_LOGS_EXPORTER=prometheus",
            "OTEL_LOGS_EXPORTER: \"prometheus\" is not known, it is ignored; use otlp, console or none".to_owned(),
        ),
        (
            "OTEL_LOGS_EXPORTER=console,otlp",
            "OTEL_LOGS_EXPORTER: otlp and console exclude each other, console is ignored; use one of them".to_owned(),
        ),
        (
            &format!("{TEMPORALITY}=sometimes"),
            format!(
                "{TEMPORALITY}: \"sometimes\" is not known, the variable is ignored; use one of cumulative, delta, lowmemory"
            ),
        ),
        (
            "OTEL_EXPORTER_OTLP_CERTIFICATE=/ca.pem",
            format!("otlp.tls.ca (from OTEL_EXPORTER_OTLP_CERTIFICATE): {PLAIN}"),
        ),
        (
            "OTEL_EXPORTER_OTLP_METRICS_CERTIFICATE=/ca.pem",
            format!("otlp.metrics.tls.ca (from OTEL_EXPORTER_OTLP_METRICS_CERTIFICATE): {PLAIN}"),
        ),
        (
            "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT=http://c:4317/v1/logs",
            format!(
                "otlp.logs.endpoint (from OTEL_EXPORTER_OTLP_LOGS_ENDPOINT): a gRPC endpoint has no path, this one has \
                 \"/v1/logs\"; {PATH}"
            ),
        ),
    ] {
        let loaded = ok("", &[env], &[]);
        let warnings: Vec<_> = loaded.warnings.iter().map(ToString::to_string).collect();
        assert_eq!(warnings, [message], "{env}");
        assert!(loaded.settings.otlp.resource_attributes.is_empty(), "{env}");
        let (logs, metrics) = (loaded.settings.otlp.export(Signal::Logs), loaded.settings.otlp.export(Signal::Metrics));
        let host = if env.contains("ENDPOINT") { "c" } else { "localhost" };
        assert_eq!((logs.endpoint, metrics.tls.ca), (format!("http://{host}:4317"), None), "{env}");
    }
    let silent = [
        &format!("{TEMPORALITY}=Cumulative"),
        "OTEL_EXPORTER_OTLP_COMPRESSION=GZIP",
        "OTEL_EXPORTER_OTLP_PROTOCOL=http/json",
        "OTEL_SDK_DISABLED=False",
        "OTEL_EXPORTER_OTLP_INSECURE=TRUE",
    ];
    let loaded = ok("", &silent, &["otlp.protocol=grpc"]);
    assert_eq!((loaded.warnings, loaded.settings.otlp.compression), (Vec::new(), Compression::Gzip));
}
