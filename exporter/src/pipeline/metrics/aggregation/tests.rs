//! Tables of counted metrics, and the lifetime of series.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use eyepiece_flow::event::{Lost, LostSource, Totals, TrafficDelta, Transport};
use eyepiece_flow::flow::{Direction, EVENT_TRACE, End, EventType, Flow, Ip, L4, TcpFlags, Verdict};
use eyepiece_flow::interner::{Symbol, Symbols};
use eyepiece_tests::sample;
use eyepiece_wire::{AnsweredBy, Hook, InterfaceKind};

use super::{Aggregation, Config};
use crate::metadata::LinkTables;
use crate::pipeline::metrics::{
    ContextLabels, Contexts, EndLabel, Handlers, Identity, IoDirection, Labels, Metric, MetricKind, Point, Snapshot,
    Value,
};

mod contexts;
mod detail;
mod expiry;
mod l7;
mod names;

const IDLE: u64 = 1000;

struct Bench {
    client: End,
    server: End,
    world: End,
}

fn bench() -> Bench {
    let symbols = Symbols::default();
    let end = |endpoint, identity, name| End { endpoint, identity, name: symbols.intern(name), entity: 0 };
    Bench { client: end(1, 100, "veth1"), server: end(2, 200, "veth2"), world: end(0, 2, "world") }
}

fn traffic(hook: Hook, packets: u64, bytes: u64) -> TrafficDelta {
    sample::traffic(hook, (7, 3), (packets, bytes))
}

fn address(last: u8) -> IpAddr {
    [10, 0, 0, last].into()
}

fn flow(source: End, destination: End, verdict: Verdict, time: u64) -> Flow {
    let mut flow = Flow::empty(EventType { kind: EVENT_TRACE, subtype: 5 });
    (flow.time, flow.verdict, flow.source, flow.destination) = (time, verdict, source, destination);
    let last = |end: &End| address(u8::try_from(end.endpoint).unwrap_or(0) + 1);
    let (from, to) = (last(&source), last(&destination));
    flow.ip = Some(Ip { source: from, source_translated: None, destination: to, version: 4 });
    flow.l4 = L4::Tcp { source_port: 1, destination_port: 2, flags: TcpFlags(TcpFlags::SYN) };
    flow.traffic = Some(traffic(Hook::FromEndpoint, 2, 120));
    flow
}

fn config(max_series: usize, handlers: Handlers) -> Config {
    Config { handlers, max_series, idle_expiry: Duration::from_nanos(IDLE), ..Config::default() }
}

fn contexts(source: &str, destination: &str) -> Contexts {
    Contexts::of(&source.parse().expect(source), &destination.parse().expect(destination))
}

fn aggregation(max_series: usize) -> Aggregation {
    Aggregation::new(config(max_series, Handlers::default()), 0)
}

fn metric(snapshot: &Snapshot, kind: MetricKind) -> Option<&Metric> {
    snapshot.metrics.iter().find(|metric| metric.kind == kind)
}

/// The metrics but that of losses, whose series are there from the start.
fn of_flows(snapshot: &Snapshot) -> Vec<&Metric> {
    snapshot.metrics.iter().filter(|metric| metric.kind != MetricKind::LostEvents).collect()
}

/// Counts a flow that arrives when it happens.
fn count(aggregation: &mut Aggregation, flow: &Flow) {
    aggregation.arrive(flow.time);
    aggregation.count(flow, InterfaceKind::Endpoint);
}

/// Source, destination and value of each point, sorted; the overflow has no ends.
fn ends(snapshot: &Snapshot, kind: MetricKind) -> Vec<(String, u64)> {
    let points = metric(snapshot, kind).map(|metric| metric.points.as_slice()).unwrap_or_default();
    let mut list: Vec<_> = points
        .iter()
        .map(|point| match point.identity {
            Identity::Overflow => ("overflow".to_owned(), point.value),
            Identity::Series { source, destination, .. } => (format!("{source:?} {destination:?}"), point.value),
        })
        .collect();
    list.sort();
    list
}

fn total(snapshot: &Snapshot, kind: MetricKind) -> u64 {
    metric(snapshot, kind).map_or(0, |metric| metric.points.iter().map(|point| point.value).sum())
}

