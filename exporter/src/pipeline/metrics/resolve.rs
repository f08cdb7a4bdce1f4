//! Turns a snapshot's numbers into the names and texts that exporters write, away from the thread that counts.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use eyepiece_flow::event::LostSource;
use eyepiece_flow::interner::Symbols;
use eyepiece_flow::names::{drop_reason_name, observation_point_text};
use eyepiece_semconv::attribute;

use super::context::{Value, reserved_name};
use super::continuity::{Gathered, Told};
use super::detail::Port;
use super::observed::{DropReason, Labels, type_name};
use super::snapshot::{EndLabel, Identity, Metric, MetricKind, Point, Snapshot};

/// How attributes are named.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Naming {
    /// OpenTelemetry's conventions, and the prefix `hubble.` where they have no word.
    #[default]
    Semconv,
    /// The labels of Hubble's own metrics.
    Hubble,
}

/// The running kernel's names of its drop reasons.
pub trait KernelNames {
    /// The name of an `skb_drop_reason` (`NETFILTER_DROP`); its number where the kernel has none for it.
    fn reason(&self, reason: u32) -> Cow<'_, str>;
}

/// Names of the interfaces that were seen, also of those that are gone by now.
pub trait InterfaceNames {
    /// The name of the interface that had an index in a generation.
    fn name(&self, ifindex: u32, generation: u32) -> Option<Cow<'_, str>>;
}

/// Where the texts of numbers are looked up.
#[derive(Clone, Copy)]
pub struct Names<'a> {
    /// Of symbols.
    pub symbols: &'a Symbols,
    /// Of the kernel's drop reasons.
    pub kernel: &'a dyn KernelNames,
    /// Of interfaces.
    pub interfaces: &'a dyn InterfaceNames,
}

/// Names and values of a series.
pub type Attributes = Vec<(&'static str, String)>;

/// A metric ready to be written: a cumulative sum that only grows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// Name, with dots.
    pub name: &'static str,
    /// Unit, in UCUM.
    pub unit: &'static str,
    /// One sentence.
    pub description: &'static str,
    /// Its series in the order of their attributes; no two have the same.
    pub series: Vec<Series>,
}

/// One series ready to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Series {
    /// Names and values; none for the overflow series.
    pub attributes: Attributes,
    /// The series of all that had no place of their own: `otel.metric.overflow` is its only attribute.
    pub overflow: bool,
    /// When the series began, ns since the Unix epoch; never earlier than it was told before.
    pub start: u64,
    /// The sum since then.
    pub value: u64,
}

/// Names what snapshots hold, for one reader that looks again and again.
///
/// Series whose texts turn out equal (an interface that was made anew under its old name) become one: a reader would
/// take them for one series that jumps to and fro. `continuity` says how such a sum goes on when a part of it leaves.
#[derive(Clone, Debug, Default)]
pub struct Resolver {
    told: HashMap<MetricKind, Told>,
}

impl Resolver {
    /// The metrics of a snapshot, which is later than that of the last call, with their names and texts.
    pub fn resolve(&mut self, snapshot: &Snapshot, names: &Names<'_>, naming: Naming) -> Vec<Resolved> {
        let mut told = std::mem::take(&mut self.told);
        let mut list = Vec::with_capacity(snapshot.metrics.len());
        for metric in &snapshot.metrics {
            let mut of_metric = told.remove(&metric.kind).unwrap_or_default();
            list.push(resolve_metric(metric, names, naming, &mut of_metric));
            self.told.insert(metric.kind, of_metric);
        }
        list
    }
}

/// The metrics of a single snapshot with their names and texts, for a reader that looks once.
pub fn resolve(snapshot: &Snapshot, names: &Names<'_>, naming: Naming) -> Vec<Resolved> {
    Resolver::default().resolve(snapshot, names, naming)
}

