//! Tables of names and texts for exporters.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use eyepiece_flow::event::LostSource;
use eyepiece_flow::flow::Verdict;
use eyepiece_flow::interner::Symbols;

use super::{DropReasonNames, Naming, Resolved, resolve};
use crate::pipeline::metrics::{
    ContextLabels, DropReason, EndLabel, Identity, IoDirection, LabelSet, Labels, Metric, MetricKind, Point,
    PointNames, Snapshot, TcpFlag, TransportDetail, Value,
};

struct Kernel;

impl DropReasonNames for Kernel {
    fn reason(&self, reason: u32) -> Cow<'_, str> {
        if reason == 9 { "NETFILTER_DROP".into() } else { reason.to_string().into() }
    }
}

fn resolved(metric: Metric, symbols: &Symbols, naming: Naming) -> Resolved {
    let lease = |name| Arc::new(symbols.lease(name));
    let ends = vec![lease("veth0")];
    let interfaces = [1, 2, 3, 4, 5].map(|ifindex| ((ifindex, 0), lease(if ifindex == 2 { "eth0" } else { "veth1" })));
    let names = PointNames { ends, interfaces: interfaces.into() };
    let snapshot = Snapshot { time: 9, metrics: vec![metric], durations: None, names };
    resolve(&snapshot, &Kernel, naming).pop().expect("one metric")
}

fn metric(kind: MetricKind, ends: EndLabel, identities: &[Identity]) -> Metric {
    let points = identities.iter().map(|&identity| Point { start: 1, value: 2, identity }).collect();
    let (labels, exemplars) = (LabelSet::default(), HashMap::new());
    Metric { kind, source: ends, destination: ends, labels, points, exemplars }
}

fn series(source: Value, destination: Value, labels: Labels) -> Identity {
    Identity::Series { source, destination, context: ContextLabels::default(), labels }
}

/// `name=value` of the only series.
fn texts(resolved: &Resolved) -> Vec<String> {
    let [series] = resolved.series.as_slice() else { panic!("{resolved:?}") };
    series.attributes.iter().map(|(name, value)| format!("{name}={value}")).collect()
}

const NO_ENDS: (Value, Value) = (Value::None, Value::None);

fn check(kind: MetricKind, labels: Labels, semconv: &[&str], hubble: &[&str]) {
    for (naming, expected) in [(Naming::Semconv, semconv), (Naming::Hubble, hubble)] {
        let metric = metric(kind, EndLabel::Absent, &[series(NO_ENDS.0, NO_ENDS.1, labels)]);
        assert_eq!(texts(&resolved(metric, &Symbols::default(), naming)), expected, "{naming:?}");
    }
}

#[test]
fn metrics_have_labels_of_both_namings() {
    use MetricKind::{Drop, FlowIo, FlowsProcessed, InterfaceIo, LostEvents, TcpFlags};
    check(
        Drop,
        Labels::Drop { reason: DropReason::Kernel(9), protocol: "TCP" },
        &["hubble.protocol=TCP", "hubble.drop.reason=NETFILTER_DROP"],
        &["protocol=TCP", "reason=NETFILTER_DROP"],
    );
    check(
        FlowsProcessed,
        Labels::Flow { protocol: "ICMPv4", kind: 4, subtype: 0, verdict: Verdict::Forwarded },
        &[
            "hubble.protocol=ICMPv4",
            "hubble.event.type=Trace",
            "hubble.event.subtype=to-endpoint",
            "hubble.verdict=FORWARDED",
        ],
        &["protocol=ICMPv4", "type=Trace", "subtype=to-endpoint", "verdict=FORWARDED"],
    );
    check(
        TcpFlags,
        Labels::Tcp { flag: TcpFlag::SynAck, version: 6 },
        &["hubble.tcp.flag=SYN-ACK", "network.type=ipv6"],
        &["flag=SYN-ACK", "family=IPv6"],
    );
    check(FlowIo, Labels::Ends(TransportDetail::default()), &[], &[]);
    check(
        InterfaceIo,
        Labels::Interface { ifindex: 2, generation: 0, direction: IoDirection::Receive },
        &["network.interface.name=eth0", "network.io.direction=receive"],
        &["interface=eth0", "direction=receive"],
    );
    check(
        InterfaceIo,
        Labels::Interface { ifindex: 100, generation: 0, direction: IoDirection::Transmit },
        &["network.interface.name=100", "network.io.direction=transmit"],
        &["interface=100", "direction=transmit"],
    );
    check(
        LostEvents,
        Labels::Lost(LostSource::KernelBuffer),
        &["hubble.lost.source=perf_event_ring_buffer"],
        &["source=perf_event_ring_buffer"],
    );
}