fn name(symbol: Symbol) -> Value {
    Value::Symbol(symbol)
}

#[test]
fn flow_counts_in_its_metrics() {
    use MetricKind::{Drop, FlowIo, FlowPackets, FlowsProcessed, InterfaceIo, InterfacePackets, TcpFlags as Flags};
    let Bench { client, server, .. } = bench();
    let (let_through, dropped) = (Verdict::Forwarded, Verdict::Dropped);
    let without_ip = |mut flow: Flow| {
        flow.ip = None;
        flow
    };
    let at = |hook, mut flow: Flow| {
        flow.traffic = Some(traffic(hook, 2, 120));
        flow
    };
    let unmetered = |mut flow: Flow| {
        flow.traffic = None;
        flow
    };
    let sent = || flow(client, server, let_through, 5);
    // drop, flows, flags, packets, bytes, interface packets, interface bytes
    let table: [(&str, Flow, [u64; 7]); 7] = [
        ("sent", sent(), [0, 1, 1, 2, 120, 2, 120]),
        ("delivered", at(Hook::ToEndpoint, sent()), [0, 1, 1, 0, 0, 2, 120]),
        ("held back", at(Hook::FromNetwork, sent()), [0, 1, 1, 0, 0, 2, 120]),
        ("not IP", without_ip(sent()), [0, 1, 0, 0, 0, 2, 120]),
        ("of another source", unmetered(sent()), [0, 1, 1, 0, 0, 0, 0]),
        ("dropped", at(Hook::Drop, flow(client, server, dropped, 5)), [1, 1, 0, 0, 0, 0, 0]),
        ("audited", unmetered(flow(client, server, Verdict::Audit, 5)), [0, 1, 0, 0, 0, 0, 0]),
    ];
    let kinds = [Drop, FlowsProcessed, Flags, FlowPackets, FlowIo, InterfacePackets, InterfaceIo];
    for (what, flow, expected) in table {
        let mut aggregation = aggregation(10);
        for times in 1..=3 {
            aggregation.count(&flow, InterfaceKind::Endpoint);
            let snapshot = aggregation.snapshot(9);
            for (kind, expected) in kinds.into_iter().zip(expected) {
                assert_eq!(total(&snapshot, kind), expected * times, "{what}: {kind:?}");
                assert_eq!(metric(&snapshot, kind).is_some(), expected > 0, "{what}: {kind:?} without a zero series");
            }
        }
    }
}

#[test]
fn usual_contexts_name_ends() {
    let Bench { client, server, .. } = bench();
    let mut aggregation = aggregation(10);
    assert_eq!(aggregation.views.len(), 1, "one look-up is enough");
    count(&mut aggregation, &flow(client, server, Verdict::Forwarded, 5));
    let snapshot = aggregation.snapshot(9);
    let table = [
        (MetricKind::FlowsProcessed, (EndLabel::Absent, EndLabel::Name), Value::None, name(server.name)),
        (MetricKind::TcpFlags, (EndLabel::Name, EndLabel::Name), name(client.name), name(server.name)),
        (MetricKind::FlowIo, (EndLabel::Name, EndLabel::Name), name(client.name), name(server.name)),
        (MetricKind::InterfaceIo, (EndLabel::Absent, EndLabel::Absent), Value::None, Value::None),
    ];
    for (kind, labels, from, to) in table {
        let metric = metric(&snapshot, kind).expect("a metric");
        assert_eq!((metric.source, metric.destination), labels);
        let [point] = metric.points.as_slice() else { panic!("{metric:?}") };
        let Identity::Series { source, destination, .. } = point.identity else { panic!("{point:?}") };
        assert_eq!((source, destination, point.start), (from, to, 5), "{kind:?}");
    }
}

