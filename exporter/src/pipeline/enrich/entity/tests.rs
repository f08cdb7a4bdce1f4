//! Tests of the entity that names an end.

use std::net::IpAddr;
use std::sync::Arc;

use eyepiece_flow::event::{Totals, TrafficDelta, Transport};
use eyepiece_flow::flow::{EVENT_TRACE, End, EventType, Flow, Ip, L4, Sock, TcpFlags, TranslationPoint};
use eyepiece_flow::interner::Symbols;
use eyepiece_flow::lookup::BatchNames as _;
use eyepiece_flow::metadata::EndMetadata;
use eyepiece_tests::sample;
use eyepiece_wire::{Hook, InterfaceKind};
use tokio::time::Instant;

use crate::metadata::provider::{ChangeReceiver as _, Entity, Key, Provider, Target};
use crate::metadata::registry::{GRACE, Registry};
use crate::metadata::{InterfaceInfo, LinkTables, NameSnapshot, Publisher, WantedTexts};
use crate::pipeline::enrich::{TotalsEnds, Unnamed, ends, enrich, socket, unnamed};

const FROM_ENDPOINT: u8 = 5;
const TO_ENDPOINT: u8 = 0;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// Endpoints 1 and 2 in namespaces 101 and 102, endpoint 3 without an entity of its namespace.
fn links(symbols: &Symbols) -> LinkTables {
    let mut links = LinkTables::new(symbols);
    for endpoint in 1..=3_u16 {
        let name = links.intern(&format!("veth{endpoint}"));
        links.add_interface(endpoint.into(), InterfaceInfo { name, kind: InterfaceKind::Endpoint, endpoint });
        links.add_namespace(100 + u32::from(endpoint), endpoint);
        links.add_endpoint_address([10, 0, 0, endpoint as u8].into(), endpoint, false);
    }
    links.add_endpoint_address(ip("10.0.9.3"), 3, true);
    links.add_host(ip("192.0.2.1"));
    links.add_host(ip("192.0.2.77"));
    links
}

fn entries() -> Vec<(Key, Target)> {
    let service = Key::Service { address: ip("10.96.0.1"), port: 443, protocol: 6 };
    [
        (Key::Namespace(101), "shop/web"),
        (Key::Namespace(102), "shop/db"),
        (Key::Address(ip("10.0.0.1")), "hidden by the namespace"),
        (Key::Address(ip("10.0.0.3")), "configured"),
        (Key::Address(ip("10.0.9.3")), "learned"),
        (Key::Address(ip("192.0.2.1")), "node"),
        (Key::Address(ip("10.0.7.7")), "elsewhere/pod"),
        (Key::Prefix(ip("203.0.113.0"), 24), "office"),
        (service, "default/kubernetes"),
        (Key::ControlGroup(9), "sshd.service"),
        (Key::Process(5), "curl"),
    ]
    .into_iter()
    .map(|(key, name)| {
        let addresses = [Some(ip("10.0.0.1")), Some(ip("fe80::7"))];
        let entity = Entity { name: name.to_owned(), identity: 300, addresses, ..Entity::default() };
        (key, Target::Entity(Arc::new(entity)))
    })
    .collect()
}

fn snapshot() -> Arc<NameSnapshot> {
    let symbols = Symbols::default();
    let publisher = Publisher::new(links(&symbols));
    let registry = Registry::new(symbols, publisher.clone(), WantedTexts::default());
    registry.replace(Provider::File, entries());
    registry.publish();
    Arc::clone(publisher.reader().snapshot())
}

/// Totals of packets from endpoint 1 to endpoint 3.
fn last_totals() -> Totals {
    let addresses = Some((ip("10.0.0.1"), ip("10.0.0.3")));
    let transport = Transport { protocol: 6, ports: (40_000, 443), is_reply: false };
    Totals { traffic: traffic(Hook::FromEndpoint, 1), addresses, transport }
}

