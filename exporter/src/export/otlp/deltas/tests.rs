//! Deltas over refusals, restarts and ends of series.

use std::collections::HashMap;

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint, ResourceMetrics,
    ScopeMetrics, Sum,
};
use proptest::prelude::{Strategy, any};
use prost::Message as _;

use super::{Deltas, MAX_ENDED, MAX_REQUEST};
use crate::export::otlp::metrics_sender::MetricsRequest;

/// A cumulative series: its name, start and value.
type Series = (u32, u64, u64);

fn request(series: &[Series], time: u64) -> ExportMetricsServiceRequest {
    let attributes = |name: u32| {
        let value = Some(AnyValue { value: Some(Any::StringValue(name.to_string())) });
        vec![KeyValue { key: "series".into(), value, ..KeyValue::default() }]
    };
    let number = |&(name, start, value): &Series| NumberDataPoint {
        attributes: attributes(name),
        start_time_unix_nano: start,
        time_unix_nano: time,
        value: Some(Value::AsInt(value as i64)),
        ..NumberDataPoint::default()
    };
    let durations = |&(name, start, value): &Series| HistogramDataPoint {
        attributes: attributes(name),
        start_time_unix_nano: start,
        time_unix_nano: time,
        count: value,
        sum: Some(value as f64 / 4.0),
        bucket_counts: vec![0, value],
        explicit_bounds: vec![0.125],
        ..HistogramDataPoint::default()
    };
    let aggregation_temporality = AggregationTemporality::Cumulative.into();
    let sum = |is_monotonic, data_points| Data::Sum(Sum { data_points, aggregation_temporality, is_monotonic });
    let data = [
        ("sum", sum(true, series.iter().map(number).collect())),
        ("durations", {
            let data_points = series.iter().map(durations).collect();
            Data::Histogram(Histogram { data_points, aggregation_temporality })
        }),
        ("level", sum(false, vec![number(&(0, 1, 5))])),
        ("gauge", Data::Gauge(Gauge { data_points: vec![number(&(0, 1, 7))] })),
    ];
    let metric = |(name, data): (&str, Data)| Metric { name: name.into(), data: Some(data), ..Metric::default() };
    let scope = ScopeMetrics { metrics: data.map(metric).into(), ..ScopeMetrics::default() };
    let resource = ResourceMetrics { scope_metrics: vec![scope], ..ResourceMetrics::default() };
    ExportMetricsServiceRequest { resource_metrics: vec![resource] }
}

/// A point with delta temporality: series, start and time, value.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Delta {
    series: u32,
    times: [u64; 2],
    value: u64,
}

