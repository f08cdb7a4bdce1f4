//! Endpoints that come, get names from providers, and go; and the notifications of it.

use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use eyepiece_flow::agent_event::{AgentEvent, AgentEventKind, Notification};
use eyepiece_flow::cilium_release::Producer;
use eyepiece_flow::decode::{self, Pairing};
use eyepiece_flow::event::Event;
use eyepiece_flow::metadata::EndMetadata;
use eyepiece_flow::record::Observed;

use super::EndpointFollower;
use crate::metadata::provider::{Change, ChangeReceiver as _, Entity, Key, Provider, Target};
use crate::metadata::registry::tests::Bench;
use crate::metadata::{InterfaceInfo, LinkTables};
use crate::serve::monitor::notifier::{Inbox, notifier};
use crate::support::shutdown;
use crate::support::telemetry::Telemetry;

/// A follower over a registry of names, and what it sends.
struct Scene {
    bench: Bench,
    follower: EndpointFollower,
    inbox: Inbox,
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn container(name: &str, identity: u32) -> Target {
    let (namespace, pod_name) = ("shop".to_owned(), name.to_owned());
    let labels = vec![format!("container:name={name}")];
    let metadata = EndMetadata { namespace, pod_name, labels, ..EndMetadata::default() };
    Target::Entity(Arc::new(Entity { identity, ..Entity::of(metadata) }))
}

impl Scene {
    fn new() -> Self {
        let bench = Bench::new();
        let (notifier, inbox) = notifier(&Telemetry::default(), || 5);
        let follower = EndpointFollower::new(&bench.publisher, notifier, || Some(ip("192.0.2.1")));
        Self { bench, follower, inbox }
    }

    /// Publishes the endpoint 7 at `veth7`, in the namespace 4711 if one is known, with configured addresses.
    fn publish(&self, namespace: Option<u32>, addresses: &[&str]) {
        let mut links = LinkTables::new(&self.bench.symbols);
        let name = links.intern("veth7");
        links.add_interface(3, InterfaceInfo { name, endpoint: 7, ..InterfaceInfo::default() });
        addresses.iter().for_each(|address| links.add_endpoint_address(ip(address), 7, false));
        namespace.iter().for_each(|inode| links.add_namespace(*inode, 7));
        self.bench.publisher.publish(links);
    }

    fn name(&self, key: Key, target: Option<Target>) {
        let change = match target {
            Some(target) => Change::Set(key, target),
            None => Change::Remove(key),
        };
        self.bench.registry.apply(Provider::Docker, vec![change]);
        self.bench.registry.publish();
        self.follower.update();
    }

