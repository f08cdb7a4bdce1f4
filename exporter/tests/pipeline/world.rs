//! The fixed world of the vectors: endpoints, identities, addresses, services, DNS names, links and control groups.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use eyepiece::metadata::provider::{ChangeReceiver as _, Entity, EntityKind, Key, Provider, Target};
use eyepiece::metadata::registry::Registry;
use eyepiece::metadata::{InterfaceInfo, LinkTables, NameSnapshot, Publisher, WantedTexts};
use eyepiece_flow::interner::Symbols;
use eyepiece_flow::l7::cluster_name;
use eyepiece_flow::metadata::{EndMetadata, Service, Workload};
use eyepiece_wire::InterfaceKind;
use serde_json::{Value, json};

/// The index of an endpoint's interface, less its id: behind those of the world's links.
const FIRST_ENDPOINT: u32 = 100_000;

const WORLD: &str = include_str!("../../../tests/vectors/world.json");

/// The world as one snapshot. Each endpoint has a network namespace with its number.
pub(crate) fn snapshot() -> Arc<NameSnapshot> {
    let world: Value = serde_json::from_str(WORLD).expect("JSON");
    let symbols = Symbols::default();
    let (mut links, mut entries, mut seen) = (LinkTables::new(&symbols), Vec::new(), Vec::new());
    let rows = |table: &str| world[table].as_array().unwrap_or_else(|| panic!("{table}")).clone();
    for link in rows("links") {
        let name = links.intern(&text(&link["name"]));
        links.add_interface(int(&link["index"]), InterfaceInfo { name, ..InterfaceInfo::default() });
    }
    for endpoint in rows("endpoints") {
        let id = u16::try_from(int(&endpoint["id"])).expect("an endpoint id");
        let name = links.intern(&format!("endpoint {id}"));
        let info = InterfaceInfo { name, kind: InterfaceKind::Endpoint, endpoint: id };
        links.add_interface(FIRST_ENDPOINT + u32::from(id), info);
        links.add_namespace(u32::from(id), id);
        let metadata = EndMetadata { workloads: workloads(&endpoint), ..pod(&endpoint, labels(&endpoint)) };
        entries.push((Key::Namespace(u32::from(id)), entity(int(&endpoint["identity"]), metadata)));
        for address in ["ipv4", "ipv6"].iter().filter_map(|&family| ip(&endpoint[family])) {
            links.add_endpoint_address(address, id, false);
        }
    }
    let identities: HashMap<u32, Vec<String>> =
        rows("identities").iter().map(|row| (int(&row["id"]), labels(row))).collect();
    for (&identity, labels) in &identities {
        entries.push((Key::Identity(identity), entity(identity, pod(&Value::Null, labels.clone()))));
    }
    for entry in rows("ipcache") {
        let (address, length) = entry["prefix"].as_str().and_then(|prefix| prefix.split_once('/')).expect("a prefix");
        let (address, length): (IpAddr, u8) = (address.parse().expect("an address"), length.parse().expect("a length"));
        let bits = if address.is_ipv4() { 32 } else { 128 };
        let key = if length == bits { Key::Address(address) } else { Key::Prefix(address, length) };
        let identity = int(&entry["identity"]);
        let labels = identities.get(&identity).cloned().unwrap_or_default();
        entries.push((key, entity(identity, pod(&entry, labels))));
    }
    for service in rows("services") {
        let (address, port) = (ip(&service["ip"]).expect("an address"), int(&service["port"]));
        let port = u16::try_from(port).expect("a port");
        let (name, namespace) = (text(&service["name"]), text(&service["namespace"]));
        let target = Entity { service: Some(Arc::new(Service { name, namespace })), ..Entity::default() };
        let target = Target::Entity(Arc::new(target));
        // The world has no protocols.
        for protocol in [6, 17, 132] {
            entries.push((Key::Service { address, port, protocol }, target.clone()));
        }
    }
    for row in rows("dns") {
        let dns_names = row["names"].as_array().expect("names").iter().map(text).collect();
        let target = Entity { kind: EntityKind::DnsName, dns_names, ..Entity::default() };
        seen.push((Key::Address(ip(&row["ip"]).expect("an address")), Target::Entity(Arc::new(target))));
    }
    for group in rows("cgroups") {
        let addresses: Vec<_> = group["ips"].as_array().expect("addresses").iter().filter_map(ip).collect();
        let first = |is_wanted: fn(&IpAddr) -> bool| addresses.iter().copied().find(is_wanted);
        let key = Key::ControlGroup(group["id"].as_u64().expect("an id"));
        let addresses = [first(IpAddr::is_ipv4), first(IpAddr::is_ipv6)];
        entries.push((key, Target::Entity(Arc::new(Entity { addresses, ..Entity::default() }))));
    }
    let publisher = Publisher::new(links);
    let registry = Registry::new(symbols, publisher.clone(), WantedTexts::default());
    registry.replace(Provider::File, entries);
    registry.replace(Provider::Dns, seen);
    registry.publish();
    Arc::clone(publisher.reader().snapshot())
}

