//! Pages as text: families, labels, exemplars, in both formats.

use std::time::Duration;

use eyepiece_semconv::SCHEMA_URL;
use http::StatusCode;

use super::super::{Format, RequestMetrics};
use super::Page;
use crate::pipeline::metrics::{DURATION_BUCKETS, Exemplar, HistogramValue, Resolved, Series, SeriesValue};
use crate::support::telemetry::{Kind, Sample, Telemetry};

const VERSION: &str = env!("CARGO_PKG_VERSION");

fn series(attributes: &[(&'static str, &str)], value: SeriesValue) -> Series {
    let attributes = attributes.iter().map(|(name, value)| (*name, (*value).to_owned().into())).collect();
    Series { attributes, overflow: false, start: 1, value }
}

fn sum(attributes: &[(&'static str, &str)], value: u64) -> Series {
    series(attributes, SeriesValue::Sum(value, None))
}

fn counter(name: &'static str, unit: &'static str, series: Vec<Series>) -> Resolved {
    Resolved { name, unit, description: "Ours: \"a\\b\".", series }
}

fn exemplar(trace_id: &str, value: f64) -> Exemplar {
    Exemplar { trace_id: trace_id.into(), value, time: 1_700_000_000_123_456_789 }
}

fn durations() -> HistogramValue {
    let mut histogram =
        HistogramValue { sum_ns: 12_306_000_000, buckets: [0; DURATION_BUCKETS], exemplars: Default::default() };
    (histogram.buckets[0], histogram.buckets[6], histogram.buckets[11]) = (1, 1, 2);
    histogram.exemplars[6] = Some(exemplar("abc", 0.3));
    histogram.exemplars[11] = Some(exemplar("\"", 12.0));
    histogram
}

fn rendered(page: Page<'_>, format: Format) -> String {
    String::from_utf8(page.render(format)).unwrap()
}

/// A page with nothing but metrics of flows.
fn of_flows(flows: &[Resolved], format: Format) -> String {
    let requests = RequestMetrics::default();
    rendered(Page { flows, requests: &requests, samples: &[], resource: &[] }, format)
}

#[test]
fn empty_page_has_only_an_end() {
    assert_eq!(of_flows(&[], Format::Text), "");
    assert_eq!(of_flows(&[], Format::OpenMetrics), "# EOF\n");
    let without_series = [counter("hubble.drop", "{flow}", vec![])];
    assert_eq!(of_flows(&without_series, Format::Text), "");
}

#[test]
fn counters_have_hubble_names_and_help() {
    let overflow = Series { overflow: true, ..sum(&[], 7) };
    let flows = [
        counter("hubble.flow.io", "By", vec![sum(&[("source", "a"), ("destination", "")], u64::MAX)]),
        counter("hubble.drop", "{flow}", vec![sum(&[("reason", "x\"\n\\"), ("protocol", "TCP")], 1), overflow]),
    ];
    let text = r#"# HELP hubble_drop_total Number of drops
# TYPE hubble_drop_total counter
hubble_drop_total{protocol="TCP",reason="x\"\n\\"} 1
hubble_drop_total{otel_metric_overflow="true"} 7
# HELP hubble_flow_io_bytes_total Ours: "a\\b".
# TYPE hubble_flow_io_bytes_total counter
hubble_flow_io_bytes_total{destination="",otel_scope_name="eyepiece",otel_scope_schema_url="https://eyepiece.invalid/schemas/0.1.0",otel_scope_version="0.1.0",source="a"} 18446744073709551615
"#;
    assert_eq!(of_flows(&flows, Format::Text), text);
    let open = r#"# HELP hubble_drop Number of drops
# TYPE hubble_drop counter
hubble_drop_total{protocol="TCP",reason="x\"\n\\"} 1
hubble_drop_total{otel_metric_overflow="true"} 7
# HELP hubble_flow_io_bytes Ours: \"a\\b\".
# TYPE hubble_flow_io_bytes counter
# UNIT hubble_flow_io_bytes bytes
hubble_flow_io_bytes_total{destination="",otel_scope_name="eyepiece",otel_scope_schema_url="https://eyepiece.invalid/schemas/0.1.0",otel_scope_version="0.1.0",source="a"} 18446744073709551615
# EOF
"#;
    assert_eq!(of_flows(&flows, Format::OpenMetrics), open);
}

#[test]
fn histograms_are_cumulative_with_exemplars() {
    let value = SeriesValue::Histogram(Box::new(durations()));
    let flows = [counter("hubble.http_request_duration", "s", vec![series(&[("method", "GET")], value)])];
    let text = r#"# HELP hubble_http_request_duration_seconds Quantiles of HTTP request duration in seconds
# TYPE hubble_http_request_duration_seconds histogram
hubble_http_request_duration_seconds_bucket{method="GET",le="0.005"} 1
hubble_http_request_duration_seconds_bucket{method="GET",le="0.01"} 1
hubble_http_request_duration_seconds_bucket{method="GET",le="0.025"} 1
hubble_http_request_duration_seconds_bucket{method="GET",le="0.05"} 1
hubble_http_request_duration_seconds_bucket{method="GET",le="0.1"} 1
hubble_http_request_duration_seconds_bucket{method="GET",le="0.25"} 1
hubble_http_request_duration_seconds_bucket{method="GET",le="0.5"} 2
hubble_http_request_duration_seconds_bucket{method="GET",le="1"} 2
hubble_http_request_duration_seconds_bucket{method="GET",le="2.5"} 2
hubble_http_request_duration_seconds_bucket{method="GET",le="5"} 2
hubble_http_request_duration_seconds_bucket{method="GET",le="10"} 2
hubble_http_request_duration_seconds_bucket{method="GET",le="+Inf"} 4
hubble_http_request_duration_seconds_sum{method="GET"} 12.306
hubble_http_request_duration_seconds_count{method="GET"} 4
"#;
    assert_eq!(of_flows(&flows, Format::Text), text);
    let open = of_flows(&flows, Format::OpenMetrics);
    for line in [
        "# UNIT hubble_http_request_duration_seconds seconds",
        r#"hubble_http_request_duration_seconds_bucket{method="GET",le="0.25"} 1"#,
        r#"hubble_http_request_duration_seconds_bucket{method="GET",le="0.5"} 2 # {traceID="abc"} 0.3 1700000000.123"#,
        r#"hubble_http_request_duration_seconds_bucket{method="GET",le="1.0"} 2"#,
        r#"hubble_http_request_duration_seconds_bucket{method="GET",le="10.0"} 2"#,
        r#"hubble_http_request_duration_seconds_bucket{method="GET",le="+Inf"} 4 # {traceID="\""} 12.0 1700000000.123"#,
        r#"hubble_http_request_duration_seconds_sum{method="GET"} 12.306"#,
    ] {
        assert!(open.lines().any(|found| found == line), "{line}\n{open}");
    }
}

#[test]
fn exemplars_of_counters_are_bounded() {
    for (name, trace, expected) in [
        ("short", "t".to_owned(), r#"hubble_http_requests_total 1 # {traceID="t"} 1.0 1700000000.123"#.to_owned()),
        ("empty", String::new(), "hubble_http_requests_total 1".to_owned()),
        (
            "longest",
            "é".repeat(121),
            format!(r#"hubble_http_requests_total 1 # {{traceID="{}"}} 1.0 1700000000.123"#, "é".repeat(121)),
        ),
        ("too long", "é".repeat(122), "hubble_http_requests_total 1".to_owned()),
    ] {
        let value = SeriesValue::Sum(1, Some(exemplar(&trace, 1.0)));
        let flows = [counter("hubble.http_requests", "{request}", vec![series(&[], value)])];
        let open = of_flows(&flows, Format::OpenMetrics);
        assert_eq!(open.lines().nth(2), Some(expected.as_str()), "{name}");
        assert_eq!(of_flows(&flows, Format::Text).lines().nth(2), Some("hubble_http_requests_total 1"), "{name}");
    }
}

#[test]
fn own_numbers_have_scope_and_types() {
    let telemetry = Telemetry::default();
    telemetry.counter("eyepiece.events.lost", &[("eyepiece.reason", "ring")]).add(2);
    telemetry.counter("eyepiece.events.lost", &[("eyepiece.reason", "copy")]).add(1);
    telemetry.gauge("eyepiece.queue.depth", &[("eyepiece.queue.name", "otlp_logs")]).set(3);
    // A sum that also falls, and an attribute without a value.
    let hook = [("network.interface.name", ""), ("eyepiece.hook.name", "kfree_skb")];
    telemetry.counter("eyepiece.hook.attached", &hook).add(1);
    telemetry.gauge("eyepiece.uptime", &[]).set(9);
    let samples = telemetry.samples();
    let requests = RequestMetrics::default();
    let page = Page { flows: &[], requests: &requests, samples: &samples, resource: &[] };
    let text = rendered(page, Format::Text);
    let scope =
        format!(r#"otel_scope_name="eyepiece",otel_scope_schema_url="{SCHEMA_URL}",otel_scope_version="{VERSION}""#);
    let without_help: Vec<_> = text.lines().filter(|line| !line.starts_with("# HELP ")).collect();
    let expected = [
        "# TYPE eyepiece_events_lost_total counter".to_owned(),
        format!("eyepiece_events_lost_total{{eyepiece_reason=\"copy\",{scope}}} 1"),
        format!("eyepiece_events_lost_total{{eyepiece_reason=\"ring\",{scope}}} 2"),
        "# TYPE eyepiece_hook_attached gauge".to_owned(),
        format!("eyepiece_hook_attached{{eyepiece_hook_name=\"kfree_skb\",{scope}}} 1"),
        "# TYPE eyepiece_queue_depth gauge".to_owned(),
        format!("eyepiece_queue_depth{{eyepiece_queue_name=\"otlp_logs\",{scope}}} 3"),
        "# TYPE eyepiece_uptime_seconds gauge".to_owned(),
        format!("eyepiece_uptime_seconds{{{scope}}} 9"),
    ];
    assert_eq!(without_help, expected);
    assert_eq!(text.lines().count() - without_help.len(), 4, "each family has its help");
    assert!(rendered(page, Format::OpenMetrics).contains("# UNIT eyepiece_uptime_seconds seconds\n"));
}

#[test]
fn number_outside_registry_has_its_kind() {
    let telemetry = Telemetry::default();
    telemetry.counter("a.b", &[]).add(1);
    telemetry.gauge("c.d", &[]).set(2);
    let samples: Vec<Sample> = telemetry.samples();
    assert_eq!((samples[0].kind, samples[1].kind), (Kind::Counter, Kind::Gauge));
    let requests = RequestMetrics::default();
    let text = rendered(Page { flows: &[], requests: &requests, samples: &samples, resource: &[] }, Format::Text);
    assert!(text.starts_with("# TYPE a_b_total counter\na_b_total{"), "{text}");
    assert!(text.contains("\n# TYPE c_d gauge\nc_d{"), "{text}");
}

#[test]
fn resource_is_target_info() {
    let requests = RequestMetrics::default();
    let resource: Vec<_> = [("service.name", "eye\"piece"), ("a_b", "2"), ("a.b", "1")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec();
    let page = Page { flows: &[], requests: &requests, samples: &[], resource: &resource };
    let sample = r#"target_info{a_b="1;2",service_name="eye\"piece"} 1"#;
    let text = format!("# HELP target_info Target metadata\n# TYPE target_info gauge\n{sample}\n");
    assert_eq!(rendered(page, Format::Text), text);
    let open = format!("# HELP target Target metadata\n# TYPE target info\n{sample}\n# EOF\n");
    assert_eq!(rendered(page, Format::OpenMetrics), open);
}

#[test]
fn endpoint_counts_its_requests_as_hubble() {
    let requests = RequestMetrics::default();
    requests.observe(StatusCode::OK, Duration::from_millis(300));
    let page = Page { flows: &[], requests: &requests, samples: &[], resource: &[] };
    let text = rendered(page, Format::Text);
    let help = "A histogram of latencies of Hubble metrics handler.";
    for line in [
        "# HELP hubble_metrics_http_handler_requests_total A counter for requests to Hubble metrics handler.",
        "# TYPE hubble_metrics_http_handler_requests_total counter",
        r#"hubble_metrics_http_handler_requests_total{code="200"} 1"#,
        format!("# HELP hubble_metrics_http_handler_request_duration_seconds {help}").as_str(),
        "# TYPE hubble_metrics_http_handler_request_duration_seconds histogram",
        r#"hubble_metrics_http_handler_request_duration_seconds_bucket{code="200",le="0.25"} 0"#,
        r#"hubble_metrics_http_handler_request_duration_seconds_bucket{code="200",le="0.5"} 1"#,
        r#"hubble_metrics_http_handler_request_duration_seconds_sum{code="200"} 0.3"#,
        r#"hubble_metrics_http_handler_request_duration_seconds_count{code="200"} 1"#,
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
}
