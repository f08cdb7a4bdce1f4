//! The setting and the origin of each node.

use std::time::Duration;

use eyepiece_config::{Compression, Protocol, Signal};

use crate::setting::text;
use crate::{Read, logs, metrics, pull, read};

#[test]
fn nodes_set_keys() {
    let grpc = "otlp_grpc: ";
    for (nodes, key, expected, node) in [
        ("log_level: debug".to_owned(), "log.level", "debug", "log_level"),
        ("log_level: trace3".to_owned(), "log.level", "trace", "log_level"),
        ("log_level: fatal".to_owned(), "log.level", "error", "log_level"),
        ("disabled: true".to_owned(), "otlp.metrics.enabled", "false", "disabled"),
        ("disabled: true".to_owned(), "otlp.logs.enabled", "false", "disabled"),
        (logs(grpc, "schedule_delay: 50"), "otlp.logs.delay", "50ms", "processors[0].batch.schedule_delay"),
        (logs(grpc, "schedule_delay: 0"), "otlp.logs.delay", "1ms", "batch.schedule_delay"),
        (logs(grpc, "export_timeout: 7"), "otlp.logs.timeout", "7ms", "batch.export_timeout"),
        (logs("otlp_grpc: {timeout: 9}", "export_timeout: 7"), "otlp.logs.timeout", "7ms", "batch.export_timeout"),
        (logs("otlp_grpc: {timeout: 7}", "export_timeout: 9"), "otlp.logs.timeout", "7ms", "otlp_grpc.timeout"),
        (logs("otlp_grpc: {timeout: 0}", "export_timeout: 9"), "otlp.logs.timeout", "9ms", "batch.export_timeout"),
        (
            logs("otlp_grpc: {timeout: 0}", "export_timeout: 0"),
            "otlp.logs.timeout",
            "24d20h31m23s647ms",
            "otlp_grpc.timeout",
        ),
        (logs(grpc, "max_queue_size: 100000"), "otlp.logs.queue_records", "100000", "batch.max_queue_size"),
        (logs(grpc, "max_queue_size: 2048"), "otlp.logs.batch_records", "2048", "batch.max_queue_size"),
        (
            logs(grpc, "max_queue_size: 1024, max_export_batch_size: 512"),
            "otlp.logs.batch_records",
            "512",
            "batch.max_export_batch_size",
        ),
        (metrics(grpc, "interval: 60000"), "otlp.metrics.interval", "1m", "readers[0].periodic.interval"),
        (metrics(grpc, "timeout: 3000"), "otlp.metrics.timeout", "3s", "readers[0].periodic.timeout"),
        (
            metrics(grpc, "cardinality_limits: {default: 2000}"),
            "metrics.max_series",
            "2000",
            "periodic.cardinality_limits.default",
        ),
        (
            metrics("otlp_grpc: {temporality_preference: low_memory}", ""),
            "otlp.metrics.temporality",
            "lowmemory",
            "otlp_grpc.temporality_preference",
        ),
        (
            "attribute_limits: {attribute_value_length_limit: 9}".to_owned(),
            "otlp.logs.attribute_value_length_limit",
            "9",
            "attribute_limits.attribute_value_length_limit",
        ),
        (
            // Wins over the limit of the whole file.
            logs(grpc, "")
                .replace("]}", "], limits: {attribute_count_limit: 7}}\nattribute_limits: {attribute_count_limit: 8}"),
            "otlp.logs.attribute_count_limit",
            "7",
            "logger_provider.limits.attribute_count_limit",
        ),
        (metrics("console: ", ""), "otlp.metrics.table", "true", "periodic.exporter.console"),
        (pull(""), "prometheus.listen", "127.0.0.1:9464", "pull.exporter.prometheus/development"),
        (pull("host: 0.0.0.0, port: 0x10"), "prometheus.listen", "0.0.0.0:16", "pull.exporter.prometheus/development"),
        (pull("host: \"[::1]\""), "prometheus.listen", "[::1]:9464", "pull.exporter.prometheus/development"),
        (pull(""), "otlp.metrics.enabled", "false", "readers[0].pull"),
        (
            "resource: {attributes: [{name: service.name, value: mine}]}".to_owned(),
            "otlp.service_name",
            "mine",
            "resource.attributes[0].value",
        ),
        (
            "resource: {attributes_list: \"a=b,service.name=listed\"}".to_owned(),
            "otlp.service_name",
            "listed",
            "resource.attributes_list",
        ),
    ] {
        let Read { loaded, .. } = read(&nodes);
        assert_eq!(text(&loaded.settings, key), expected, "{nodes}");
        let origin = &loaded.origins[key];
        assert!(origin.starts_with("FILE:2: ") && origin.ends_with(node), "{nodes}: {origin}");
    }
}