#[test]
fn unnamed_sources_share_series() {
    let Bench { client, server, world } = bench();
    let mut aggregation = aggregation(10);
    for source in [client, server, client] {
        aggregation.count(&flow(source, world, Verdict::Forwarded, 5), InterfaceKind::Endpoint);
    }
    let snapshot = aggregation.snapshot(9);
    let to_world = |source| format!("{:?} {:?}", source, name(world.name));
    assert_eq!(ends(&snapshot, MetricKind::FlowsProcessed), [(to_world(Value::None), 3)]);
    let both = [(to_world(name(client.name)), 2), (to_world(name(server.name)), 1)];
    assert_eq!(ends(&snapshot, MetricKind::TcpFlags), both);
}

#[test]
fn metrics_have_contexts_of_their_own() {
    let Bench { client, server, .. } = bench();
    let different = Handlers {
        drop: Some(contexts("ip", "ip")),
        flow: Some(contexts("", "")),
        tcp: Some(contexts("identity", "reserved-identity|ip")),
        flow_io: contexts("reserved-identity|name", ""),
        ..Handlers::none()
    };
    let mut aggregation = Aggregation::new(config(10, different), 0);
    assert_eq!(aggregation.views.len(), 3);
    for verdict in [Verdict::Forwarded, Verdict::Dropped] {
        aggregation.count(&flow(client, server, verdict, 5), InterfaceKind::Endpoint);
    }
    let snapshot = aggregation.snapshot(9);
    let (from, to) = (Value::Ip(address(2)), Value::Ip(address(3)));
    assert_eq!(ends(&snapshot, MetricKind::Drop), [(format!("{from:?} {to:?}"), 1)]);
    assert_eq!(ends(&snapshot, MetricKind::FlowsProcessed), vec![("None None".to_owned(), 1); 2], "by verdict");
    assert_eq!(ends(&snapshot, MetricKind::TcpFlags), [(format!("{:?} {to:?}", Value::Identity(100)), 1)]);
    assert_eq!(ends(&snapshot, MetricKind::FlowPackets), [(format!("{:?} None", name(client.name)), 4)]);
    assert_eq!(metric(&snapshot, MetricKind::Drop).map(|metric| metric.source), Some(EndLabel::Address));
}

#[test]
fn limit_loses_no_sum() {
    let Bench { world, .. } = bench();
    let symbols = Symbols::default();
    const N: u16 = 4;
    for (max, sources) in [(0, 1), (1, 0), (1, 1), (N, N - 1), (N, N), (N, N + 1), (N, N * 8)] {
        let mut aggregation = aggregation(max.into());
        for round in 1..=3 {
            for source in 0..sources {
                let name = symbols.intern(&source.to_string());
                let source = End { endpoint: source + 1, identity: 0, name, entity: 0 };
                let mut flow = flow(source, world, Verdict::Forwarded, 5);
                flow.traffic =
                    Some(TrafficDelta { ifindex: source.endpoint.into(), ..traffic(Hook::FromEndpoint, 2, 120) });
                aggregation.count(&flow, InterfaceKind::Endpoint);
            }
            let snapshot = aggregation.snapshot(9);
            let flows = u64::from(sources) * round;
            for (kind, each) in [
                (MetricKind::FlowsProcessed, 1),
                (MetricKind::TcpFlags, 1),
                (MetricKind::FlowPackets, 2),
                (MetricKind::FlowIo, 120),
                (MetricKind::InterfacePackets, 2),
                (MetricKind::InterfaceIo, 120),
            ] {
                assert_eq!(total(&snapshot, kind), flows * each, "{kind:?} of {sources}, at most {max}");
            }
            let list = ends(&snapshot, MetricKind::FlowPackets);
            let spilled = u64::from(sources.saturating_sub(max));
            assert_eq!(list.len() as u64, u64::from(sources) - spilled + u64::from(spilled > 0));
            let overflow = list.into_iter().find(|(ends, _)| ends == "overflow").map(|(_, value)| value);
            assert_eq!(overflow, (spilled > 0).then_some(spilled * 2 * round));
            assert_eq!(aggregation.occupancy()[3].overflowed, spilled * round);
        }
    }
}

