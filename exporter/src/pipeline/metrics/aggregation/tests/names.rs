//! Series and snapshots hold the names that they refer to.

use std::sync::Arc;

use eyepiece_flow::flow::{End, Verdict};
use eyepiece_flow::interner::Symbols;
use eyepiece_flow::metadata::{EndMetadata, Metadata, Workload};
use eyepiece_wire::InterfaceKind;

use super::{Aggregation, Bench, IDLE, aggregation, bench, config, flow, metric};
use crate::metadata::provider::{Change, ChangeReceiver as _, Entity, Key, Provider, Target};
use crate::metadata::registry::Registry;
use crate::metadata::{InterfaceInfo, LinkTables, Publisher};
use crate::pipeline::metrics::{Context, Handlers, Identity, MetricKind, Value};

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
        let mut links = LinkTables::new(&symbols);
        if let Some(name) = name {
            let name = links.intern(name);
            links.add_interface(7, InterfaceInfo { name, ..InterfaceInfo::default() });
            links.set_generation(7, generation);
        }
        aggregation.set_names(&Arc::new(links.into()));
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

#[test]
fn entities_name_series_by_context() {
    let (symbols, publisher) = (Symbols::default(), Publisher::default());
    let context: Context = "workload|app|pod|name".parse().unwrap();
    let contexts = Handlers::usual(&context, &context);
    let registry = Registry::new(symbols.clone(), publisher.clone(), contexts.wanted_texts());
    let end = |pod: &str, workload: Option<&str>| EndMetadata {
        namespace: "shop".to_owned(),
        pod_name: pod.to_owned(),
        workloads: workload.map(|name| Workload { name: name.to_owned(), kind: String::new() }).into_iter().collect(),
        ..EndMetadata::default()
    };
    let (web, job) = (end("web-1", Some("web")), end("job-1", None));
    let keys = [[10, 0, 0, 1], [10, 0, 0, 2]].map(|address| Key::Address(address.into()));
    let target = |metadata: &EndMetadata| {
        Target::Entity(Arc::new(Entity { name: "n".to_owned(), ..Entity::of(metadata.clone()) }))
    };
    registry.apply(
        Provider::Docker,
        keys.iter().cloned().zip([&web, &job].map(target)).map(|(key, target)| Change::Set(key, target)).collect(),
    );
    registry.publish();
    let mut aggregation = Aggregation::new(config(10, contexts), 0).with_symbols(symbols.clone());
    let names = Arc::clone(publisher.reader().snapshot());
    aggregation.set_names(&names);
    let ends = [[10, 0, 0, 1], [10, 0, 0, 2]].map(|address| {
        let link = names.entity_at_address(&address.into(), None).unwrap();
        End { entity: link.entity, name: link.name, ..End::default() }
    });
    super::count(&mut aggregation, &flow(ends[0], ends[1], Verdict::Dropped, 100));
    // Another Hubble's flow carries the same.
    let mut carried = flow(End::default(), End { identity: 2, ..End::default() }, Verdict::Dropped, 100);
    carried.metadata = Some(Box::new(Metadata { source: web, destination: job, ..Metadata::default() }));
    super::count(&mut aggregation, &carried);
    let snapshot = aggregation.snapshot(200);
    let drops = metric(&snapshot, MetricKind::Drop).unwrap();
    let text = |value| match value {
        Value::Symbol(symbol) => symbols.text(symbol).to_string(),
        other => format!("{other:?}"),
    };
    let series: Vec<_> = drops
        .points
        .iter()
        .map(|point| match point.identity {
            Identity::Series { source, destination, .. } => (text(source), text(destination), point.value),
            Identity::Overflow => panic!("{point:?}"),
        })
        .collect();
    assert_eq!(series, [("shop/web".to_owned(), "shop/job-1".to_owned(), 2)]);
}
