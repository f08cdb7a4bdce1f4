//! Metrics of requests to our servers, as Hubble has them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::StatusCode;

use super::grpc_metrics;
use crate::pipeline::metrics::{DURATION_BUCKETS, Durations, HistogramValue, Resolved, Series, SeriesValue};
use crate::support::clock::unix_now;
use crate::support::grpc_calls::GrpcCalls;
use crate::support::lock::lock;

/// The label of the status.
const CODE: &str = "code";

/// Counts the endpoint's requests by status, with their durations; clones share the counters. A status has series from
/// its first request on, which a page shows when the request is over: the first page has none. Has calls of gRPC besides.
#[derive(Clone, Debug, Default)]
pub struct RequestMetrics {
    requests: Arc<Mutex<BTreeMap<u16, Requests>>>,
    calls: GrpcCalls,
}

/// The requests of one status.
#[derive(Debug)]
struct Requests {
    /// The time of the first one, ns since the Unix epoch.
    start: u64,
    durations: Durations,
}

impl RequestMetrics {
    /// Creates metrics without requests, and with the calls that gRPC servers count.
    pub fn new(calls: &GrpcCalls) -> Self {
        Self { requests: Arc::default(), calls: calls.clone() }
    }

    /// Counts a request.
    pub fn observe(&self, code: StatusCode, duration: Duration) {
        let mut requests = lock(&self.requests);
        let new = || Requests { start: unix_now(), durations: Durations::default() };
        let of_code = requests.entry(code.as_u16()).or_insert_with(new);
        of_code.durations.add(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX));
    }

    /// The counter and the histogram, and the counters of calls.
    pub(super) fn resolve(&self) -> Vec<Resolved> {
        let requests = lock(&self.requests);
        let metric = |name, unit, value: fn(&Durations) -> SeriesValue| Resolved {
            name,
            unit,
            // Hubble's help text.
            description: "",
            series: requests.iter().map(|(code, requests)| series(*code, requests, value)).collect(),
        };
        let own = [
            metric("hubble_metrics_http_handler_requests", "", |durations| SeriesValue::Sum(durations.count(), None)),
            metric("hubble_metrics_http_handler_request_duration", "s", histogram),
        ];
        own.into_iter().chain(grpc_metrics::resolve(&self.calls)).collect()
    }
}

fn series(code: u16, requests: &Requests, value: fn(&Durations) -> SeriesValue) -> Series {
    let attributes = vec![(CODE, code.to_string().into())];
    Series { attributes, overflow: false, start: requests.start, value: value(&requests.durations) }
}

fn histogram(durations: &Durations) -> SeriesValue {
    let Durations { sum_ns, buckets } = *durations;
    SeriesValue::Histogram(Box::new(HistogramValue { sum_ns, buckets, exemplars: [const { None }; DURATION_BUCKETS] }))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::StatusCode;

    use super::{RequestMetrics, SeriesValue};

    #[test]
    fn requests_are_counted_by_status() {
        let metrics = RequestMetrics::default();
        assert!(metrics.resolve().iter().all(|metric| metric.series.is_empty()));
        for (code, milliseconds) in
            [(StatusCode::OK, 5), (StatusCode::SERVICE_UNAVAILABLE, 20_000), (StatusCode::OK, 6)]
        {
            metrics.observe(code, Duration::from_millis(milliseconds));
        }
        let resolved = metrics.resolve();
        let [counter, histogram, ..] = &resolved[..] else { panic!("{resolved:?}") };
        for metric in [counter, histogram] {
            let codes = metric.series.iter().map(|series| (&*series.attributes[0].1, series.value.count()));
            assert_eq!(codes.collect::<Vec<_>>(), [("200", 2), ("503", 1)], "{}", metric.name);
        }
        let SeriesValue::Histogram(ok) = &histogram.series[0].value else { panic!("{histogram:?}") };
        assert_eq!((ok.sum_ns, &ok.buckets[..3]), (11_000_000, &[1, 1, 0][..]));
        let SeriesValue::Histogram(unavailable) = &histogram.series[1].value else { panic!("{histogram:?}") };
        assert_eq!(unavailable.buckets.last(), Some(&1));
    }
}
