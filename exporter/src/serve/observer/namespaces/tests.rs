//! Checks the listed namespaces, by the arrival of flows, and the ignored ones.

use std::cell::Cell;
use std::sync::Arc;

use eyepiece_flow::flow::{EVENT_TRACE, EventType, Flow};
use eyepiece_flow::interner::Symbols;
use eyepiece_flow::metadata::{EndMetadata, Metadata};
use eyepiece_flow::record::{Batch, Observed};

use super::{
    MAX_NAME_BYTES, MAX_NAMESPACES, NamespaceRecorder, Namespaces, SECOND, SWEEP_INTERVAL, TTL, UPDATE_INTERVAL,
};
use crate::metadata::provider::{ChangeReceiver as _, Entity, Key, Provider, Target};
use crate::metadata::registry::Registry;
use crate::metadata::{Publisher, WantedTexts};
use crate::pipeline::Sink as _;

/// Some time in 2023.
const START: u64 = 1_700_000_000 * SECOND;

thread_local! {
    static NOW: Cell<u64> = const { Cell::new(START) };
}

fn now() -> u64 {
    NOW.get()
}

fn wait(time: u64) {
    NOW.set(NOW.get() + time);
}

struct Fixture {
    namespaces: Namespaces,
    recorder: NamespaceRecorder,
}

impl Fixture {
    fn new() -> Self {
        let namespaces = Namespaces::default();
        Self { recorder: namespaces.recorder(now), namespaces }
    }

    /// Sends flows with this time, each between two namespaces: `cluster/name`, or `name`.
    fn flows<'a>(&mut self, time: u64, ends: impl IntoIterator<Item = (&'a str, &'a str)>) {
        let flow = |(source, destination): (&str, &str)| {
            let mut metadata = Metadata::default();
            for (end, name) in [(&mut metadata.source, source), (&mut metadata.destination, destination)] {
                let (cluster, name) = name.split_once('/').unwrap_or(("", name));
                (end.cluster_name, end.namespace) = (cluster.to_owned(), name.to_owned());
            }
            let mut flow = Flow::empty(EventType { kind: EVENT_TRACE, subtype: 0 });
            (flow.time, flow.metadata) = (time, Some(Box::new(metadata)));
            Observed::Flow(flow)
        };
        self.recorder.send(Batch::new(ends.into_iter().map(flow).collect()));
    }

    fn list(&self) -> Vec<String> {
        let listed = self.namespaces.list(now()).into_iter();
        listed.map(|namespace| format!("{}/{}", namespace.cluster, namespace.name)).collect()
    }
}

#[test]
fn namespaces_are_listed_once_and_sorted() {
    let mut fixture = Fixture::new();
    fixture.flows(START, [("west/shop", "east/shop"), ("", "bank"), ("west/shop", "west/bank"), ("bank", "")]);
    // Flows of our own datapath have no pods.
    fixture.recorder.send(Batch::new(vec![Observed::Flow(Flow::empty(EventType { kind: EVENT_TRACE, subtype: 0 }))]));
    assert_eq!(fixture.list(), ["/bank", "east/shop", "west/bank", "west/shop"]);
}

#[test]
fn arrival_time_decides_the_hour() {
    let mut fixture = Fixture::new();
    fixture.flows(0, [("none", "")]);
    fixture.flows(START - 2 * TTL, [("past", "")]);
    fixture.flows(START + 2 * TTL, [("future", "")]);
    fixture.flows(START, [("now", "")]);
    let all = ["/future", "/none", "/now", "/past"];
    assert_eq!(fixture.list(), all);
    wait(TTL - 1);
    assert_eq!(fixture.list(), all);
    wait(1);
    assert_eq!(fixture.list(), Vec::<String>::new());
}

#[test]
fn only_expired_namespaces_are_swept() {
    let mut fixture = Fixture::new();
    fixture.flows(START, [("stays", "goes")]);
    for _ in 0..TTL / UPDATE_INTERVAL {
        wait(UPDATE_INTERVAL);
        fixture.flows(START, [("stays", "")]);
    }
    assert_eq!(fixture.list(), ["/stays"]);
    wait(SWEEP_INTERVAL);
    fixture.flows(START, [("", "")]);
    let kept =
        |fixture: &Fixture| (fixture.namespaces.seen().len(), fixture.recorder.count, fixture.recorder.recorded.len());
    assert_eq!(kept(&fixture), (1, 1, 1));
    wait(TTL);
    fixture.flows(START, [("", "")]);
    assert_eq!(kept(&fixture), (0, 0, 0));
    fixture.flows(START, [("stays", "")]);
    assert_eq!(fixture.list(), ["/stays"]);
}