/// The delta points of a request, and how many others it has. Its histograms are equal to its sums.
fn deltas(request: &MetricsRequest) -> (Vec<Delta>, usize) {
    let series = |attributes: &[KeyValue]| match &attributes[0].value.as_ref().unwrap().value {
        Some(Any::StringValue(name)) => name.parse().unwrap(),
        other => panic!("{other:?}"),
    };
    let (mut sums, mut durations, mut others) = (Vec::new(), Vec::new(), 0);
    let request = ExportMetricsServiceRequest::decode(request.body.clone()).unwrap();
    let scopes = request.resource_metrics.into_iter().flat_map(|resource| resource.scope_metrics);
    for metric in scopes.flat_map(|scope| scope.metrics) {
        match metric.data.unwrap() {
            Data::Sum(sum) if sum.is_monotonic => {
                assert_eq!(sum.aggregation_temporality(), AggregationTemporality::Delta);
                sums.extend(sum.data_points.iter().map(|point| {
                    let Some(Value::AsInt(value)) = point.value else { panic!("{point:?}") };
                    let times = [point.start_time_unix_nano, point.time_unix_nano];
                    Delta { series: series(&point.attributes), times, value: value as u64 }
                }));
            }
            Data::Histogram(histogram) => {
                assert_eq!(histogram.aggregation_temporality(), AggregationTemporality::Delta);
                durations.extend(histogram.data_points.iter().map(|point| {
                    assert_eq!(point.bucket_counts, [0, point.count]);
                    assert_eq!(point.sum, Some(point.count as f64 / 4.0));
                    let times = [point.start_time_unix_nano, point.time_unix_nano];
                    Delta { series: series(&point.attributes), times, value: point.count }
                }));
            }
            Data::Sum(sum) => {
                assert_eq!(sum.aggregation_temporality(), AggregationTemporality::Cumulative);
                others += sum.data_points.len();
            }
            Data::Gauge(gauge) => others += gauge.data_points.len(),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(sums, durations);
    (sums, others)
}

#[test]
fn failed_values_are_in_next_request() {
    let mut state = Deltas::default();
    let delta = |series, times, value| Delta { series, times, value };
    // The accepted requests of the round before, the series of now, and what is sent.
    for (time, accepted, series, expected) in [
        (10, &[][..], &[(1, 5, 3), (2, 6, 0)][..], &[&[delta(1, [5, 10], 3)][..]][..]),
        (20, &[0], &[(1, 5, 7), (2, 6, 1)], &[&[delta(1, [10, 20], 4), delta(2, [6, 20], 1)]]),
        // Refused; the second one begins again and the first one leaves.
        (30, &[], &[(2, 25, 2)], &[&[delta(2, [6, 30], 3)], &[delta(1, [10, 20], 4)]]),
        // The request with what has left is refused.
        (40, &[0], &[(2, 25, 2)], &[&[], &[delta(1, [10, 20], 4)]]),
        // Back, before it was accepted.
        (50, &[0], &[(1, 45, 1), (2, 25, 3)], &[&[delta(1, [10, 50], 5), delta(2, [30, 50], 1)]]),
        (60, &[0], &[], &[&[]]),
        (70, &[0], &[(1, 65, 1)], &[&[delta(1, [65, 70], 1)]]),
    ] {
        state.accept(accepted);
        let sent: Vec<_> = state.round(vec![request(series, time)]).requests.iter().map(deltas).collect();
        let points: Vec<_> = sent.iter().map(|(points, _)| points.as_slice()).collect();
        assert_eq!(points, expected, "{time}");
        // What has no temporality is in the requests of now.
        assert!(sent.iter().map(|(_, others)| *others).eq((0..sent.len()).map(|number| 2 * usize::from(number == 0))));
    }
}

#[test]
fn clock_that_goes_back_counts_once() {
    let mut state = Deltas::default();
    for (time, value, times, expected) in [(100, 3, [50, 100], 3), (40, 4, [40, 40], 1), (60, 6, [40, 60], 2)] {
        let sent = state.round(vec![request(&[(1, 50, value)], time)]).requests;
        assert_eq!(deltas(&sent[0]).0, [Delta { series: 1, times, value: expected }], "{time}");
        state.accept(&[0]);
    }
}

#[test]
fn oldest_ended_series_are_dropped() {
    let mut state = Deltas::of_histograms();
    let series: Vec<Series> = (0..MAX_ENDED as u32 + 5).map(|name| (name, 1, 1)).collect();
    assert_eq!(state.round(vec![request(&series, 10)]).dropped, 0);
    for (round, expected) in [(2, 5), (3, 0)] {
        let sent = state.round(vec![request(&[], 20)]);
        let points: usize = sent.requests.iter().map(|request| request.data_points).sum();
        // Beside a level and a gauge.
        assert_eq!((sent.dropped, points), (expected, MAX_ENDED + 2), "{round}");
        assert!(sent.requests.iter().all(|request| request.body.len() < MAX_REQUEST));
    }
}

/// What becomes of a series in a round.
#[derive(Clone, Copy, Debug)]
enum Change {
    Grow(u8),
    Restart,
    Leave,
}

fn change() -> impl Strategy<Value = Change> {
    (0_u8..10, any::<u8>()).prop_map(|(kind, by)| match kind {
        0 => Change::Restart,
        1 => Change::Leave,
        _ => Change::Grow(by % 4),
    })
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig { failure_persistence: None, ..Default::default() })]

    /// Whatever is refused: the accepted points of a series add up to its growth, and their times do not overlap.
    #[test]
    fn accepted_values_add_up(rounds in proptest::collection::vec(([change(), change(), change()], any::<u8>()), 1..30)) {
        let (mut state, mut accepted) = (Deltas::default(), Vec::new());
        let mut series: [Option<Series>; 3] = [None; 3];
        let (mut grown, mut arrived) = ([0_u64; 3], [0_u64; 3]);
        let mut ends: HashMap<u32, u64> = HashMap::new();
        // At last the receiver accepts everything.
        let last = ([Change::Grow(0); 3], u8::MAX);
        for (number, (changes, refuses)) in rounds.into_iter().chain([last]).enumerate() {
            let time = 10 * (number as u64 + 1);
            for (name, change) in changes.into_iter().enumerate() {
                let new = (name as u32, time - 5, 0);
                let (value, by) = match change {
                    Change::Grow(by) => (series[name].get_or_insert(new), u64::from(by)),
                    Change::Restart => (series[name].insert(new), 1),
                    Change::Leave => {
                        series[name] = None;
                        continue;
                    }
                };
                value.2 += by;
                grown[name] += by;
            }
            let of_now: Vec<_> = series.iter().flatten().copied().collect();
            let requests = of_now.chunks(2).map(|chunk| request(chunk, time)).collect();
            state.accept(&accepted);
            let sent = state.round(requests).requests;
            accepted.clear();
            for (number, sent) in sent.iter().enumerate() {
                if refuses & 1 << (number % 8) == 0 {
                    continue;
                }
                accepted.push(number);
                for Delta { series, times: [start, end], value } in deltas(sent).0 {
                    arrived[series as usize] += value;
                    let before = ends.insert(series, end).unwrap_or_default();
                    proptest::prop_assert!(before <= start && start < end, "{before} {start} {end}");
                }
            }
        }
        proptest::prop_assert_eq!(arrived, grown);
    }
}
