//! Delta temporality: what cumulative series have grown by since the receiver last accepted them.
//!
//! A series owes its growth until a request with it is accepted. So what failed requests had is in the next one, also of
//! series that have restarted or left since, and the accepted values add up to the cumulative sum. A request whose answer
//! is lost may be counted twice, as with any retry of OTLP.

use std::collections::HashMap;

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value;
use opentelemetry_proto::tonic::metrics::v1::{AggregationTemporality, HistogramDataPoint, NumberDataPoint};
use prost::Message as _;

use super::metrics_sender::MetricsRequest;
use super::series_ids::{SeriesId, SeriesIds};

/// Converts the rounds of one producer. Its memory is bounded by the series of the last round, and by the bytes of the
/// requests that were not accepted since.
#[derive(Debug, Default)]
pub struct Deltas {
    ids: SeriesIds,
    series: HashMap<SeriesId, Debt>,
    /// The requests of the last round.
    sent: Vec<Sent>,
    round: u64,
}

#[derive(Debug)]
struct Sent {
    body: Bytes,
    series: Vec<SeriesId>,
}

/// What a series has not delivered yet.
#[derive(Debug)]
struct Debt {
    /// The cumulative series' start and last value.
    start: u64,
    seen: Total,
    owed: Total,
    /// When it began to owe, and the time of the last value; ns since the Unix epoch.
    since: u64,
    until: u64,
    /// The last round that it was in.
    round: u64,
}

impl Debt {
    fn new(start: u64) -> Self {
        Self { start, seen: Total::default(), owed: Total::default(), since: start, until: start, round: 0 }
    }

    /// Adds the growth up to a cumulative point.
    fn add(&mut self, point: &Point<'_>) {
        let ((start, until), total) = (point.times(), point.total());
        let grown = if start == self.start { total.minus(&self.seen) } else { total.clone() };
        self.owed = self.owed.plus(&grown);
        (self.start, self.seen, self.until) = (start, total, until);
    }

    /// Writes what it owes into a point, for this round. Returns whether it owes anything.
    fn write(&mut self, point: &mut Point<'_>, round: u64) -> bool {
        self.round = round;
        point.set(&self.owed, self.since);
        self.owed.count > 0
    }

    fn is_accepted(&mut self) {
        self.owed = Total::default();
        self.since = self.until;
    }
}

impl Deltas {
    /// Returns the requests of a round. `accepted` numbers those of the last round that the receiver accepted. `requests`
    /// are cumulative and have all series of the producer.
    pub fn round(&mut self, accepted: &[usize], mut requests: Vec<ExportMetricsServiceRequest>) -> Vec<MetricsRequest> {
        for number in accepted {
            let ids = self.sent.get_mut(*number).map(|sent| std::mem::take(&mut sent.series));
            for id in ids.into_iter().flatten() {
                if let Some(debt) = self.series.get_mut(&id) {
                    debt.is_accepted();
                }
            }
        }
        self.round += 1;
        let mut series: Vec<_> = requests.iter_mut().map(|request| self.convert(request)).collect();
        for sent in std::mem::take(&mut self.sent) {
            if let Some((request, of_request)) = self.of_left(&sent) {
                requests.push(request);
                series.push(of_request);
            }
        }
        let round = self.round;
        self.series.retain(|_, debt| debt.round == round);
        let requests: Vec<MetricsRequest> = requests.iter().map(Into::into).collect();
        let sent = requests.iter().zip(series).map(|(request, series)| Sent { body: request.body.clone(), series });
        self.sent = sent.collect();
        requests
    }

    /// Replaces cumulative values by what they owe. Returns the series of the points, in their order.
    fn convert(&mut self, request: &mut ExportMetricsServiceRequest) -> Vec<SeriesId> {
        let Self { ids, series, round, .. } = self;
        let mut of_request = Vec::new();
        change_points(request, true, |metric, mut point| {
            let id = ids.id(metric, point.attributes());
            let debt = series.entry(id).or_insert_with(|| Debt::new(point.times().0));
            debt.add(&point);
            let owes = debt.write(&mut point, *round);
            of_request.extend(owes.then_some(id));
            owes
        });
        of_request
    }

