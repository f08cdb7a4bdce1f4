//! ns per flow for all metrics together, beside one hash look-up in the same run.

#[allow(dead_code, reason = "each bench uses a part")]
mod measured;

use std::hint::black_box;

use eyepiece::pipeline::metrics::{Aggregation, Config, Contexts, FlowsToWorldOptions, Handlers};
use eyepiece_config::Handler;
use eyepiece_flow::event::KernelDrop;
use eyepiece_flow::flow::{EVENT_DROP, EVENT_TRACE, End, EventType, Flow, L4, TcpFlags, Verdict};
use eyepiece_flow::interner::Symbols;
use eyepiece_wire::{Hook, InterfaceKind};

use eyepiece_tests::bench_report::{Goal, goal, heading, row};
use eyepiece_tests::sample;
use measured::Micro;

/// Flows of a batch: as many as the pipeline usually sends at once.
const FLOWS: usize = 1024;

/// A mix as a node with `endpoints` sees it: most of it established TCP, some UDP and ICMP, few SYN and FIN, few drops.
fn mix(endpoints: u16) -> Vec<Flow> {
    let symbols = Symbols::default();
    let world = End { endpoint: 0, identity: 2, name: symbols.intern("world"), entity: 0 };
    let mut random = fastrand::Rng::with_seed(1);
    let end = |random: &mut fastrand::Rng| {
        let id = random.u16(1..=endpoints);
        let name = symbols.intern(&format!("veth{id}"));
        let end = End { endpoint: id, identity: 1000 + u32::from(id), name, entity: 0 };
        let [high, low] = id.to_be_bytes();
        (end, [10, 0, high, low])
    };
    (0..FLOWS)
        .map(|_| {
            let (local, address) = end(&mut random);
            let (far, far_address) = if random.u8(0..10) < 4 { end(&mut random) } else { (world, [192, 0, 2, 1]) };
            let sends = random.bool();
            let percent = random.u8(0..100);
            let drop = percent < 2;
            let subtype = if sends { 5 } else { 0 };
            let mut flow = Flow::empty(EventType { kind: if drop { EVENT_DROP } else { EVENT_TRACE }, subtype });
            flow.time = 1_000_000;
            flow.verdict = if drop { Verdict::Dropped } else { Verdict::Forwarded };
            flow.kernel_drop = drop.then_some(KernelDrop { reason: 2 + u32::from(percent), location: 1, netns: 2 });
            let (source, destination) = if sends { (address, far_address) } else { (far_address, address) };
            flow.ip = Some(sample::ip(source, destination));
            (flow.source, flow.destination) = if sends { (local, far) } else { (far, local) };
            flow.l4 = l4(percent);
            flow.traffic = (!drop).then_some(sample::traffic(
                if sends { Hook::FromEndpoint } else { Hook::ToEndpoint },
                (10 + u32::from(local.endpoint), 2),
                (3, 4000),
            ));
            flow
        })
        .collect()
}

fn l4(percent: u8) -> L4 {
    match percent {
        0..4 => L4::Icmp4 { kind: 8, code: 0 },
        4..24 => L4::Udp { source_port: 40_000, destination_port: 53 },
        _ => {
            let flags = match percent {
                24..28 => TcpFlags::SYN,
                28..32 => TcpFlags::SYN | TcpFlags::ACK,
                32..38 => TcpFlags::FIN | TcpFlags::ACK,
                38 => TcpFlags::RST,
                _ => TcpFlags::ACK,
            };
            L4::Tcp { source_port: 40_000, destination_port: 80, flags: TcpFlags(flags) }
        }
    }
}

/// The contexts of the default settings.
const DEFAULT: &str = "workload|app|container|pod|unit|dns|name";

fn contexts(text: &str) -> Handlers {
    let context = text.parse().expect("a context");
    Handlers::usual(&context, &context)
}

/// Every metric with other contexts: no two can share a look-up.
fn unlike() -> Handlers {
    let both = |text: &str| {
        let context: eyepiece::pipeline::metrics::Context = text.parse().expect("a context");
        Contexts::of(&context, &context)
    };
    let (drop, flow, tcp) = (Some(both("name")), Some(both("name|ip")), Some(both("identity")));
    Handlers { drop, flow, tcp, flow_io: both("ip"), ..Handlers::none() }
}