#[test]
fn idle_series_return_with_new_start() {
    let Bench { client, server, world } = bench();
    let mut aggregation = aggregation(10);
    let sent = |source, destination, time| flow(source, destination, Verdict::Forwarded, time);
    count(&mut aggregation, &sent(client, server, 100));
    count(&mut aggregation, &sent(client, world, 100));
    count(&mut aggregation, &sent(client, world, 600));
    let packets = |aggregation: &Aggregation, now| {
        let snapshot = aggregation.snapshot(now);
        let metric = metric(&snapshot, MetricKind::FlowPackets).expect("a metric");
        let mut points: Vec<_> = metric.points.iter().map(|point| (point.start, point.value)).collect();
        points.sort_unstable();
        points
    };
    for now in [0, 100, 100 + IDLE] {
        aggregation.expire(now);
        assert_eq!(packets(&aggregation, now), [(100, 2), (100, 4)], "at {now}");
    }
    aggregation.expire(101 + IDLE);
    assert_eq!(packets(&aggregation, 1200), [(100, 4)]);
    // Its slot is reused by another series, which must not get the counts of the former one.
    count(&mut aggregation, &sent(server, client, 1200));
    count(&mut aggregation, &sent(client, server, 1300));
    assert_eq!(packets(&aggregation, 1300), [(100, 4), (1200, 2), (1300, 2)]);
    let expired: Vec<_> = aggregation.occupancy().iter().map(|table| table.expired).collect();
    assert_eq!(expired, [0, 1, 1, 1, 0], "drops, flows, flags, packets; the interface was never idle");
    aggregation.expire(1301 + IDLE);
    assert!(of_flows(&aggregation.snapshot(1301 + IDLE)).is_empty());
}

#[test]
fn zero_expiry_removes_nothing() {
    let Bench { client, server, .. } = bench();
    let mut aggregation =
        Aggregation::new(Config { idle_expiry: Duration::ZERO, ..config(10, Handlers::default()) }, 0);
    aggregation.count(&flow(client, server, Verdict::Forwarded, 100), InterfaceKind::Endpoint);
    aggregation.expire(u64::MAX);
    assert_eq!(total(&aggregation.snapshot(200), MetricKind::FlowPackets), 2);
}

#[test]
fn overflowed_key_gets_free_slot() {
    let Bench { client, server, world } = bench();
    let mut aggregation = aggregation(1);
    count(&mut aggregation, &flow(client, world, Verdict::Forwarded, 100));
    count(&mut aggregation, &flow(server, world, Verdict::Forwarded, 500));
    assert!(ends(&aggregation.snapshot(500), MetricKind::FlowIo).contains(&("overflow".to_owned(), 120)));
    aggregation.expire(200 + IDLE);
    count(&mut aggregation, &flow(server, world, Verdict::Forwarded, 1300));
    let own = format!("{:?} {:?}", name(server.name), name(world.name));
    let expected = [(own, 120), ("overflow".to_owned(), 120)];
    assert_eq!(ends(&aggregation.snapshot(1300), MetricKind::FlowIo), expected);
}

#[test]
fn uncached_keys_are_counted() {
    let Bench { world, .. } = bench();
    let mut aggregation = Aggregation::new(config(10, Handlers::default()), 0);
    let keys = u32::try_from(super::PLANS.start() * 2 + 1).expect("a small number");
    for _ in 0..2 {
        for number in 0..keys {
            let source = End { endpoint: 1, name: Symbol::from_number(number + 1), ..End::default() };
            aggregation.count(&flow(source, world, Verdict::Forwarded, 5), InterfaceKind::Endpoint);
        }
    }
    let snapshot = aggregation.snapshot(9);
    assert_eq!(total(&snapshot, MetricKind::FlowsProcessed), 2 * u64::from(keys));
    assert_eq!(total(&snapshot, MetricKind::FlowPackets), 4 * u64::from(keys));
    assert_eq!(ends(&snapshot, MetricKind::FlowPackets).len(), 11);
}

