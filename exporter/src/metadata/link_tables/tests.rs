//! Look-ups in a snapshot.

use std::net::IpAddr;

use eyepiece_flow::interner::{Symbol, Symbols};
use eyepiece_wire::InterfaceKind;

use super::{EndKind, InterfaceInfo, LinkTables};

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn sample(symbols: &Symbols) -> LinkTables {
    let mut links = LinkTables::new(symbols);
    for (ifindex, endpoint, name) in [(7, 1, "veth7"), (8, 2, "veth8")] {
        let kind = InterfaceKind::Endpoint;
        links.add_interface(ifindex, InterfaceInfo { name: symbols.intern(name), kind, endpoint });
    }
    links.add_host(ip("192.0.2.1"));
    links.add_host(ip("172.17.0.1"));
    links.add_endpoint_address(ip("10.0.0.7"), 1, false);
    links.add_endpoint_address(ip("fd00::7"), 1, false);
    links.add_endpoint_address(ip("fe80::1"), 1, false);
    links.add_endpoint_address(ip("fe80::1"), 2, false);
    links.add_endpoint_address(ip("172.17.0.1"), 2, false);
    links.add_endpoint_address(ip("10.0.0.7"), 2, true);
    links.add_endpoint_address(ip("10.0.0.8"), 1, true);
    links.add_endpoint_address(ip("10.0.0.8"), 2, false);
    links.add_endpoint_address(ip("10.0.0.9"), 2, true);
    links
}

#[test]
fn addresses_have_expected_owners() {
    let symbols = Symbols::default();
    let links = sample(&symbols);
    for (address, endpoint, name, kind, shared, learned) in [
        ("192.0.2.1", 0, "host", EndKind::Host, false, false),
        ("10.0.0.7", 1, "veth7", EndKind::Endpoint, false, false),
        ("::ffff:10.0.0.7", 1, "veth7", EndKind::Endpoint, false, false),
        ("fd00::7", 1, "veth7", EndKind::Endpoint, false, false),
        ("fe80::1", 1, "veth7", EndKind::Endpoint, true, false),
        ("172.17.0.1", 0, "host", EndKind::Host, true, false),
        ("10.0.0.8", 2, "veth8", EndKind::Endpoint, false, false),
        ("10.0.0.9", 2, "veth8", EndKind::Endpoint, false, true),
        ("8.8.8.8", 0, "world", EndKind::World, false, false),
        ("::", 0, "world", EndKind::World, false, false),
        ("::10.0.0.7", 0, "world", EndKind::World, false, false),
    ] {
        let end = links.end(&ip(address));
        assert_eq!((end.endpoint, &*symbols.text(end.name), end.kind), (endpoint, name, kind), "{address}");
        assert_eq!((end.shared, end.learned), (shared, learned), "{address}");
    }
}

#[test]
fn interfaces_and_namespaces_are_found() {
    let symbols = Symbols::default();
    let mut links = sample(&symbols);
    assert_eq!(links.interface(7).endpoint, 1);
    assert_eq!(&*symbols.text(links.interface(8).name), "veth8");
    assert_eq!(links.interface(99), InterfaceInfo::default());
    assert_eq!((&*symbols.text(links.endpoint_name(1)), links.endpoint_name(9)), ("veth7", Symbol::EMPTY));
    for (inode, endpoint) in [(100, 1), (100, 1), (200, 1), (200, 2), (200, 2), (300, 0)] {
        links.add_namespace(inode, endpoint);
    }
    let found = [100, 200, 300, 400].map(|inode| links.namespace(inode));
    assert_eq!(found, [Some(1), Some(0), Some(0), None]);
}