/// The contexts of the default settings, and of drops the labels of a usual handler.
fn labelled_drops() -> Handlers {
    let line = "drop:sourceContext=pod|ip;labelsContext=source_ip,destination_app,traffic_direction";
    let handler: Handler = line.parse().expect("a handler");
    Handlers { drop: Some((&handler.contexts).into()), ..contexts(DEFAULT) }
}

/// The contexts of the default settings in all handlers.
fn all_handlers() -> Handlers {
    let usual = contexts(DEFAULT);
    let some = || Some(usual.flow_io.clone());
    let world = FlowsToWorldOptions { contexts: usual.flow_io.clone(), any_drop: true, port: true, syn_only: false };
    let (icmp, port_distribution, policy, sctp, flows_to_world) = (some(), some(), some(), some(), Some(world));
    Handlers { icmp, port_distribution, policy, sctp, flows_to_world, ..usual.clone() }
}

fn main() {
    let mut micro = Micro::new("count");
    let mut measured = Vec::new();
    for endpoints in [10, 200] {
        let flows = mix(endpoints);
        let baseline = micro.measure(&format!("one look-up, {endpoints} endpoints"), FLOWS, look_up(&flows));
        for (text, handlers) in [
            ("name", contexts("name")),
            ("reserved-identity|ip", contexts("reserved-identity|ip")),
            ("unlike", unlike()),
            ("by default", contexts(DEFAULT)),
            ("labelled drops", labelled_drops()),
            ("by default, all handlers", all_handlers()),
        ] {
            let mut aggregation = Aggregation::new(Config { handlers, ..Config::default() }, 0);
            let name = format!("contexts {text}, {endpoints} endpoints");
            let counted = micro.measure(&name, FLOWS, || {
                for flow in &flows {
                    aggregation.count(black_box(flow), InterfaceKind::Uplink);
                }
            });
            measured.push((name, matches!(text, "name" | "by default"), baseline, counted));
        }
    }
    let flows = mix(10);
    let baseline = micro.measure("one look-up, for the overflow", FLOWS, look_up(&flows));
    let name = "contexts ip, 65,536 addresses, all in the overflow";
    let counted = micro.measure(name, FLOWS, scan(flows));
    measured.push((name.to_owned(), false, baseline, counted));

    heading("count, all metrics", &["ns a flow", "one look-up", "x look-up"]);
    for (name, has_goal, baseline, counted) in measured {
        let (Some(baseline), Some(counted)) = (baseline, counted) else { continue };
        row(&name, &[counted.best, baseline.best, counted.best / baseline.best]);
        if name.contains("all handlers") {
            goal(&format!("count: {name}"), counted.best, "ns", Goal::AtMost(60.0));
        } else if has_goal {
            goal(&format!("count: {name}"), counted.best, "ns", Goal::AtMost(30.0));
        }
    }
}

/// Counts every flow from a different address, far more than there are series: the overflow's price.
fn scan(mut flows: Vec<Flow>) -> impl FnMut() {
    /// More than the aggregation remembers.
    const ADDRESSES: u32 = 1 << 16;
    let mut aggregation = Aggregation::new(Config { handlers: contexts("ip"), ..Config::default() }, 0);
    let mut next = 0u32;
    let mut count = move || {
        for flow in &mut flows {
            next = (next + 1) % ADDRESSES;
            if let Some(ip) = &mut flow.ip {
                ip.source = std::net::Ipv4Addr::from_bits(next).into();
            }
            aggregation.count(black_box(flow), InterfaceKind::Uplink);
        }
    };
    // The first flows make the series.
    for _ in 0..ADDRESSES as usize / FLOWS {
        count();
    }
    count
}

/// One look-up by the pair of names, and an addition.
fn look_up(flows: &[Flow]) -> impl FnMut() {
    let key = |flow: &Flow| u64::from(flow.source.name.number()) << 32 | u64::from(flow.destination.name.number());
    let mut table: hashbrown::HashMap<u64, u64, foldhash::fast::RandomState> =
        flows.iter().map(|flow| (key(flow), 0)).collect();
    move || {
        for flow in flows {
            if let Some(value) = table.get_mut(&key(black_box(flow))) {
                *value += 1;
            }
        }
    }
}