#[test]
fn totals_count_packets_without_flows() {
    let Bench { client, server, world } = bench();
    let addresses = Some((address(2), address(3)));
    let table = [
        // hook, packets, addresses, counted once per node, at the interface
        (Hook::FromEndpoint, 2, addresses, 2, 2),
        (Hook::ToEndpoint, 2, addresses, 0, 2),
        (Hook::FromEndpoint, 2, None, 0, 2),
        (Hook::FromEndpoint, 0, addresses, 0, 0),
        (Hook::Drop, 2, addresses, 0, 0),
    ];
    for (hook, packets, addresses, once, interface) in table {
        let mut aggregation = aggregation(10);
        let transport = Transport::default();
        let totals = Totals { traffic: traffic(hook, packets, packets * 60), addresses, transport };
        for _ in 0..2 {
            aggregation.count_totals(&totals, (&client, &server), Direction::Unknown, InterfaceKind::Endpoint);
        }
        let snapshot = aggregation.snapshot(9);
        assert_eq!(total(&snapshot, MetricKind::FlowPackets), 2 * once, "{hook:?}");
        assert_eq!(total(&snapshot, MetricKind::FlowIo), 2 * once * 60, "{hook:?}");
        assert_eq!(total(&snapshot, MetricKind::InterfacePackets), 2 * interface, "{hook:?}");
        assert_eq!(total(&snapshot, MetricKind::FlowsProcessed), 0);
    }
    // Held packets were counted at the interface before, and count for the flow now.
    let mut aggregation = aggregation(10);
    let held = TrafficDelta {
        answered_by: AnsweredBy::Local,
        held_packets: 5,
        held_bytes: 500,
        ..traffic(Hook::FromNetwork, 1, 60)
    };
    let totals = Totals { traffic: held, addresses, transport: Transport::default() };
    aggregation.count_totals(&totals, (&world, &End::default()), Direction::Unknown, InterfaceKind::Uplink);
    let snapshot = aggregation.snapshot(9);
    assert_eq!(total(&snapshot, MetricKind::FlowPackets), 6);
    assert_eq!(total(&snapshot, MetricKind::FlowIo), 560);
    assert_eq!(total(&snapshot, MetricKind::InterfacePackets), 1);
}

#[test]
fn flows_and_totals_share_series() {
    let Bench { client, server, .. } = bench();
    let mut aggregation = aggregation(10);
    aggregation.count(&flow(client, server, Verdict::Forwarded, 5), InterfaceKind::Endpoint);
    let (addresses, transport) = (Some((address(2), address(3))), Transport::default());
    let totals = Totals { traffic: traffic(Hook::FromEndpoint, 3, 180), addresses, transport };
    aggregation.count_totals(&totals, (&client, &server), Direction::Unknown, InterfaceKind::Endpoint);
    let snapshot = aggregation.snapshot(9);
    let both = format!("{:?} {:?}", name(client.name), name(server.name));
    assert_eq!(ends(&snapshot, MetricKind::FlowPackets), [(both, 5)]);
}

#[test]
fn interfaces_count_untracked_packets_by_direction() {
    let mut aggregation = aggregation(10);
    for (hook, packets) in
        [(Hook::FromEndpoint, 1), (Hook::ToEndpoint, 2), (Hook::FromNetwork, 4), (Hook::ToNetwork, 8), (Hook::Drop, 16)]
    {
        aggregation.count_untracked(7, hook, packets, packets * 60);
    }
    aggregation.count_untracked(8, Hook::FromNetwork, 0, 0);
    let snapshot = aggregation.snapshot(9);
    let metric = metric(&snapshot, MetricKind::InterfacePackets).expect("a metric");
    let mut points: Vec<_> = metric.points.iter().map(|point| (point.value, point.identity)).collect();
    points.sort_by_key(|&(value, _)| value);
    let at = |direction| {
        let labels = Labels::Interface { ifindex: 7, generation: 0, direction };
        let (source, destination, context) = (Value::None, Value::None, ContextLabels::default());
        Identity::Series { source, destination, context, labels }
    };
    assert_eq!(points, [(5, at(IoDirection::Receive)), (10, at(IoDirection::Transmit))]);
}

