//! The fixed world of the vectors: the owners of addresses and control groups.

use std::net::IpAddr;
use std::sync::Arc;

use eyepiece::metadata::provider::{ChangeReceiver as _, Entity, Key, Provider, Target};
use eyepiece::metadata::registry::Registry;
use eyepiece::metadata::{InterfaceInfo, Publisher, Snapshot, Tables, WantedTexts};
use eyepiece_flow::interner::Symbols;
use eyepiece_wire::InterfaceKind;
use serde_json::Value;

const WORLD: &str = include_str!("../../../tests/vectors/world.json");

/// What needs no names. Each endpoint has a network namespace with its number.
pub(crate) fn snapshot() -> Arc<Snapshot> {
    let world: Value = serde_json::from_str(WORLD).expect("JSON");
    let symbols = Symbols::default();
    let (mut tables, mut entries) = (Tables::new(&symbols), Vec::new());
    let rows = |table: &str| world[table].as_array().unwrap_or_else(|| panic!("{table}")).clone();
    for endpoint in rows("endpoints") {
        let id = u16::try_from(int(&endpoint["id"])).expect("an endpoint id");
        let name = symbols.intern(&format!("endpoint {id}"));
        tables.add_interface(u32::from(id), InterfaceInfo { name, kind: InterfaceKind::Endpoint, endpoint: id });
        tables.add_namespace(u32::from(id), id);
        entries.push((Key::Namespace(u32::from(id)), entity(int(&endpoint["identity"]), [None; 2])));
        for address in ["ipv4", "ipv6"].iter().filter_map(|&family| ip(&endpoint[family])) {
            tables.add_endpoint_address(address, id, false);
        }
    }
    for entry in rows("ipcache") {
        let prefix = entry["prefix"].as_str().expect("a prefix");
        let (address, length) = prefix.split_once('/').expect("a length");
        let key = Key::Prefix(address.parse().expect(prefix), length.parse().expect(prefix));
        entries.push((key, entity(int(&entry["identity"]), [None; 2])));
    }
    for group in rows("cgroups") {
        let addresses: Vec<_> = group["ips"].as_array().expect("addresses").iter().filter_map(ip).collect();
        let first = |is_wanted: fn(&IpAddr) -> bool| addresses.iter().copied().find(is_wanted);
        let key = Key::ControlGroup(group["id"].as_u64().expect("an id"));
        entries.push((key, entity(0, [first(IpAddr::is_ipv4), first(IpAddr::is_ipv6)])));
    }
    let publisher = Publisher::new(tables);
    let registry = Registry::new(symbols, publisher.clone(), WantedTexts::default());
    registry.replace(Provider::File, entries);
    registry.publish();
    Arc::clone(publisher.reader().snapshot())
}

fn entity(identity: u32, addresses: [Option<IpAddr>; 2]) -> Target {
    Target::Entity(Arc::new(Entity { identity, addresses, ..Entity::default() }))
}

fn int(value: &Value) -> u32 {
    value.as_u64().and_then(|number| number.try_into().ok()).expect("a number of 32 bits")
}

fn ip(value: &Value) -> Option<IpAddr> {
    value.as_str()?.parse().ok()
}

/// Takes out what needs names: those of an end, of DNS, of services, of links, and the rules behind a verdict.
pub(crate) fn without_names(expected: &mut Value) {
    let Some(flow) = expected.as_object_mut() else { return };
    let is_l7 = flow.get("Type").is_some_and(|kind| kind == "L7");
    for key in ["source_names", "destination_names", "source_service", "destination_service"] {
        flow.remove(key);
    }
    flow.retain(|key, _| !key.ends_with("gress_allowed_by") && !key.ends_with("gress_denied_by"));
    if let Some(interface) = flow.get_mut("interface").and_then(Value::as_object_mut) {
        interface.remove("name");
    }
    for end in ["source", "destination"] {
        if let Some(end) = flow.get_mut(end).and_then(Value::as_object_mut) {
            without_names_of_end(end, is_l7);
        }
    }
    if let Some(event) = flow.get_mut("debug_event")
        && let Some(source) = event.get_mut("source").and_then(Value::as_object_mut)
    {
        without_names_of_end(source, false);
    }
}

/// An access-log record brings the labels itself.
fn without_names_of_end(end: &mut serde_json::Map<String, Value>, has_labels: bool) {
    end.retain(|key, _| match key.as_str() {
        "namespace" | "pod_name" | "workloads" => false,
        "labels" | "cluster_name" => has_labels,
        _ => true,
    });
}
