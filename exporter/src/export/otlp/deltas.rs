//! Delta temporality: what cumulative series have grown by since the receiver last accepted them.
//!
//! A series' growth is pending until a request with it is accepted. So what failed requests had is in the next one, also
//! of series that have restarted or ended since, and the accepted values add up to the cumulative sum. A request whose
//! answer is lost may be counted twice, as with any retry of OTLP.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Histogram, HistogramDataPoint, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum,
};
use prost::Message as _;

use super::metrics::{MAX_REQUEST, clamp_starts};
use super::metrics_sender::{MetricsRequest, MetricsRequests};
use super::series_ids::{SeriesId, SeriesIds};

/// The most series that have ended with pending values. Of further ones the oldest are dropped and counted.
const MAX_ENDED: usize = 20_000;

/// Converts the rounds of one producer. Its memory is bounded by the series of the last round and by 20,000 ended ones.
#[derive(Debug, Default)]
pub struct Deltas {
    /// Whether sums stay cumulative.
    keeps_sums: bool,
    ids: SeriesIds,
    series: HashMap<SeriesId, Unsent>,
    /// The last round's requests of series that were there, and those of ended series.
    sent: Vec<Sent>,
    ended: Vec<Ended>,
    /// Resource and scope of the requests.
    head: ExportMetricsServiceRequest,
    round: u64,
}

#[derive(Debug)]
struct Sent {
    body: Bytes,
    series: Vec<SeriesId>,
}

/// A series that has ended before a request with its last values was accepted: a metric with this one point.
#[derive(Debug)]
struct Ended {
    series: SeriesId,
    metric: Metric,
}

/// What the receiver has not accepted of a series yet.
#[derive(Debug)]
struct Unsent {
    /// The cumulative series' start and last value.
    start: u64,
    seen: Total,
    pending: Total,
    /// When the pending values began, and the time of the last one; ns since the Unix epoch.
    since: u64,
    until: u64,
    /// The last round that it was in.
    round: u64,
}

impl Unsent {
    fn new(start: u64) -> Self {
        Self { start, seen: Total::default(), pending: Total::default(), since: start, until: start, round: 0 }
    }

    /// Adds the growth up to a cumulative point.
    fn add(&mut self, point: &Point<'_>) {
        let ((start, until), total) = (point.times(), point.total());
        let grown = if start == self.start { total.minus(&self.seen) } else { total.clone() };
        self.pending = self.pending.plus(&grown);
        (self.start, self.seen, self.until) = (start, total, until);
    }

    fn mark_accepted(&mut self) {
        self.pending = Total::default();
        self.since = self.until;
    }
}

impl Deltas {
    /// Converts histograms alone.
    pub fn of_histograms() -> Self {
        Self { keeps_sums: true, ..Self::default() }
    }

    /// Notes the numbers of the last round's requests that the receiver accepted.
    pub fn accept(&mut self, accepted: &[usize]) {
        for number in accepted {
            let ids = self.sent.get_mut(*number).map(|sent| std::mem::take(&mut sent.series));
            for id in ids.into_iter().flatten() {
                if let Some(unsent) = self.series.get_mut(&id) {
                    unsent.mark_accepted();
                }
            }
        }
    }

    /// Returns the requests of a round. `requests` are cumulative, with the start times of their series, and have all
    /// series of the producer.
    pub fn round(&mut self, mut requests: Vec<ExportMetricsServiceRequest>) -> MetricsRequests {
        self.round += 1;
        if let Some(request) = requests.first() {
            self.head = head(request);
        }
        let mut series: Vec<_> = requests.iter_mut().map(|request| self.convert(request)).collect();
        self.keep_ended();
        let dropped = self.ended.len().saturating_sub(MAX_ENDED);
        self.ended.drain(..dropped);
        for Ended { series: id, .. } in &self.ended {
            if let Some(unsent) = self.series.get_mut(id) {
                unsent.round = self.round;
            }
        }
        let round = self.round;
        self.series.retain(|_, unsent| unsent.round == round);
        for (request, of_request) in self.of_ended() {
            requests.push(request);
            series.push(of_request);
        }
        let requests = requests.iter().map(MetricsRequest::from).zip(series);
        let (requests, series): (Vec<_>, Vec<_>) = requests.filter(|(request, _)| request.data_points > 0).unzip();
        let sent = requests.iter().zip(series).map(|(request, series)| Sent { body: request.body.clone(), series });
        self.sent = sent.collect();
        MetricsRequests { requests, too_large: 0, dropped: dropped as u64 }
    }