#[test]
fn expired_namespace_stays_until_sweep() {
    let mut fixture = Fixture::new();
    fixture.flows(START, [("old", "")]);
    wait(TTL - SWEEP_INTERVAL + 1);
    fixture.flows(START, [("a", "")]);
    wait(SWEEP_INTERVAL - 1);
    // No longer listed, but kept until the next sweep.
    fixture.flows(START, [("b", "")]);
    assert_eq!((fixture.list(), fixture.namespaces.seen().len()), (vec!["/a".to_owned(), "/b".to_owned()], 3));
    wait(1);
    fixture.flows(START, [("", "")]);
    assert_eq!(fixture.namespaces.seen().len(), 2);
}

#[test]
fn hour_restarts_when_clock_goes_back() {
    let mut fixture = Fixture::new();
    fixture.flows(START, [("a", "b")]);
    NOW.set(START - 24 * TTL);
    fixture.flows(START, [("a", "")]);
    assert_eq!(fixture.list(), ["/a", "/b"]);
    wait(TTL - 1);
    assert_eq!(fixture.list(), ["/a", "/b"]);
    wait(1);
    assert_eq!(fixture.list(), Vec::<String>::new());
}

#[test]
fn namespaces_beyond_limit_are_ignored() {
    let mut fixture = Fixture::new();
    let names: Vec<String> = (0..MAX_NAMESPACES + 2).map(|number| format!("{}/n{number:05}", number % 3)).collect();
    fixture.flows(START, names[..MAX_NAMESPACES].iter().map(|name| (name.as_str(), "")));
    assert_eq!((fixture.list().len(), fixture.recorder.ignored), (MAX_NAMESPACES, 0));
    fixture.flows(START, [(names[MAX_NAMESPACES].as_str(), names[MAX_NAMESPACES + 1].as_str())]);
    assert_eq!(
        (fixture.list().len(), fixture.recorder.count, fixture.recorder.ignored),
        (MAX_NAMESPACES, MAX_NAMESPACES, 2)
    );
    wait(UPDATE_INTERVAL);
    // Known namespaces stay.
    fixture.flows(START, [(names[0].as_str(), names[MAX_NAMESPACES].as_str())]);
    assert_eq!((fixture.list().len(), fixture.recorder.ignored), (MAX_NAMESPACES, 3));
    wait(TTL - UPDATE_INTERVAL);
    fixture.flows(START, [(names[MAX_NAMESPACES].as_str(), "")]);
    let (first, new) = (names[0].clone(), names[MAX_NAMESPACES].clone());
    let mut listed = fixture.list();
    listed.sort_by_key(|name| *name == new);
    assert_eq!((listed, fixture.recorder.ignored), (vec![first, new], 0));
}

#[test]
fn too_long_names_are_ignored() {
    let mut fixture = Fixture::new();
    let (fits, long) = ("n".repeat(MAX_NAME_BYTES), "n".repeat(MAX_NAME_BYTES + 1));
    fixture.flows(START, [(fits.as_str(), long.as_str()), (&*format!("{long}/a"), "")]);
    assert_eq!((fixture.list(), fixture.recorder.ignored), (vec![format!("/{fits}")], 2));
}

#[test]
fn entities_have_namespaces() {
    let publisher = Publisher::default();
    let registry = Registry::new(Symbols::default(), publisher.clone(), WantedTexts::default());
    let metadata = EndMetadata { namespace: "shop".to_owned(), ..EndMetadata::default() };
    let entity = Target::Entity(Arc::new(Entity::of(metadata)));
    let address = [10, 0, 0, 1].into();
    registry.replace(Provider::Kubernetes, vec![(Key::Address(address), entity)]);
    registry.publish();
    let snapshot = Arc::clone(publisher.reader().snapshot());
    let mut flow = Flow::empty(EventType { kind: EVENT_TRACE, subtype: 0 });
    flow.source.entity = snapshot.entity_at_address(&address, None).expect("an entity").entity;
    let mut fixture = Fixture::new();
    fixture.recorder.send(Batch::with_names(vec![Observed::Flow(flow)], snapshot));
    assert_eq!(fixture.list(), ["/shop"]);
}
