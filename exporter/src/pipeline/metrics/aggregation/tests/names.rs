//! Series and snapshots hold the names that they refer to.

use eyepiece_flow::flow::{End, Verdict};
use eyepiece_flow::interner::Symbols;
use eyepiece_wire::InterfaceKind;

use super::{Aggregation, Bench, IDLE, Links, aggregation, bench, flow};
use crate::metadata::InterfaceInfo;

#[test]
fn series_and_snapshots_hold_names() {
    let symbols = Symbols::default();
    let mut aggregation = aggregation(10).with_symbols(symbols.clone());
    let count = |aggregation: &mut Aggregation, time| {
        let leases = ["client", "server"].map(|name| symbols.lease(name));
        let [source, destination] = [0, 1].map(|end: usize| End { name: leases[end].symbol(), ..End::default() });
        super::count(aggregation, &flow(source, destination, Verdict::Forwarded, time));
        [source.name, destination.name]
    };
    let names = count(&mut aggregation, 100);
    let texts = || names.map(|name| symbols.text(name).to_string());
    let (held, freed) = (["client", "server"].map(str::to_owned), [String::new(), String::new()]);
    assert_eq!((texts(), symbols.count()), (held.clone(), 3));
    let snapshot = aggregation.snapshot(200);
    aggregation.expire(101 + IDLE);
    assert_eq!((texts(), symbols.count()), (held, 3), "the snapshot holds them");
    drop(snapshot);
    assert_eq!((texts(), symbols.count()), (freed, 1));
    let again = count(&mut aggregation, 2000);
    assert!(symbols.count() == 3 && again.iter().all(|name| !names.contains(name)));
}

#[test]
fn interface_series_hold_last_name() {
    let Bench { client, server, .. } = bench();
    let symbols = Symbols::default();
    let mut aggregation = aggregation(10);
    let publish = |aggregation: &mut Aggregation, name: Option<&str>, generation| {
        let mut links = Links::new(&symbols);
        if let Some(name) = name {
            let name = links.intern(name);
            links.add_interface(7, InterfaceInfo { name, ..InterfaceInfo::default() });
            links.set_generation(7, generation);
        }
        aggregation.set_links(&links.into());
    };
    let names = |aggregation: &Aggregation| {
        let names = aggregation.snapshot(9).names.interfaces;
        let mut names: Vec<_> = names.into_iter().map(|(id, lease)| (id, lease.text().to_string())).collect();
        names.sort_unstable();
        names
    };
    let named = |generation, name: &str| ((7, generation), name.to_owned());
    let flow = flow(client, server, Verdict::Forwarded, 100);
    aggregation.count(&flow, InterfaceKind::Endpoint);
    assert_eq!(names(&aggregation), []);
    for (name, generation, expected) in [
        (Some("a"), 0, vec![named(0, "a")]),
        (Some("b"), 0, vec![named(0, "b")]),
        (None, 0, vec![named(0, "b")]),
        (Some("c"), 4, vec![named(0, "b")]),
    ] {
        publish(&mut aggregation, name, generation);
        assert_eq!(names(&aggregation), expected);
    }
    aggregation.count(&flow, InterfaceKind::Endpoint);
    assert_eq!(names(&aggregation), [named(0, "b"), named(4, "c")]);
}
