//! Changes of the list, as a table of what is told and what clients hear of it.

use std::sync::Arc;

use eyepiece_config::Peer;
use eyepiece_hubble::proto::peer::{ChangeNotification, ChangeNotificationType};
use tokio::sync::broadcast::error::TryRecvError;
use tokio::sync::oneshot;

use super::{Own, QUEUE, Roster, Subscription};
use crate::serve::peer::Incidents;
use crate::support::telemetry::{Number, Telemetry};

fn peers(texts: &[&str]) -> Vec<Peer> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

fn own(address: &str) -> Own {
    Own { address: address.to_owned(), ways: [address.parse().unwrap()].into() }
}

fn roster(tls: bool, fixed: &[&str]) -> Roster {
    Roster::new("us".to_owned(), tls, own("10.0.0.1:4244"), peers(fixed), 2, Number::default())
}

fn subscribe(roster: &mut Roster) -> Subscription {
    let (reply, subscription) = oneshot::channel();
    roster.subscribe(reply, &Incidents(Telemetry::default()));
    subscription.blocking_recv().unwrap()
}

fn heard(subscription: &mut Subscription) -> Vec<String> {
    let mut heard = Vec::new();
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
        heard.push(format!("{sign}{name} {address}{tls}"));
    }
    heard
}

#[test]
fn what_clients_hear() {
    let incidents = Incidents(Telemetry::default());
    let mut roster = roster(false, &["c/d=10.0.0.4", "b=10.0.0.2:4244"]);
    let mut stream = subscribe(&mut roster);
    assert_eq!(heard(&mut stream), ["+us 10.0.0.1:4244", "+b 10.0.0.2:4244", "+c/d 10.0.0.4"], "ourselves first");
    let steps: &[(&str, &[&str], &[&str])] = &[
        ("file", &["e=10.0.0.5:4244"], &["+e 10.0.0.5:4244"]),
        ("file", &["e=10.0.0.5:4244"], &[]),
        ("file", &["e=10.0.0.6:4244"], &["~e 10.0.0.6:4244"]),
        ("file", &["f=10.0.0.6:4244"], &["-e 10.0.0.6:4244", "+f 10.0.0.6:4244"]),
        ("file", &["f=10.0.0.6:4244", "b=10.9.9.9:1"], &[]),
        ("file", &["us=a.example:4244"], &["-f 10.0.0.6:4244", "~us a.example:4244"]),
        ("file", &[], &["~us 10.0.0.1:4244"]),
        ("own", &["10.0.0.9:4244"], &["~us 10.0.0.9:4244"]),
        ("dns 0", &["10.0.0.7:4244", "10.0.0.9:4244"], &["+10.0.0.7 10.0.0.7:4244"]),
        ("dns 1", &["10.0.0.7:4244", "10.0.0.2:4244", "10.0.0.4:4244"], &[]),
        ("dns 0", &[], &[]),
        ("dns 1", &["[fd00::7]:4244"], &["-10.0.0.7 10.0.0.7:4244", "+fd00::7 [fd00::7]:4244"]),
        ("file", &["g=[fd00::7]"], &["-fd00::7 [fd00::7]:4244", "+g [fd00::7]"]),
    ];
    for (number, (who, what, expected)) in steps.iter().enumerate() {
        let addresses = || what.iter().map(|text| text.parse().unwrap()).collect();
        match *who {
            "file" => roster.file = peers(what),
            "own" => roster.own = own(what[0]),
            "dns 0" => roster.domains[0] = addresses(),
            _ => roster.domains[1] = addresses(),
        }
        roster.update(&incidents);
        assert_eq!(heard(&mut stream), *expected, "step {number}");
    }
    let mut late = subscribe(&mut roster);
    assert_eq!(
        heard(&mut late),
        ["+us 10.0.0.9:4244", "+b 10.0.0.2:4244", "+c/d 10.0.0.4", "+g [fd00::7]"],
        "all of them for who comes later"
    );
    assert_eq!(roster.count.get(), 4);
}

#[test]
fn names_of_certificates() {
    let mut roster = roster(true, &["c.d/b.example=10.0.0.2:4244", "e=unix:///run/e.sock"]);
    let mut stream = subscribe(&mut roster);
    assert_eq!(
        heard(&mut stream),
        [
            "+us 10.0.0.1:4244 us.default.hubble-grpc.cilium.io",
            "+c.d/b.example 10.0.0.2:4244 b-example.c-d.hubble-grpc.cilium.io",
            "+e unix:///run/e.sock",
        ]
    );
}

#[test]
fn who_is_too_far_behind_is_told_and_nobody_else() {
    let incidents = Incidents(Telemetry::default());
    let mut roster = roster(false, &[]);
    let (mut behind, mut quick) = (subscribe(&mut roster), subscribe(&mut roster));
    for change in 0..=QUEUE {
        roster.file = peers(if change % 2 == 0 { &["b=10.0.0.2:1"] } else { &["b=10.0.0.2:2"] });
        roster.update(&incidents);
        assert!(!heard(&mut quick).is_empty());
    }
    assert_eq!(behind.changes.try_recv().unwrap_err(), TryRecvError::Lagged(1));
    drop((behind, quick));
    roster.update(&incidents);
    assert!(roster.changes.is_none(), "nobody listens");
}

#[test]
fn clients_share_what_they_are_told() {
    let incidents = Incidents(Telemetry::default());
    let mut roster = roster(false, &["b=10.0.0.2:1", "c=10.0.0.3:1"]);
    let (one, mut other) = (subscribe(&mut roster), subscribe(&mut roster));
    assert!(Arc::ptr_eq(&one.nodes, &other.nodes));
    roster.file = peers(&["d=10.0.0.4:1"]);
    roster.update(&incidents);
    let mut late = subscribe(&mut roster);
    for (before, after) in one.nodes.iter().zip(&*late.nodes) {
        assert!(Arc::ptr_eq(before, after), "{before:?}");
    }
    let change = other.changes.try_recv().unwrap();
    assert!(Arc::ptr_eq(&change, &late.nodes[3]));
    assert!(late.changes.try_recv().is_err(), "it came later");
}

#[test]
fn a_list_has_an_end() {
    let incidents = Incidents(Telemetry::default());
    let mut roster = roster(false, &[]);
    roster.fixed = (0..2 * super::MAX_PEERS).map(|number| format!("n{number}=h").parse().unwrap()).collect();
    roster.update(&incidents);
    let mut stream = subscribe(&mut roster);
    let heard = heard(&mut stream);
    assert_eq!((heard.len(), heard[0].as_str()), (super::MAX_PEERS, "+us 10.0.0.1:4244"));
}
