//! Encodes metrics as OTLP requests: cumulative sums and histograms, split below the receivers' size limit.

use eyepiece_semconv::{OTEL_SCHEMA_URL, SCHEMA_URL};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Exemplar, Histogram, HistogramDataPoint, Metric, NumberDataPoint, ResourceMetrics,
    ScopeMetrics, Sum, exemplar, number_data_point,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message;

use super::typed;
use crate::pipeline::metrics;
use crate::pipeline::metrics::{DURATION_BOUNDS, HistogramValue, Resolved, Series, SeriesValue};

/// The most bytes of an encoded request: receivers usually accept 4 MiB, and permanently refuse a larger request.
pub const MAX_REQUEST: usize = 3 << 20;

/// The name of our metrics' scope.
const SCOPE: &str = env!("CARGO_PKG_NAME");

/// The most bytes around a nested message: a tag and a length of up to 5 bytes.
const NESTED: usize = 6;

/// Requests, and the number of points that fit into none.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Encoded {
    /// Each within the limit, none empty.
    pub requests: Vec<ExportMetricsServiceRequest>,
    /// Points in all requests.
    pub points: u64,
    /// Points that are too large for a request; the caller counts them as dropped.
    pub oversized: u64,
}

/// Encodes metrics at `time` (ns since the Unix epoch) into requests of at most `limit` encoded bytes ([`MAX_REQUEST`]).
pub fn encode(metrics: &[Resolved], time: u64, resource: &Resource, limit: usize) -> Encoded {
    let mut split = Split::new(resource, limit);
    for metric in metrics {
        for series in &metric.series {
            split.push(metric, point(series, time));
        }
    }
    split.finish()
}

/// Moves the start of series that would start after they are exported, as the wall clock went back.
pub(super) fn clamp_starts(request: &mut ExportMetricsServiceRequest) {
    let clamp = |start: &mut u64, time: u64| *start = time.min(*start);
    let scopes = request.resource_metrics.iter_mut().flat_map(|resource| &mut resource.scope_metrics);
    for metric in scopes.flat_map(|scope| &mut scope.metrics) {
        match &mut metric.data {
            Some(Data::Sum(Sum { data_points, .. })) => {
                data_points.iter_mut().for_each(|point| clamp(&mut point.start_time_unix_nano, point.time_unix_nano));
            }
            Some(Data::Histogram(Histogram { data_points, .. })) => {
                data_points.iter_mut().for_each(|point| clamp(&mut point.start_time_unix_nano, point.time_unix_nano));
            }
            _ => {}
        }
    }
}

/// Fills one request after another.
struct Split<'a> {
    resource: &'a Resource,
    limit: usize,
    /// Bytes of a request without metrics, including the lengths of the messages around them.
    base: usize,
    /// The most bytes of the current request.
    size: usize,
    metrics: Vec<Metric>,
    done: Encoded,
}

impl<'a> Split<'a> {
    fn new(resource: &'a Resource, limit: usize) -> Self {
        // It includes both messages around the metrics with lengths of one byte.
        let base = request(resource, Vec::new()).encoded_len() + 2 * NESTED;
        Self { resource, limit, base, size: base, metrics: Vec::new(), done: Encoded::default() }
    }

    fn push(&mut self, metric: &Resolved, point: Point) {
        let point_size = point.encoded_len() + NESTED;
        let open = self.metrics.last().is_some_and(|last| last.name == metric.name);
        if open && self.size + point_size <= self.limit {
            self.put(point, point_size);
            return;
        }
        let head = empty_metric(metric, &point);
        // The nested sum has a tag and a length as well.
        let head_size = head.encoded_len() + 2 * NESTED;
        if self.base + head_size + point_size > self.limit {
            self.done.oversized += 1;
            return;
        }
        if self.size + head_size + point_size > self.limit {
            self.flush();
        }
        self.metrics.push(head);
        self.size += head_size;
        self.put(point, point_size);
    }

    fn put(&mut self, point: Point, size: usize) {
        match (self.metrics.last_mut().and_then(|metric| metric.data.as_mut()), point) {
            (Some(Data::Sum(sum)), Point::Number(point)) => sum.data_points.push(point),
            (Some(Data::Histogram(histogram)), Point::Histogram(point)) => histogram.data_points.push(point),
            // All points of a metric are of one kind.
            _ => return,
        }
        self.size += size;
        self.done.points += 1;
    }

