//! Updates of the list and the notifications that clients receive.

use std::sync::Arc;

use eyepiece_config::Peer;
use eyepiece_hubble::proto::peer::{ChangeNotification, ChangeNotificationType};
use eyepiece_semconv::metric;
use tokio::sync::broadcast::error::TryRecvError;
use tokio::sync::oneshot;

use super::{CHANGE_QUEUE, LocalAddresses, PeerRegistry, Subscription};
use crate::support::incidents::Incidents;
use crate::support::telemetry::{Number, Telemetry};

fn incidents() -> Incidents {
    Incidents::new(&Telemetry::default(), &metric::EYEPIECE_HUBBLE_PEER_INCIDENTS)
}

fn peers(texts: &[&str]) -> Vec<Peer> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

fn local(address: &str) -> LocalAddresses {
    LocalAddresses { advertised: address.to_owned(), reachable: [address.parse().unwrap()].into() }
}

fn registry(tls: bool, configured: &[&str]) -> PeerRegistry {
    PeerRegistry::new("us".to_owned(), tls, local("10.0.0.1:4244"), peers(configured), 2, Number::default())
}

fn subscribe(registry: &mut PeerRegistry) -> Subscription {
    let (reply, subscription) = oneshot::channel();
    registry.subscribe(reply, &incidents());
    subscription.blocking_recv().unwrap()
}

fn received(subscription: &mut Subscription) -> Vec<String> {
    let mut received = Vec::new();
    let nodes = std::mem::take(&mut subscription.nodes);
    let changes = std::iter::from_fn(|| subscription.changes.try_recv().ok());
    for change in nodes.iter().cloned().chain(changes) {
        let ChangeNotification { name, address, r#type, tls } = &*change;
        let sign = match ChangeNotificationType::try_from(*r#type).unwrap() {
            ChangeNotificationType::PeerAdded => '+',
            ChangeNotificationType::PeerDeleted => '-',
            ChangeNotificationType::PeerUpdated => '~',
            ChangeNotificationType::Unknown => '?',
        };
        let tls = tls.as_ref().map(|tls| format!(" {}", tls.server_name)).unwrap_or_default();
        received.push(format!("{sign}{name} {address}{tls}"));
    }
    received
}

#[test]
fn updates_become_notifications() {
    let incidents = incidents();
    let mut registry = registry(false, &["c/d=10.0.0.4", "b=10.0.0.2:4244"]);
    let mut stream = subscribe(&mut registry);
    assert_eq!(received(&mut stream), ["+us 10.0.0.1:4244", "+b 10.0.0.2:4244", "+c/d 10.0.0.4"], "this node first");
    let steps: &[(&str, &[&str], &[&str])] = &[
        ("file", &["e=10.0.0.5:4244"], &["+e 10.0.0.5:4244"]),
        ("file", &["e=10.0.0.5:4244"], &[]),
        ("file", &["e=10.0.0.6:4244"], &["~e 10.0.0.6:4244"]),
        ("file", &["f=10.0.0.6:4244"], &["-e 10.0.0.6:4244", "+f 10.0.0.6:4244"]),
        ("file", &["f=10.0.0.6:4244", "b=10.9.9.9:1"], &[]),
        ("file", &["us=a.example:4244"], &["-f 10.0.0.6:4244", "~us a.example:4244"]),
        ("file", &[], &["~us 10.0.0.1:4244"]),
        ("local", &["10.0.0.9:4244"], &["~us 10.0.0.9:4244"]),
        ("dns 0", &["10.0.0.7:4244", "10.0.0.9:4244"], &["+10.0.0.7 10.0.0.7:4244"]),
        ("dns 1", &["10.0.0.7:4244", "10.0.0.2:4244", "10.0.0.4:4244"], &[]),
        ("dns 0", &[], &[]),
        ("dns 1", &["[fd00::7]:4244"], &["-10.0.0.7 10.0.0.7:4244", "+fd00::7 [fd00::7]:4244"]),
        ("file", &["g=[fd00::7]"], &["-fd00::7 [fd00::7]:4244", "+g [fd00::7]"]),
    ];
    for (number, (source, texts, expected)) in steps.iter().enumerate() {
        let addresses = || texts.iter().map(|text| text.parse().unwrap()).collect();
        match *source {
            "file" => registry.file = peers(texts),
            "local" => registry.local = local(texts[0]),
            "dns 0" => registry.domains[0] = addresses(),
            _ => registry.domains[1] = addresses(),
        }
        registry.update(&incidents);
        assert_eq!(received(&mut stream), *expected, "step {number}");
    }
    let mut late = subscribe(&mut registry);
    assert_eq!(
        received(&mut late),
        ["+us 10.0.0.9:4244", "+b 10.0.0.2:4244", "+c/d 10.0.0.4", "+g [fd00::7]"],
        "a later client receives all nodes"
    );
    assert_eq!(registry.count.get(), 4);
}

#[test]
fn tls_nodes_have_server_names() {
    let mut registry = registry(true, &["c.d/b.example=10.0.0.2:4244", "e=unix:///run/e.sock"]);
    let mut stream = subscribe(&mut registry);
    assert_eq!(
        received(&mut stream),
        [
            "+us 10.0.0.1:4244 us.default.hubble-grpc.cilium.io",
            "+c.d/b.example 10.0.0.2:4244 b-example.c-d.hubble-grpc.cilium.io",
            "+e unix:///run/e.sock",
        ]
    );
}

#[test]
fn only_slow_client_lags() {
    let incidents = incidents();
    let mut registry = registry(false, &[]);
    let (mut behind, mut quick) = (subscribe(&mut registry), subscribe(&mut registry));
    for change in 0..=CHANGE_QUEUE {
        registry.file = peers(if change % 2 == 0 { &["b=10.0.0.2:1"] } else { &["b=10.0.0.2:2"] });
        registry.update(&incidents);
        assert!(!received(&mut quick).is_empty());
    }
    assert_eq!(behind.changes.try_recv().unwrap_err(), TryRecvError::Lagged(1));
    drop((behind, quick));
    registry.update(&incidents);
    assert!(registry.changes.is_none(), "no client is subscribed");
}

#[test]
fn clients_share_notifications() {
    let incidents = incidents();
    let mut registry = registry(false, &["b=10.0.0.2:1", "c=10.0.0.3:1"]);
    let (one, mut other) = (subscribe(&mut registry), subscribe(&mut registry));
    assert!(Arc::ptr_eq(&one.nodes, &other.nodes));
    registry.file = peers(&["d=10.0.0.4:1"]);
    registry.update(&incidents);
    let mut late = subscribe(&mut registry);
    for (before, after) in one.nodes.iter().zip(&*late.nodes) {
        assert!(Arc::ptr_eq(before, after), "{before:?}");
    }
    let change = other.changes.try_recv().unwrap();
    assert!(Arc::ptr_eq(&change, &late.nodes[3]));
    assert!(late.changes.try_recv().is_err(), "its snapshot has the change");
}

#[test]
fn nodes_beyond_limit_are_dropped() {
    let incidents = incidents();
    let mut registry = registry(false, &[]);
    registry.configured = (0..2 * super::MAX_PEERS).map(|number| format!("n{number}=h").parse().unwrap()).collect();
    registry.update(&incidents);
    let mut stream = subscribe(&mut registry);
    let received = received(&mut stream);
    assert_eq!((received.len(), received[0].as_str()), (super::MAX_PEERS, "+us 10.0.0.1:4244"));
}
