//! When each of our own sums began, so that none falls under the same start time: OpenTelemetry's SDK has one start for
//! all series of a metric, also for one that left and came back.

use std::collections::HashMap;
use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value;
use opentelemetry_proto::tonic::metrics::v1::{Metric, NumberDataPoint};
use prost::Message as _;

/// What the last request of one reader held. No more is remembered than that had points.
#[derive(Debug, Default)]
pub(super) struct Starts {
    hasher: RandomState,
    /// By the hash of name and attributes: two series of the same hash would share no more than a start.
    series: HashMap<u64, Sum>,
    /// The latest time of a point in it, ns since the Unix epoch; 0 = there was none.
    time: u64,
}

#[derive(Clone, Copy, Debug)]
struct Sum {
    start: u64,
    value: u64,
}

impl Starts {
    /// Gives each sum of a request its start: that of the last request where the sum was in it and did not fall since,
    /// else the time of the last request. In the first request the SDK's start holds.
    pub(super) fn settle(&mut self, request: &mut ExportMetricsServiceRequest) {
        let mut series = HashMap::with_capacity(self.series.len());
        let mut time = self.time;
        let metrics = request.resource_metrics.iter_mut().flat_map(|resource| &mut resource.scope_metrics);
        for metric in metrics.flat_map(|scope| &mut scope.metrics) {
            let Metric { name, data: Some(Data::Sum(sum)), .. } = metric else { continue };
            for point in sum.data_points.iter_mut().filter(|_| sum.is_monotonic) {
                let (id, value) = (self.id(name, &point.attributes), value(point));
                point.start_time_unix_nano = match self.series.get(&id) {
                    Some(last) if last.value <= value => last.start,
                    _ if self.time == 0 => point.start_time_unix_nano,
                    _ => self.time,
                };
                series.insert(id, Sum { start: point.start_time_unix_nano, value });
                time = time.max(point.time_unix_nano);
            }
        }
        (self.series, self.time) = (series, time);
    }

    fn id(&self, name: &str, attributes: &[KeyValue]) -> u64 {
        // The SDK does not promise an order of attributes.
        let mut encoded: Vec<_> = attributes.iter().map(KeyValue::encode_to_vec).collect();
        encoded.sort_unstable();
        self.hasher.hash_one((name, encoded))
    }
}

/// Our numbers are integers that are never negative.
fn value(point: &NumberDataPoint) -> u64 {
    match point.value {
        Some(Value::AsInt(value)) => u64::try_from(value).unwrap_or(0),
        Some(Value::AsDouble(_)) | None => 0,
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
    use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
    use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
    use opentelemetry_proto::tonic::metrics::v1::metric::Data;
    use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value;
    use opentelemetry_proto::tonic::metrics::v1::{Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum};

    use super::Starts;

    /// The start that the SDK gives all series.
    const SDK: u64 = 5;

    fn attribute(key: &str, value: &str) -> KeyValue {
        let value = Some(AnyValue { value: Some(Any::StringValue(value.to_owned())) });
        KeyValue { key: key.to_owned(), value, ..KeyValue::default() }
    }

    fn request(time: u64, is_monotonic: bool, values: &[(&str, i64)]) -> ExportMetricsServiceRequest {
        let point = |&(name, value): &(&str, i64)| {
            let mut attributes = vec![attribute("name", name), attribute("direction", "receive")];
            // In one order or another.
            attributes.rotate_left(time as usize % 2);
            let value = Some(Value::AsInt(value));
            NumberDataPoint {
                attributes,
                start_time_unix_nano: SDK,
                time_unix_nano: time,
                value,
                ..NumberDataPoint::default()
            }
        };
        let data_points = values.iter().map(point).collect();
        let data = Some(Data::Sum(Sum { data_points, aggregation_temporality: 2, is_monotonic }));
        let metrics = vec![Metric { name: "drops".to_owned(), data, ..Metric::default() }];
        let scope_metrics = vec![ScopeMetrics { metrics, ..ScopeMetrics::default() }];
        let resource_metrics = vec![ResourceMetrics { scope_metrics, ..ResourceMetrics::default() }];
        ExportMetricsServiceRequest { resource_metrics }
    }

    fn starts(request: &ExportMetricsServiceRequest) -> Vec<u64> {
        let Some(Data::Sum(sum)) = &request.resource_metrics[0].scope_metrics[0].metrics[0].data else {
            panic!("a sum")
        };
        sum.data_points.iter().map(|point| point.start_time_unix_nano).collect()
    }

    #[test]
    fn fallen_sums_have_later_starts() {
        let mut settled = Starts::default();
        for (time, values, expected) in [
            (10, &[("a", 3), ("b", 50)][..], &[SDK, SDK][..]),
            (21, &[("a", 3), ("b", 60)], &[SDK, SDK]),
            (30, &[("a", 4), ("c", 1)], &[SDK, 21]),
            (41, &[("a", 2), ("b", 7), ("c", 1)], &[30, 30, 21]),
            (50, &[("a", 9), ("b", 6)], &[30, 41]),
            (61, &[], &[]),
            (70, &[("a", 9)], &[50]),
        ] {
            let mut request = request(time, true, values);
            settled.settle(&mut request);
            assert_eq!(starts(&request), expected, "{time}");
        }
    }

    #[test]
    fn other_sums_keep_their_start() {
        let mut settled = Starts::default();
        for (time, value) in [(10, 3), (20, 1), (30, -1)] {
            let mut request = request(time, false, &[("a", value)]);
            settled.settle(&mut request);
            assert_eq!(starts(&request), [SDK], "{time}");
        }
    }
}
