//! Decoded requests, and the edges of their size.

use std::collections::BTreeMap;

use eyepiece_semconv::{OTEL_SCHEMA_URL, SCHEMA_URL};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{AggregationTemporality, number_data_point};
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message;

use super::{Encoded, MAX_REQUEST, attribute, clamp_starts, encode};
use crate::pipeline::metrics::{
    DURATION_BOUNDS, DURATION_BUCKETS, Exemplar, HistogramValue, Resolved, Series, SeriesValue,
};

const TIME: u64 = 1000;

fn series(name: &str, start: u64, value: u64) -> Series {
    Series {
        attributes: vec![("source", name.to_owned().into()), ("destination", "".into())],
        overflow: false,
        start,
        value: SeriesValue::Sum(value, None),
    }
}

fn metric(name: &'static str, series: Vec<Series>) -> Resolved {
    Resolved { name, unit: "By", description: "Bytes.", series }
}

fn resource() -> Resource {
    let value = any_value::Value::StringValue("eyepiece".to_owned());
    Resource { attributes: vec![attribute("service.name", value)], ..Resource::default() }
}

/// Name and `source` of every point in the order of the requests, with its value.
fn points(encoded: &Encoded) -> Vec<(String, String, i64)> {
    let mut list = Vec::new();
    for request in &encoded.requests {
        let decoded = ExportMetricsServiceRequest::decode(request.encode_to_vec().as_slice()).expect("decodes");
        assert_eq!(&decoded, request);
        let [of_resource] = decoded.resource_metrics.as_slice() else { panic!("one resource") };
        assert_eq!(of_resource.resource, Some(resource()));
        let [of_scope] = of_resource.scope_metrics.as_slice() else { panic!("one scope") };
        assert_eq!(of_scope.scope.as_ref().map(|scope| scope.name.as_str()), Some("eyepiece"));
        assert_eq!((&*of_resource.schema_url, &*of_scope.schema_url), (OTEL_SCHEMA_URL, SCHEMA_URL));
        assert!(!of_scope.metrics.is_empty(), "no empty request");
        for metric in &of_scope.metrics {
            let Some(Data::Sum(sum)) = &metric.data else { panic!("{metric:?}") };
            assert_eq!(sum.aggregation_temporality, AggregationTemporality::Cumulative as i32);
            assert!(sum.is_monotonic);
            assert!(!sum.data_points.is_empty(), "no empty metric");
            for point in &sum.data_points {
                let source = point.attributes.iter().find(|attribute| attribute.key == "source");
                let source = source.and_then(|attribute| attribute.value.clone()?.value);
                let Some(any_value::Value::StringValue(source)) = source else { panic!("{point:?}") };
                let Some(number_data_point::Value::AsInt(value)) = point.value else { panic!("{point:?}") };
                list.push((metric.name.clone(), source, value));
            }
        }
    }
    assert_eq!(list.len() as u64, encoded.points);
    list
}

#[test]
fn metric_is_cumulative_sum() {
    let overflow = Series { attributes: Vec::new(), overflow: true, start: 7, value: SeriesValue::Sum(u64::MAX, None) };
    let to_port =
        Series { attributes: vec![("source", "c".into()), ("destination.port", "443".into())], ..series("", 5, 8) };
    let metrics = [metric("hubble.flow.io", vec![series("a", 5, 6), series("b", TIME + 1, 7), to_port, overflow])];
    let mut encoded = encode(&metrics, TIME, &resource(), MAX_REQUEST);
    assert_eq!((encoded.points, encoded.oversized, encoded.requests.len()), (4, 0, 1));
    encoded.requests.iter_mut().for_each(clamp_starts);
    let decoded = ExportMetricsServiceRequest::decode(encoded.requests[0].encode_to_vec().as_slice()).expect("decodes");
    let metric = &decoded.resource_metrics[0].scope_metrics[0].metrics[0];
    let texts = (metric.name.as_str(), metric.unit.as_str(), metric.description.as_str());
    assert_eq!(texts, ("hubble.flow.io", "By", "Bytes."));
    let Some(Data::Sum(sum)) = &metric.data else { panic!("{metric:?}") };
    let text = |text: &str| any_value::Value::StringValue(text.to_owned());
    // Without the destination, whose text is empty.
    let ends = |source: &str| vec![attribute("source", text(source))];
    let port = any_value::Value::IntValue(443);
    let to_port = vec![attribute("source", text("c")), attribute("destination.port", port)];
    let spilled = vec![attribute("otel.metric.overflow", any_value::Value::BoolValue(true))];
    let expected = [(ends("a"), 5, 6), (ends("b"), TIME, 7), (to_port, 5, 8), (spilled, 7, i64::MAX)];
    assert_eq!(sum.data_points.len(), expected.len());
    for (point, (attributes, start, value)) in sum.data_points.iter().zip(expected) {
        assert_eq!(point.attributes, attributes);
        assert_eq!((point.start_time_unix_nano, point.time_unix_nano), (start, TIME));
        assert_eq!(point.value, Some(number_data_point::Value::AsInt(value)));
    }
}

#[test]
fn no_series_make_no_request() {
    for metrics in [vec![], vec![metric("a", vec![])]] {
        assert_eq!(encode(&metrics, TIME, &resource(), MAX_REQUEST), Encoded::default());
    }
}

