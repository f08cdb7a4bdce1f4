//! Looks up what the registry has for an address or a name, for people.

use std::net::IpAddr;
use std::sync::Arc;

use eyepiece_flow::metadata::qualified_name;
use eyepiece_flow::protocol;

use super::{MAX_STEPS, Registry, State};
use crate::metadata::entities::prefix;
use crate::metadata::link_tables::{EndKind, LinkTables};
use crate::metadata::provider::{Entity, Key, Provider, Target};
use crate::support::lookup::{Lookup, LookupEntry};

/// Entries of an answer: more than a person reads.
const MAX_ENTRIES: usize = 100;

impl Registry {
    /// Returns the entries of an address or of a name: that of an entity, its pod, workload, service, a DNS name or a
    /// label. A name that no entity has exactly is searched as a part of such names.
    pub fn lookup(&self, query: &str) -> Lookup {
        let query = query.trim();
        let links = self.publisher.links();
        let address = query.parse().ok().map(|address: IpAddr| address.to_canonical());
        let state = self.state();
        let mut found = match address {
            Some(address) => {
                let namespace = namespace_of(&links, &address);
                state.find(|key, _| match *key {
                    Key::Address(known) => known == address,
                    Key::Service { address: known, .. } => known == address,
                    Key::Prefix(known, length) => {
                        known.is_ipv4() == address.is_ipv4() && prefix(address, length) == known
                    }
                    Key::Namespace(inode) => Some(inode) == namespace,
                    _ => false,
                })
            }
            None => {
                let exact = state.find(|_, entity| names(entity).any(|name| name == query));
                let part = || state.find(|_, entity| names(entity).any(|name| name.contains(query)));
                if exact.is_empty() && !query.is_empty() { part() } else { exact }
            }
        };
        found.sort_by_cached_key(|found| (rank(found.key), found.key_text(), found.provider));
        let left_out = found.len().saturating_sub(MAX_ENTRIES);
        let entries = found.iter().take(MAX_ENTRIES).map(Found::entry).collect();
        let owner = address.map(|address| owner(&links, &address));
        Lookup { query: query.to_owned(), owner, entries, left_out }
    }
}

/// An entry, and the entity that it leads to.
struct Found<'a> {
    key: &'a Key,
    through: Vec<&'a Key>,
    provider: Provider,
    entity: &'a Arc<Entity>,
    is_used: bool,
}

impl State {
    /// The entries whose key and entity match.
    fn find(&self, matches: impl Fn(&Key, &Entity) -> bool) -> Vec<Found<'_>> {
        let mut list = Vec::new();
        for (key, targets) in &self.entries {
            let used = self.resolve(key, MAX_STEPS).and_then(Target::entity).map(|used| used.entity);
            for (provider, target) in targets {
                let mut through = Vec::new();
                let Some((provider, entity)) = self.follow(*provider, target, &mut through) else { continue };
                if matches(key, entity) {
                    let adds_names = |used: &Entity| provider == Provider::Dns && used.dns_names.is_empty();
                    let is_used = used.as_ref().is_some_and(|used| Arc::ptr_eq(used, entity) || adds_names(used));
                    list.push(Found { key, through, provider, entity, is_used });
                }
            }
        }
        list
    }

    /// Follows a target to its entity and that entity's provider, and notes the keys between.
    fn follow<'a>(
        &'a self,
        provider: Provider,
        target: &'a Target,
        through: &mut Vec<&'a Key>,
    ) -> Option<(Provider, &'a Arc<Entity>)> {
        match target {
            Target::Entity(entity) | Target::Container(entity, _) => Some((provider, entity)),
            Target::Key(next) if through.len() < MAX_STEPS => {
                through.push(next);
                let entries = self.entries.get(next)?;
                entries.iter().find_map(|(provider, target)| {
                    let length = through.len();
                    let found = self.follow(*provider, target, through);
                    if found.is_none() {
                        through.truncate(length);
                    }
                    found
                })
            }
            Target::Key(_) => None,
        }
    }
}

impl Found<'_> {
    fn key_text(&self) -> String {
        text(self.key)
    }

    fn entry(&self) -> LookupEntry {
        let Entity { kind, name, identity, pod_name, metadata, service, dns_names, .. } = &**self.entity;
        let workloads = metadata.workloads.iter().map(|workload| format!("{} {}", workload.kind, workload.name));
        LookupEntry {
            key: self.key_text(),
            through: self.through.iter().map(|key| text(key)).collect(),
            provider: self.provider.name().to_owned(),
            used: self.is_used,
            kind: kind.name().to_owned(),
            name: name.clone(),
            identity: *identity,
            namespace: metadata.namespace.clone(),
            pod: pod_name.to_string(),
            workloads: workloads.map(|text| text.trim().to_owned()).collect(),
            service: service
                .as_ref()
                .map(|service| qualified_name(&service.namespace, &service.name).into_owned())
                .unwrap_or_default(),
            labels: metadata.labels.clone(),
            dns_names: dns_names.clone(),
        }
    }
}

