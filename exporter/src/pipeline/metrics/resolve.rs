//! Converts a snapshot's numbers to names and texts for exporters, on the exporter's thread.

use std::borrow::Cow;

use eyepiece_config::Naming;
use eyepiece_flow::event::LostSource;
use eyepiece_flow::interner::Symbol;
use eyepiece_flow::names::{KUBE_APISERVER, drop_reason_name, observation_point_text, reserved_identity_label};
use eyepiece_semconv::attribute;
use foldhash::fast::RandomState;
use hashbrown::HashMap;

use super::detail::Port;
use super::durations::{DURATION_BOUNDS, DURATION_BUCKETS, Durations, Exemplar};
use super::ends::Value;
use super::exported_state::{Cumulative, ExportedState, SeriesSum};
use super::labels::{DropReason, Labels, type_name};
use super::snapshot::{EndLabel, Identity, Metric, MetricKind, PointNames, Snapshot};
use label::{Label, family_text, named};

mod context_labels;
mod l7_labels;
mod label;
mod order;
mod packet_labels;

/// Names of the running kernel's drop reasons.
pub trait DropReasonNames {
    /// Returns the name of an `skb_drop_reason` (`NETFILTER_DROP`), or its number if it has none.
    fn reason(&self, reason: u32) -> Cow<'_, str>;
}

/// The texts of a snapshot's series.
struct SeriesNames<'a> {
    ends: HashMap<Symbol, &'a str, RandomState>,
    /// By index and generation.
    interfaces: HashMap<(u32, u32), &'a str, RandomState>,
    kernel: &'a dyn DropReasonNames,
}

impl<'a> SeriesNames<'a> {
    fn new(names: &'a PointNames, kernel: &'a dyn DropReasonNames) -> Self {
        let ends = names.ends.iter().map(|lease| (lease.symbol(), &**lease.text()));
        let interfaces = names.interfaces.iter().map(|(interface, lease)| (*interface, &**lease.text()));
        Self { ends: ends.collect(), interfaces: interfaces.collect(), kernel }
    }

    fn end(&self, symbol: Symbol) -> &'a str {
        self.ends.get(&symbol).copied().unwrap_or_default()
    }
}

/// Names and values of a series. Most values are texts of the program.
pub type Attributes = Vec<(&'static str, Cow<'static, str>)>;

/// A metric with texts, whose cumulative values only grow.
#[derive(Clone, Debug, PartialEq)]
pub struct Resolved {
    /// Name, with dots.
    pub name: &'static str,
    /// Unit, in UCUM.
    pub unit: &'static str,
    /// One sentence.
    pub description: &'static str,
    /// Its series in the order of their attributes, which are unique.
    pub series: Vec<Series>,
}

/// One series with texts.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// Names and values; empty for the overflow series.
    pub attributes: Attributes,
    /// Whether it is the sum of series beyond the limit, whose only attribute is `otel.metric.overflow`.
    pub overflow: bool,
    /// Start of the series, ns since the Unix epoch; never earlier than exported before.
    pub start: u64,
    /// The value since then.
    pub value: SeriesValue,
}

/// The cumulative value of a series.
#[derive(Clone, Debug, PartialEq)]
pub enum SeriesValue {
    /// A sum that only grows, and its exemplar.
    Sum(u64, Option<Exemplar>),
    /// A histogram.
    Histogram(Box<HistogramValue>),
}

/// The durations of a series, with an exemplar of each bucket that has one.
#[derive(Clone, Debug, PartialEq)]
pub struct HistogramValue {
    /// The sum of the durations, ns.
    pub sum_ns: u64,
    /// How many are in each bucket; not cumulative.
    pub buckets: [u64; DURATION_BUCKETS],
    /// Exemplars, by bucket.
    pub exemplars: [Option<Exemplar>; DURATION_BUCKETS],
}

impl SeriesValue {
    /// The sum, or the number of durations.
    pub fn count(&self) -> u64 {
        match self {
            Self::Sum(sum, _) => *sum,
            Self::Histogram(histogram) => histogram.buckets.iter().sum(),
        }
    }
}

/// A value of the aggregation as its series has it.
trait IntoValue {
    fn into_value(self, exemplars: Vec<Exemplar>) -> SeriesValue;
}

impl IntoValue for u64 {
    fn into_value(self, exemplars: Vec<Exemplar>) -> SeriesValue {
        SeriesValue::Sum(self, exemplars.into_iter().max_by_key(|exemplar| exemplar.time))
    }
}

