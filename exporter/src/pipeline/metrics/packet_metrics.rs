//! Hubble's metrics that some packets count in: ICMP messages, ports, policy verdicts, flows to the world, SCTP chunks.
//!
//! Rules of Cilium's `pkg/hubble/metrics`: icmp, port-distribution, policy, flows-to-world, sctp.

use eyepiece_flow::flow::{Direction, EVENT_L7, EVENT_POLICY_VERDICT, Flow, L4, TcpFlags, Verdict};
use eyepiece_flow::labels::EndLabels;
use eyepiece_flow::lookup::{BatchLookup, FlowEnd, NoLookup, end_entity};
use eyepiece_flow::names::sctp_chunk_number;

use super::handlers::Handlers;
use super::labels::{Labels, PolicyMatch, l4_protocol, protocol, protocol_text, verdict};
use super::metric_contexts::Contexts;
use super::snapshot::MetricKind;
use crate::metadata::{IDENTITY_HOST, IDENTITY_WORLD, NameSnapshot};

/// Reserved identities of the world by IP version (Cilium `pkg/identity/numericidentity.go`).
const IDENTITY_WORLD_IPV4: u32 = 9;
const IDENTITY_WORLD_IPV6: u32 = 10;
/// The labels of the three identities of the world.
const WORLD_LABELS: [&str; 3] = ["reserved:world", "reserved:world-ipv4", "reserved:world-ipv6"];
/// Cilium's drop reason of packets that a policy denied.
const POLICY_DENIED: u32 = 133;

/// One of these metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum PacketMetric {
    Icmp = 0,
    PortDistribution = 1,
    PolicyVerdicts = 2,
    FlowsToWorld = 3,
    SctpChunkTypes = 4,
}

impl PacketMetric {
    pub(super) const ALL: [Self; 5] =
        [Self::Icmp, Self::PortDistribution, Self::PolicyVerdicts, Self::FlowsToWorld, Self::SctpChunkTypes];

    /// The contexts of its handler; `None` if that is not in use.
    pub(super) fn contexts(self, handlers: &Handlers) -> Option<&Contexts> {
        match self {
            Self::Icmp => handlers.icmp.as_ref(),
            Self::PortDistribution => handlers.port_distribution.as_ref(),
            Self::PolicyVerdicts => handlers.policy.as_ref(),
            Self::FlowsToWorld => handlers.flows_to_world.as_ref().map(|options| &options.contexts),
            Self::SctpChunkTypes => handlers.sctp.as_ref(),
        }
    }

    pub(super) const fn kind(self) -> MetricKind {
        match self {
            Self::Icmp => MetricKind::Icmp,
            Self::PortDistribution => MetricKind::PortDistribution,
            Self::PolicyVerdicts => MetricKind::PolicyVerdicts,
            Self::FlowsToWorld => MetricKind::FlowsToWorld,
            Self::SctpChunkTypes => MetricKind::SctpChunkTypes,
        }
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }

    /// Unpacks the labels of [`PacketSelector::labels`].
    pub(super) fn unpack(self, labels: u64) -> Labels {
        let [low, high, third, fourth, fifth, ..] = labels.to_le_bytes();
        let number = u16::from_le_bytes([low, high]);
        match self {
            Self::Icmp => Labels::Icmp { code: low, kind: high, version: third },
            Self::PortDistribution => Labels::Port { protocol: protocol_text(third), port: number },
            Self::PolicyVerdicts => Labels::Policy {
                matched: if high == 0 { PolicyMatch::Packet(low) } else { PolicyMatch::Record(low) },
                direction: direction(third),
                verdict: verdict(fourth),
            },
            Self::FlowsToWorld => Labels::World {
                protocol: protocol_text(third),
                verdict: verdict(fourth),
                port: match fifth {
                    WITHOUT_PORTS => None,
                    WITH_EMPTY_PORT => Some(None),
                    _ => Some(Some(number)),
                },
            },
            Self::SctpChunkTypes => Labels::Sctp { chunk: i32::from(low), version: third },
        }
    }
}