/// All names of an entity.
fn names(entity: &Entity) -> impl Iterator<Item = std::borrow::Cow<'_, str>> {
    let Entity { name, pod_name, metadata, service, dns_names, .. } = entity;
    let namespace = metadata.namespace.as_str();
    let pods = [(&**pod_name).into(), qualified_name(namespace, pod_name)];
    let workloads = metadata
        .workloads
        .iter()
        .flat_map(move |workload| [workload.name.as_str().into(), qualified_name(namespace, &workload.name)]);
    let services = service
        .iter()
        .flat_map(|service| [service.name.as_str().into(), qualified_name(&service.namespace, &service.name)]);
    let labels = metadata.labels.iter().chain(dns_names).map(|text| text.as_str().into());
    let names = [name.as_str().into()].into_iter().chain(pods).chain(workloads).chain(services).chain(labels);
    names.filter(|name: &std::borrow::Cow<'_, str>| !name.is_empty() && !name.ends_with('/'))
}

/// The network namespace of the endpoint that an address is configured at.
fn namespace_of(links: &LinkTables, address: &IpAddr) -> Option<u32> {
    let end = links.end(address);
    links.endpoint_namespaces().find(|(id, _)| end.is_configured() && *id == end.endpoint).map(|(_, inode)| inode)
}

fn owner(links: &LinkTables, address: &IpAddr) -> String {
    let end = links.end(address);
    match end.kind {
        EndKind::World => "the world".to_owned(),
        EndKind::Host => "the host".to_owned(),
        EndKind::Endpoint if end.shared => "at several endpoints".to_owned(),
        EndKind::Endpoint => {
            let interface = links.name(end.name).map(|lease| lease.text().to_string()).unwrap_or_default();
            let learned = if end.learned { ", by its packets only" } else { "" };
            format!("endpoint {} at {interface}{learned}", end.endpoint)
        }
    }
}

/// The order in which flows use the kinds of keys; among prefixes the longest.
const fn rank(key: &Key) -> (u8, u8) {
    match *key {
        Key::Namespace(_) => (0, 0),
        Key::ControlGroup(_) => (1, 0),
        Key::Process(_) => (2, 0),
        Key::Address(_) => (3, 0),
        Key::Service { .. } => (4, 0),
        Key::Prefix(_, length) => (5, u8::MAX - length),
        Key::Container(_) => (6, 0),
        Key::Pod(_) => (7, 0),
        Key::Identity(_) => (8, 0),
    }
}