impl IntoValue for Durations {
    fn into_value(self, mut exemplars: Vec<Exemplar>) -> SeriesValue {
        // The latest one of a bucket remains.
        exemplars.sort_by_key(|exemplar| exemplar.time);
        let mut of_buckets = [const { None }; DURATION_BUCKETS];
        for exemplar in exemplars {
            let bucket = DURATION_BOUNDS.partition_point(|bound| *bound < exemplar.value);
            of_buckets[bucket] = Some(exemplar);
        }
        let Self { sum_ns, buckets } = self;
        SeriesValue::Histogram(Box::new(HistogramValue { sum_ns, buckets, exemplars: of_buckets }))
    }
}

/// Resolves the snapshots of one reader.
///
/// Series with equal texts (an interface that was created again under its name) become one: a reader would see one series
/// with alternating values. `exported_state` defines how such a sum continues when a part of it leaves.
#[derive(Clone, Debug, Default)]
pub struct Resolver {
    exported: HashMap<MetricKind, ExportedState<u64>, RandomState>,
    durations: ExportedState<Durations>,
}

impl Resolver {
    /// Returns the metrics of a snapshot, which must be later than that of the last call, with their names and texts.
    pub fn resolve(&mut self, snapshot: &Snapshot, kernel: &dyn DropReasonNames, naming: Naming) -> Vec<Resolved> {
        let names = SeriesNames::new(&snapshot.names, kernel);
        let mut last = std::mem::take(&mut self.exported);
        let mut list = Vec::with_capacity(snapshot.metrics.len());
        for metric in &snapshot.metrics {
            let mut exported = last.remove(&metric.kind).unwrap_or_default();
            list.push(resolve_metric(metric, &names, naming, &mut exported));
            self.exported.insert(metric.kind, exported);
        }
        match &snapshot.durations {
            Some(durations) => list.push(resolve_metric(durations, &names, naming, &mut self.durations)),
            None => self.durations = ExportedState::default(),
        }
        list
    }
}

/// Returns the metrics of a single snapshot with their names and texts.
pub fn resolve(snapshot: &Snapshot, kernel: &dyn DropReasonNames, naming: Naming) -> Vec<Resolved> {
    Resolver::default().resolve(snapshot, kernel, naming)
}

/// A series' texts, whether it is the overflow, its sum and its exemplars.
type Gathered<V> = ((bool, Attributes), SeriesSum<V>, Vec<Exemplar>);

fn resolve_metric<V: Cumulative + IntoValue>(
    metric: &Metric<V>,
    names: &SeriesNames<'_>,
    naming: Naming,
    exported: &mut ExportedState<V>,
) -> Resolved {
    let schema = metric.kind.schema();
    let texts = |identity: Identity| (identity == Identity::Overflow, attributes(metric, identity, names, naming));
    let texts: Vec<_> = metric.points.iter().map(|point| texts(point.identity)).collect();
    let mut entries: Vec<_> = order::numbers(&texts).into_iter().zip(texts).zip(&metric.points).collect();
    entries.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
    let mut round = exported.start_round();
    let mut gathered: Vec<Gathered<V>> = Vec::with_capacity(entries.len());
    for ((_, texts), point) in entries {
        if gathered.last().is_none_or(|(last, ..)| *last != texts) {
            let new = round.series(&texts);
            gathered.push((texts, new, Vec::new()));
        }
        if let Some((_, sum, exemplars)) = gathered.last_mut() {
            round.add(sum, point);
            exemplars.extend(metric.exemplars.get(&point.identity).into_iter().flatten().cloned());
        }
    }
    let sums = round.finish(gathered.iter().map(|(_, sum, _)| *sum));
    let series = gathered.into_iter().zip(sums).map(|(((overflow, attributes), _, exemplars), (start, value))| {
        Series { attributes, overflow, start, value: value.into_value(exemplars) }
    });
    Resolved { name: schema.name, unit: schema.unit, description: schema.description, series: series.collect() }
}

fn attributes<V>(metric: &Metric<V>, identity: Identity, names: &SeriesNames<'_>, naming: Naming) -> Attributes {
    let Identity::Series { source, destination, context, labels } = identity else { return Vec::new() };
    let mut list = context_labels::attributes(metric.labels, &context, |symbol| names.end(symbol), naming);
    let ends = [
        (metric.source, source, attribute::SOURCE_ADDRESS, attribute::HUBBLE_SOURCE_NAME),
        (metric.destination, destination, attribute::DESTINATION_ADDRESS, attribute::HUBBLE_DESTINATION_NAME),
    ];
    for (label, value, address, name) in ends {
        match (label, naming) {
            (EndLabel::Absent, _) => {}
            // It may also be a label of `labelsContext`.
            (EndLabel::Address, Naming::Semconv) if list.iter().any(|(known, _)| *known == address) => {}
            (EndLabel::Address, Naming::Semconv) => list.push((address, value_text(value, names))),
            _ => list.push((named(name, naming), value_text(value, names))),
        }
    }
    let own = label_texts(metric.kind, labels, names, naming);
    list.extend(own.into_iter().map(|(label, text)| (label.name(naming), text)));
    list
}