#[test]
fn drop_reasons_are_names_or_numbers() {
    for (reason, text) in [
        (DropReason::Cilium(0), "DROP_REASON_UNKNOWN"),
        (DropReason::Cilium(133), "POLICY_DENIED"),
        (DropReason::Cilium(159), "159"),
        (DropReason::Cilium(127), "127"),
        (DropReason::Kernel(133), "133"),
    ] {
        let labels = Labels::Drop { reason, protocol: "UDP" };
        check(
            MetricKind::Drop,
            labels,
            &["hubble.protocol=UDP", &format!("hubble.drop.reason={text}")],
            &["protocol=UDP", &format!("reason={text}")],
        );
    }
}

#[test]
fn types_and_subtypes_have_hubble_names() {
    for (kind, subtype, name, text) in [
        (4, 5, "Trace", "from-endpoint"),
        (4, 13, "Trace", "to-crypto"),
        (4, 14, "Trace", ""),
        (1, 0, "Drop", ""),
        (3, 0, "Capture", ""),
        (5, 0, "PolicyVerdict", ""),
        (129, 0, "L7", ""),
        (7, 0, "Unknown", "7"),
        (0, 0, "Unknown", "0"),
    ] {
        check(
            MetricKind::FlowsProcessed,
            Labels::Flow { protocol: "x", kind, subtype, verdict: Verdict::Unknown },
            &[
                "hubble.protocol=x",
                &format!("hubble.event.type={name}"),
                &format!("hubble.event.subtype={text}"),
                "hubble.verdict=VERDICT_UNKNOWN",
            ],
            &["protocol=x", &format!("type={name}"), &format!("subtype={text}"), "verdict=VERDICT_UNKNOWN"],
        );
    }
}

#[test]
fn contexts_name_ends() {
    let symbols = Symbols::default();
    let address = |text: &str| Value::Ip(text.parse().expect(text));
    let table = [
        (Value::None, ""),
        (Value::Symbol(symbols.intern("veth0")), "veth0"),
        (address("10.0.0.1"), "10.0.0.1"),
        (address("fd00::1"), "fd00::1"),
        (address("::ffff:10.0.0.1"), "10.0.0.1"),
        (Value::Identity(2), "reserved:world"),
        (Value::Identity(7), "reserved:kube-apiserver,reserved:remote-node"),
        (Value::Identity(4711), "4711"),
        (Value::Reserved(7), "reserved:kube-apiserver"),
        (Value::Reserved(4711), ""),
    ];
    for (value, text) in table {
        for (label, naming, names) in [
            (EndLabel::Name, Naming::Semconv, Some(["hubble.source.name", "hubble.destination.name"])),
            (EndLabel::Name, Naming::Hubble, Some(["source", "destination"])),
            (EndLabel::Address, Naming::Semconv, Some(["source.address", "destination.address"])),
            (EndLabel::Address, Naming::Hubble, Some(["source", "destination"])),
            (EndLabel::Absent, Naming::Semconv, None),
            (EndLabel::Absent, Naming::Hubble, None),
        ] {
            let metric =
                metric(MetricKind::FlowIo, label, &[series(value, value, Labels::Ends(TransportDetail::default()))]);
            let expected: Vec<String> = names.into_iter().flatten().map(|name| format!("{name}={text}")).collect();
            assert_eq!(texts(&resolved(metric, &symbols, naming)), expected, "{label:?} {naming:?}");
        }
    }
}

#[test]
fn unknown_families_have_names() {
    check(
        MetricKind::TcpFlags,
        Labels::Tcp { flag: TcpFlag::Rst, version: 0 },
        &["hubble.tcp.flag=RST", "network.type="],
        &["flag=RST", "family=IP_NOT_USED"],
    );
}

