//! Counting flows into series that exist allocates nothing.

use std::net::IpAddr;
use std::time::Duration;

use eyepiece::pipeline::metrics::{Aggregation, Config, FlowDetail, FlowsToWorldOptions, Handlers, LabelSet};
use eyepiece_config::ContextLabel;
use eyepiece_flow::event::{KernelDrop, Lost, LostSource, Totals, Transport};
use eyepiece_flow::flow::{Direction, EVENT_DROP, EVENT_TRACE, End, EventType, Flow, Ip, L4, TcpFlags, Verdict};
use eyepiece_flow::interner::Symbols;
use eyepiece_tests::sample;
use eyepiece_wire::{Hook, InterfaceKind};

use crate::counting;

/// Allocations and frees that a call makes.
fn operations(work: impl FnOnce()) -> usize {
    let before = counting::operations();
    work();
    counting::operations() - before
}

/// Traces and drops of all transports between `hosts` ends, IPv4 and IPv6.
fn flows(symbols: &Symbols, hosts: u8, time: u64) -> Vec<Flow> {
    let ends: Vec<End> = (0..hosts)
        .map(|host| {
            let name = symbols.intern(&format!("veth{host}"));
            End { endpoint: host.into(), identity: host.into(), name, entity: 0 }
        })
        .collect();
    let mut flows = Vec::new();
    for number in 0..u16::from(hosts) * 24 {
        let (from, to) = (number % u16::from(hosts), number / 5 % u16::from(hosts));
        let address = |host: u16| -> IpAddr {
            if number % 3 == 0 { [0xfd00, 0, 0, 0, 0, 0, 0, host].into() } else { [10, 0, 0, host as u8].into() }
        };
        let drop = number % 7 == 0;
        let mut flow = Flow::empty(EventType { kind: if drop { EVENT_DROP } else { EVENT_TRACE }, subtype: 5 });
        flow.time = time;
        flow.verdict = if drop { Verdict::Dropped } else { Verdict::Forwarded };
        flow.kernel_drop = drop.then_some(KernelDrop { reason: u32::from(number % 5), location: 1, netns: 2 });
        let (source, destination) = (address(from), address(to));
        flow.ip =
            Some(Ip { source, source_translated: None, destination, version: if number % 3 == 0 { 6 } else { 4 } });
        flow.l4 = match number % 4 {
            0 => L4::Udp { source_port: number, destination_port: 53 },
            other => L4::Tcp { source_port: number, destination_port: 80, flags: TcpFlags(0x11 + other) },
        };
        (flow.source, flow.destination) = (ends[usize::from(from)], ends[usize::from(to)]);
        flow.traffic = (!drop).then_some(sample::traffic(
            if number % 2 == 0 { Hook::FromEndpoint } else { Hook::ToEndpoint },
            (u32::from(from) + 3, 2),
            (1 + u64::from(number % 4), 100),
        ));
        flows.push(flow);
    }
    flows
}

fn config(source: &str, destination: &str, max_series: usize) -> Config {
    let usual = Handlers::usual(&source.parse().expect("a context"), &destination.parse().expect("a context"));
    let contexts = usual.flow_io.clone();
    let some = || Some(contexts.clone());
    let world = FlowsToWorldOptions { contexts: contexts.clone(), any_drop: true, port: true, syn_only: false };
    let (icmp, port_distribution, policy, sctp, flows_to_world) = (some(), some(), some(), some(), Some(world));
    let handlers = Handlers { icmp, port_distribution, policy, sctp, flows_to_world, ..usual };
    Config {
        handlers,
        max_series,
        idle_expiry: Duration::from_nanos(1000),
        flow_detail: FlowDetail::Port,
        ..Config::default()
    }
}

#[test]
fn flow_into_existing_series_allocates_nothing() {
    let symbols = Symbols::default();
    for (source, destination, max_series) in [
        ("name", "name", 2000),
        ("ip", "reserved-identity|ip", 2000),
        ("name|ip", "reserved-identity|ip", 7),
        ("ip", "ip", 0),
        ("pod|name", "", 2000),
    ] {
        let mut config = config(source, destination, max_series);
        if destination.is_empty() {
            let labels = [ContextLabel::SourceIp, ContextLabel::DestinationPod, ContextLabel::TrafficDirection];
            for contexts in config.handlers.drop.iter_mut().chain([&mut config.handlers.flow_io]) {
                contexts.labels = LabelSet::of(&labels);
            }
        }
        let mut aggregation = Aggregation::new(config, 0);
        let flows = flows(&symbols, 20, 100);
        let count = |aggregation: &mut Aggregation| {
            for flow in &flows {
                aggregation.count(flow, InterfaceKind::Uplink);
            }
        };
        count(&mut aggregation);
        assert_eq!(operations(|| count(&mut aggregation)), 0, "{source} to {destination}, {max_series} series");
    }
}

#[test]
fn totals_losses_expiry_allocate_nothing() {
    let symbols = Symbols::default();
    let mut aggregation = Aggregation::new(config("name", "name", 2000), 0);
    let (old, new) = (flows(&symbols, 20, 100), flows(&symbols, 10, 1100));
    for flow in old.iter().chain(&new) {
        aggregation.arrive(flow.time);
        aggregation.count(flow, InterfaceKind::Uplink);
    }
    let traffic = old.iter().find_map(|flow| flow.traffic).expect("a flow with a traffic");
    let addresses = Some(([10, 0, 0, 1].into(), [10, 0, 0, 2].into()));
    let totals = Totals { traffic, addresses, transport: Transport { protocol: 6, ports: (1, 2), is_reply: false } };
    let lost = Lost { source: LostSource::KernelBuffer, cpu: None, count: 3, time: 100 };
    let ends = (new[0].source, new[0].destination);
    let mut others = |now| {
        aggregation.arrive(now);
        aggregation.count_totals(&totals, (&ends.0, &ends.1), Direction::Unknown, InterfaceKind::Uplink);
        aggregation.count_untracked(7, Hook::ToNetwork, 1, 60);
        aggregation.count_lost(&lost);
    };
    others(1100);
    assert_eq!(operations(|| others(1101)), 0);
    let before = aggregation.occupancy();
    let work = || {
        aggregation.expire(1500);
        for flow in &new {
            aggregation.count(flow, InterfaceKind::Uplink);
        }
    };
    assert_eq!(operations(work), 0);
    assert!(aggregation.occupancy()[1].series < before[1].series, "some series expired");
}