#[test]
fn absent_signal_is_not_exported() {
    for (nodes, metrics, logs) in [
        ("", Some("FILE: no meter_provider"), Some("FILE: no logger_provider")),
        ("meter_provider:\nlogger_provider:", Some("FILE: no meter_provider"), Some("FILE: no logger_provider")),
        (metrics("otlp_grpc: ", "").as_str(), None, Some("FILE: no logger_provider")),
        (logs("otlp_grpc: ", "").as_str(), Some("FILE: no meter_provider"), None),
    ] {
        let Read { loaded, warnings } = read(nodes);
        for (signal, origin) in [(Signal::Metrics, metrics), (Signal::Logs, logs)] {
            assert_eq!(loaded.settings.otlp.export(signal).enabled, origin.is_none(), "{nodes}");
            let key = format!("otlp.{}.enabled", signal.name());
            assert_eq!(loaded.origins.get(&key).map(String::as_str), origin, "{nodes}");
        }
        let is_idle = metrics.is_some() && logs.is_some();
        let idle = "FILE (from OTEL_CONFIG_FILE): has neither logger_provider nor meter_provider: nothing is exported; \
                    add one of them";
        assert_eq!(warnings, if is_idle { vec![idle] } else { vec![] }, "{nodes}");
    }
}

#[test]
fn exporters_set_endpoint_and_protocol() {
    use Protocol::{Grpc, HttpProtobuf, Stdout};
    for (exporter, protocol, logs_endpoint, metrics_endpoint) in [
        ("otlp_grpc: ", Grpc, "http://localhost:4317", "http://localhost:4317"),
        ("otlp_grpc: {endpoint: }", Grpc, "http://localhost:4317", "http://localhost:4317"),
        ("otlp_grpc: {endpoint: \"https://c:1\"}", Grpc, "https://c:1", "https://c:1"),
        ("otlp_grpc: {endpoint: \"c:1\"}", Grpc, "https://c:1", "https://c:1"),
        ("otlp_grpc: {endpoint: \"c:1\", tls: {insecure: true}}", Grpc, "http://c:1", "http://c:1"),
        ("otlp_grpc: {endpoint: \"https://c:1\", tls: {insecure: true}}", Grpc, "https://c:1", "https://c:1"),
        ("otlp_http: ", HttpProtobuf, "http://localhost:4318/v1/logs", "http://localhost:4318/v1/metrics"),
        ("otlp_http: {endpoint: \"http://c:1/own\"}", HttpProtobuf, "http://c:1/own", "http://c:1/own"),
        (
            "otlp_http: {encoding: protobuf}",
            HttpProtobuf,
            "http://localhost:4318/v1/logs",
            "http://localhost:4318/v1/metrics",
        ),
        ("console: ", Stdout, "http://localhost:4317", "http://localhost:4317"),
        ("console: {}", Stdout, "http://localhost:4317", "http://localhost:4317"),
    ] {
        let Read { loaded, warnings } = read(&format!("{}\n{}", logs(exporter, ""), metrics(exporter, "")));
        assert_eq!(warnings, [""; 0], "{exporter}");
        for (signal, endpoint) in [(Signal::Logs, logs_endpoint), (Signal::Metrics, metrics_endpoint)] {
            let export = loaded.settings.otlp.export(signal);
            let found = (export.enabled, export.protocol, export.endpoint.as_str());
            assert_eq!(found, (true, protocol, endpoint), "{exporter}");
        }
    }
}