#[test]
fn every_limit_holds_all_points() {
    let metrics = [
        metric("one", (0..9).map(|number| series(&format!("{number}"), 1, number)).collect()),
        metric("none", Vec::new()),
        metric("two", (0..200).map(|number| series(&"x".repeat(number + 1), 1, number as u64)).collect()),
        metric("three", vec![series("last", 1, 1)]),
    ];
    let whole = encode(&metrics, TIME, &resource(), MAX_REQUEST);
    assert_eq!(whole.requests.len(), 1);
    let size = whole.requests[0].encoded_len();
    let mut counts = BTreeMap::new();
    for limit in (500..700).step_by(7).chain([size - 1, size, size + 1, size * 8]) {
        let encoded = encode(&metrics, TIME, &resource(), limit);
        assert_eq!(encoded.oversized, 0, "limit {limit}");
        assert!(encoded.requests.iter().all(|request| request.encoded_len() <= limit), "limit {limit}");
        assert_eq!(points(&encoded), points(&whole), "limit {limit}");
        counts.insert(limit, encoded.requests.len());
    }
    assert!(counts[&500] > counts[&696] && counts[&696] > 1, "smaller requests are more: {counts:?}");
    assert_eq!(counts[&(size * 8)], 1);
}

#[test]
fn oversized_points_are_counted() {
    let metrics = [
        metric("one", vec![series("a", 1, 1), series(&"x".repeat(1000), 1, 2), series("c", 1, 3)]),
        metric("two", vec![series(&"x".repeat(1000), 1, 2)]),
    ];
    let encoded = encode(&metrics, TIME, &resource(), 500);
    assert_eq!((encoded.points, encoded.oversized), (2, 2));
    let kept = [("one".to_owned(), "a".to_owned(), 1), ("one".to_owned(), "c".to_owned(), 3)];
    assert_eq!(points(&encoded), kept);
    let encoded = encode(&metrics, TIME, &resource(), 0);
    assert_eq!((encoded.requests.len(), encoded.points, encoded.oversized), (0, 0, 4));
}

#[test]
fn full_aggregation_fits_receivers() {
    let name = "n".repeat(60);
    let metrics: Vec<Resolved> = ["a", "b", "c", "d"]
        .into_iter()
        .map(|metric_name| {
            metric(metric_name, (0..20_000).map(|number| series(&format!("{name}{number}"), 1, number)).collect())
        })
        .collect();
    let encoded = encode(&metrics, TIME, &resource(), MAX_REQUEST);
    assert_eq!((encoded.points, encoded.oversized), (80_000, 0));
    let sizes: Vec<usize> = encoded.requests.iter().map(Message::encoded_len).collect();
    assert!(sizes.iter().all(|&size| size <= MAX_REQUEST), "{sizes:?}");
    assert!(sizes.iter().rev().skip(1).all(|&size| size > MAX_REQUEST / 10 * 8), "well filled: {sizes:?}");
    assert_eq!(points(&encoded).len(), 80_000);
}

#[test]
fn durations_are_cumulative_histogram() {
    let exemplar = |trace_id: &str, value| Some(Exemplar { trace_id: trace_id.into(), value, time: 500 });
    let mut exemplars = [const { None }; DURATION_BUCKETS];
    exemplars[1] = exemplar("000102030405060708090a0b0c0d0e0f", 0.007);
    exemplars[2] = exemplar("not-a-trace", 0.02);
    let mut buckets = [0; DURATION_BUCKETS];
    (buckets[1], buckets[2], buckets[DURATION_BUCKETS - 1]) = (3, 1, 2);
    let value = SeriesValue::Histogram(Box::new(HistogramValue { sum_ns: 25_041_000_000, buckets, exemplars }));
    let durations =
        Resolved { unit: "s", ..metric("hubble.http_request_duration", vec![Series { value, ..series("a", 5, 0) }]) };
    let encoded = encode(&[durations, metric("hubble.drop", vec![series("a", 5, 6)])], TIME, &resource(), MAX_REQUEST);
    assert_eq!((encoded.points, encoded.oversized, encoded.requests.len()), (2, 0, 1));
    let metrics = &encoded.requests[0].resource_metrics[0].scope_metrics[0].metrics;
    let Some(Data::Histogram(histogram)) = &metrics[0].data else { panic!("{metrics:?}") };
    assert_eq!(histogram.aggregation_temporality, AggregationTemporality::Cumulative as i32);
    let [point] = histogram.data_points.as_slice() else { panic!("{histogram:?}") };
    assert_eq!((point.count, point.sum, point.start_time_unix_nano), (6, Some(25.041), 5));
    assert_eq!((&point.bucket_counts[..], &point.explicit_bounds[..]), (&buckets[..], &DURATION_BOUNDS[..]));
    let [exemplar] = point.exemplars.as_slice() else { panic!("{point:?}") };
    assert_eq!((exemplar.time_unix_nano, &exemplar.trace_id[..]), (500, &(0..16).collect::<Vec<u8>>()[..]));
    assert!(matches!(metrics[1].data, Some(Data::Sum(_))), "{metrics:?}");
}