#[test]
fn reused_index_has_new_series() {
    let Bench { client, server, .. } = bench();
    let mut aggregation = aggregation(10);
    let flow = flow(client, server, Verdict::Forwarded, 100);
    let packets = |aggregation: &Aggregation| {
        let snapshot = aggregation.snapshot(9);
        let metric = metric(&snapshot, MetricKind::InterfacePackets).expect("a metric");
        let mut points: Vec<_> = metric
            .points
            .iter()
            .map(|point| match point.identity {
                Identity::Series { labels: Labels::Interface { ifindex: 7, generation, .. }, .. } => {
                    (generation, point.value)
                }
                _ => panic!("{point:?}"),
            })
            .collect();
        points.sort_unstable();
        points
    };
    let count = |aggregation: &mut Aggregation| {
        aggregation.count(&flow, InterfaceKind::Endpoint);
        aggregation.count_untracked(7, Hook::FromEndpoint, 10, 600);
    };
    (0..3).for_each(|_| count(&mut aggregation));
    let each = packets(&aggregation)[0].1 / 3;
    let mut links = LinkTables::default();
    [(7, 4), (9, 5)].into_iter().for_each(|(ifindex, generation)| links.set_generation(ifindex, generation));
    aggregation.set_names(&Arc::new(links.into()));
    count(&mut aggregation);
    assert_eq!(packets(&aggregation), [(0, 3 * each), (4, each)]);
}

#[test]
fn losses_count_as_hubble_counts_them() {
    use LostSource::{HubbleRing, KernelBuffer, ObserverQueue};
    let mut aggregation = Aggregation::new(config(0, Handlers::default()), 3);
    let points = |aggregation: &Aggregation| {
        let snapshot = aggregation.snapshot(9);
        let metric = metric(&snapshot, MetricKind::LostEvents).expect("a metric");
        let point = |point: &Point| match point.identity {
            Identity::Series { labels: Labels::Lost(source), .. } => (source, point.value, point.start),
            _ => panic!("{point:?}"),
        };
        metric.points.iter().map(point).collect::<Vec<_>>()
    };
    assert_eq!(points(&aggregation), [(KernelBuffer, 0, 3), (ObserverQueue, 0, 3)]);
    for (source, count, time, arrival) in [
        (HubbleRing, 2, 1, 4),
        (KernelBuffer, 50, 2, 5),
        (KernelBuffer, 7, 6, 6),
        (ObserverQueue, 10, 99, 7),
        (ObserverQueue, 1, 8, 8),
    ] {
        aggregation.arrive(arrival);
        aggregation.count_lost(&Lost { source, cpu: None, count, time });
    }
    aggregation.expire(100 * IDLE);
    // They neither overflow nor expire, and are not older than the aggregation.
    assert_eq!(points(&aggregation), [(KernelBuffer, 2, 3), (ObserverQueue, 11, 3), (HubbleRing, 2, 4)]);
}

#[test]
fn series_ages_by_arrival_time() {
    let Bench { client, server, .. } = bench();
    const START: u64 = 10 * IDLE;
    for (what, happened) in [("long ago", 5), ("now", START + 7), ("in the future", u64::MAX - 1)] {
        let mut aggregation = Aggregation::new(config(10, Handlers::default()), START);
        for arrival in [START + 7, START + 500] {
            aggregation.arrive(arrival);
            aggregation.count(&flow(client, server, Verdict::Forwarded, happened), InterfaceKind::Endpoint);
        }
        aggregation.expire(START + 500 + IDLE);
        let snapshot = aggregation.snapshot(START + 500 + IDLE);
        assert_eq!(total(&snapshot, MetricKind::FlowPackets), 4, "{what}: young enough to be exported");
        for metric in of_flows(&snapshot) {
            assert!(metric.points.iter().all(|point| point.start == START + 7), "{what}: {metric:?}");
        }
        aggregation.expire(START + 501 + IDLE);
        assert!(of_flows(&aggregation.snapshot(START + 501 + IDLE)).is_empty(), "{what}: idle");
    }
}

#[test]
fn first_series_starts_with_aggregation() {
    let Bench { client, server, .. } = bench();
    let mut aggregation = Aggregation::new(config(10, Handlers::default()), 50);
    aggregation.count(&flow(client, server, Verdict::Forwarded, 5), InterfaceKind::Endpoint);
    for metric in &aggregation.snapshot(90).metrics {
        assert!(metric.points.iter().all(|point| point.start == 50), "{metric:?}");
    }
}
