//! The cost of filling in the ends of one flow, among 500 endpoints with four addresses each and among entities at up to
//! 100,000 addresses, and of publishing changed entities.

#[allow(dead_code, reason = "each bench uses a part")]
mod measured;

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use eyepiece::metadata::provider::{Change, ChangeReceiver as _, Entity, Key, Provider, Target};
use eyepiece::metadata::registry::Registry;
use eyepiece::metadata::{InterfaceInfo, LinkTables, NameSnapshot, Publisher, WantedTexts};
use eyepiece::pipeline::enrich::enrich;
use eyepiece_flow::flow::{EVENT_TRACE, EventType, Flow};
use eyepiece_flow::interner::Symbols;
use eyepiece_wire::InterfaceKind;
use foldhash::fast::RandomState;
use hashbrown::HashMap;

use eyepiece_tests::bench_report::{Goal, goal, heading, row};
use eyepiece_tests::sample;
use measured::Micro;

const ENDPOINTS: u16 = 500;
/// Flows of one iteration.
const FLOWS: usize = 1024;

fn v4(endpoint: u16) -> IpAddr {
    IpAddr::V4(Ipv4Addr::from_bits(0x0a00_0000 + u32::from(endpoint)))
}

fn v6(endpoint: u16) -> IpAddr {
    IpAddr::V6(Ipv6Addr::from_bits((0xfd00 << 112) + u128::from(endpoint)))
}

fn links() -> LinkTables {
    let symbols = Symbols::default();
    let mut links = LinkTables::new(&symbols);
    for endpoint in 1..=ENDPOINTS {
        let info =
            InterfaceInfo { name: symbols.intern(&format!("veth{endpoint}")), kind: InterfaceKind::Endpoint, endpoint };
        links.add_interface(u32::from(endpoint) + 10, info);
        for address in [v4(endpoint), v4(endpoint + 0x1000), v6(endpoint), v6(endpoint + 0x1000)] {
            links.add_endpoint_address(address, endpoint, false);
        }
    }
    links.add_host(IpAddr::V4(Ipv4Addr::LOCALHOST));
    links
}

/// Flows of many pairs of ends, so that no branch and no cache line is always the same.
fn flows(source: impl Fn(u16) -> IpAddr, destination: impl Fn(u16) -> IpAddr) -> Vec<Flow> {
    (0..FLOWS as u16)
        .map(|n| {
            let mut flow = Flow::empty(EventType { kind: EVENT_TRACE, subtype: 5 });
            flow.observation_point = Some(5);
            flow.trace_reason = Some(0);
            flow.datapath_endpoint = n.wrapping_mul(7919) % ENDPOINTS + 1;
            flow.ip =
                Some(sample::ip(source(flow.datapath_endpoint), destination(n.wrapping_mul(104) % ENDPOINTS + 1)));
            flow
        })
        .collect()
}

/// One look-up by each of a flow's two addresses, in a table of the same addresses.
fn look_ups(table: &HashMap<IpAddr, u16, RandomState>, flows: &[Flow]) {
    for flow in flows {
        if let Some(ip) = &black_box(flow).ip {
            black_box((table.get(&ip.source), table.get(&ip.destination)));
        }
    }
}

fn address(number: u32) -> IpAddr {
    IpAddr::V4(Ipv4Addr::from_bits(0x0a00_0000 + number))
}

fn entry(number: u32, name: &str) -> (Key, Target) {
    let entity = Entity { name: format!("{name}/{number}"), identity: 300, ..Entity::default() };
    (Key::Address(address(number)), Target::Entity(Arc::new(entity)))
}

/// Entities at so many addresses of other machines.
fn registry(addresses: u32) -> (Arc<Registry>, Publisher) {
    let symbols = Symbols::default();
    let publisher = Publisher::new(LinkTables::new(&symbols));
    let registry = Registry::new(symbols, publisher.clone(), WantedTexts::default());
    registry.replace(Provider::Kubernetes, (0..addresses).map(|number| entry(number, "shop")).collect());
    registry.publish();
    (registry, publisher)
}

