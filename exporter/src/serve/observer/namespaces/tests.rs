//! What is listed, by when flows arrived; and what is not kept.

use std::cell::Cell;

use eyepiece_flow::flow::{EVENT_TRACE, EventType, Flow};
use eyepiece_flow::metadata::Metadata;
use eyepiece_flow::record::{Batch, Observed};

use super::{LONGEST, MOST, NOTED, Namespaces, REMEMBERED, SECOND, SWEEP, Watch};
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

struct Watched {
    namespaces: Namespaces,
    watch: Watch,
}

impl Watched {
    fn new() -> Self {
        let namespaces = Namespaces::default();
        Self { watch: namespaces.watch(now), namespaces }
    }

    /// Flows of a time of their own, each between two namespaces: `cluster/name`, or `name`.
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
        self.watch.send(Batch::new(ends.into_iter().map(flow).collect()));
    }

    fn list(&self) -> Vec<String> {
        let listed = self.namespaces.list(now()).into_iter();
        listed.map(|namespace| format!("{}/{}", namespace.cluster, namespace.name)).collect()
    }
}

#[test]
fn both_ends_are_listed_once_and_sorted_by_cluster() {
    let mut watched = Watched::new();
    watched.flows(START, [("west/shop", "east/shop"), ("", "bank"), ("west/shop", "west/bank"), ("bank", "")]);
    // Those of our own datapath know no pods.
    watched.watch.send(Batch::new(vec![Observed::Flow(Flow::empty(EventType { kind: EVENT_TRACE, subtype: 0 }))]));
    assert_eq!(watched.list(), ["/bank", "east/shop", "west/bank", "west/shop"]);
}

#[test]
fn they_are_remembered_for_an_hour_whatever_time_flows_have() {
    let mut watched = Watched::new();
    watched.flows(0, [("none", "")]);
    watched.flows(START - 2 * REMEMBERED, [("past", "")]);
    watched.flows(START + 2 * REMEMBERED, [("future", "")]);
    watched.flows(START, [("now", "")]);
    let all = ["/future", "/none", "/now", "/past"];
    assert_eq!(watched.list(), all);
    wait(REMEMBERED - 1);
    assert_eq!(watched.list(), all);
    wait(1);
    assert_eq!(watched.list(), Vec::<String>::new());
}

#[test]
fn who_is_seen_again_stays_and_the_others_are_swept() {
    let mut watched = Watched::new();
    watched.flows(START, [("stays", "goes")]);
    for _ in 0..REMEMBERED / NOTED {
        wait(NOTED);
        watched.flows(START, [("stays", "")]);
    }
    assert_eq!(watched.list(), ["/stays"]);
    wait(SWEEP);
    watched.flows(START, [("", "")]);
    let kept = |watched: &Watched| (watched.namespaces.seen().len(), watched.watch.count, watched.watch.noted.len());
    assert_eq!(kept(&watched), (1, 1, 1));
    wait(REMEMBERED);
    watched.flows(START, [("", "")]);
    assert_eq!(kept(&watched), (0, 0, 0));
    watched.flows(START, [("stays", "")]);
    assert_eq!(watched.list(), ["/stays"]);
}

#[test]
fn nothing_is_swept_between_sweeps() {
    let mut watched = Watched::new();
    watched.flows(START, [("old", "")]);
    wait(REMEMBERED - SWEEP + 1);
    watched.flows(START, [("a", "")]);
    wait(SWEEP - 1);
    // It is not listed any more, and goes with the next sweep.
    watched.flows(START, [("b", "")]);
    assert_eq!((watched.list(), watched.namespaces.seen().len()), (vec!["/a".to_owned(), "/b".to_owned()], 3));
    wait(1);
    watched.flows(START, [("", "")]);
    assert_eq!(watched.namespaces.seen().len(), 2);
}

#[test]
fn where_the_clock_is_set_back_the_hour_begins_anew() {
    let mut watched = Watched::new();
    watched.flows(START, [("a", "b")]);
    NOW.set(START - 24 * REMEMBERED);
    watched.flows(START, [("a", "")]);
    assert_eq!(watched.list(), ["/a", "/b"]);
    wait(REMEMBERED - 1);
    assert_eq!(watched.list(), ["/a", "/b"]);
    wait(1);
    assert_eq!(watched.list(), Vec::<String>::new());
}

#[test]
fn no_more_than_fit_are_kept_and_a_sweep_makes_room() {
    let mut watched = Watched::new();
    let names: Vec<String> = (0..MOST + 2).map(|number| format!("{}/n{number:05}", number % 3)).collect();
    watched.flows(START, names[..MOST].iter().map(|name| (name.as_str(), "")));
    assert_eq!((watched.list().len(), watched.watch.refused), (MOST, 0));
    watched.flows(START, [(names[MOST].as_str(), names[MOST + 1].as_str())]);
    assert_eq!((watched.list().len(), watched.watch.count, watched.watch.refused), (MOST, MOST, 2));
    wait(NOTED);
    // Those that are known stay known.
    watched.flows(START, [(names[0].as_str(), names[MOST].as_str())]);
    assert_eq!((watched.list().len(), watched.watch.refused), (MOST, 3));
    wait(REMEMBERED - NOTED);
    watched.flows(START, [(names[MOST].as_str(), "")]);
    let (first, new) = (names[0].clone(), names[MOST].clone());
    let mut listed = watched.list();
    listed.sort_by_key(|name| *name == new);
    assert_eq!((listed, watched.watch.refused), (vec![first, new], 0));
}

#[test]
fn names_that_are_none_are_not_kept() {
    let mut watched = Watched::new();
    let (fits, long) = ("n".repeat(LONGEST), "n".repeat(LONGEST + 1));
    watched.flows(START, [(fits.as_str(), long.as_str()), (&*format!("{long}/a"), "")]);
    assert_eq!((watched.list(), watched.watch.refused), (vec![format!("/{fits}")], 2));
}