    /// Returns what series owe that have left since a request; `None` if they owe nothing.
    fn of_left(&mut self, sent: &Sent) -> Option<(ExportMetricsServiceRequest, Vec<SeriesId>)> {
        let Self { ids, series, round, .. } = self;
        let has_left = |debt: &Debt| debt.round != *round && debt.owed.count > 0;
        if !sent.series.iter().any(|id| series.get(id).is_some_and(has_left)) {
            return None;
        }
        // We encoded it.
        let mut request = ExportMetricsServiceRequest::decode(sent.body.clone()).ok()?;
        let mut of_request = Vec::new();
        change_points(&mut request, false, |metric, mut point| {
            let id = ids.id(metric, point.attributes());
            let Some(debt) = series.get_mut(&id).filter(|debt| has_left(debt)) else { return false };
            of_request.push(id);
            debt.write(&mut point, *round)
        });
        Some((request, of_request))
    }
}

/// Makes a request's temporality delta. `change` gets a metric's name and each of its points with a temporality, and
/// returns whether the point stays. Other points, and those of sums that may fall, stay as they are if `keeps_others`.
fn change_points(
    request: &mut ExportMetricsServiceRequest,
    keeps_others: bool,
    mut change: impl FnMut(&str, Point<'_>) -> bool,
) {
    let delta = AggregationTemporality::Delta.into();
    for scope in request.resource_metrics.iter_mut().flat_map(|resource| &mut resource.scope_metrics) {
        scope.metrics.retain_mut(|metric| match &mut metric.data {
            Some(Data::Sum(sum)) if sum.is_monotonic => {
                sum.aggregation_temporality = delta;
                sum.data_points.retain_mut(|point| change(&metric.name, Point::Number(point)));
                !sum.data_points.is_empty()
            }
            Some(Data::Histogram(histogram)) => {
                histogram.aggregation_temporality = delta;
                histogram.data_points.retain_mut(|point| change(&metric.name, Point::Histogram(point)));
                !histogram.data_points.is_empty()
            }
            _ => keeps_others,
        });
    }
}

/// The value of a point: a sum, or durations.
#[derive(Clone, Debug, Default)]
struct Total {
    /// The sum, or the number of durations.
    count: u64,
    /// The sum of the durations, s.
    sum: f64,
    /// Durations by bucket; empty for a sum.
    buckets: Vec<u64>,
}

impl Total {
    fn plus(&self, other: &Self) -> Self {
        self.with(other, u64::saturating_add, self.sum + other.sum)
    }

    fn minus(&self, other: &Self) -> Self {
        self.with(other, u64::saturating_sub, self.sum - other.sum)
    }

    fn with(&self, other: &Self, change: fn(u64, u64) -> u64, sum: f64) -> Self {
        let bucket = |of: &Self, number: usize| of.buckets.get(number).copied().unwrap_or_default();
        let buckets = 0..self.buckets.len().max(other.buckets.len());
        let buckets = buckets.map(|number| change(bucket(self, number), bucket(other, number))).collect();
        Self { count: change(self.count, other.count), sum, buckets }
    }
}

/// A point of a sum or a histogram.
enum Point<'a> {
    Number(&'a mut NumberDataPoint),
    Histogram(&'a mut HistogramDataPoint),
}

impl Point<'_> {
    fn attributes(&self) -> &[KeyValue] {
        match self {
            Self::Number(point) => &point.attributes,
            Self::Histogram(point) => &point.attributes,
        }
    }

    /// Its start and its time, ns since the Unix epoch.
    const fn times(&self) -> (u64, u64) {
        match self {
            Self::Number(point) => (point.start_time_unix_nano, point.time_unix_nano),
            Self::Histogram(point) => (point.start_time_unix_nano, point.time_unix_nano),
        }
    }

    fn total(&self) -> Total {
        match self {
            Self::Number(point) => {
                // Our sums are integers.
                let Some(Value::AsInt(sum)) = point.value else { return Total::default() };
                Total { count: u64::try_from(sum).unwrap_or_default(), ..Total::default() }
            }
            Self::Histogram(point) => {
                Total { count: point.count, sum: point.sum.unwrap_or_default(), buckets: point.bucket_counts.clone() }
            }
        }
    }

    /// Sets value and start. Exemplars from before the start are removed.
    fn set(&mut self, total: &Total, start: u64) {
        let exemplars = match self {
            Self::Number(point) => {
                point.value = Some(Value::AsInt(i64::try_from(total.count).unwrap_or(i64::MAX)));
                point.start_time_unix_nano = start;
                &mut point.exemplars
            }
            Self::Histogram(point) => {
                point.count = total.count;
                point.sum = Some(total.sum);
                point.bucket_counts.clone_from(&total.buckets);
                point.start_time_unix_nano = start;
                &mut point.exemplars
            }
        };
        exemplars.retain(|exemplar| exemplar.time_unix_nano >= start);
    }
}

#[cfg(test)]
mod tests;
