//! What filling in the ends of one flow costs, among 500 endpoints with four addresses each.

mod measured;
#[allow(dead_code, reason = "each bench uses a part")]
mod report;

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use criterion::{BatchSize, Criterion};
use eyepiece::enrich::{InterfaceInfo, Publisher, Tables, enrich};
use eyepiece::flow::{EVENT_TRACE, EventType, Flow, Ip};
use eyepiece::symbols::Symbols;
use eyepiece_wire::InterfaceKind;
use measured::median;
use report::{heading, row};

const ENDPOINTS: u16 = 500;
/// Flows of one iteration.
const FLOWS: f64 = 1024.0;
/// What is measured.
const KINDS: [&str; 4] =
    ["endpoint to endpoint, IPv4", "endpoint to world, IPv4", "endpoint to endpoint, IPv6", "unknown source"];

fn v4(endpoint: u16) -> IpAddr {
    IpAddr::V4(Ipv4Addr::from_bits(0x0a00_0000 + u32::from(endpoint)))
}

fn v6(endpoint: u16) -> IpAddr {
    IpAddr::V6(Ipv6Addr::from_bits((0xfd00 << 112) + u128::from(endpoint)))
}

fn tables() -> Tables {
    let symbols = Symbols::default();
    let mut tables = Tables::new(&symbols);
    for endpoint in 1..=ENDPOINTS {
        let info =
            InterfaceInfo { name: symbols.intern(&format!("veth{endpoint}")), kind: InterfaceKind::Endpoint, endpoint };
        tables.add_interface(u32::from(endpoint) + 10, info);
        for address in [v4(endpoint), v4(endpoint + 0x1000), v6(endpoint), v6(endpoint + 0x1000)] {
            tables.add_endpoint_address(address, endpoint, false);
        }
    }
    tables.add_host(IpAddr::V4(Ipv4Addr::LOCALHOST));
    tables
}

/// Flows of many pairs of ends, so that no branch and no cache line is always the same.
fn flows(source: impl Fn(u16) -> IpAddr, destination: impl Fn(u16) -> IpAddr) -> Vec<Flow> {
    (0..1024_u16)
        .map(|n| {
            let mut flow = Flow::empty(EventType { kind: EVENT_TRACE, subtype: 5 });
            flow.observation_point = Some(5);
            flow.trace_reason = Some(0);
            flow.datapath_endpoint = n.wrapping_mul(7919) % ENDPOINTS + 1;
            flow.ip = Some(Ip {
                source: source(flow.datapath_endpoint),
                source_translated: None,
                destination: destination(n.wrapping_mul(104) % ENDPOINTS + 1),
                version: 4,
            });
            flow
        })
        .collect()
}

fn bench(criterion: &mut Criterion) {
    let mut reader = Publisher::new(tables()).reader();
    let mut group = criterion.benchmark_group("enrich");
    group.throughput(criterion::Throughput::Elements(1024));
    let ends = [
        flows(v4, v4),
        flows(v4, |n| IpAddr::V4(Ipv4Addr::from_bits(0x0808_0000 + u32::from(n)))),
        flows(v6, v6),
        flows(|n| v4(n + 0x2000), v4),
    ];
    for (name, flows) in KINDS.into_iter().zip(ends) {
        group.bench_function(name, |bencher| {
            let mut flows = flows.clone();
            bencher.iter(|| {
                let tables = reader.refresh();
                for flow in &mut flows {
                    black_box(enrich(black_box(flow), tables));
                }
            });
        });
    }
    group.bench_function("snapshot of 500 endpoints", |bencher| {
        bencher.iter_batched(|| (), |()| tables(), BatchSize::SmallInput);
    });
    group.finish();
}

fn main() {
    let mut criterion = measured::criterion();
    bench(&mut criterion);
    criterion.final_summary();
    heading("enrich", &["ns a flow"]);
    for name in KINDS {
        if let Some(ns) = median("enrich", name) {
            row(name, &[ns / FLOWS]);
        }
    }
}