    fn flush(&mut self) {
        if !self.metrics.is_empty() {
            self.done.requests.push(request(self.resource, std::mem::take(&mut self.metrics)));
        }
        self.size = self.base;
    }

    fn finish(mut self) -> Encoded {
        self.flush();
        self.done
    }
}

fn request(resource: &Resource, metrics: Vec<Metric>) -> ExportMetricsServiceRequest {
    let scope = InstrumentationScope {
        name: SCOPE.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..InstrumentationScope::default()
    };
    let scope_metrics = vec![ScopeMetrics { scope: Some(scope), metrics, schema_url: SCHEMA_URL.to_owned() }];
    let schema_url = OTEL_SCHEMA_URL.to_owned();
    let resource_metrics = ResourceMetrics { resource: Some(resource.clone()), scope_metrics, schema_url };
    ExportMetricsServiceRequest { resource_metrics: vec![resource_metrics] }
}

/// A point of a sum or a histogram.
enum Point {
    Number(NumberDataPoint),
    Histogram(HistogramDataPoint),
}

impl Point {
    fn encoded_len(&self) -> usize {
        match self {
            Self::Number(point) => point.encoded_len(),
            Self::Histogram(point) => point.encoded_len(),
        }
    }
}

/// A metric for points of the kind of `point`.
fn empty_metric(metric: &Resolved, point: &Point) -> Metric {
    let aggregation_temporality = AggregationTemporality::Cumulative.into();
    let data = match point {
        Point::Number(_) => Data::Sum(Sum { data_points: Vec::new(), aggregation_temporality, is_monotonic: true }),
        Point::Histogram(_) => Data::Histogram(Histogram { data_points: Vec::new(), aggregation_temporality }),
    };
    Metric {
        name: metric.name.to_owned(),
        description: metric.description.to_owned(),
        unit: metric.unit.to_owned(),
        metadata: Vec::new(),
        data: Some(data),
    }
}

fn point(series: &Series, time: u64) -> Point {
    // An empty text is left out: Prometheus treats such a label as absent.
    let known = series.attributes.iter().filter(|(_, text)| !text.is_empty());
    let value = |key: &str, text: &str| match typed::number(key, text) {
        Some(number) => any_value::Value::IntValue(number),
        None => any_value::Value::StringValue(text.to_owned()),
    };
    let mut attributes: Vec<KeyValue> = known.map(|(key, text)| attribute(key, value(key, text))).collect();
    if series.overflow {
        let name = eyepiece_semconv::attribute::OTEL_METRIC_OVERFLOW;
        attributes.push(attribute(name, any_value::Value::BoolValue(true)));
    }
    let (start_time_unix_nano, time_unix_nano) = (series.start, time);
    match &series.value {
        SeriesValue::Sum(sum, latest) => Point::Number(NumberDataPoint {
            attributes,
            start_time_unix_nano,
            time_unix_nano,
            // OTLP's integers are signed; our sums never get that large.
            value: Some(number_data_point::Value::AsInt(i64::try_from(*sum).unwrap_or(i64::MAX))),
            exemplars: latest.iter().filter_map(exemplar).collect(),
            ..NumberDataPoint::default()
        }),
        SeriesValue::Histogram(histogram) => {
            let HistogramValue { sum_ns, buckets, exemplars } = &**histogram;
            Point::Histogram(HistogramDataPoint {
                attributes,
                start_time_unix_nano,
                time_unix_nano,
                count: series.value.count(),
                sum: Some(*sum_ns as f64 / 1e9),
                bucket_counts: buckets.to_vec(),
                explicit_bounds: DURATION_BOUNDS.to_vec(),
                exemplars: exemplars.iter().flatten().filter_map(exemplar).collect(),
                ..HistogramDataPoint::default()
            })
        }
    }
}

/// `None` for one whose trace id is no W3C trace id: OTLP has no other.
fn exemplar(exemplar: &metrics::Exemplar) -> Option<Exemplar> {
    let is_hex = exemplar.trace_id.bytes().all(|byte| byte.is_ascii_hexdigit());
    let id = u128::from_str_radix(&exemplar.trace_id, 16).ok();
    let id = id.filter(|id| *id != 0 && is_hex && exemplar.trace_id.len() == 32)?;
    Some(Exemplar {
        time_unix_nano: exemplar.time,
        trace_id: id.to_be_bytes().to_vec(),
        value: Some(exemplar::Value::AsDouble(exemplar.value)),
        ..Exemplar::default()
    })
}

fn attribute(key: &str, value: any_value::Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

#[cfg(test)]
mod tests;
