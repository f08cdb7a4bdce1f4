//! Precedence, keys as targets of keys, removal, and churn.

use std::net::IpAddr;
use std::sync::Arc;

use eyepiece_flow::flow::End;
use eyepiece_flow::interner::Symbols;
use eyepiece_flow::lookup::BatchNames as _;
use eyepiece_flow::metadata::PodContainer;
use tokio::time::Instant;

use super::super::provider::{Change, ChangeReceiver as _, Condition, Entity, EntityKind, Key, Provider, Target};
use super::super::{EntityLink, NameSnapshot, Publisher, WantedTexts};
use super::{GRACE, MAX_ENDED, Registry};

/// A registry and its publisher.
pub(crate) struct Bench {
    pub(crate) symbols: Symbols,
    pub(crate) publisher: Publisher,
    pub(crate) registry: Arc<Registry>,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let (symbols, publisher) = (Symbols::default(), Publisher::default());
        Self { registry: Registry::new(symbols.clone(), publisher.clone(), WantedTexts::default()), symbols, publisher }
    }

    fn apply(&self, provider: Provider, changes: impl IntoIterator<Item = Change>) -> Arc<NameSnapshot> {
        self.registry.apply(provider, changes.into_iter().collect());
        self.snapshot()
    }

    fn snapshot(&self) -> Arc<NameSnapshot> {
        self.registry.publish();
        Arc::clone(self.publisher.reader().snapshot())
    }

    /// The snapshot when every grace is over.
    fn later(&self) -> Arc<NameSnapshot> {
        self.registry.publish_at(Instant::now() + GRACE);
        Arc::clone(self.publisher.reader().snapshot())
    }
}