    /// Replaces cumulative values by pending ones. Returns the series of the points, in their order.
    fn convert(&mut self, request: &mut ExportMetricsServiceRequest) -> Vec<SeriesId> {
        let Self { keeps_sums, ids, series, round, .. } = self;
        let mut of_request = Vec::new();
        change_points(request, *keeps_sums, |metric, mut point| {
            let id = ids.id(metric, point.attributes());
            let unsent = series.entry(id).or_insert_with(|| Unsent::new(point.times().0));
            unsent.add(&point);
            unsent.round = *round;
            point.set(&unsent.pending, unsent.since);
            let is_pending = unsent.pending.count > 0;
            of_request.extend(is_pending.then_some(id));
            is_pending
        });
        of_request
    }

    /// Takes series that are not in this round out of the last round's requests, and forgets ended ones that were accepted
    /// or have returned.
    fn keep_ended(&mut self) {
        let Self { keeps_sums, ids, series, sent, ended, round, .. } = self;
        let has_ended =
            |id: &SeriesId| series.get(id).is_some_and(|unsent| unsent.round != *round && unsent.pending.count > 0);
        ended.retain(|ended| has_ended(&ended.series));
        let known: HashSet<SeriesId> = ended.iter().map(|ended| ended.series).collect();
        for sent in std::mem::take(sent) {
            let is_new = |id: &SeriesId| has_ended(id) && !known.contains(id);
            if !sent.series.iter().any(is_new) {
                continue;
            }
            // We encoded it.
            let Ok(request) = ExportMetricsServiceRequest::decode(sent.body) else { continue };
            let scopes = request.resource_metrics.into_iter().flat_map(|resource| resource.scope_metrics);
            for metric in scopes.flat_map(|scope| scope.metrics) {
                let points = single_points(metric, *keeps_sums);
                let ids = points.into_iter().map(|(metric, attributes)| (ids.id(&metric.name, &attributes), metric));
                ended.extend(ids.filter(|(id, _)| is_new(id)).map(|(series, metric)| Ended { series, metric }));
            }
        }
    }

    /// The requests of ended series, each about as large as the receivers accept at most, with their series.
    fn of_ended(&self) -> Vec<(ExportMetricsServiceRequest, Vec<SeriesId>)> {
        let mut sorted: Vec<_> = self.ended.iter().collect();
        sorted.sort_by(|a, b| a.metric.name.cmp(&b.metric.name));
        let mut requests = Vec::new();
        let (mut metrics, mut series, mut size): (Vec<Metric>, _, _) = (Vec::new(), Vec::new(), 0);
        let mut flush = |metrics: &mut Vec<Metric>, series: &mut Vec<SeriesId>| {
            let mut request = self.head.clone();
            for scope in request.resource_metrics.iter_mut().flat_map(|resource| &mut resource.scope_metrics) {
                scope.metrics = std::mem::take(metrics);
            }
            requests.push((request, std::mem::take(series)));
        };
        for Ended { series: id, metric } in sorted {
            if size > MAX_REQUEST / 2 {
                flush(&mut metrics, &mut series);
                size = 0;
            }
            size += metric.encoded_len();
            series.push(*id);
            match metrics.last_mut() {
                Some(last) if last.name == metric.name => append(last, metric),
                _ => metrics.push(metric.clone()),
            }
        }
        if !series.is_empty() {
            flush(&mut metrics, &mut series);
        }
        requests
    }
}