#[test]
fn totals_keep_name_of_ended_container() {
    // The interface is gone, with its namespace: its last state stays for a while.
    let without_namespace = |symbols: &Symbols| {
        let mut links = LinkTables::new(symbols);
        let name = links.intern("veth1");
        links.add_interface(1, InterfaceInfo { name, kind: InterfaceKind::Endpoint, endpoint: 1 });
        links.add_endpoint_address(ip("10.0.0.1"), 1, true);
        links
    };
    let without_container = || entries().into_iter().filter(|(key, _)| *key != Key::Namespace(101)).collect();
    for is_link_first in [true, false] {
        let symbols = Symbols::default();
        let publisher = Publisher::new(links(&symbols));
        let registry = Registry::new(symbols.clone(), publisher.clone(), WantedTexts::default());
        registry.replace(Provider::File, entries());
        registry.publish();
        let named = || {
            let names = Arc::clone(publisher.reader().snapshot());
            text(&ends(&last_totals(), &names).0.source, &names)
        };
        assert_eq!(named(), "shop/web 300");
        for step in [is_link_first, !is_link_first] {
            if step {
                publisher.publish(without_namespace(&symbols));
            } else {
                registry.replace(Provider::File, without_container());
                registry.publish();
            }
            assert_eq!(named(), "shop/web 300", "{is_link_first} {step}");
        }
        registry.publish_at(Instant::now() + GRACE);
        assert_eq!(named(), "veth1 0");
    }
}

#[test]
fn new_endpoint_has_no_former_name() {
    let symbols = Symbols::default();
    let publisher = Publisher::new(links(&symbols));
    let registry = Registry::new(symbols.clone(), publisher.clone(), WantedTexts::default());
    registry.replace(Provider::File, entries());
    registry.publish();
    registry.replace(Provider::File, entries().split_off(2));
    registry.publish();
    // The next container has the number of the namespace and the address, and no provider knows it yet.
    let mut next = links(&symbols);
    let name = next.intern("veth4");
    next.add_interface(4, InterfaceInfo { name, kind: InterfaceKind::Endpoint, endpoint: 4 });
    next.add_namespace(101, 4);
    publisher.publish(next);
    let names = Arc::clone(publisher.reader().snapshot());
    let mut flow = flow(FROM_ENDPOINT, 4, "10.0.0.4", "8.8.8.8");
    enrich(&mut flow, &names);
    assert_eq!(text(&flow.source, &names), "veth4 0");
    // Nor does an endpoint that is in another namespace now.
    let mut moved = links(&symbols);
    moved.add_namespace(201, 1);
    publisher.publish(moved);
    let names = Arc::clone(publisher.reader().snapshot());
    assert_eq!(text(&ends(&last_totals(), &names).0.source, &names), "hidden by the namespace 300");
}

fn traffic(hook: Hook, ifindex: u32) -> TrafficDelta {
    sample::traffic(hook, (ifindex, 0), (1, 60))
}

fn flow(point: u8, endpoint: u16, source: &str, destination: &str) -> Flow {
    let mut flow = Flow::empty(EventType { kind: EVENT_TRACE, subtype: point });
    (flow.observation_point, flow.datapath_endpoint, flow.trace_reason) = (Some(point), endpoint, Some(0));
    flow.ip = Some(Ip { source: ip(source), source_translated: None, destination: ip(destination), version: 4 });
    flow.l4 = L4::Tcp { source_port: 40_000, destination_port: 443, flags: TcpFlags(TcpFlags::SYN) };
    flow.traffic = Some(traffic(Hook::FromEndpoint, endpoint.into()));
    flow
}

fn text(end: &End, names: &NameSnapshot) -> String {
    format!("{} {}", names.end(end).map(|name| &**name).unwrap_or_default(), end.identity)
}

