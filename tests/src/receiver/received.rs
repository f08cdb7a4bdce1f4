//! The data that a receiver got, in a form that is easy to query.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, HistogramDataPoint, NumberDataPoint, number_data_point,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use tonic::metadata::{KeyAndValueRef, MetadataMap};

use crate::schema;

/// Attributes with their values as texts: numbers in decimal, lists joined by commas.
pub type Attributes = BTreeMap<String, String>;

/// A log record.
#[derive(Clone, Debug, PartialEq)]
pub struct Log {
    /// Event name.
    pub event: String,
    /// Time of the event, ns since the Unix epoch.
    pub time: u64,
    /// Time of the observation, ns since the Unix epoch.
    pub observed: u64,
    /// Severity number.
    pub severity: i32,
    /// Body, or empty.
    pub body: String,
    /// Attributes.
    pub attributes: Attributes,
    /// The resource's attributes.
    pub resource: Arc<Attributes>,
}

/// The latest point of a series.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    /// The value; the number of measurements of a histogram. With delta temporality the sum of all that came.
    pub value: f64,
    /// Start of the series, ns since the Unix epoch.
    pub start: u64,
    /// Time of the value, ns since the Unix epoch.
    pub time: u64,
    /// Unit of its metric.
    pub unit: String,
    /// Whether it is a sum that is cumulative and only grows.
    pub cumulative_counter: bool,
    /// Whether its temporality is delta.
    pub delta: bool,
    /// The resource's attributes.
    pub resource: Arc<Attributes>,
}

/// Everything since the start, or since it was cleared.
#[derive(Clone, Debug, Default)]
pub struct Received {
    /// Log records in the order they came.
    pub logs: Vec<Log>,
    /// By metric name and attributes.
    pub points: BTreeMap<(String, Attributes), Point>,
    /// Cumulative sums that fell under the same start time.
    pub fallen: Vec<String>,
    /// Requests of both signals, whatever became of them.
    pub requests: u64,
    /// Requests that were answered with an error.
    pub refused: u64,
    /// Records and points that were rejected by partial success.
    pub rejected: u64,
    /// The largest request, bytes without compression.
    pub largest: usize,
    /// Its deviations from the registry.
    pub violations: BTreeSet<String>,
    /// Metadata (HTTP/2 headers) of the last request, texts only.
    pub headers: BTreeMap<String, String>,
}

impl Received {
    /// The sum of the latest points of a metric whose attributes contain these.
    pub fn sum(&self, metric: &str, attributes: &[(&str, &str)]) -> u64 {
        self.series(metric, attributes).map(|(_, point)| point.value as u64).sum()
    }

    /// The series of a metric whose attributes contain these.
    pub fn series<'a>(
        &'a self,
        metric: &'a str,
        attributes: &'a [(&str, &str)],
    ) -> impl Iterator<Item = (&'a Attributes, &'a Point)> {
        let contains =
            |all: &Attributes| attributes.iter().all(|&(name, value)| all.get(name).is_some_and(|is| is == value));
        self.points
            .iter()
            .filter(move |((name, all), _)| name == metric && contains(all))
            .map(|((_, all), point)| (all, point))
    }

    /// Log records whose attributes contain these.
    pub fn logs_with<'a>(&'a self, attributes: &'a [(&str, &str)]) -> impl Iterator<Item = &'a Log> {
        let contains =
            |log: &Log| attributes.iter().all(|&(name, value)| log.attributes.get(name).is_some_and(|is| is == value));
        self.logs.iter().filter(move |log| contains(log))
    }

    /// Returns the number of different `log.record.uid`: without replays.
    pub fn unique_logs(&self) -> usize {
        self.logs.iter().filter_map(|log| log.attributes.get("log.record.uid")).collect::<BTreeSet<_>>().len()
    }

    pub(super) fn note_request(&mut self, metadata: &MetadataMap, length: usize) {
        self.requests += 1;
        self.largest = self.largest.max(length);
        self.headers = metadata
            .iter()
            .filter_map(|pair| match pair {
                KeyAndValueRef::Ascii(key, value) => Some((key.to_string(), value.to_str().ok()?.to_owned())),
                KeyAndValueRef::Binary(..) => None,
            })
            .collect();
    }

    /// Keeps the records but the first `leave_out`; how many were left out.
    pub(super) fn take_logs(&mut self, request: ExportLogsServiceRequest, leave_out: u64) -> i64 {
        self.violations.extend(schema::of_logs(&request));
        let mut left = leave_out;
        for resource_logs in request.resource_logs {
            let resource = resource_attributes(resource_logs.resource);
            for record in resource_logs.scope_logs.into_iter().flat_map(|scope| scope.log_records) {
                if left > 0 {
                    left -= 1;
                    continue;
                }
                self.logs.push(Log {
                    event: record.event_name,
                    time: record.time_unix_nano,
                    observed: record.observed_time_unix_nano,
                    severity: record.severity_number,
                    body: text(record.body),
                    attributes: attributes(record.attributes),
                    resource: Arc::clone(&resource),
                });
            }
        }
        self.reject(leave_out - left)
    }

    /// Keeps the points but the first `leave_out`; how many were left out.
    pub(super) fn take_metrics(&mut self, request: ExportMetricsServiceRequest, leave_out: u64) -> i64 {
        self.violations.extend(schema::of_metrics(&request));
        let mut left = leave_out;
        for resource_metrics in request.resource_metrics {
            let resource = resource_attributes(resource_metrics.resource);
            for metric in resource_metrics.scope_metrics.into_iter().flat_map(|scope| scope.metrics) {
                for (attributes, mut point) in points(metric.data, &resource) {
                    if left > 0 {
                        left -= 1;
                        continue;
                    }
                    point.unit.clone_from(&metric.unit);
                    let key = (metric.name.clone(), attributes);
                    if point.delta {
                        point.value += self.points.get(&key).map_or(0.0, |last| last.value);
                    }
                    let (start, value) = (point.start, point.value);
                    let falls = |last: &Point| {
                        last.cumulative_counter
                            && last.start == start
                            && last.value > value
                            && last.resource == resource
                    };
                    if let Some(last) = self.points.get(&key).filter(|last| falls(last)) {
                        self.fallen.push(format!("{key:?}: from {} to {value} since {start}", last.value));
                    }
                    self.points.insert(key, point);
                }
            }
        }
        self.reject(leave_out - left)
    }

    fn reject(&mut self, count: u64) -> i64 {
        self.rejected += count;
        count.cast_signed()
    }
}

