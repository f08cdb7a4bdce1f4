//! The nodes of the schema's examples: they load, and each node that is not supported is named.

use std::path::PathBuf;
use std::time::Duration;

use eyepiece_config::{Compression, FlowDetail, LogLevel, Protocol, Settings, Signal, Sources, load};

/// The settings of an example, and the keys of its warnings, with FILE for its name.
fn read(name: &str, variables: &[(&str, &str)]) -> (Settings, Vec<String>) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/declarative/data").join(name);
    let env = variables.iter().map(|(name, value)| (name.into(), value.into()));
    let env = env.chain([("OTEL_CONFIG_FILE".into(), path.clone().into())]).collect();
    let loaded = load(&Sources { env, ..Sources::default() }).unwrap_or_else(|error| panic!("{name}: {error}"));
    let path = path.display().to_string();
    let keys = loaded.warnings.into_iter().map(|warning| warning.key.replace(&path, "FILE")).collect();
    (loaded.settings, keys)
}

#[test]
fn getting_started_follows_variables() {
    let (settings, warnings) = read("getting-started.yaml", &[]);
    assert_eq!(warnings, ["FILE", "resource.detection/development.detectors[2].process"]);
    for (signal, endpoint) in
        [(Signal::Logs, "http://localhost:4318/v1/logs"), (Signal::Metrics, "http://localhost:4318/v1/metrics")]
    {
        let export = settings.otlp.export(signal);
        let found = (export.enabled, export.protocol, export.endpoint.as_str());
        assert_eq!(found, (true, Protocol::HttpProtobuf, endpoint));
    }
    let variables = [
        ("OTEL_SERVICE_NAME", "mine"),
        ("OTEL_RESOURCE_ATTRIBUTES", "service.namespace=shop"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://c:1"),
        ("OTEL_LOG_LEVEL", "debug"),
    ];
    let (settings, warnings) = read("getting-started.yaml", &variables);
    assert_eq!(warnings, ["FILE", "OTEL_CONFIG_FILE", "resource.detection/development.detectors[2].process"]);
    let otlp = settings.otlp;
    assert_eq!((otlp.service_name.as_str(), settings.log.level), ("mine", LogLevel::Info));
    assert_eq!(otlp.resource_attributes["service.namespace"], "shop");
    assert_eq!(otlp.export(Signal::Logs).endpoint, "https://c:1/v1/logs");
    assert_eq!(otlp.export(Signal::Metrics).endpoint, "https://c:1/v1/metrics");
}

#[test]
fn sdk_config_sets_defaults_of_specification() {
    let (settings, warnings) = read("sdk-config.yaml", &[]);
    assert_eq!(
        warnings,
        ["FILE", "attribute_limits.attribute_value_depth_limit", "logger_provider.limits.attribute_value_depth_limit",]
    );
    let otlp = &settings.otlp;
    assert_eq!((otlp.service_name.as_str(), settings.log.level), ("unknown_service", LogLevel::Info));
    assert_eq!((otlp.logs.queue_records, otlp.logs.batch_records), (2048, 512));
    assert_eq!((otlp.logs.attribute_count_limit, otlp.logs.attribute_value_length_limit), (Some(128), None));
    assert_eq!((otlp.logs.delay, otlp.metrics.interval), (Duration::from_secs(1), Duration::from_secs(60)));
    for signal in Signal::ALL {
        let export = otlp.export(signal);
        assert_eq!((export.compression, export.timeout), (Compression::Gzip, Duration::from_secs(10)));
        assert_eq!((export.tls.ca, export.headers.len()), (None, 0));
    }
}

#[test]
fn migration_config_follows_variables() {
    let (defaults, warnings) = read("sdk-migration-config.yaml", &[]);
    assert_eq!(warnings, ["FILE"]);
    let mut expected = read("sdk-config.yaml", &[]).0;
    assert_eq!(defaults, expected);
    let variables = [
        ("OTEL_SERVICE_NAME", "mine"),
        ("OTEL_RESOURCE_ATTRIBUTES", "a=b"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "2000"),
        ("OTEL_EXPORTER_OTLP_METRICS_TIMEOUT", "30"),
        ("OTEL_EXPORTER_OTLP_METRICS_COMPRESSION", "none"),
        ("OTEL_BLRP_SCHEDULE_DELAY", "50"),
        ("OTEL_BLRP_MAX_QUEUE_SIZE", "1024"),
    ];
    let (settings, warnings) = read("sdk-migration-config.yaml", &variables);
    assert_eq!(warnings, ["FILE"]);
    expected.otlp.service_name = "mine".to_owned();
    expected.otlp.resource_attributes = [("a".to_owned(), "b".to_owned())].into();
    expected.otlp.metrics.interval = Duration::from_secs(2);
    expected.otlp.metrics.overrides.timeout = Some(Duration::from_millis(30));
    expected.otlp.metrics.overrides.compression = Some(Compression::None);
    expected.otlp.logs.delay = Duration::from_millis(50);
    expected.otlp.logs.queue_records = 1024;
    assert_eq!(settings, expected);
    let (disabled, _) = read("sdk-migration-config.yaml", &[("OTEL_SDK_DISABLED", "true")]);
    assert!(!disabled.otlp.logs.enabled && !disabled.otlp.metrics.enabled);
}

#[test]
fn kitchen_sink_names_unsupported_nodes() {
    let (settings, warnings) = read("kitchen-sink.yaml", &[]);
    let below = |node: &str, names: &[&str]| names.iter().map(|name| format!("{node}{name}")).collect::<Vec<_>>();
    let expected = [
        below("FILE", &[""]),
        below("attribute_limits.", &["attribute_value_depth_limit"]),
        below("logger_provider.limits.", &["attribute_value_depth_limit"]),
        below("logger_provider.", &["logger_configurator/development"]),
        below("logger_provider.processors[0].batch.exporter.otlp_http.", &["max_request_size", "max_response_size"]),
        below(
            "logger_provider.processors",
            &[
                "[1].batch.exporter.otlp_grpc",
                "[2].batch.exporter.otlp_file/development",
                "[3].simple.exporter.console",
                "[4].event_to_span_event_bridge/development",
            ],
        ),
        below("meter_provider.", &["exemplar_filter", "meter_configurator/development"]),
        below(
            "meter_provider.readers[0].pull.",
            &["cardinality_limits.default", "exporter.prometheus/development.resource_constant_labels", "producers"],
        ),
        below(
            "meter_provider.readers[1].periodic.cardinality_limits.",
            &[
                "counter",
                "gauge",
                "histogram",
                "observable_counter",
                "observable_gauge",
                "observable_up_down_counter",
                "up_down_counter",
            ],
        ),
        below(
            "meter_provider.readers[1].periodic.exporter.otlp_grpc.",
            &["default_histogram_aggregation", "max_request_size", "max_response_size"],
        ),
        below("meter_provider.readers[1].periodic.", &["max_export_batch_size/development", "producers"]),
        below(
            "meter_provider.readers",
            &[
                "[2].periodic.exporter.otlp_http",
                "[3].periodic.exporter.otlp_file/development",
                "[4].periodic.exporter.console",
            ],
        ),
        below("meter_provider.", &["views"]),
        // Its endpoint begins with http://.
        below("otlp.metrics.tls.", &["ca", "cert"]),
        (2..9).map(|index| format!("resource.attributes[{index}].value")).collect(),
        below("resource.", &["detection/development.attributes", "detection/development.detectors[2].process"]),
        below("resource.", &["schema_url"]),
    ];
    assert_eq!(warnings, expected.concat());
    assert_eq!(settings.log.level, LogLevel::Warn);
    assert_eq!(settings.prometheus.listen.map(|address| address.to_string()).as_deref(), Some("127.0.0.1:9464"));
    assert_eq!((settings.metrics.max_series, settings.metrics.flow_detail), (3000, FlowDetail::Transport));
    let otlp = settings.otlp;
    let attributes: Vec<_> = otlp.resource_attributes.iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(
        attributes.join(" "),
        "bool_array_key=true,false bool_key=true double_array_key=1.1,2.2 double_key=1.1 int_array_key=1,2 int_key=1 \
         service.namespace=my-namespace service.version=1.0.0 string_array_key=value1,value2 string_key=value"
    );
    let (logs, metrics) = (otlp.export(Signal::Logs), otlp.export(Signal::Metrics));
    assert_eq!((logs.protocol, metrics.protocol), (Protocol::HttpProtobuf, Protocol::Grpc));
    assert_eq!(
        (logs.endpoint.as_str(), metrics.endpoint.as_str()),
        ("https://localhost:4318/v1/logs", "http://localhost:4317")
    );
    let headers: Vec<_> = logs.headers.iter().map(|(name, value)| (name.as_str(), value.expose())).collect();
    assert_eq!(headers, [("x-other", "1"), ("x-tenant", "1234")]);
}
