//! Nodes that are not supported: what is named, and what is a mistake because nothing would be exported.

use crate::{Read, logs, metrics, mistakes, pull, read};

const IGNORED: &str = "not supported, it is ignored; leave it out";

#[test]
fn ignored_nodes_are_named() {
    const SECOND: &str = "leave one of them out; a collector can send to several receivers";
    let reader = |fields: &str| metrics("otlp_grpc: ", fields);
    let provider =
        |fields: &str| format!("meter_provider: {{readers: [{{periodic: {{exporter: {{otlp_grpc: }}}}}}], {fields}}}");
    let in_reader = "meter_provider.readers[0].periodic.";
    let in_exporter = "meter_provider.readers[0].periodic.exporter.otlp_grpc.";
    let in_pull = "meter_provider.readers[0].pull.exporter.prometheus/development.";
    let processors = |list: &str| format!("logger_provider: {{processors: [{list}]}}");
    let batch = |exporter: &str| format!("{{batch: {{exporter: {{{exporter}: }}}}}}");
    let second = |index: usize, exporter: &str| {
        format!(
            "logger_provider.processors[{index}].batch.exporter.{exporter} (from FILE:2): a second exporter of log records \
             is not supported, it is ignored; {SECOND}"
        )
    };
    let ignored = |node: &str| vec![format!("{node} (from FILE:2): {IGNORED}")];
    let only = |node: &str, given: &str, right: &str| {
        vec![format!("{node} (from FILE:2): {given:?} is not supported, it is ignored; use {right}")]
    };
    for (nodes, expected) in [
        (processors(&[batch("otlp_grpc"), batch("otlp_http")].join(", ")), vec![second(1, "otlp_http")]),
        (processors(&[batch("console"), batch("otlp_http")].join(", ")), vec![second(0, "console")]),
        (
            processors(&[batch("otlp_file/development"), batch("console")].join(", ")),
            ignored("logger_provider.processors[0].batch.exporter.otlp_file/development"),
        ),
        (
            processors(&["{event_to_span_event_bridge/development: }".to_owned(), batch("otlp_http")].join(", ")),
            ignored("logger_provider.processors[0].event_to_span_event_bridge/development"),
        ),
        (
            processors("{simple: {exporter: {otlp_grpc: }}}"),
            vec![
                "logger_provider.processors[0].simple (from FILE:2): not supported, records are sent in batches; use batch"
                    .to_owned(),
            ],
        ),
        (processors("{simple: {exporter: {console: }}}"), vec![]),
        (
            format!("logger_provider: {{processors: [{}], limits: {{attribute_value_depth_limit: 9}}}}", batch("otlp_grpc")),
            ignored("logger_provider.limits.attribute_value_depth_limit"),
        ),
        (
            logs("otlp_http: {encoding: json}", ""),
            only("logger_provider.processors[0].batch.exporter.otlp_http.encoding", "json", "protobuf"),
        ),
        (
            logs("otlp_grpc: {max_request_size: 1}", ""),
            ignored("logger_provider.processors[0].batch.exporter.otlp_grpc.max_request_size"),
        ),
        (reader("producers: [{opencensus: }]"), ignored(&format!("{in_reader}producers"))),
        (reader("cardinality_limits: {gauge: 1}"), ignored(&format!("{in_reader}cardinality_limits.gauge"))),
        (
            metrics("otlp_grpc: {default_histogram_aggregation: base2_exponential_bucket_histogram}", ""),
            only(
                &format!("{in_exporter}default_histogram_aggregation"),
                "base2_exponential_bucket_histogram",
                "explicit_bucket_histogram",
            ),
        ),
        (
            metrics("console: {temporality_preference: delta}", ""),
            only(
                "meter_provider.readers[0].periodic.exporter.console.temporality_preference",
                "delta",
                "cumulative",
            ),
        ),
        (metrics("console: {temporality_preference: cumulative}", ""), vec![]),
        (provider("views: []"), ignored("meter_provider.views")),
        (
            provider("exemplar_filter: always_on"),
            only("meter_provider.exemplar_filter", "always_on", "trace_based"),
        ),
        (provider("exemplar_filter: trace_based"), vec![]),
        (pull("scope_info_enabled: false"), only(&format!("{in_pull}scope_info_enabled"), "false", "true")),
        (pull("scope_info_enabled: true, without_scope_info: false"), vec![]),
        (pull("resource_constant_labels: {included: [a]}"), ignored(&format!("{in_pull}resource_constant_labels"))),
        (
            "resource: {schema_url: \"https://opentelemetry.io/schemas/1.44.0\"}\ndisabled: true".to_owned(),
            ignored("resource.schema_url"),
        ),
        (
            "resource: {detection/development: {detectors: [{host: }, {process: }]}}\ndisabled: true".to_owned(),
            ignored("resource.detection/development.detectors[1].process"),
        ),
        (
            "attribute_limits: {attribute_value_depth_limit: 9, attribute_value_length_limit: }\ndisabled: true".to_owned(),
            ignored("attribute_limits.attribute_value_depth_limit"),
        ),
        (
            "resource: {attributes: [{name: a, value: [1, 2], type: int_array}]}\ndisabled: true".to_owned(),
            vec![
                "resource.attributes[0].value (from FILE:2): the type int_array is not supported, the value is exported as \
                 a text; leave the type out, and put the value in quotes"
                    .to_owned(),
            ],
        ),
        (
            "tracer_provider: {anything: 1}\npropagator: {composite: [{b3: }]}\ndisabled: true".to_owned(),
            vec![
                "FILE (from OTEL_CONFIG_FILE): without effect, as only metrics and log records are exported: \
                 tracer_provider, propagator; leave it out if no other program reads the file"
                    .to_owned(),
            ],
        ),
        (
            "meter_provder: {}\ndisabled: true".to_owned(),
            vec!["meter_provder (from FILE:2): no known node, it is ignored; did you mean meter_provider?".to_owned()],
        ),
    ] {
        let Read { warnings, .. } = read(&nodes);
        assert_eq!(warnings, expected, "{nodes}");
    }
}