fn resolve_metric(metric: &Metric, names: &Names<'_>, naming: Naming, told: &mut Told) -> Resolved {
    let schema = metric.kind.schema();
    let mut look = told.look();
    let mut gathered: BTreeMap<(bool, Attributes), Gathered> = BTreeMap::new();
    for point in &metric.points {
        let texts = (point.identity == Identity::Overflow, attributes(metric, point, names, naming));
        let new = look.begin(&texts);
        look.add(gathered.entry(texts).or_insert(new), point);
    }
    let sums = look.end(gathered.values().copied());
    let series = gathered.into_keys().zip(sums).map(|((overflow, attributes), (start, value))| Series {
        attributes,
        overflow,
        start,
        value,
    });
    Resolved { name: schema.name, unit: schema.unit, description: schema.description, series: series.collect() }
}

fn attributes(metric: &Metric, point: &Point, names: &Names<'_>, naming: Naming) -> Attributes {
    let Identity::Series { source, destination, labels } = point.identity else { return Vec::new() };
    let mut list = Vec::with_capacity(6);
    let ends = [
        (metric.source, source, attribute::SOURCE_ADDRESS, attribute::HUBBLE_SOURCE_NAME),
        (metric.destination, destination, attribute::DESTINATION_ADDRESS, attribute::HUBBLE_DESTINATION_NAME),
    ];
    for (label, value, address, name) in ends {
        match (label, naming) {
            (EndLabel::Absent, _) => {}
            (EndLabel::Address, Naming::Semconv) => list.push((address, value_text(value, names))),
            _ => list.push((named(name, naming), value_text(value, names))),
        }
    }
    list.extend(
        label_texts(labels, names, naming).into_iter().flatten().map(|(name, text)| (named(name, naming), text)),
    );
    list
}

/// Hubble's label of an attribute, where labels are to be Hubble's.
fn named(name: &'static str, naming: Naming) -> &'static str {
    match naming {
        Naming::Semconv => name,
        Naming::Hubble => eyepiece_semconv::hubble_label(name).unwrap_or(name),
    }
}

/// The most labels that a metric has beside its ends.
const LABELS: usize = 4;

fn label_texts(labels: Labels, names: &Names<'_>, naming: Naming) -> [Option<(&'static str, String)>; LABELS] {
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
            // An interface that nobody can name is still told apart.
            let name = names.interfaces.name(ifindex, generation).map_or_else(|| ifindex.to_string(), Cow::into_owned);
            let direction = label(attribute::NETWORK_IO_DIRECTION, direction.name());
            [Some((attribute::NETWORK_INTERFACE_NAME, name)), direction, None, None]
        }
        Labels::Lost(source) => [label(attribute::HUBBLE_LOST_SOURCE, lost_source_text(source)), None, None, None],
    }
}

fn value_text(value: Value, names: &Names<'_>) -> String {
    match value {
        Value::None => String::new(),
        Value::Symbol(symbol) => names.symbols.text(symbol).as_ref().to_owned(),
        // As Go prints it, and so Hubble: IPv4 mapped into IPv6 is IPv4.
        Value::Ip(IpAddr::V6(address)) => address.to_canonical().to_string(),
        Value::Ip(address) => address.to_string(),
        Value::Reserved(identity) => reserved_text(identity).unwrap_or_default(),
        // The only reserved identity with two labels: Cilium `pkg/identity/reserved.go`.
        Value::Identity(KUBE_APISERVER) => "reserved:kube-apiserver,reserved:remote-node".to_owned(),
        Value::Identity(identity) => reserved_text(identity).unwrap_or_else(|| identity.to_string()),
    }
}

const KUBE_APISERVER: u32 = 7;

fn reserved_text(identity: u32) -> Option<String> {
    reserved_name(identity).map(|name| format!("reserved:{name}"))
}

/// Observation points have names, layer 7 its protocol's where it has one, unknown message types their number, and
/// nothing else has a subtype.
fn subtype_text(kind: u8, subtype: u8, protocol: &str) -> String {
    match type_name(kind) {
        "Trace" => observation_point_text(subtype).unwrap_or_default().to_owned(),
        "L7" if matches!(protocol, "DNS" | "HTTP" | "Kafka") => protocol.to_owned(),
        "Unknown" => kind.to_string(),
        _ => String::new(),
    }
}

/// Hubble's enum names, or the values of `network.type`.
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
mod falls;
#[cfg(test)]
mod tests;