#[test]
fn exporter_has_headers_and_files() {
    let fields = "endpoint: \"https://c:1\", compression: gzip, timeout: 1500, \
                  tls: {ca_file: /ca.pem, cert_file: /cert.pem, key_file: /key.pem}, \
                  headers_list: \"Api-Key=listed,a=b%20c\", \
                  headers: [{name: api-key, value: \"a=b, c\"}, {name: none, value: }]";
    let nodes = format!(
        "{}\n{}",
        logs(&format!("otlp_grpc: {{{fields}}}"), "export_timeout: 9"),
        metrics(&format!("otlp_http: {{{fields}}}"), "timeout: 9")
    );
    let Read { loaded, warnings } = read(&nodes);
    assert_eq!(warnings, [""; 0]);
    for signal in Signal::ALL {
        let export = loaded.settings.otlp.export(signal);
        let headers: Vec<_> = export.headers.iter().map(|(name, value)| (name.as_str(), value.expose())).collect();
        assert_eq!(headers, [("a", "b c"), ("api-key", "a=b, c")]);
        assert_eq!((export.compression, export.timeout), (Compression::Gzip, Duration::from_millis(9)));
        let files = [export.tls.ca, export.tls.cert, export.tls.key];
        let files = files.map(|file| file.expect("a file").display().to_string());
        assert_eq!(files, ["/ca.pem", "/cert.pem", "/key.pem"]);
    }
}

#[test]
fn longer_export_limit_has_no_effect() {
    let own = |timeout: &str| format!("distribution: {{eyepiece: {{otlp: {{{timeout}}}}}}}");
    for (fields, own, milliseconds) in [
        ("export_timeout: 30000", String::new(), 10_000),
        ("export_timeout: 0", String::new(), 10_000),
        ("export_timeout: 30000", own("timeout: 20s"), 20_000),
        ("export_timeout: 15000", own("timeout: 20s"), 15_000),
        // Our own settings win over the nodes.
        ("export_timeout: 7", own("logs: {timeout: 20s}"), 20_000),
    ] {
        let Read { loaded, warnings } = read(&format!("{}\n{own}", logs("otlp_grpc: ", fields)));
        let timeout = loaded.settings.otlp.export(Signal::Logs).timeout;
        assert_eq!((timeout, warnings), (Duration::from_millis(milliseconds), Vec::new()), "{fields} {own}");
    }
}

#[test]
fn attributes_precede_list() {
    let nodes = "resource: {attributes_list: \"a=listed,b=b%20b\", attributes: [{name: a, value: \"1,2\"}, \
                 {name: c, value: }, {name: d, value: e, type: string}]}";
    let attributes = read(nodes).loaded.settings.otlp.resource_attributes;
    let attributes: Vec<_> = attributes.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(attributes, [("a", "1,2"), ("b", "b b"), ("d", "e")]);
}

#[test]
fn own_settings_stand_below_distribution() {
    let nodes = "distribution:\n  other: {key: value}\n  eyepiece:\n    datapath:\n      interval: 30s\n      drops: false\n      \
                 interfaces: {include: [\"eth*\", lo]}\n    otlp:\n      logs.enabled: true\n      \
                 headers: {authorization: Bearer x}\n      resource_attributes: {a.b: c}\n    \
                 replay: {speed: 2}\n    metrics.hubble: drop tcp";
    let Read { loaded, .. } = read(nodes);
    let settings = &loaded.settings;
    assert_eq!(settings.datapath.interval, Duration::from_secs(30));
    assert_eq!(settings.datapath.interfaces.include, ["eth*", "lo"]);
    assert_eq!((settings.datapath.drops, settings.otlp.logs.enabled), (false, true));
    assert_eq!(settings.otlp.headers["authorization"].expose(), "Bearer x");
    assert_eq!(settings.otlp.resource_attributes["a.b"], "c");
    assert!((settings.replay.speed - 2.0).abs() < f64::EPSILON && settings.metrics.hubble.len() == 2);
    assert_eq!(loaded.origins["datapath.interval"], "FILE:6: distribution.eyepiece.datapath.interval");
    let printed = loaded.print();
    assert!(printed.contains("interval = \"30s\" # FILE:6: distribution.eyepiece.datapath.interval\n"), "{printed}");
}
