//! Series that `metrics.flow_detail` splits.

use eyepiece_flow::event::{Totals, Transport};
use eyepiece_flow::flow::{Direction, L4, Verdict};
use eyepiece_wire::{Hook, InterfaceKind};

use super::{Bench, address, bench, config, flow, metric, total, traffic};
use crate::pipeline::metrics::{
    Aggregation, Config, FlowDetail, Handlers, Identity, Labels, MetricKind, Naming, Snapshot,
};

/// TransportDetail and packets of each series of `hubble.flow.packets`, sorted.
fn carriers(snapshot: &Snapshot) -> Vec<(String, u64)> {
    let points = &metric(snapshot, MetricKind::FlowPackets).expect("a metric").points;
    let text = |identity| match identity {
        Identity::Series { labels: Labels::Ends(carrier), .. } => {
            format!("{} {:?}", carrier.transport(Naming::Semconv), carrier.port)
        }
        other => format!("{other:?}"),
    };
    let mut list: Vec<_> = points.iter().map(|point| (text(point.identity), point.value)).collect();
    list.sort();
    list
}

#[test]
fn flow_detail_splits_packets_and_bytes() {
    let Bench { client, server, .. } = bench();
    for (flow_detail, expected) in [
        (FlowDetail::Ends, vec![(" None", 13)]),
        (FlowDetail::Transport, vec![("tcp None", 10), ("udp None", 3)]),
        (
            FlowDetail::Port,
            vec![
                ("tcp Some(Destination(2))", 5),
                ("tcp Some(Destination(443))", 3),
                ("tcp Some(Source(1))", 2),
                ("udp Some(Destination(443))", 3),
            ],
        ),
    ] {
        let config = Config { flow_detail, ..config(10, Handlers::default()) };
        let mut aggregation = Aggregation::new(config, 0);
        // Twice: with a new plan, and with the cached one.
        let mut sent = flow(client, server, Verdict::Forwarded, 5);
        aggregation.count(&sent, InterfaceKind::Endpoint);
        aggregation.count(&sent, InterfaceKind::Endpoint);
        sent.is_reply = Some(true);
        aggregation.count(&sent, InterfaceKind::Endpoint);
        for protocol in [6, 17] {
            let transport = Transport { protocol, ports: (50_000, 443), is_reply: false };
            let addresses = Some((address(2), address(3)));
            let totals = Totals { traffic: traffic(Hook::FromEndpoint, 3, 180), addresses, transport };
            aggregation.count_totals(&totals, (&client, &server), Direction::Unknown, InterfaceKind::Endpoint);
        }
        let transport = Transport { protocol: 6, ports: (50_001, 2), is_reply: false };
        let totals = Totals {
            traffic: traffic(Hook::FromEndpoint, 1, 60),
            addresses: Some((address(2), address(3))),
            transport,
        };
        aggregation.count_totals(&totals, (&client, &server), Direction::Unknown, InterfaceKind::Endpoint);
        let snapshot = aggregation.snapshot(9);
        let expected: Vec<_> = expected.into_iter().map(|(text, packets)| (text.to_owned(), packets)).collect();
        assert_eq!(carriers(&snapshot), expected, "{flow_detail:?}");
        assert_eq!(total(&snapshot, MetricKind::FlowIo), 13 * 60);
        assert_eq!(total(&snapshot, MetricKind::FlowsProcessed), 3);
        assert_eq!(
            metric(&snapshot, MetricKind::TcpFlags).map(|metric| metric.points.len()),
            Some(1),
            "no other metric is split"
        );
    }
}

#[test]
fn ports_beyond_cap_overflow() {
    let Bench { client, server, .. } = bench();
    let mut aggregation =
        Aggregation::new(Config { flow_detail: FlowDetail::Port, ..config(10, Handlers::default()) }, 0);
    for port in 1..=1000 {
        let mut sent = flow(client, server, Verdict::Forwarded, 5);
        sent.l4 = L4::Udp { source_port: 1, destination_port: port };
        aggregation.count(&sent, InterfaceKind::Endpoint);
    }
    let snapshot = aggregation.snapshot(9);
    assert_eq!(carriers(&snapshot).len(), 11);
    assert_eq!(total(&snapshot, MetricKind::FlowPackets), 2000);
}