/// Returns what is sent in a round: the cumulative requests, or what `deltas` makes of them.
pub fn requests(deltas: Option<&mut Deltas>, mut cumulative: Vec<ExportMetricsServiceRequest>) -> MetricsRequests {
    let Some(deltas) = deltas else {
        cumulative.iter_mut().for_each(clamp_starts);
        let requests = cumulative.iter().map(Into::into).collect();
        return MetricsRequests { requests, ..MetricsRequests::default() };
    };
    deltas.round(cumulative)
}

/// A request without metrics, with resource and scope of another one.
fn head(request: &ExportMetricsServiceRequest) -> ExportMetricsServiceRequest {
    let scope = |scope: &ScopeMetrics| ScopeMetrics {
        scope: scope.scope.clone(),
        metrics: Vec::new(),
        schema_url: scope.schema_url.clone(),
    };
    let resource = |resource: &ResourceMetrics| ResourceMetrics {
        resource: resource.resource.clone(),
        scope_metrics: resource.scope_metrics.first().map(scope).into_iter().collect(),
        schema_url: resource.schema_url.clone(),
    };
    let resource_metrics = request.resource_metrics.first().map(resource).into_iter().collect();
    ExportMetricsServiceRequest { resource_metrics }
}

/// Splits a metric with temporality delta into one for each point, with the point's attributes.
fn single_points(metric: Metric, keeps_sums: bool) -> Vec<(Metric, Vec<KeyValue>)> {
    let Metric { name, description, unit, data, .. } = metric;
    let single = |data, attributes| {
        let (name, description, unit) = (name.clone(), description.clone(), unit.clone());
        (Metric { name, description, unit, data: Some(data), ..Metric::default() }, attributes)
    };
    match data {
        Some(Data::Sum(mut sum)) if sum.is_monotonic && !keeps_sums => {
            let points = std::mem::take(&mut sum.data_points);
            let one = |point: NumberDataPoint| {
                let attributes = point.attributes.clone();
                single(Data::Sum(Sum { data_points: vec![point], ..sum }), attributes)
            };
            points.into_iter().map(one).collect()
        }
        Some(Data::Histogram(mut histogram)) => {
            let points = std::mem::take(&mut histogram.data_points);
            let one = |point: HistogramDataPoint| {
                let attributes = point.attributes.clone();
                single(Data::Histogram(Histogram { data_points: vec![point], ..histogram }), attributes)
            };
            points.into_iter().map(one).collect()
        }
        _ => Vec::new(),
    }
}

/// Appends the points of a metric to one with the same name.
fn append(to: &mut Metric, metric: &Metric) {
    match (&mut to.data, &metric.data) {
        (Some(Data::Sum(to)), Some(Data::Sum(sum))) => to.data_points.extend_from_slice(&sum.data_points),
        (Some(Data::Histogram(to)), Some(Data::Histogram(histogram))) => {
            to.data_points.extend_from_slice(&histogram.data_points);
        }
        // The kind of a metric does not change.
        _ => {}
    }
}

/// Makes a request's temporality delta. `change` gets a metric's name and each of its points with a temporality, and
/// returns whether the point stays. Other points, those of sums that may fall, and with `keeps_sums` those of all sums,
/// stay as they are.
fn change_points(
    request: &mut ExportMetricsServiceRequest,
    keeps_sums: bool,
    mut change: impl FnMut(&str, Point<'_>) -> bool,
) {
    let delta = AggregationTemporality::Delta.into();
    for scope in request.resource_metrics.iter_mut().flat_map(|resource| &mut resource.scope_metrics) {
        scope.metrics.retain_mut(|metric| match &mut metric.data {
            Some(Data::Sum(sum)) if sum.is_monotonic && !keeps_sums => {
                sum.aggregation_temporality = delta;
                sum.data_points.retain_mut(|point| change(&metric.name, Point::Number(point)));
                !sum.data_points.is_empty()
            }
            Some(Data::Histogram(histogram)) => {
                histogram.aggregation_temporality = delta;
                histogram.data_points.retain_mut(|point| change(&metric.name, Point::Histogram(point)));
                !histogram.data_points.is_empty()
            }
            _ => true,
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
        // A point cannot start after its time, even if the wall clock went back.
        let start = start.min(self.times().1);
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