#[test]
fn losses_have_names_of_hubble_enum() {
    for (source, text) in [
        (LostSource::KernelBuffer, "perf_event_ring_buffer"),
        (LostSource::ObserverQueue, "observer_events_queue"),
        (LostSource::HubbleRing, "hubble_ring_buffer"),
    ] {
        assert_eq!(super::lost_source_text(source), text);
    }
}

#[test]
fn series_with_equal_texts_become_one() {
    let at = |ifindex, direction| series(NO_ENDS.0, NO_ENDS.1, Labels::Interface { ifindex, generation: 0, direction });
    let identities = [
        (at(4, IoDirection::Receive), 50, 3),
        (at(2, IoDirection::Receive), 60, 5),
        (at(5, IoDirection::Receive), 40, 7),
        (at(5, IoDirection::Transmit), 70, 11),
        (Identity::Overflow, 80, 13),
    ];
    let points = identities.map(|(identity, start, value)| Point { start, value, identity }).to_vec();
    let metric = Metric { points, ..metric(MetricKind::InterfacePackets, EndLabel::Absent, &[]) };
    let resolved = resolved(metric, &Symbols::default(), Naming::Hubble);
    let list: Vec<_> = resolved
        .series
        .iter()
        .map(|series| {
            let texts: Vec<&str> = series.attributes.iter().map(|(_, text)| &**text).collect();
            (texts.join(" "), series.overflow, series.start, series.value.count())
        })
        .collect();
    let expected = [
        ("eth0 receive".to_owned(), false, 60, 5),
        ("veth1 receive".to_owned(), false, 40, 10),
        ("veth1 transmit".to_owned(), false, 70, 11),
        (String::new(), true, 80, 13),
    ];
    assert_eq!(list, expected);
}

#[test]
fn series_without_attributes_is_no_overflow() {
    let metric = metric(
        MetricKind::FlowIo,
        EndLabel::Absent,
        &[series(NO_ENDS.0, NO_ENDS.1, Labels::Ends(TransportDetail::default())), Identity::Overflow],
    );
    let resolved = resolved(metric, &Symbols::default(), Naming::Semconv);
    let overflow: Vec<bool> = resolved.series.iter().map(|series| series.overflow).collect();
    assert_eq!(overflow, [false, true]);
}

#[test]
fn names_units_attributes_match_schema() {
    use MetricKind::{Drop, FlowIo, FlowPackets, FlowsProcessed, InterfaceIo, InterfacePackets, LostEvents, TcpFlags};
    let protocol = "TCP";
    let interface = Labels::Interface { ifindex: 2, generation: 0, direction: IoDirection::Receive };
    for (kind, name, unit, ends, labels) in [
        (Drop, "hubble.drop", "{flow}", EndLabel::Name, Labels::Drop { reason: DropReason::Kernel(9), protocol }),
        (
            FlowsProcessed,
            "hubble.flows_processed",
            "{flow}",
            EndLabel::Name,
            Labels::Flow { protocol, kind: 4, subtype: 0, verdict: Verdict::Forwarded },
        ),
        (TcpFlags, "hubble.tcp_flags", "{flow}", EndLabel::Name, Labels::Tcp { flag: TcpFlag::Fin, version: 4 }),
        (FlowIo, "hubble.flow.io", "By", EndLabel::Name, Labels::Ends(TransportDetail::default())),
        (FlowPackets, "hubble.flow.packets", "{packet}", EndLabel::Name, Labels::Ends(TransportDetail::default())),
        (InterfaceIo, "hubble.interface.io", "By", EndLabel::Absent, interface),
        (InterfacePackets, "hubble.interface.packets", "{packet}", EndLabel::Absent, interface),
        (LostEvents, "hubble.lost_events", "{event}", EndLabel::Absent, Labels::Lost(LostSource::HubbleRing)),
    ] {
        let metric = metric(kind, ends, &[series(Value::None, Value::None, labels)]);
        let resolved = resolved(metric, &Symbols::default(), Naming::Semconv);
        assert_eq!((resolved.name, resolved.unit), (name, unit));
        assert!(!resolved.description.is_empty());
        for (attribute, _) in &resolved.series[0].attributes {
            let is_used = kind.schema().attributes.iter().any(|usage| usage.name == *attribute);
            assert!(is_used, "{name} with {attribute}");
        }
    }
}