fn entity(identity: u32, metadata: EndMetadata) -> Target {
    Target::Entity(Arc::new(Entity { identity, ..Entity::of(metadata) }))
}

fn pod(row: &Value, labels: Vec<String>) -> EndMetadata {
    let (namespace, pod_name) = (text(&row["namespace"]), text(&row["pod"]));
    let cluster_name = cluster_name(&labels).unwrap_or_default().to_owned();
    EndMetadata { namespace, pod_name, cluster_name, labels, ..EndMetadata::default() }
}

/// Labels as an agent sends them: sorted, and of CIDR labels the longest (Cilium `pkg/hubble/parser/common`).
fn labels(row: &Value) -> Vec<String> {
    let all: Vec<String> = row["labels"].as_array().expect("labels").iter().map(text).collect();
    let length = |label: &String| label.strip_prefix("cidr:")?.rsplit_once('/')?.1.parse::<u8>().ok();
    let longest = all.iter().filter_map(length).max().unwrap_or(0);
    let is_kept = |label: &String| length(label).is_none_or(|length| length == longest && length > 0);
    let mut kept: Vec<String> = all.iter().filter(|label| is_kept(label)).cloned().collect();
    kept.sort_unstable();
    kept
}

/// The workload of an endpoint: a deployment of its replica set, a cron job of its job (Cilium `pkg/k8s/utils`).
fn workloads(endpoint: &Value) -> Vec<Workload> {
    let (kind, name, hash) =
        (text(&endpoint["owner_kind"]), text(&endpoint["owner_name"]), text(&endpoint["template_hash"]));
    let (stem, suffix) = name.rsplit_once('-').unwrap_or_default();
    let (kind, name) = match kind.as_str() {
        "" => return Vec::new(),
        "ReplicaSet" if !hash.is_empty() && suffix == hash => ("Deployment", stem),
        "Job" if suffix.len() == 8 && suffix.bytes().all(|byte| byte.is_ascii_digit()) => ("CronJob", stem),
        kind => (kind, name.as_str()),
    };
    vec![Workload { name: name.to_owned(), kind: kind.to_owned() }]
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn int(value: &Value) -> u32 {
    value.as_u64().and_then(|number| number.try_into().ok()).expect("a number of 32 bits")
}

fn ip(value: &Value) -> Option<IpAddr> {
    value.as_str()?.parse().ok()
}

/// Removes what only one side has. From the reference: the rules behind a verdict, and the service of a socket without
/// protocol. From ours: labels and pods of access-log records that have none there, for upstream uses the record and the
/// ipcache alone; workloads and interfaces of debug messages; DNS names that another endpoint asked for.
pub(crate) fn align(ours: &mut Value, expected: &mut Value) {
    if let Some(flow) = expected.as_object_mut() {
        flow.retain(|key, _| !key.ends_with("gress_allowed_by") && !key.ends_with("gress_denied_by"));
    }
    let is_l7 = ours["Type"] == "L7";
    if ours["Type"] == "SOCK" && ours.get("l4").is_none() {
        retain(expected, &Value::Null, &["source_service", "destination_service"]);
    }
    for end in ["source", "destination"] {
        if is_l7 {
            retain(&mut ours[end], &expected[end], &["namespace", "pod_name", "labels", "cluster_name"]);
        }
        let names = format!("{end}_names");
        if ours[&names] == json!(["dns.google"]) {
            retain(ours, expected, &[&names]);
        }
    }
    if ours.pointer("/debug_event/source").is_some() {
        retain(&mut ours["debug_event"]["source"], &expected["debug_event"]["source"], &["workloads"]);
    }
    if ours["debug_event"]["type"] == "DBG_LXC_FOUND"
        && let Some(Value::String(message)) = ours.pointer_mut("/debug_event/message")
        && let Some((before, (_, after))) =
            message.split_once("ifindex ").map(|(a, b)| (a, b.split_once(' ').unwrap_or_default()))
    {
        *message = format!("{before}ifindex  {after}");
    }
}

/// Removes those of the keys that the reference lacks.
fn retain(ours: &mut Value, expected: &Value, keys: &[&str]) {
    if let Some(ours) = ours.as_object_mut() {
        ours.retain(|key, _| !keys.contains(&key.as_str()) || expected.get(key).is_some());
    }
}