fn points(data: Option<Data>, resource: &Arc<Attributes>) -> Vec<(Attributes, Point)> {
    let number = |point: NumberDataPoint, cumulative_counter, delta| {
        let value = match point.value {
            Some(number_data_point::Value::AsInt(value)) => value as f64,
            Some(number_data_point::Value::AsDouble(value)) => value,
            None => f64::NAN,
        };
        let (start, time) = (point.start_time_unix_nano, point.time_unix_nano);
        let (unit, resource) = (String::new(), Arc::clone(resource));
        (attributes(point.attributes), Point { value, start, time, unit, cumulative_counter, delta, resource })
    };
    match data {
        Some(Data::Sum(sum)) => {
            let counter = sum.is_monotonic && sum.aggregation_temporality() == AggregationTemporality::Cumulative;
            let delta = sum.aggregation_temporality() == AggregationTemporality::Delta;
            sum.data_points.into_iter().map(|point| number(point, counter, delta)).collect()
        }
        Some(Data::Gauge(gauge)) => gauge.data_points.into_iter().map(|point| number(point, false, false)).collect(),
        Some(Data::Histogram(histogram)) => {
            let (cumulative_counter, delta) =
                (false, histogram.aggregation_temporality() == AggregationTemporality::Delta);
            let point = |point: HistogramDataPoint| {
                let (start, time, value) = (point.start_time_unix_nano, point.time_unix_nano, point.count as f64);
                let (unit, resource) = (String::new(), Arc::clone(resource));
                (attributes(point.attributes), Point { value, start, time, unit, cumulative_counter, delta, resource })
            };
            histogram.data_points.into_iter().map(point).collect()
        }
        _ => Vec::new(),
    }
}

fn resource_attributes(resource: Option<Resource>) -> Arc<Attributes> {
    Arc::new(attributes(resource.map(|resource| resource.attributes).unwrap_or_default()))
}

fn attributes(pairs: Vec<KeyValue>) -> Attributes {
    pairs.into_iter().map(|pair| (pair.key, text(pair.value))).collect()
}

fn text(value: Option<AnyValue>) -> String {
    match value.and_then(|value| value.value) {
        Some(Value::StringValue(text)) => text,
        Some(Value::BoolValue(value)) => value.to_string(),
        Some(Value::IntValue(value)) => value.to_string(),
        Some(Value::DoubleValue(value)) => value.to_string(),
        Some(Value::ArrayValue(list)) => {
            list.values.into_iter().map(|value| text(Some(value))).collect::<Vec<_>>().join(",")
        }
        Some(Value::KvlistValue(list)) => format!("{:?}", attributes(list.values)),
        Some(Value::BytesValue(bytes)) => bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
        Some(Value::StringValueStrindex(_)) | None => String::new(),
    }
}
