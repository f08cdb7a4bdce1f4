//! Converts a snapshot's numbers to names and texts for exporters, on the exporter's thread.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use eyepiece_config::Naming;
use eyepiece_flow::event::LostSource;
use eyepiece_flow::interner::Symbol;
use eyepiece_flow::names::{KUBE_APISERVER, drop_reason_name, observation_point_text, reserved_identity_label};
use eyepiece_semconv::attribute;

use super::detail::Port;
use super::ends::Value;
use super::exported_state::{ExportedState, SeriesSum};
use super::labels::{DropReason, Labels, type_name};
use super::snapshot::{EndLabel, Identity, Metric, MetricKind, Point, PointNames, Snapshot};

mod context_labels;

/// Names of the running kernel's drop reasons.
pub trait DropReasonNames {
    /// Returns the name of an `skb_drop_reason` (`NETFILTER_DROP`), or its number if it has none.
    fn reason(&self, reason: u32) -> Cow<'_, str>;
}

/// The texts of a snapshot's series.
struct SeriesNames<'a> {
    ends: HashMap<Symbol, &'a str>,
    /// By index and generation.
    interfaces: HashMap<(u32, u32), &'a str>,
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

/// Names and values of a series.
pub type Attributes = Vec<(&'static str, String)>;

/// A metric with texts: a cumulative sum that only grows.
#[derive(Clone, Debug, PartialEq, Eq)]
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
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Series {
    /// Names and values; empty for the overflow series.
    pub attributes: Attributes,
    /// Whether it is the sum of series beyond the limit, whose only attribute is `otel.metric.overflow`.
    pub overflow: bool,
    /// Start of the series, ns since the Unix epoch; never earlier than exported before.
    pub start: u64,
    /// The sum since then.
    pub value: u64,
}

/// Resolves the snapshots of one reader.
///
/// Series with equal texts (an interface that was created again under its name) become one: a reader would see one series
/// with alternating values. `exported_state` defines how such a sum continues when a part of it leaves.
#[derive(Clone, Debug, Default)]
pub struct Resolver {
    exported: HashMap<MetricKind, ExportedState>,
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
        list
    }
}

/// Returns the metrics of a single snapshot with their names and texts.
pub fn resolve(snapshot: &Snapshot, kernel: &dyn DropReasonNames, naming: Naming) -> Vec<Resolved> {
    Resolver::default().resolve(snapshot, kernel, naming)
}

fn resolve_metric(metric: &Metric, names: &SeriesNames<'_>, naming: Naming, exported: &mut ExportedState) -> Resolved {
    let schema = metric.kind.schema();
    let mut round = exported.start_round();
    let mut gathered: BTreeMap<(bool, Attributes), SeriesSum> = BTreeMap::new();
    for point in &metric.points {
        let texts = (point.identity == Identity::Overflow, attributes(metric, point, names, naming));
        let new = round.series(&texts);
        round.add(gathered.entry(texts).or_insert(new), point);
    }
    let sums = round.finish(gathered.values().copied());
    let series = gathered.into_keys().zip(sums).map(|((overflow, attributes), (start, value))| Series {
        attributes,
        overflow,
        start,
        value,
    });
    Resolved { name: schema.name, unit: schema.unit, description: schema.description, series: series.collect() }
}

fn attributes(metric: &Metric, point: &Point, names: &SeriesNames<'_>, naming: Naming) -> Attributes {
    let Identity::Series { source, destination, context, labels } = point.identity else { return Vec::new() };
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
    list.extend(
        label_texts(labels, names, naming).into_iter().flatten().map(|(name, text)| (named(name, naming), text)),
    );
    list
}