fn text(key: &Key) -> String {
    match key {
        Key::Namespace(inode) => format!("network namespace {inode}"),
        Key::ControlGroup(id) => format!("control group {id}"),
        Key::Process(id) => format!("process {}", eyepiece_wire::process_number(*id)),
        Key::Container(id) => format!("container {id}"),
        Key::Pod(uid) => format!("pod {uid}"),
        Key::Identity(identity) => format!("identity {identity}"),
        Key::Address(address) => format!("address {address}"),
        Key::Prefix(address, length) => format!("prefix {address}/{length}"),
        Key::Service { address, port, protocol } => {
            let protocol = match *protocol {
                protocol::TCP => "TCP".to_owned(),
                protocol::UDP => "UDP".to_owned(),
                protocol::SCTP => "SCTP".to_owned(),
                other => format!("protocol {other}"),
            };
            format!("service {} {protocol}", std::net::SocketAddr::new(*address, *port))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use eyepiece_flow::metadata::{EndMetadata, Workload};

    use super::super::tests::Bench;
    use crate::metadata::provider::{Change, ChangeReceiver as _, Entity, EntityKind, Key, Provider, Target};
    use crate::metadata::{InterfaceInfo, LinkTables};

    fn web() -> Target {
        let workloads = vec![Workload { name: "web".to_owned(), kind: "Deployment".to_owned() }];
        let (namespace, pod_name) = ("shop".to_owned(), "web-1".to_owned());
        let metadata = EndMetadata { namespace, pod_name, workloads, ..EndMetadata::default() };
        let (kind, name) = (EntityKind::Container, "shop/web-1".to_owned());
        Target::Entity(Arc::new(Entity { kind, name, identity: 77, ..Entity::of(metadata) }))
    }

    fn named(name: &str) -> Target {
        let dns_names = vec![format!("{name}.example")];
        Target::Entity(Arc::new(Entity { name: name.to_owned(), dns_names, ..Entity::default() }))
    }

    fn bench() -> Bench {
        let bench = Bench::new();
        let mut links = LinkTables::new(&bench.symbols);
        let name = links.intern("veth7");
        links.add_interface(3, InterfaceInfo { name, endpoint: 7, ..InterfaceInfo::default() });
        links.add_endpoint_address([10, 0, 0, 1].into(), 7, false);
        links.add_namespace(4711, 7);
        bench.publisher.publish(links);
        let id: Arc<str> = "c".repeat(64).into();
        let address = |last| Key::Address([10, 0, 0, last].into());
        let set = |provider, key, target| bench.registry.apply(provider, vec![Change::Set(key, target)]);
        set(Provider::Docker, Key::Container(Arc::clone(&id)), web());
        set(Provider::Local, Key::Namespace(4711), Target::Key(Key::Container(id)));
        set(Provider::Dns, address(1), named("late"));
        set(Provider::File, address(1), named("first"));
        set(Provider::File, Key::Prefix([10, 0, 0, 0].into(), 8), named("net"));
        set(Provider::File, Key::Prefix([10, 0, 0, 0].into(), 24), named("subnet"));
        set(Provider::File, Key::Prefix([11, 0, 0, 0].into(), 8), named("elsewhere"));
        set(Provider::File, Key::Prefix([11, 0, 0, 1].into(), 40), named("long"));
        bench
    }

    /// Key, provider, name and whether it is used, of each entry.
    fn found(bench: &Bench, query: &str) -> Vec<String> {
        let answer = bench.registry.lookup(query);
        let entries = answer.entries.iter();
        entries.map(|entry| format!("{} {} {} {}", entry.key, entry.provider, entry.name, entry.used)).collect()
    }

    #[test]
    fn lookup_orders_entries_by_use() {
        let bench = bench();
        assert_eq!(
            found(&bench, "10.0.0.1"),
            [
                "network namespace 4711 docker shop/web-1 true",
                "address 10.0.0.1 file first true",
                "address 10.0.0.1 dns late false",
                "prefix 10.0.0.0/24 file subnet true",
                "prefix 10.0.0.0/8 file net true",
            ]
        );
        let answer = bench.registry.lookup("10.0.0.1");
        assert_eq!(answer.owner.as_deref(), Some("endpoint 7 at veth7"));
        assert_eq!(answer.entries[0].through, [format!("container {}", "c".repeat(64))]);
        let text = answer.to_string();
        assert!(text.contains("container shop/web-1, by docker\n  namespace  shop\n  pod        web-1\n"), "{text}");
        assert!(text.contains("named late, by dns (not used: an earlier provider has an entry)"), "{text}");
        assert_eq!(found(&bench, "::ffff:10.0.0.1"), found(&bench, "10.0.0.1"));
        let stranger = bench.registry.lookup("192.0.2.1").to_string();
        assert_eq!(stranger, "192.0.2.1 is the world.\nNo provider has an entry for 192.0.2.1.\n");
    }

    #[test]
    fn names_match_exactly_else_in_part() {
        let bench = bench();
        let pod = [
            "network namespace 4711 docker shop/web-1 true",
            &format!("container {} docker shop/web-1 true", "c".repeat(64)),
        ];
        for (query, expected) in [
            ("shop/web-1", pod.to_vec()),
            ("web", pod.to_vec()),
            (" shop/web ", pod.to_vec()),
            ("first.example", vec!["address 10.0.0.1 file first true"]),
            ("irst.exam", vec!["address 10.0.0.1 file first true"]),
            ("nothing", vec![]),
            ("", vec![]),
        ] {
            assert_eq!(found(&bench, query), expected, "{query:?}");
        }
    }

    #[test]
    fn long_answers_are_cut_and_counted() {
        let bench = Bench::new();
        let changes = (0..=u8::MAX).map(|last| Change::Set(Key::Address([10, 0, 0, last].into()), named("all")));
        bench.registry.apply(Provider::File, changes.collect());
        let answer = bench.registry.lookup("all");
        assert_eq!((answer.entries.len(), answer.left_out), (100, 156));
        assert!(answer.to_string().ends_with("\n156 further entries are left out.\n"));
    }
}