/// Names both ends of flows between machines that only entities know.
fn entities(micro: &mut Micro) {
    heading("both ends named by entities", &["ns a flow"]);
    for (addresses, goal_ns) in [(100, 40.0), (100_000, 60.0)] {
        let (_registry, publisher) = registry(addresses);
        let mut reader = publisher.reader();
        let any = |n: u32| address(n.wrapping_mul(0x9e37_79b1) % addresses);
        let mut flows = flows(|n| any(n.into()), |n| any(u32::from(n) * 7 + 3));
        for (number, flow) in (0..).zip(&mut flows) {
            flow.datapath_endpoint = 0;
            if let Some(ip) = &mut flow.ip {
                (ip.source, ip.destination) = (any(number * 2), any(number * 2 + 1));
            }
        }
        let unnamed = NameSnapshot::from(LinkTables::new(&Symbols::default()));
        let before = micro.measure(&format!("{addresses} addresses, without entities"), FLOWS, || {
            for flow in &mut flows {
                black_box(enrich(black_box(flow), &unnamed));
            }
        });
        let named = micro.measure(&format!("{addresses} addresses"), FLOWS, || {
            let names = reader.refresh();
            for flow in &mut flows {
                black_box(enrich(black_box(flow), names));
            }
        });
        if let (Some(before), Some(named)) = (before, named) {
            row(&format!("{addresses} addresses"), &[named.best]);
            row("  without entities", &[before.best]);
            goal(&format!("entities: both ends at {addresses}"), named.best, "ns", Goal::AtMost(goal_ns));
        }
    }
}

/// Changes at 10,000 addresses: 1,000 a second in ten publications.
fn publications(micro: &mut Micro) {
    const CHANGES: u32 = 100;
    let (registry, publisher) = registry(10_000);
    let mut reader = publisher.reader();
    let mut next = 0_u32;
    let measured = micro.measure("a publication of 100 changes", 1, || {
        let changes = (0..CHANGES).map(|_| {
            next = next.wrapping_add(7919);
            let (key, target) = entry(next % 10_000, "other");
            Change::Set(key, target)
        });
        registry.apply(Provider::Kubernetes, changes.collect());
        registry.publish();
        black_box(reader.refresh());
    });
    if let Some(measured) = measured {
        let percent = measured.mean * 10.0 / 1e9 * 100.0;
        goal("entities: 1,000 changes a second", percent, "% of a core", Goal::AtMost(5.0));
    }
}

fn main() {
    let mut micro = Micro::new("enrich");
    let mut reader = Publisher::new(links()).reader();
    let addresses = (1..=ENDPOINTS).flat_map(|endpoint| {
        [v4(endpoint), v4(endpoint + 0x1000), v6(endpoint), v6(endpoint + 0x1000)].map(|address| (address, endpoint))
    });
    let table: HashMap<IpAddr, u16, RandomState> = addresses.collect();
    let mut measured = Vec::new();
    for (name, mut flows) in [
        ("endpoint to endpoint, IPv4", flows(v4, v4)),
        ("endpoint to world, IPv4", flows(v4, |n| IpAddr::V4(Ipv4Addr::from_bits(0x0808_0000 + u32::from(n))))),
        ("endpoint to endpoint, IPv6", flows(v6, v6)),
        ("unknown source", flows(|n| v4(n + 0x2000), v4)),
    ] {
        let baseline = micro.measure(&format!("{name}, two look-ups"), FLOWS, || look_ups(&table, &flows));
        let enriched = micro.measure(name, FLOWS, || {
            let names = reader.refresh();
            for flow in &mut flows {
                black_box(enrich(black_box(flow), names));
            }
        });
        measured.push((name, baseline, enriched));
    }
    let snapshot = micro.measure("snapshot of 500 endpoints", 1, links);
    heading("enrich, 500 endpoints", &["ns a flow", "two look-ups", "x look-ups"]);
    for (name, baseline, enriched) in measured {
        if let (Some(baseline), Some(enriched)) = (baseline, enriched) {
            row(name, &[enriched.best, baseline.best, enriched.best / baseline.best]);
        }
    }
    if let Some(snapshot) = snapshot {
        println!("  (a snapshot of all 500 endpoints is made in {:.0} us)", snapshot.best / 1000.0);
    }
    entities(&mut micro);
    publications(&mut micro);
}