    /// The decoded notifications since the last call, as `KIND ID/CIDR NAMES`.
    fn sent(&mut self) -> Vec<String> {
        let (mut found, mut pairing) = (Vec::new(), Pairing::default());
        self.inbox.deliver(true, &mut |event| {
            let Event::Notification(raw) = event else { panic!("{event:?}") };
            let Ok(Observed::Agent(event)) = decode::decode(raw, Producer::default(), &mut pairing) else { panic!() };
            found.push(line(&event));
        });
        found
    }
}

fn line(event: &AgentEvent) -> String {
    let kind = match event.kind {
        AgentEventKind::EndpointCreated => "created",
        AgentEventKind::EndpointRegenerateSuccess => "changed",
        AgentEventKind::EndpointDeleted => "deleted",
        AgentEventKind::IpcacheUpserted => "upserted",
        AgentEventKind::IpcacheDeleted => "removed",
        kind => panic!("{kind:?}"),
    };
    match &event.notification {
        Notification::Endpoint { id, labels, pod_name, namespace, interface, .. } => {
            format!("{kind} {id} {interface} {namespace}/{pod_name} {labels:?}")
        }
        Notification::Ipcache { cidr, identity, old_identity, host_ip, namespace, pod_name, .. } => {
            assert_eq!(host_ip, "192.0.2.1");
            format!("{kind} {cidr} {identity} {old_identity:?} {namespace}/{pod_name}")
        }
        other => panic!("{other:?}"),
    }
}

const WEB: &str = "7 veth7 shop/web [\"container:name=web\"]";

#[test]
fn late_name_is_a_change() {
    let mut scene = Scene::new();
    scene.publish(Some(4711), &["10.0.0.7"]);
    scene.follower.created(7, "veth7".into());
    scene.follower.learned(ip("10.0.0.7"), 7);
    assert_eq!(scene.sent(), ["created 7 veth7 / []", "upserted 10.0.0.7/32 0 None /"]);
    scene.name(Key::Namespace(4711), Some(container("web", 77)));
    assert_eq!(scene.sent(), [format!("changed {WEB}"), "upserted 10.0.0.7/32 77 Some(0) shop/web".to_owned()]);
    scene.name(Key::Namespace(4712), Some(container("other", 78)));
    assert_eq!(scene.sent(), [""; 0], "nothing that an endpoint has");

    scene.name(Key::Namespace(4711), Some(container("api", 78)));
    let renamed = ["changed 7 veth7 shop/api [\"container:name=api\"]", "upserted 10.0.0.7/32 78 Some(77) shop/api"];
    assert_eq!(scene.sent(), renamed);
    scene.name(Key::Namespace(4711), Some(container("web", 77)));
    assert_eq!(scene.sent().len(), 2);

    // The provider reports the end first.
    scene.name(Key::Namespace(4711), None);
    assert_eq!(scene.sent(), [""; 0]);
    scene.follower.forgotten(ip("10.0.0.7"));
    scene.follower.deleted(7, "veth7".into());
    assert_eq!(scene.sent(), ["removed 10.0.0.7/32 77 None shop/web".to_owned(), format!("deleted {WEB}")]);
    scene.publish(Some(4713), &[]);
    scene.follower.created(7, "veth9".into());
    assert_eq!(scene.sent(), ["created 7 veth9 / []"], "another endpoint");
}

#[test]
fn known_name_is_in_first_notification() {
    let mut scene = Scene::new();
    scene.name(Key::Namespace(4711), Some(container("web", 77)));
    scene.publish(Some(4711), &[]);
    scene.follower.created(7, "veth7".into());
    scene.follower.learned(ip("fd00::7"), 7);
    assert_eq!(scene.sent(), [format!("created {WEB}"), "upserted fd00::7/128 77 None shop/web".to_owned()]);
    scene.follower.update();
    scene.follower.learned(ip("fd00::7"), 7);
    assert_eq!(scene.sent(), [""; 0], "nothing new");
    scene.follower.created(8, "veth8".into());
    scene.follower.learned(ip("fd00::7"), 8);
    assert_eq!(scene.sent(), ["created 8 veth8 / []", "upserted fd00::7/128 0 Some(77) /"], "the address moves");
}

#[test]
fn only_configured_address_names_endpoint() {
    let mut scene = Scene::new();
    scene.publish(None, &["10.0.0.7"]);
    scene.follower.created(7, "veth7".into());
    scene.follower.learned(ip("10.0.0.8"), 7);
    scene.name(Key::Address(ip("10.0.0.8")), Some(container("db", 78)));
    assert_eq!(scene.sent(), ["created 7 veth7 / []", "upserted 10.0.0.8/32 0 None /"], "learned from packets");
    scene.follower.learned(ip("10.0.0.7"), 7);
    scene.name(Key::Address(ip("10.0.0.7")), Some(container("web", 77)));
    let expected = [
        "upserted 10.0.0.7/32 0 None /".to_owned(),
        format!("changed {WEB}"),
        "upserted 10.0.0.7/32 77 Some(0) shop/web".to_owned(),
        "upserted 10.0.0.8/32 77 Some(0) shop/web".to_owned(),
    ];
    assert_eq!(scene.sent(), expected);
}

#[tokio::test]
async fn publications_and_addresses_cause_comparisons() {
    let scene = Mutex::new(Scene::new());
    let (stopper, stop) = shutdown::channel();
    let task = tokio::spawn(scene.lock().unwrap().follower.clone().run(stop));
    scene.lock().unwrap().publish(None, &["10.0.0.7"]);
    scene.lock().unwrap().follower.created(7, "veth7".into());
    let registry = Arc::clone(&scene.lock().unwrap().bench.registry);
    registry.apply(Provider::File, vec![Change::Set(Key::Address(ip("10.0.0.7")), container("web", 77))]);
    registry.publish();
    // After the comparison that follows the publication, the address alone causes the next one.
    tokio::time::sleep(super::INTERVAL * 2).await;
    scene.lock().unwrap().follower.learned(ip("10.0.0.7"), 7);
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(10);
    let mut sent = Vec::new();
    while sent.len() < 4 && tokio::time::Instant::now() < deadline {
        sent.extend(scene.lock().unwrap().sent());
        tokio::time::sleep(super::INTERVAL / 10).await;
    }
    assert_eq!(sent[2..], [format!("changed {WEB}"), "upserted 10.0.0.7/32 77 Some(0) shop/web".to_owned()]);
    stopper.send_replace(Some(deadline));
    task.await.unwrap();
}