fn entity(name: &str) -> Target {
    Target::Entity(Arc::new(Entity { name: name.to_owned(), identity: 4711, ..Entity::default() }))
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn at(address: &str) -> Key {
    Key::Address(ip(address))
}

fn container(id: &str) -> Key {
    Key::Container(id.into())
}

fn set(key: Key, target: Target) -> Change {
    Change::Set(key, target)
}

/// The name of a link's entity; empty for none.
fn name(snapshot: &NameSnapshot, link: Option<EntityLink>) -> String {
    let Some(EntityLink { entity, name, identity }) = link else { return String::new() };
    assert_eq!(identity, 4711);
    let end = End { name, entity, ..End::default() };
    snapshot.end(&end).map(ToString::to_string).unwrap_or_default()
}

fn named(snapshot: &NameSnapshot, address: &str) -> String {
    name(snapshot, snapshot.entity_at_address(&ip(address), None))
}

#[test]
fn first_provider_wins() {
    let bench = Bench::new();
    for (provider, change, expected) in [
        (Provider::Dns, Some("dns"), "dns"),
        (Provider::Docker, Some("docker"), "docker"),
        (Provider::Local, Some("local"), "docker"),
        (Provider::File, Some("file"), "file"),
        (Provider::Docker, None, "file"),
        (Provider::File, Some("other"), "other"),
        (Provider::File, None, "local"),
        (Provider::Local, None, "dns"),
        (Provider::Dns, None, ""),
    ] {
        let change = match change {
            Some(name) => set(at("10.0.0.1"), entity(name)),
            None => Change::Remove(at("10.0.0.1")),
        };
        let snapshot = bench.apply(provider, [change]);
        assert_eq!(named(&snapshot, "10.0.0.1"), expected, "{provider:?}");
        assert_eq!(named(&snapshot, "::ffff:10.0.0.1"), expected, "the same node");
    }
    bench.later();
    assert_eq!(bench.symbols.count(), 1);
}

#[test]
fn keys_lead_on_four_times() {
    let bench = Bench::new();
    let lead = |from: &str, to: &str| set(container(from), Target::Key(container(to)));
    let mut changes = vec![set(at("10.0.0.1"), Target::Key(container("a"))), lead("a", "b"), lead("b", "c")];
    let snapshot = bench.apply(Provider::Local, changes.clone());
    assert_eq!(named(&snapshot, "10.0.0.1"), "");
    let snapshot = bench.apply(Provider::Docker, [set(container("c"), entity("web"))]);
    assert_eq!(named(&snapshot, "10.0.0.1"), "web", "the last one came last");
    // Another provider's entity is used while the first one's target has none.
    let snapshot = bench.apply(Provider::Dns, [set(at("10.0.0.1"), entity("dns"))]);
    assert_eq!(named(&snapshot, "10.0.0.1"), "web");
    let snapshot = bench.apply(Provider::Docker, [Change::Remove(container("c"))]);
    assert_eq!(named(&snapshot, "10.0.0.1"), "dns");
    bench.apply(Provider::Dns, [Change::Remove(at("10.0.0.1"))]);

    changes.extend([lead("c", "d"), set(container("d"), entity("fourth"))]);
    assert_eq!(named(&bench.apply(Provider::Local, changes.clone()), "10.0.0.1"), "fourth");
    changes.extend([lead("d", "e"), set(container("e"), entity("fifth"))]);
    assert_eq!(named(&bench.apply(Provider::Local, changes), "10.0.0.1"), "", "too far");
    let circle = [lead("a", "b"), lead("b", "a")];
    assert_eq!(named(&bench.apply(Provider::Local, circle), "10.0.0.1"), "");
}

#[test]
fn group_leads_to_pod_until_container() {
    let bench = Bench::new();
    let pod = |uid: &str| Key::Pod(uid.into());
    let named = |snapshot: &NameSnapshot| name(snapshot, snapshot.entity_of_socket(7, 0));
    let of_machine =
        [set(Key::ControlGroup(7), Target::Key(container("c"))), set(container("c"), Target::Key(pod("hash")))];
    assert_eq!(named(&bench.apply(Provider::Local, of_machine)), "");
    // A static pod's control group has another uid than its object.
    let objects = [set(pod("hash"), Target::Key(pod("uid"))), set(pod("uid"), entity("pod"))];
    assert_eq!(named(&bench.apply(Provider::Kubernetes, objects)), "pod");
    assert_eq!(named(&bench.apply(Provider::Kubernetes, [set(container("c"), entity("container"))])), "container");
    assert_eq!(named(&bench.apply(Provider::Kubernetes, [Change::Remove(container("c"))])), "pod", "it has ended");
}

#[test]
fn every_key_finds_its_entity() {
    let bench = Bench::new();
    let service = |address, port| Key::Service { address: ip(address), port, protocol: 6 };
    let snapshot = bench.apply(
        Provider::File,
        [
            set(Key::Prefix(ip("10.0.0.0"), 8), entity("eight")),
            set(Key::Prefix(ip("10.1.0.0"), 16), entity("sixteen")),
            set(Key::Prefix(ip("fd00::"), 8), entity("six")),
            set(service("10.1.0.9", 443), entity("api")),
            set(at("10.1.0.1"), entity("one")),
            set(service("10.1.0.1", 443), entity("hidden")),
            set(Key::Namespace(7), entity("namespace")),
            set(Key::ControlGroup(8), entity("group")),
        ],
    );
    for (address, port, expected) in [
        ("10.1.0.1", 443, "one"),
        ("10.1.0.9", 443, "api"),
        ("10.1.0.9", 80, "sixteen"),
        ("10.2.0.9", 443, "eight"),
        ("fdff::1", 443, "six"),
        ("192.0.2.1", 443, ""),
    ] {
        let found = snapshot.entity_at_address(&ip(address), Some((port, 6)));
        assert_eq!(name(&snapshot, found), expected, "{address}:{port}");
    }
    assert_eq!(name(&snapshot, snapshot.entities().in_namespace(7)), "namespace");
    assert_eq!(name(&snapshot, snapshot.entity_of_socket(8, 0)), "group");
    let snapshot = bench.apply(Provider::File, [Change::Remove(Key::Prefix(ip("10.1.0.0"), 16))]);
    assert_eq!(named(&snapshot, "10.1.0.9"), "eight");
}

#[test]
fn socket_is_named_most_precisely() {
    let bench = Bench::new();
    let kind = |kind, name: &str| {
        Target::Entity(Arc::new(Entity { kind, name: name.to_owned(), identity: 4711, ..Entity::default() }))
    };
    bench.apply(
        Provider::Process,
        [5, 6, 7].map(|id| set(Key::Process(id), kind(EntityKind::Process, &format!("command{id}")))),
    );
    bench.apply(Provider::Docker, [set(container("known"), kind(EntityKind::Container, "shop/web"))]);
    let snapshot = bench.apply(
        Provider::Local,
        [
            set(Key::ControlGroup(1), kind(EntityKind::Unit, "sshd.service")),
            set(Key::ControlGroup(2), kind(EntityKind::Process, "first of the group")),
            set(Key::Process(6), Target::Key(container("known"))),
            set(Key::Process(7), Target::Key(container("unknown"))),
        ],
    );
    for (group, process, expected) in [
        (0, 0, ""),
        (1, 0, "sshd.service"),
        (1, 5, "sshd.service"),
        (2, 0, "first of the group"),
        (2, 5, "command5"),
        (2, 9, "first of the group"),
        (3, 5, "command5"),
        (0, 6, "shop/web"),
        (0, 7, "command7"),
        (3, 9, ""),
    ] {
        let found = snapshot.entity_of_socket(group, process);
        assert_eq!(name(&snapshot, found), expected, "group {group}, process {process}");
    }
}

#[test]
fn replacement_removes_what_it_lacks() {
    let bench = Bench::new();
    bench.apply(Provider::Dns, [set(at("10.0.0.1"), entity("dns"))]);
    bench.apply(Provider::Docker, ["10.0.0.1", "10.0.0.2"].map(|address| set(at(address), entity(address))));
    bench.registry.replace(Provider::Docker, vec![(at("10.0.0.2"), entity("kept")), (at("10.0.0.3"), entity("new"))]);
    let snapshot = bench.snapshot();
    let found = ["10.0.0.1", "10.0.0.2", "10.0.0.3"].map(|address| named(&snapshot, address));
    assert_eq!(found, ["dns", "kept", "new"]);
    bench.registry.replace(Provider::Docker, Vec::new());
    let snapshot = bench.snapshot();
    let found = ["10.0.0.1", "10.0.0.2", "10.0.0.3"].map(|address| named(&snapshot, address));
    assert_eq!(found, ["dns", "", ""]);
}

#[test]
fn snapshots_do_not_change() {
    let bench = Bench::new();
    let first = bench.apply(Provider::File, [set(at("10.0.0.1"), entity("first"))]);
    let second = bench.apply(Provider::File, [set(at("10.0.0.1"), entity("second"))]);
    let third = bench.apply(Provider::File, [Change::Remove(at("10.0.0.1"))]);
    assert_eq!([&first, &second, &third].map(|snapshot| named(snapshot, "10.0.0.1")), ["first", "second", ""]);
    let unchanged = bench.apply(Provider::File, [Change::Remove(at("10.0.0.1"))]);
    assert!(Arc::ptr_eq(&third, &unchanged), "nothing is published without a change");
}

#[test]
fn churn_leaves_nothing() {
    let bench = Bench::new();
    for round in 0..20_u32 {
        let address = |number: u32| Key::Address(IpAddr::V4((0x0a00_0000 + number).into()));
        let names = |number: u32| entity(&format!("{round}-{number}"));
        let entries = (0..500).map(|number| (address(round * 500 + number), names(number)));
        let chain = [(Key::ControlGroup(round.into()), Target::Key(container("x"))), (container("x"), entity("x"))];
        bench.registry.replace(Provider::Docker, entries.chain(chain).collect());
        bench.later();
        assert_eq!(bench.symbols.count(), 502, "those of this round, the chain's and the empty one");
        let state = bench.registry.state();
        assert_eq!((state.entries.len(), state.entity_numbers.len(), state.numbers.len()), (502, 501, 501));
        assert_eq!((state.references.len(), state.free.len() <= 501), (1, true));
    }
    bench.registry.replace(Provider::Docker, Vec::new());
    bench.later();
    let state = bench.registry.state();
    let left = [state.entries.len(), state.entity_numbers.len(), state.numbers.len(), state.references.len()];
    assert_eq!((left, state.ended.len(), bench.symbols.count()), ([0; 4], 0, 1));
}

#[test]
fn ended_entity_stays_for_grace() {
    let bench = Bench::new();
    let keys = [at("10.0.0.1"), Key::Namespace(7), Key::ControlGroup(8)];
    let alive = bench.apply(Provider::Docker, keys.clone().map(|key| set(key, Target::Key(container("a")))));
    assert_eq!(named(&alive, "10.0.0.1"), "");
    let alive = bench.apply(Provider::Docker, [set(container("a"), entity("web"))]);
    let number = alive.entity_of_socket(8, 0).unwrap().entity;
    let ended = bench.apply(Provider::Docker, [Change::Remove(container("a"))]);
    assert_eq!(ended.entities().name(number).map(|name| &**name), Some("web"));
    assert_eq!(name(&ended, ended.entity_of_socket(8, 0)), "web");
    // Another one may have these by now.
    assert_eq!((named(&ended, "10.0.0.1"), ended.entities().in_namespace(7)), (String::new(), None));
    let other = bench.apply(Provider::Docker, [set(at("10.0.0.1"), entity("next"))]);
    assert_eq!((named(&other, "10.0.0.1"), name(&other, other.entity_of_socket(8, 0))), ("next".into(), "web".into()));
    drop((alive, ended, other));
    let later = bench.later();
    assert_eq!((later.entities().name(number), later.entity_of_socket(8, 0)), (None, None));
    assert_eq!((named(&later, "10.0.0.1"), bench.symbols.count()), ("next".into(), 2));
}

#[test]
fn returned_key_leads_to_new_entity() {
    let bench = Bench::new();
    let group = || Key::ControlGroup(8);
    for (change, expected) in [
        (set(group(), entity("first")), "first"),
        (Change::Remove(group()), "first"),
        (set(group(), entity("second")), "second"),
    ] {
        let snapshot = bench.apply(Provider::Local, [change]);
        assert_eq!(name(&snapshot, snapshot.entity_of_socket(8, 0)), expected);
    }
    let later = bench.later();
    assert_eq!((name(&later, later.entity_of_socket(8, 0)), bench.symbols.count()), ("second".into(), 2));
}

#[test]
fn capacity_edges_of_ended_entities() {
    let bench = Bench::new();
    for n in [0, 1, MAX_ENDED - 1, MAX_ENDED, MAX_ENDED + 1] {
        let entries = (0..n as u32).map(|number| (Key::ControlGroup(number.into()), entity(&number.to_string())));
        bench.registry.replace(Provider::Local, entries.collect());
        bench.registry.replace(Provider::Local, Vec::new());
        assert_eq!(bench.registry.state().ended.len(), n.min(MAX_ENDED), "{n}");
        assert_eq!(bench.symbols.count(), n.min(MAX_ENDED) + 1, "{n}");
        bench.later();
        assert_eq!(bench.symbols.count(), 1, "{n}");
    }
}

#[test]
fn keys_share_their_entity() {
    let bench = Bench::new();
    let shared = entity("web");
    let keys = ["10.0.0.1", "10.0.0.2"].map(at);
    let snapshot = bench.apply(Provider::Docker, keys.clone().map(|key| set(key, shared.clone())));
    let numbers = ["10.0.0.1", "10.0.0.2"].map(|address| snapshot.entity_at_address(&ip(address), None));
    assert!(numbers[0].is_some() && numbers[0] == numbers[1]);
    let [first, _] = keys;
    let snapshot = bench.apply(Provider::Docker, [Change::Remove(first)]);
    assert_eq!((named(&snapshot, "10.0.0.1"), named(&snapshot, "10.0.0.2")), (String::new(), "web".to_owned()));
}

#[test]
fn containers_have_numbers_and_share_entity() {
    let bench = Bench::new();
    let pod = |dns: &str| Arc::new(Entity { dns_names: vec![dns.to_owned()], ..Entity::default() });
    let containers = ["nginx", "envoy"].map(|name| Arc::new(PodContainer { id: name.into(), name: name.into() }));
    let changes = |pod: &Arc<Entity>| {
        let of = |place: usize| Target::Container(Arc::clone(pod), Arc::clone(&containers[place]));
        let whole = Target::Entity(Arc::clone(pod));
        [set(Key::ControlGroup(1), of(0)), set(Key::ControlGroup(2), of(1)), set(at("10.0.0.1"), whole)]
    };
    for pod in ["first.example", "second.example"].map(pod) {
        let snapshot = bench.apply(Provider::Kubernetes, changes(&pod));
        let at_address = snapshot.entity_at_address(&ip("10.0.0.1"), None);
        let found = [snapshot.entity_of_socket(1, 0), snapshot.entity_of_socket(2, 0), at_address].map(|link| {
            let end = End { entity: link.expect("a link").entity, ..End::default() };
            let shared = snapshot.shared_entity(&end).expect("an entity");
            assert_eq!(snapshot.entity(&end), Some(shared.fields()));
            assert!(snapshot.entities().entity(end.entity).is_some_and(|entity| Arc::ptr_eq(entity, &pod)));
            shared.fields().container.map(|container| container.name.to_string())
        });
        assert_eq!(found.each_ref().map(Option::as_deref), [Some("nginx"), Some("envoy"), None]);
    }
    bench.registry.replace(Provider::Kubernetes, Vec::new());
    let later = bench.later();
    assert_eq!((later.entities().is_empty(), bench.registry.state().numbers.len()), (true, 0));
}

#[test]
fn conditions_are_those_reported_last() {
    let bench = Bench::new();
    bench.registry.report(Provider::Docker, Condition::Connecting(None), 0);
    bench.registry.report(Provider::Docker, Condition::Current, 3);
    assert_eq!(bench.registry.conditions(), [(Provider::Docker, (Condition::Current, 3))].into());
}

#[tokio::test(start_paused = true)]
async fn publications_are_coalesced() {
    let bench = Bench::new();
    let task = tokio::spawn(Arc::clone(&bench.registry).publish_changes());
    let mut reader = bench.publisher.reader();
    let mut seen = 0;
    for number in 0..1000_u32 {
        let address = Key::Address(IpAddr::V4(number.into()));
        bench.registry.apply(Provider::Dns, vec![set(address, entity("x"))]);
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        let before = Arc::clone(reader.snapshot());
        seen += usize::from(!Arc::ptr_eq(reader.refresh(), &before));
    }
    assert!((45..=55).contains(&seen), "{seen} publications in a second");
    tokio::time::sleep(super::PUBLICATION_INTERVAL * 2).await;
    assert!(reader.refresh().entity_at_address(&IpAddr::V4(999.into()), None).is_some());
    task.abort();
}