#[test]
fn entity_names_end() {
    let names = snapshot();
    for (point, endpoint, source, destination, expected) in [
        (FROM_ENDPOINT, 1, "10.0.0.1", "10.0.0.2", ["shop/web 300", "shop/db 300"]),
        (TO_ENDPOINT, 2, "10.0.7.7", "10.0.0.2", ["elsewhere/pod 300", "shop/db 300"]),
        (FROM_ENDPOINT, 3, "10.0.0.3", "203.0.113.9", ["configured 300", "office 300"]),
        (FROM_ENDPOINT, 1, "10.0.0.1", "10.96.0.1", ["shop/web 300", "default/kubernetes 300"]),
        (FROM_ENDPOINT, 1, "10.0.0.1", "192.0.2.1", ["shop/web 300", "node 1"]),
        (FROM_ENDPOINT, 1, "10.0.0.1", "8.8.8.8", ["shop/web 300", "world 2"]),
        // Whatever an endpoint sends from, it is itself.
        (FROM_ENDPOINT, 2, "10.0.7.7", "8.8.8.8", ["shop/db 300", "world 2"]),
        (FROM_ENDPOINT, 3, "10.0.7.7", "8.8.8.8", ["veth3 0", "world 2"]),
        (FROM_ENDPOINT, 3, "10.0.9.3", "8.8.8.8", ["veth3 0", "world 2"]),
    ] {
        let mut flow = flow(point, endpoint, source, destination);
        enrich(&mut flow, &names);
        assert_eq!([&flow.source, &flow.destination].map(|end| text(end, &names)), expected, "{source} {destination}");
        let totals = Totals {
            traffic: traffic(
                if point == FROM_ENDPOINT { Hook::FromEndpoint } else { Hook::ToEndpoint },
                endpoint.into(),
            ),
            addresses: Some((ip(source), ip(destination))),
            transport: Transport { protocol: 6, ports: (40_000, 443), is_reply: false },
        };
        let (ends, _) = ends(&totals, &names);
        let expected = TotalsEnds { source: flow.source, destination: flow.destination, direction: flow.direction };
        assert_eq!(ends, expected, "{source} {destination}");
    }
}

#[test]
fn local_ends_without_entity_are_counted() {
    let names = snapshot();
    let none = [None; 2];
    for (endpoint, source, destination, group, expected) in [
        (1, "10.0.0.1", "10.0.0.2", 0, none),
        (1, "10.0.0.1", "8.8.8.8", 0, none),
        (3, "10.0.7.7", "8.8.8.8", 0, [Some(Unnamed::UnknownEndpoint), None]),
        (1, "10.0.0.1", "192.0.2.1", 0, none),
        (1, "10.0.0.1", "192.0.2.77", 0, [None, Some(Unnamed::NoSocket)]),
        (1, "10.0.0.1", "192.0.2.77", 4711, [None, Some(Unnamed::UnknownControlGroup)]),
    ] {
        let mut flow = flow(FROM_ENDPOINT, endpoint, source, destination);
        let traffic = flow.traffic.as_mut().unwrap();
        (traffic.hook, traffic.cgroup) = (Hook::FromEndpoint, group);
        enrich(&mut flow, &names);
        assert_eq!(unnamed(&flow, &names), expected, "{source} {destination} {group}");
        assert_eq!(unnamed(&flow, &NameSnapshot::default()), none, "no provider has anything");
    }
}

#[test]
fn service_is_named_at_either_end() {
    let names = snapshot();
    let mut flow = flow(TO_ENDPOINT, 1, "10.96.0.1", "10.0.0.1");
    for (port, expected) in [(443, "default/kubernetes 300"), (444, "world 2")] {
        flow.l4 = L4::Tcp { source_port: port, destination_port: 40_000, flags: TcpFlags(TcpFlags::ACK) };
        flow.source = End::UNKNOWN;
        enrich(&mut flow, &names);
        assert_eq!(text(&flow.source, &names), expected);
    }
}