fn label_texts(
    kind: MetricKind,
    labels: Labels,
    names: &SeriesNames<'_>,
    naming: Naming,
) -> Vec<(Label, Cow<'static, str>)> {
    let label = |name, text: &'static str| (Label::new(name), Cow::Borrowed(text));
    match labels {
        Labels::Ends(carrier) => {
            let transport = Some(carrier.transport(naming)).filter(|name| !name.is_empty());
            let port = carrier.port.map(|port| match port {
                Port::Source(port) => (Label::new(attribute::SOURCE_PORT), port.to_string().into()),
                Port::Destination(port) => (Label::new(attribute::DESTINATION_PORT), port.to_string().into()),
            });
            transport.map(|name| label(attribute::NETWORK_TRANSPORT, name)).into_iter().chain(port).collect()
        }
        Labels::Drop { reason, protocol } => {
            let reason = match reason {
                DropReason::Kernel(reason) => names.kernel.reason(reason).into_owned().into(),
                DropReason::Cilium(code) => text_or_number(drop_reason_name(code), code),
            };
            vec![label(attribute::HUBBLE_PROTOCOL, protocol), (Label::new(attribute::HUBBLE_DROP_REASON), reason)]
        }
        Labels::Flow { protocol, kind, subtype, verdict } => vec![
            label(attribute::HUBBLE_PROTOCOL, protocol),
            label(attribute::HUBBLE_EVENT_TYPE, type_name(kind)),
            (Label::new(attribute::HUBBLE_EVENT_SUBTYPE), subtype_text(kind, subtype, protocol)),
            label(attribute::HUBBLE_VERDICT, verdict.name()),
        ],
        Labels::Tcp { flag, version } => vec![
            label(attribute::HUBBLE_TCP_FLAG, flag.name()),
            label(attribute::NETWORK_TYPE, family_text(version, naming)),
        ],
        Labels::Interface { ifindex, generation, direction } => {
            // An interface without a name is distinguished by its index.
            let name = names.interfaces.get(&(ifindex, generation));
            let name = name.map_or_else(|| ifindex.to_string(), |&name| name.to_owned());
            vec![
                (Label::new(attribute::NETWORK_INTERFACE_NAME), name.into()),
                label(attribute::NETWORK_IO_DIRECTION, direction.name()),
            ]
        }
        Labels::Lost(source) => vec![label(attribute::HUBBLE_LOST_SOURCE, lost_source_text(source))],
        Labels::Icmp { .. }
        | Labels::Port { .. }
        | Labels::Policy { .. }
        | Labels::World { .. }
        | Labels::Sctp { .. } => packet_labels::texts(labels, naming),
        Labels::Joined(symbol) => l7_labels::texts(kind, names.end(symbol)),
    }
}

fn value_text(value: Value, names: &SeriesNames<'_>) -> Cow<'static, str> {
    match value {
        Value::None => "".into(),
        Value::Symbol(symbol) => names.end(symbol).to_owned().into(),
        Value::Ip(address) => context_labels::address_text(address).into(),
        Value::Reserved(identity) => reserved_identity_label(identity).unwrap_or_default().into(),
        Value::Identity(KUBE_APISERVER) => "reserved:kube-apiserver,reserved:remote-node".into(),
        Value::Identity(identity) => text_or_number(reserved_identity_label(identity), identity),
    }
}

fn text_or_number(text: Option<&'static str>, number: u32) -> Cow<'static, str> {
    text.map_or_else(|| number.to_string().into(), Cow::Borrowed)
}

/// The subtype: the observation point of a trace, the protocol of layer 7, the number of an unknown message type, else
/// empty.
fn subtype_text(kind: u8, subtype: u8, protocol: &'static str) -> Cow<'static, str> {
    match type_name(kind) {
        "Trace" => observation_point_text(subtype).unwrap_or_default().into(),
        "L7" if matches!(protocol, "DNS" | "HTTP" | "Kafka") => protocol.into(),
        "Unknown" => kind.to_string().into(),
        _ => "".into(),
    }
}

/// `flow.LostEventSource` in lower case.
const fn lost_source_text(source: LostSource) -> &'static str {
    match source {
        LostSource::KernelBuffer => "perf_event_ring_buffer",
        LostSource::ObserverQueue => "observer_events_queue",
        LostSource::HubbleRing => "hubble_ring_buffer",
    }
}

#[cfg(test)]
mod monotonic_tests;
#[cfg(test)]
mod tests;