/// Returns the attribute's name or Hubble's label.
fn named(name: &'static str, naming: Naming) -> &'static str {
    match naming {
        Naming::Semconv => name,
        Naming::Hubble => eyepiece_semconv::hubble_label(name).unwrap_or(name),
    }
}

/// The most labels of a metric beside its ends.
const LABELS: usize = 4;

fn label_texts(labels: Labels, names: &SeriesNames<'_>, naming: Naming) -> [Option<(&'static str, String)>; LABELS] {
    let label = |name, text: &str| Some((name, text.to_owned()));
    match labels {
        Labels::Ends(carrier) => {
            let transport = Some(carrier.transport(naming)).filter(|name| !name.is_empty());
            let port = carrier.port.map(|port| match port {
                Port::Source(port) => (attribute::SOURCE_PORT, port.to_string()),
                Port::Destination(port) => (attribute::DESTINATION_PORT, port.to_string()),
            });
            [transport.map(|name| (attribute::NETWORK_TRANSPORT, name.to_owned())), port, None, None]
        }
        Labels::Drop { reason, protocol } => {
            let reason = match reason {
                DropReason::Kernel(reason) => names.kernel.reason(reason).into_owned(),
                DropReason::Cilium(code) => drop_reason_name(code).map_or_else(|| code.to_string(), str::to_owned),
            };
            let reason = Some((attribute::HUBBLE_DROP_REASON, reason));
            [label(attribute::HUBBLE_PROTOCOL, protocol), reason, None, None]
        }
        Labels::Flow { protocol, kind, subtype, verdict } => [
            label(attribute::HUBBLE_PROTOCOL, protocol),
            label(attribute::HUBBLE_EVENT_TYPE, type_name(kind)),
            Some((attribute::HUBBLE_EVENT_SUBTYPE, subtype_text(kind, subtype, protocol))),
            label(attribute::HUBBLE_VERDICT, verdict.name()),
        ],
        Labels::Tcp { flag, version } => [
            label(attribute::HUBBLE_TCP_FLAG, flag.name()),
            label(attribute::NETWORK_TYPE, family_text(version, naming)),
            None,
            None,
        ],
        Labels::Interface { ifindex, generation, direction } => {
            // An interface without a name is distinguished by its index.
            let name = names.interfaces.get(&(ifindex, generation));
            let name = name.map_or_else(|| ifindex.to_string(), |&name| name.to_owned());
            let direction = label(attribute::NETWORK_IO_DIRECTION, direction.name());
            [Some((attribute::NETWORK_INTERFACE_NAME, name)), direction, None, None]
        }
        Labels::Lost(source) => [label(attribute::HUBBLE_LOST_SOURCE, lost_source_text(source)), None, None, None],
    }
}

fn value_text(value: Value, names: &SeriesNames<'_>) -> String {
    match value {
        Value::None => String::new(),
        Value::Symbol(symbol) => names.end(symbol).to_owned(),
        Value::Ip(address) => context_labels::address_text(address),
        Value::Reserved(identity) => reserved_text(identity).unwrap_or_default(),
        Value::Identity(KUBE_APISERVER) => "reserved:kube-apiserver,reserved:remote-node".to_owned(),
        Value::Identity(identity) => reserved_text(identity).unwrap_or_else(|| identity.to_string()),
    }
}

fn reserved_text(identity: u32) -> Option<String> {
    reserved_identity_label(identity).map(str::to_owned)
}

/// The subtype: the observation point of a trace, the protocol of layer 7, the number of an unknown message type, else
/// empty.
fn subtype_text(kind: u8, subtype: u8, protocol: &str) -> String {
    match type_name(kind) {
        "Trace" => observation_point_text(subtype).unwrap_or_default().to_owned(),
        "L7" if matches!(protocol, "DNS" | "HTTP" | "Kafka") => protocol.to_owned(),
        "Unknown" => kind.to_string(),
        _ => String::new(),
    }
}

/// The value of `network.type`, or of Hubble's `family` label.
fn family_text(version: u8, naming: Naming) -> &'static str {
    match (version, naming) {
        (4, Naming::Semconv) => "ipv4",
        (6, Naming::Semconv) => "ipv6",
        (4, Naming::Hubble) => "IPv4",
        (6, Naming::Hubble) => "IPv6",
        (_, Naming::Semconv) => "",
        (_, Naming::Hubble) => "IP_NOT_USED",
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