#[test]
fn labels_follow_identity_of_datapath() {
    let symbols = Symbols::default();
    let publisher = Publisher::default();
    let registry = Registry::new(symbols, publisher.clone(), WantedTexts::default());
    let entity = |identity, pod: &str, label: &str| {
        let (pod_name, labels) = (pod.to_owned(), vec![label.to_owned()]);
        let metadata = EndMetadata { pod_name, labels, ..EndMetadata::default() };
        Target::Entity(Arc::new(Entity { identity, ..Entity::of(metadata) }))
    };
    registry.replace(
        Provider::Cilium,
        vec![
            (Key::Identity(300), entity(300, "", "app=web")),
            (Key::Address(ip("10.0.0.7")), entity(300, "web-1", "app=old")),
            (Key::Address(ip("10.0.0.8")), entity(400, "db-1", "app=db")),
            (Key::Prefix(ip("10.0.0.0"), 24), entity(2, "", "net")),
            (Key::Service { address: ip("10.0.0.9"), port: 443, protocol: 6 }, Target::Entity(Arc::default())),
        ],
    );
    registry.publish();
    let names = Arc::clone(publisher.reader().snapshot());
    for (row, address, endpoint, identity, pod, labels, expected) in [
        ("the identity's labels are newer", "10.0.0.7", 0, 300, "web-1", vec!["app=web"], 300),
        ("no identity in the packet", "10.0.0.7", 0, 0, "web-1", vec!["app=web"], 300),
        ("another pod's address", "10.0.0.8", 0, 300, "db-1", vec!["app=web"], 300),
        ("an identity that is not known", "10.0.0.7", 0, 500, "web-1", vec![], 500),
        ("an entity with a number of another provider", "10.0.0.8", 0, 500, "db-1", vec!["app=db"], 500),
        ("identity of which only the address knows labels", "10.0.0.8", 0, 400, "db-1", vec!["app=db"], 400),
        ("local endpoint", "10.0.0.8", 9, 300, "db-1", vec!["app=db"], 300),
        ("no entry but the prefix", "10.0.0.1", 0, 300, "", vec!["app=web"], 300),
        ("no entry at all", "192.0.2.1", 0, 300, "", vec!["app=web"], 300),
        ("service", "10.0.0.9", 0, 0, "", vec![], 2),
    ] {
        let mut flow = flow(TO_ENDPOINT, 0, "8.8.8.8", address);
        (flow.traffic, flow.destination.identity) = (None, identity);
        enrich(&mut flow, &names);
        flow.destination.endpoint = endpoint;
        let fields = names.entity(&flow.destination).expect(row);
        let texts: Vec<&str> = fields.labels.iter().map(String::as_str).collect();
        assert_eq!((fields.pod_name, texts), (pod, labels), "{row}");
        assert_eq!(flow.destination.identity, expected, "{row}");
        let shared = names.shared_entity(&flow.destination).expect(row);
        assert_eq!(shared.fields(), fields, "{row}");
    }
}

#[test]
fn other_datapaths_keep_their_identities() {
    let names = snapshot();
    for (identity, expected) in [(0, 300), (2, 2), (16_777_217, 16_777_217)] {
        let mut flow = flow(FROM_ENDPOINT, 1, "10.0.0.1", "203.0.113.9");
        (flow.traffic, flow.destination.identity) = (None, identity);
        enrich(&mut flow, &names);
        assert_eq!(text(&flow.destination, &names), format!("office {expected}"));
    }
}

#[test]
fn control_group_names_socket_of_host() {
    let names = snapshot();
    for (cgroup, expected) in [(9, ["sshd.service 1", "office 300"]), (10, ["node 1", "office 300"])] {
        let mut flow = flow(0, 0, "192.0.2.1", "203.0.113.9");
        (flow.traffic, flow.observation_point) = (None, None);
        flow.sock = Some(Sock { point: TranslationPoint::PreForward, cookie: 1, cgroup });
        enrich(&mut flow, &names);
        assert_eq!([&flow.source, &flow.destination].map(|end| text(end, &names)), expected);
    }
}