// Whether a series of `hubble.flows_to_world` has the label port.
const WITHOUT_PORTS: u8 = 0;
const WITH_EMPTY_PORT: u8 = 1;
const WITH_PORT: u8 = 2;

const fn direction(number: u8) -> Direction {
    match number {
        1 => Direction::Ingress,
        2 => Direction::Egress,
        _ => Direction::Unknown,
    }
}

/// A set of these metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct PacketMetrics(u8);

impl PacketMetrics {
    pub(super) const fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub(super) const fn has(self, metric: PacketMetric) -> bool {
        self.0 & metric.bit() != 0
    }

    pub(super) const fn add(&mut self, metric: PacketMetric) {
        self.0 |= metric.bit();
    }

    pub(super) const fn both(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

/// Selects the metrics that a flow counts in, and packs its labels there.
#[derive(Clone, Copy, Debug)]
pub(super) struct PacketSelector {
    /// Those whose handlers are in use.
    enabled: PacketMetrics,
    /// The options of `flows-to-world`.
    any_drop: bool,
    has_port: bool,
    syn_only: bool,
}

impl PacketSelector {
    pub(super) fn new(handlers: &Handlers) -> Self {
        let mut enabled = PacketMetrics::default();
        for metric in PacketMetric::ALL {
            if metric.contexts(handlers).is_some() {
                enabled.add(metric);
            }
        }
        let world = handlers.flows_to_world.as_ref();
        Self {
            enabled,
            any_drop: world.is_some_and(|world| world.any_drop),
            has_port: world.is_some_and(|world| world.port),
            syn_only: world.is_some_and(|world| world.syn_only),
        }
    }

    /// Returns the metrics that a flow counts in.
    #[inline]
    pub(super) fn select(&self, flow: &Flow, names: &NameSnapshot) -> PacketMetrics {
        let mut selected = PacketMetrics::default();
        if self.enabled.is_empty() {
            return selected;
        }
        let is_let_through = matches!(flow.verdict, Verdict::Forwarded | Verdict::Redirected);
        match flow.l4 {
            L4::Icmp4 { .. } | L4::Icmp6 { .. } => selected.add(PacketMetric::Icmp),
            L4::Sctp { chunk_type, .. }
                if is_let_through && flow.ip.is_some() && sctp_chunk_number(chunk_type) != 0 =>
            {
                selected.add(PacketMetric::SctpChunkTypes);
            }
            _ => {}
        }
        let has_l4 = !matches!(flow.l4, L4::None);
        // The destination's port of a reply, or of a packet that may be one, is new for each connection.
        if is_let_through && has_l4 && flow.is_reply == Some(false) {
            selected.add(PacketMetric::PortDistribution);
        }
        match flow.event_type.kind {
            // The host may connect to all local endpoints.
            EVENT_POLICY_VERDICT if flow.source.identity != IDENTITY_HOST => selected.add(PacketMetric::PolicyVerdicts),
            EVENT_L7 => selected.add(PacketMetric::PolicyVerdicts),
            _ => {}
        }
        if has_l4 && self.enabled.has(PacketMetric::FlowsToWorld) && self.is_counted_to_world(flow, names) {
            selected.add(PacketMetric::FlowsToWorld);
        }
        selected.both(self.enabled)
    }

    fn is_counted_to_world(&self, flow: &Flow, names: &NameSnapshot) -> bool {
        let (is_drop, is_reply) = (flow.verdict == Verdict::Dropped, flow.is_reply == Some(true));
        let is_counted = if is_drop { self.any_drop || flow.drop_reason == POLICY_DENIED } else { !is_reply };
        let is_syn = || matches!(flow.l4, L4::Tcp { flags, .. } if flags.has(TcpFlags::SYN)) && !is_reply;
        is_counted && flow.event_type.kind != 0 && (!self.syn_only || is_syn()) && is_to_world(flow, names)
    }

    /// Packs the labels of a flow in one of its metrics, within the bits that [`super::labels::FREE_SHIFT`] leaves.
    pub(super) fn labels(&self, metric: PacketMetric, flow: &Flow) -> u64 {
        let port = flow.l4.ports().map(|(_, destination)| destination);
        let [low, high] = port.unwrap_or(0).to_le_bytes();
        let version = flow.ip.as_ref().map_or(0, |ip| ip.version);
        let bytes = match (metric, &flow.l4) {
            (PacketMetric::Icmp, L4::Icmp4 { kind, code }) => [*code, *kind, 4, 0, 0],
            (PacketMetric::Icmp, L4::Icmp6 { kind, code }) => [*code, *kind, 6, 0, 0],
            (PacketMetric::PortDistribution, l4) => [low, high, l4_protocol(l4), 0, 0],
            (PacketMetric::PolicyVerdicts, _) => {
                let (number, is_record) = match flow.event_type.kind {
                    EVENT_L7 => (protocol(flow), 1),
                    _ => (flow.policy_match, 0),
                };
                [number, is_record, flow.direction as u8, flow.verdict as u8, 0]
            }
            (PacketMetric::FlowsToWorld, _) => {
                let port = match port {
                    _ if !self.has_port => WITHOUT_PORTS,
                    None => WITH_EMPTY_PORT,
                    Some(_) => WITH_PORT,
                };
                let [low, high] = if self.has_port { [low, high] } else { [0, 0] };
                [low, high, protocol(flow), flow.verdict as u8, port]
            }
            // Its numbers are few.
            (PacketMetric::SctpChunkTypes, L4::Sctp { chunk_type, .. }) => {
                [sctp_chunk_number(*chunk_type) as u8, 0, version, 0, 0]
            }
            (PacketMetric::Icmp | PacketMetric::SctpChunkTypes, _) => [0; 5],
        };
        let [first, second, third, fourth, fifth] = bytes;
        u64::from_le_bytes([first, second, third, fourth, fifth, 0, 0, 0])
    }
}

/// Returns whether the destination has a label of the world.
fn is_to_world(flow: &Flow, names: &NameSnapshot) -> bool {
    if flow.destination.entity == 0 && flow.metadata.is_none() && flow.l7.is_none() {
        return matches!(flow.destination.identity, IDENTITY_WORLD | IDENTITY_WORLD_IPV4 | IDENTITY_WORLD_IPV6);
    }
    let lookup = BatchLookup { batch: Some(names), machine: &NoLookup };
    let entity = end_entity(flow, FlowEnd::Destination, &lookup);
    let labels = EndLabels::of(flow, FlowEnd::Destination, entity).labels;
    labels.iter().any(|label| WORLD_LABELS.contains(&label))
}

#[cfg(test)]
mod tests {
    use eyepiece_flow::flow::{
        EVENT_DROP, EVENT_POLICY_VERDICT, EVENT_TRACE, End, EventType, Flow, L4, TcpFlags, Verdict,
    };
    use eyepiece_flow::l7::L7;
    use eyepiece_tests::sample;

    use super::{PacketMetric, PacketMetrics, PacketSelector};
    use crate::metadata::NameSnapshot;
    use crate::pipeline::metrics::{Contexts, FlowsToWorldOptions, Handlers};

    fn selector(world: FlowsToWorldOptions) -> PacketSelector {
        let some = || Some(Contexts::default());
        PacketSelector::new(&Handlers {
            icmp: some(),
            port_distribution: some(),
            policy: some(),
            sctp: some(),
            flows_to_world: Some(world),
            ..Handlers::none()
        })
    }

    fn flow(kind: u8, verdict: Verdict, is_reply: Option<bool>, destination: u32, l4: L4) -> Flow {
        let mut flow = Flow::empty(EventType { kind, subtype: 0 });
        (flow.verdict, flow.is_reply, flow.l4) = (verdict, is_reply, l4);
        flow.destination = End { identity: destination, ..End::default() };
        flow.ip = Some(sample::ip([10, 0, 0, 1], [192, 0, 2, 1]));
        flow
    }

    fn selected(metrics: PacketMetrics) -> Vec<PacketMetric> {
        PacketMetric::ALL.into_iter().filter(|metric| metrics.has(*metric)).collect()
    }

    #[test]
    fn flow_counts_in_its_metrics() {
        use PacketMetric::{FlowsToWorld, Icmp, PolicyVerdicts, PortDistribution, SctpChunkTypes};
        use Verdict::{Dropped, Forwarded, Redirected};
        let (ack, syn) = (TcpFlags(TcpFlags::ACK), TcpFlags(TcpFlags::SYN));
        let tcp = |flags| L4::Tcp { source_port: 40_000, destination_port: 443, flags };
        let sctp = |chunk_type| L4::Sctp { source_port: 1, destination_port: 2, chunk_type };
        let icmp = L4::Icmp4 { kind: 8, code: 0 };
        let plain = FlowsToWorldOptions::default();
        let any_drop = FlowsToWorldOptions { any_drop: true, ..plain.clone() };
        let syn_only = FlowsToWorldOptions { syn_only: true, ..plain.clone() };
        #[rustfmt::skip]
        let table: [(&FlowsToWorldOptions, Flow, &[PacketMetric]); 14] = [
            (&plain, flow(EVENT_TRACE, Forwarded, Some(false), 2, tcp(ack)), &[PortDistribution, FlowsToWorld]),
            (&plain, flow(EVENT_TRACE, Redirected, Some(false), 9, tcp(ack)), &[PortDistribution, FlowsToWorld]),
            (&plain, flow(EVENT_TRACE, Forwarded, Some(false), 1, tcp(ack)), &[PortDistribution]),
            (&plain, flow(EVENT_TRACE, Forwarded, Some(true), 2, tcp(ack)), &[]),
            // Only a known direction has a port, but a flow to the world may have an unknown one.
            (&plain, flow(EVENT_TRACE, Forwarded, None, 10, tcp(ack)), &[FlowsToWorld]),
            (&plain, flow(EVENT_DROP, Dropped, Some(true), 2, tcp(ack)), &[]),
            (&any_drop, flow(EVENT_DROP, Dropped, Some(true), 2, tcp(ack)), &[FlowsToWorld]),
            (&syn_only, flow(EVENT_TRACE, Forwarded, None, 2, tcp(ack)), &[]),
            (&syn_only, flow(EVENT_TRACE, Forwarded, None, 2, tcp(syn)), &[FlowsToWorld]),
            (&plain, flow(EVENT_DROP, Dropped, None, 1, icmp), &[Icmp]),
            (&plain, flow(EVENT_TRACE, Forwarded, None, 1, sctp(Some(1))), &[SctpChunkTypes]),
            (&plain, flow(EVENT_TRACE, Forwarded, None, 1, sctp(Some(3))), &[]),
            (&plain, flow(EVENT_POLICY_VERDICT, Dropped, None, 1, tcp(ack)), &[PolicyVerdicts]),
            (&plain, flow(EVENT_TRACE, Forwarded, Some(false), 2, L4::None), &[]),
        ];
        let names = NameSnapshot::default();
        for (row, (options, flow, expected)) in table.into_iter().enumerate() {
            let selector = selector(options.clone());
            assert_eq!(selected(selector.select(&flow, &names)), expected, "row {row}");
            let none = PacketSelector::new(&Handlers::none());
            assert_eq!(selected(none.select(&flow, &names)), [], "row {row}");
        }
        let mut denied = flow(EVENT_DROP, Dropped, None, 2, tcp(ack));
        denied.drop_reason = super::POLICY_DENIED;
        assert_eq!(selected(selector(plain.clone()).select(&denied, &names)), [FlowsToWorld]);
        let mut from_host = flow(EVENT_POLICY_VERDICT, Forwarded, None, 1, tcp(ack));
        from_host.source.identity = 1;
        assert_eq!(selected(selector(plain.clone()).select(&from_host, &names)), []);
        // The labels of a record precede the identity.
        let mut record = flow(EVENT_TRACE, Forwarded, None, 1, tcp(ack));
        let destination_labels = vec!["cidr:192.0.2.0/24".to_owned(), "reserved:world".to_owned()];
        record.l7 = Some(Box::new(L7 { destination_labels, ..L7::default() }));
        assert_eq!(selected(selector(plain).select(&record, &names)), [FlowsToWorld]);
    }
}