#[test]
fn second_reader_is_named() {
    let pull = "{pull: {exporter: {prometheus/development: {port: 1}}}}";
    let nodes = format!("meter_provider: {{readers: [{pull}, {pull}, {{periodic: {{exporter: {{console: }}}}}}]}}");
    let Read { loaded, warnings } = read(&nodes);
    assert_eq!(
        warnings,
        [
            "meter_provider.readers[1].pull.exporter.prometheus/development (from FILE:2): a second endpoint of Prometheus \
          is not supported, it is ignored; leave one of them out"
        ]
    );
    let settings = loaded.settings;
    assert!(settings.otlp.metrics.enabled && settings.otlp.metrics.table);
    assert_eq!(settings.prometheus.listen.map(|address| address.port()), Some(1));
}

#[test]
fn greater_cardinality_limit_is_used() {
    let pull = |limit: u32| {
        format!("{{pull: {{exporter: {{prometheus/development: }}, cardinality_limits: {{default: {limit}}}}}}}")
    };
    let periodic =
        |limit: u32| format!("{{periodic: {{exporter: {{otlp_grpc: }}, cardinality_limits: {{default: {limit}}}}}}}");
    let warning = |node: &str| {
        format!(
            "meter_provider.readers[{node}.cardinality_limits.default (from FILE:2): both readers have one limit, the \
             greater one of 9 is used; set the same limit in both readers"
        )
    };
    for (readers, expected) in [
        ([pull(9), periodic(9)], vec![]),
        ([pull(9), periodic(8)], vec![warning("1].periodic")]),
        ([pull(8), periodic(9)], vec![warning("0].pull")]),
        ([periodic(9), pull(8)], vec![warning("1].pull")]),
    ] {
        let Read { loaded, warnings } = read(&format!("meter_provider: {{readers: [{}]}}", readers.join(", ")));
        assert_eq!((loaded.settings.metrics.max_series, warnings), (9, expected), "{readers:?}");
    }
}

#[test]
fn values_of_attributes_become_texts() {
    for (value, expected) in [
        ("true, type: bool", "true"),
        ("7, type: int", "7"),
        ("1.5, type: double", "1.5"),
        ("2, type: double", "2"),
        ("[a, b], type: string_array", "a,b"),
        ("[true, false], type: bool_array", "true,false"),
        ("[1.5, 2], type: double_array", "1.5,2"),
    ] {
        let Read { loaded, warnings } = read(&format!("resource: {{attributes: [{{name: a, value: {value}}}]}}"));
        assert_eq!(loaded.settings.otlp.resource_attributes["a"], expected);
        assert_eq!(
            warnings.iter().filter(|warning| warning.contains("is exported as a text")).count(),
            1,
            "{warnings:?}"
        );
    }
}

#[test]
fn unsupported_exporters_alone_are_mistakes() {
    let logs_wrong = |node: &str| {
        format!(
            "logger_provider (from FILE:2): no log record would be exported, not supported is \
             logger_provider.processors[0].{node}; use batch with otlp_grpc, otlp_http or console"
        )
    };
    let metrics_wrong = "meter_provider (from FILE:2): no metric would be exported, not supported is \
                         meter_provider.readers[0].periodic.exporter.otlp_file/development; use periodic with otlp_grpc, \
                         otlp_http or console";
    let bridge = "event_to_span_event_bridge/development";
    for (nodes, expected) in [
        (logs("otlp_file/development: ", ""), logs_wrong("batch.exporter.otlp_file/development")),
        (format!("logger_provider: {{processors: [{{{bridge}: }}]}}"), logs_wrong(bridge)),
        (metrics("otlp_file/development: {output_stream: stdout}", ""), metrics_wrong.to_owned()),
    ] {
        assert_eq!(mistakes(&nodes), [expected], "{nodes}");
    }
}