#[test]
fn process_names_socket_of_host() {
    let names = snapshot();
    let (host, world) = ("192.0.2.77", "8.8.8.8");
    for (row, hook, ingress_ifindex, ends, control_group, expected) in [
        ("sent", Hook::ToNetwork, 0, [host, world], 0, ["curl 1", "world 2"]),
        ("received", Hook::FromNetwork, 2, [world, host], 0, ["world 2", "curl 1"]),
        ("of a unit", Hook::ToNetwork, 0, [host, world], 9, ["sshd.service 1", "world 2"]),
        ("of another group", Hook::ToNetwork, 0, [host, world], 10, ["curl 1", "world 2"]),
        ("drop of a sent one", Hook::Drop, 0, [host, world], 1, ["curl 1", "world 2"]),
        ("drop of a received one", Hook::Drop, 2, [world, host], 0, ["world 2", "curl 1"]),
        // A process of the machine listens at the port of a packet that the machine forwards.
        ("drop of a forwarded one", Hook::Drop, 2, [world, "9.9.9.9"], 0, ["world 2", "world 2"]),
    ] {
        let mut flow = flow(0, 0, ends[0], ends[1]);
        flow.observation_point = None;
        flow.traffic = Some(TrafficDelta {
            cgroup: control_group,
            process: 5,
            ..sample::traffic(hook, (2, ingress_ifindex), (1, 60))
        });
        enrich(&mut flow, &names);
        assert_eq!([&flow.source, &flow.destination].map(|end| text(end, &names)), expected, "{row}");
    }
}

#[test]
fn control_group_gives_socket_address() {
    let names = snapshot();
    for (cgroup, point, version, expected) in [
        (9, 1, 4, Some(("10.0.0.1", "9.9.9.9"))),
        (9, 4, 4, Some(("9.9.9.9", "10.0.0.1"))),
        (9, 2, 6, Some(("fe80::7", "9.9.9.9"))),
        (10, 1, 4, None),
    ] {
        let mut flow = flow(0, 0, "9.9.9.9", "9.9.9.9");
        let point = TranslationPoint::from_number(point);
        (flow.traffic, flow.sock) = (None, Some(Sock { point, cookie: 1, cgroup }));
        (flow.no_source_address, flow.no_destination_address) = (!point.is_reverse(), point.is_reverse());
        flow.ip.as_mut().unwrap().version = version;
        assert_eq!(socket(&mut flow, &names), expected.is_some());
        if let Some((source, destination)) = expected {
            let found = flow.ip.unwrap();
            assert_eq!((found.source, found.destination), (ip(source), ip(destination)));
            assert!(!flow.no_source_address && !flow.no_destination_address);
        }
    }
}

#[test]
fn spoofed_sources_rename_nothing() {
    let symbols = Symbols::default();
    let publisher = Publisher::new(links(&symbols));
    let registry = Registry::new(symbols.clone(), publisher.clone(), WantedTexts::default());
    registry.replace(Provider::File, entries());
    registry.publish();
    let mut reader = publisher.reader();
    let before = symbols.count();
    for number in 0..10_000_u32 {
        let mut flow = flow(FROM_ENDPOINT, 2, "10.0.7.7", "8.8.8.8");
        if let Some(ip) = &mut flow.ip
            && number % 2 == 0
        {
            ip.source = IpAddr::V4((0x0a07_0000 + number).into());
        }
        enrich(&mut flow, reader.refresh());
        assert_eq!(text(&flow.source, reader.snapshot()), "shop/db 300");
    }
    let mut honest = flow(TO_ENDPOINT, 1, "10.0.7.7", "10.0.0.1");
    enrich(&mut honest, reader.refresh());
    assert_eq!(text(&honest.source, reader.snapshot()), "elsewhere/pod 300");
    assert_eq!(symbols.count(), before);
}
