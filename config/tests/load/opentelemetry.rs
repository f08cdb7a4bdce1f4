//! OpenTelemetry's variables.

use std::time::Duration;

use eyepiece_config::{HIDDEN, Signal};

use crate::setting::text;
use crate::support::ok;

/// Client certificates and `…_INSECURE` have an effect with another variable only; other tests have them.
#[test]
fn each_variable_sets_its_key() {
    for (variable, value, key, expected) in [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://own:1", "otlp.endpoint", "https://own:1"),
        ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "https://c:1", "otlp.metrics.endpoint", "https://c:1"),
        ("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "https://c:1", "otlp.logs.endpoint", "https://c:1"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "HTTP/protobuf", "otlp.protocol", "http/protobuf"),
        ("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "grpc", "otlp.metrics.protocol", "grpc"),
        ("OTEL_EXPORTER_OTLP_LOGS_PROTOCOL", "grpc", "otlp.logs.protocol", "grpc"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "a=b", "otlp.headers.a", HIDDEN),
        ("OTEL_EXPORTER_OTLP_METRICS_HEADERS", "a=b", "otlp.metrics.headers.a", HIDDEN),
        ("OTEL_EXPORTER_OTLP_LOGS_HEADERS", "a=b", "otlp.logs.headers.a", HIDDEN),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "GZIP", "otlp.compression", "gzip"),
        ("OTEL_EXPORTER_OTLP_METRICS_COMPRESSION", "gzip", "otlp.metrics.compression", "gzip"),
        ("OTEL_EXPORTER_OTLP_LOGS_COMPRESSION", "gzip", "otlp.logs.compression", "gzip"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "1500", "otlp.timeout", "1s500ms"),
        ("OTEL_EXPORTER_OTLP_METRICS_TIMEOUT", "20", "otlp.metrics.timeout", "20ms"),
        ("OTEL_EXPORTER_OTLP_LOGS_TIMEOUT", "20", "otlp.logs.timeout", "20ms"),
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/ca", "otlp.tls.ca", "/ca"),
        ("OTEL_EXPORTER_OTLP_METRICS_CERTIFICATE", "/ca", "otlp.metrics.tls.ca", "/ca"),
        ("OTEL_EXPORTER_OTLP_LOGS_CERTIFICATE", "/ca", "otlp.logs.tls.ca", "/ca"),
        ("OTEL_METRICS_EXPORTER", "none", "otlp.metrics.enabled", "false"),
        ("OTEL_METRICS_EXPORTER", "console", "otlp.metrics.table", "true"),
        ("OTEL_METRICS_EXPORTER", "prometheus", "prometheus.listen", "127.0.0.1:9464"),
        ("OTEL_LOGS_EXPORTER", "console", "otlp.logs.protocol", "stdout"),
        ("OTEL_SDK_DISABLED", "True", "otlp.metrics.enabled", "false"),
        ("OTEL_SDK_DISABLED", "True", "otlp.logs.enabled", "false"),
        ("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "LowMemory", "otlp.metrics.temporality", "lowmemory"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "2000", "otlp.metrics.interval", "2s"),
        ("OTEL_METRIC_EXPORT_TIMEOUT", "30", "otlp.metrics.timeout", "30ms"),
        ("OTEL_BLRP_SCHEDULE_DELAY", "50", "otlp.logs.delay", "50ms"),
        ("OTEL_BLRP_EXPORT_TIMEOUT", "30", "otlp.logs.timeout", "30ms"),
        ("OTEL_BLRP_MAX_QUEUE_SIZE", "100000", "otlp.logs.queue_records", "100000"),
        ("OTEL_BLRP_MAX_EXPORT_BATCH_SIZE", "512", "otlp.logs.batch_records", "512"),
        ("OTEL_ATTRIBUTE_COUNT_LIMIT", "10", "otlp.logs.attribute_count_limit", "10"),
        ("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "20", "otlp.logs.attribute_value_length_limit", "20"),
        ("OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT", "0", "otlp.logs.attribute_count_limit", "0"),
        ("OTEL_LOGRECORD_ATTRIBUTE_VALUE_LENGTH_LIMIT", "30", "otlp.logs.attribute_value_length_limit", "30"),
        ("OTEL_LOG_LEVEL", "DEBUG", "log.level", "debug"),
        ("OTEL_RESOURCE_ATTRIBUTES", "a=b%20c, service.name=mine", "otlp.resource_attributes.a", "b c"),
        ("OTEL_RESOURCE_ATTRIBUTES", "service.name=mine", "otlp.service_name", "mine"),
        ("OTEL_SERVICE_NAME", "mine", "otlp.service_name", "mine"),
    ] {
        // With encryption, for certificates; an endpoint of the row takes precedence.
        let endpoint = (variable != "OTEL_EXPORTER_OTLP_ENDPOINT").then_some("OTEL_EXPORTER_OTLP_ENDPOINT=https://c:1");
        let given = format!("{variable}={value}");
        let env: Vec<&str> = endpoint.into_iter().chain([given.as_str()]).collect();
        let loaded = ok("", &env, &[]);
        assert_eq!(text(&loaded.settings, key), expected, "{given}");
        let origin = loaded.origins.iter().find(|(path, _)| key.starts_with(path.as_str()));
        assert_eq!(origin.map(|(_, origin)| origin.as_str()), Some(variable), "{given}");
        assert!(loaded.warnings.is_empty(), "{given}: {:?}", loaded.warnings);
    }
}

#[test]
fn variables_work_together() {
    let settings = ok(
        "",
        &[
            "OTEL_EXPORTER_OTLP_ENDPOINT=https://c:4318/base",
            "OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf",
            "OTEL_EXPORTER_OTLP_HEADERS=Api-Key = secret%2C1 ,x=y",
            "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE=/cert.pem",
            "OTEL_EXPORTER_OTLP_CLIENT_KEY=/key.pem",
            "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT=https://logs:1/own",
            "OTEL_EXPORTER_OTLP_LOGS_HEADERS=z=1",
            "OTEL_EXPORTER_OTLP_METRICS_CLIENT_CERTIFICATE=/m.pem",
            "OTEL_EXPORTER_OTLP_METRICS_CLIENT_KEY=/k.pem",
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=not ours",
            "OTEL_SERVICE_NAME=mine",
            "OTEL_RESOURCE_ATTRIBUTES=service.name=other,a=b",
        ],
        &[],
    )
    .settings;
    let (logs, metrics) = (settings.otlp.export(Signal::Logs), settings.otlp.export(Signal::Metrics));
    assert_eq!(
        (logs.endpoint.as_str(), metrics.endpoint.as_str()),
        ("https://logs:1/own", "https://c:4318/base/v1/metrics")
    );
    for (tls, cert, key) in [(logs.tls, "/cert.pem", "/key.pem"), (metrics.tls, "/m.pem", "/k.pem")] {
        assert_eq!((tls.cert, tls.key), (Some(cert.into()), Some(key.into())));
    }
    assert_eq!(logs.headers.keys().collect::<Vec<_>>(), ["z"]);
    assert_eq!(metrics.headers["api-key"].expose(), "secret,1");
    assert_eq!((settings.otlp.service_name.as_str(), settings.otlp.resource_attributes.len()), ("mine", 1));
}

#[test]
fn exporters_are_selected_by_variables() {
    let shown = |env: &[&str]| {
        let settings = ok("", env, &[]).settings;
        let export = |signal| {
            let export = settings.otlp.export(signal);
            if export.enabled { export.protocol.name() } else { "off" }
        };
        let listen = settings.prometheus.listen.map(|address| address.to_string());
        (export(Signal::Metrics), export(Signal::Logs), listen.unwrap_or_default())
    };
    let host = "OTEL_EXPORTER_PROMETHEUS_HOST=0.0.0.0";
    for (env, metrics, logs, listen) in [
        (&[][..], "grpc", "grpc", ""),
        (&["OTEL_METRICS_EXPORTER=otlp", "OTEL_LOGS_EXPORTER=OTLP"], "grpc", "grpc", ""),
        (&["OTEL_METRICS_EXPORTER=none"], "off", "grpc", ""),
        (&["OTEL_LOGS_EXPORTER=none"], "grpc", "off", ""),
        (&["OTEL_METRICS_EXPORTER=console", "OTEL_LOGS_EXPORTER=console"], "stdout", "stdout", ""),
        (
            &["OTEL_METRICS_EXPORTER=console", "OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf"],
            "stdout",
            "http/protobuf",
            "",
        ),
        (&["OTEL_METRICS_EXPORTER=prometheus"], "off", "grpc", "127.0.0.1:9464"),
        (&["OTEL_METRICS_EXPORTER= otlp , prometheus", host], "grpc", "grpc", "0.0.0.0:9464"),
        (&["OTEL_METRICS_EXPORTER=prometheus", "OTEL_EXPORTER_PROMETHEUS_PORT=1"], "off", "grpc", "127.0.0.1:1"),
        (&[host], "grpc", "grpc", ""),
        (&["OTEL_SDK_DISABLED=true", "OTEL_METRICS_EXPORTER=prometheus"], "off", "off", ""),
        (&["OTEL_SDK_DISABLED=1"], "grpc", "grpc", ""),
    ] {
        assert_eq!(shown(env), (metrics, logs, listen.to_owned()), "{env:?}");
    }
}

#[test]
fn log_batches_follow_variables() {
    for (env, queue, batch, delay, timeout) in [
        (&[][..], 65_536, 4096, 1000, 10_000),
        (&["OTEL_BLRP_MAX_QUEUE_SIZE=2048", "OTEL_BLRP_SCHEDULE_DELAY=50"], 2048, 2048, 50, 10_000),
        (&["OTEL_BLRP_MAX_QUEUE_SIZE=100000", "OTEL_BLRP_EXPORT_TIMEOUT=7"], 100_000, 4096, 1000, 7),
        (&["OTEL_BLRP_MAX_EXPORT_BATCH_SIZE=512", "OTEL_BLRP_MAX_QUEUE_SIZE=1024"], 1024, 512, 1000, 10_000),
        // The shorter of the limit of an export and the timeout of a request holds.
        (&["OTEL_BLRP_EXPORT_TIMEOUT=7", "OTEL_EXPORTER_OTLP_LOGS_TIMEOUT=9"], 65_536, 4096, 1000, 7),
        (&["OTEL_BLRP_EXPORT_TIMEOUT=9", "OTEL_EXPORTER_OTLP_LOGS_TIMEOUT=7"], 65_536, 4096, 1000, 7),
        (&["OTEL_BLRP_EXPORT_TIMEOUT=9", "OTEL_EXPORTER_OTLP_TIMEOUT=7"], 65_536, 4096, 1000, 7),
        (&["OTEL_BLRP_EXPORT_TIMEOUT=30000"], 65_536, 4096, 1000, 10_000),
        (&["OTEL_BLRP_EXPORT_TIMEOUT=30000", "OTEL_EXPORTER_OTLP_TIMEOUT=20000"], 65_536, 4096, 1000, 20_000),
    ] {
        let settings = ok("", env, &[]).settings;
        let logs = &settings.otlp.logs;
        assert_eq!(
            (logs.queue_records, logs.batch_records, logs.delay),
            (queue, batch, Duration::from_millis(delay)),
            "{env:?}"
        );
        assert_eq!(settings.otlp.export(Signal::Logs).timeout, Duration::from_millis(timeout), "{env:?}");
    }
}

#[test]
fn attribute_limits_follow_variables() {
    let (count, length) = ("OTEL_ATTRIBUTE_COUNT_LIMIT=10", "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT=20");
    let (own_count, own_length) =
        ("OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT=0", "OTEL_LOGRECORD_ATTRIBUTE_VALUE_LENGTH_LIMIT=30");
    let text = "[otlp.logs]\nattribute_count_limit = 5\nattribute_value_length_limit = \"\"";
    for (text, env, sets, expected) in [
        ("", &[][..], &[][..], (None, None)),
        ("", &[count, length], &[], (Some(10), Some(20))),
        ("", &[own_count, own_length], &[], (Some(0), Some(30))),
        ("", &[count, own_count, length, own_length], &[], (Some(0), Some(30))),
        ("", &[own_count, length], &[], (Some(0), Some(20))),
        ("", &[count, "OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT=many"], &[], (Some(10), None)),
        ("", &[count, "OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT="], &[], (Some(10), None)),
        ("", &["OTEL_ATTRIBUTE_COUNT_LIMIT=-1", "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT=3"], &[], (None, None)),
        (text, &[count, own_length], &[], (Some(5), None)),
        (text, &["EYEPIECE_OTLP__LOGS__ATTRIBUTE_COUNT_LIMIT=4294967295"], &[], (Some(u32::MAX), None)),
        (text, &["EYEPIECE_OTLP__LOGS__ATTRIBUTE_COUNT_LIMIT="], &[], (None, None)),
        (text, &[], &["otlp.logs.attribute_value_length_limit=7"], (Some(5), Some(7))),
        ("", &[length], &["otlp.logs.attribute_value_length_limit="], (None, None)),
    ] {
        let loaded = ok(text, env, sets);
        let logs = &loaded.settings.otlp.logs;
        let limits = (logs.attribute_count_limit, logs.attribute_value_length_limit);
        assert_eq!(limits, expected, "{text} {env:?} {sets:?}");
        // A number is printed as one, and an absent limit as an empty text.
        assert_eq!(ok(&loaded.print(), &[], &[]).settings.otlp.logs, *logs);
    }
}

#[test]
fn endpoint_without_scheme_uses_tls() {
    for (env, endpoint) in [
        (&["OTEL_EXPORTER_OTLP_ENDPOINT=c:4317"][..], "https://c:4317"),
        (&["OTEL_EXPORTER_OTLP_ENDPOINT=c:4317", "OTEL_EXPORTER_OTLP_INSECURE=TRUE"], "http://c:4317"),
        (&["OTEL_EXPORTER_OTLP_ENDPOINT=https://c:4317", "OTEL_EXPORTER_OTLP_INSECURE=true"], "https://c:4317"),
        (&["OTEL_EXPORTER_OTLP_LOGS_ENDPOINT=c:1", "OTEL_EXPORTER_OTLP_INSECURE=true"], "http://c:1"),
        (
            &[
                "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT=c:1",
                "OTEL_EXPORTER_OTLP_INSECURE=true",
                "OTEL_EXPORTER_OTLP_LOGS_INSECURE=false",
            ],
            "https://c:1",
        ),
        (
            &["OTEL_EXPORTER_OTLP_ENDPOINT= ", "OTEL_EXPORTER_OTLP_TIMEOUT=", "OTEL_EXPORTER_OTLP_PROTOCOL="],
            "http://localhost:4317",
        ),
    ] {
        assert_eq!(ok("", env, &[]).settings.otlp.export(Signal::Logs).endpoint, endpoint, "{env:?}");
    }
}
