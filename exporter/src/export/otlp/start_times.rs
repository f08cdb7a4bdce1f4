//! Start times of own sums. OpenTelemetry's SDK has one start time for all series of a metric. OTLP requires a later
//! one for a series that returned with a lower sum.

use std::collections::HashMap;

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value;
use opentelemetry_proto::tonic::metrics::v1::{Metric, NumberDataPoint};

use super::series_ids::{SeriesId, SeriesIds};

/// The sums of the last request. Its memory is bounded by the points of that request.
#[derive(Debug, Default)]
pub(super) struct StartTimes {
    ids: SeriesIds,
    series: HashMap<SeriesId, Sum>,
    /// The latest time of its points, ns since the Unix epoch. 0 if there was none.
    time: u64,
}

#[derive(Clone, Copy, Debug)]
struct Sum {
    start: u64,
    value: u64,
}

impl StartTimes {
    /// Sets the start time of each sum: the last request's if the sum was in it and has not fallen, else that request's
    /// time. The first request keeps the SDK's start time.
    pub(super) fn settle(&mut self, request: &mut ExportMetricsServiceRequest) {
        let mut series = HashMap::with_capacity(self.series.len());
        let mut time = self.time;
        let metrics = request.resource_metrics.iter_mut().flat_map(|resource| &mut resource.scope_metrics);
        for metric in metrics.flat_map(|scope| &mut scope.metrics) {
            let Metric { name, data: Some(Data::Sum(sum)), .. } = metric else { continue };
            for point in sum.data_points.iter_mut().filter(|_| sum.is_monotonic) {
                let (id, value) = (self.ids.id(name, &point.attributes), value(point));
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
}

/// Our numbers are non-negative integers.
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

    use super::StartTimes;

    /// The SDK's start time.
    const SDK: u64 = 5;

    fn attribute(key: &str, value: &str) -> KeyValue {
        let value = Some(AnyValue { value: Some(Any::StringValue(value.to_owned())) });
        KeyValue { key: key.to_owned(), value, ..KeyValue::default() }
    }

    fn request(time: u64, is_monotonic: bool, values: &[(&str, i64)]) -> ExportMetricsServiceRequest {
        let point = |&(name, value): &(&str, i64)| {
            let mut attributes = vec![attribute("name", name), attribute("direction", "receive")];
            // In varying order.
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
        let mut settled = StartTimes::default();
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
        let mut settled = StartTimes::default();
        for (time, value) in [(10, 3), (20, 1), (30, -1)] {
            let mut request = request(time, false, &[("a", value)]);
            settled.settle(&mut request);
            assert_eq!(starts(&request), [SDK], "{time}");
        }
    }
}
