//! The resource of exports: its attributes, and the id of this instance.

mod machine;
mod os_release;
mod own_container;

use std::os::unix::fs::MetadataExt as _;

use eyepiece_config::{Listen, Settings, SourceKind};
use eyepiece_flow::text;
use eyepiece_hubble::node::NO_CLUSTER;
use eyepiece_semconv::attribute;
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};

use self::machine::Machine;
use super::feed::Emitter;
use crate::export::otlp::resource::Resource;
use crate::metadata::kubernetes;

/// The namespace of ids from an instance's properties: OpenTelemetry's conventions, `service.instance.id`.
const NAMESPACE: u128 = 0x4d63009a_8d0f_11ee_aad7_4c796ed8e320;

/// The resource of everything that is exported. Reads /proc/1/ns/net: call it before capabilities are given up.
/// `serves_hubble`: whether the addresses of `hubble.listen` are bound.
pub(super) fn resource(settings: &Settings, emitter: &Emitter, serves_hubble: bool) -> Resource {
    let (otlp, machine) = (&settings.otlp, Machine::read());
    let owned = owned_endpoint(settings, serves_hubble).unwrap_or_else(|| format!("{:x}", fastrand::u128(..)));
    let instance = instance_id(settings, &machine.id, &owned, network_namespace());
    let given = otlp.resource_attributes.iter().map(|(name, value)| (name.clone(), value.clone()));
    let ours = machine.attributes().chain(of_kubernetes(settings)).chain(emitter.attributes());
    Resource::new(&settings.node.name, &instance, ours.chain(given), Some(&otlp.service_name))
}

/// The node and its cluster, where this machine is one of Kubernetes, and where the cluster has a name.
fn of_kubernetes(settings: &Settings) -> impl Iterator<Item = (String, String)> {
    let is_node = kubernetes::is_node(&settings.metadata.kubernetes);
    let node = (attribute::K8S_NODE_NAME, &settings.node.name, is_node);
    let cluster = (attribute::K8S_CLUSTER_NAME, &settings.node.cluster, settings.node.cluster != NO_CLUSTER);
    let known = [node, cluster].into_iter().filter(|(_, _, is_known)| *is_known);
    known.map(|(name, value, _)| (name.to_owned(), value.clone()))
}

/// An endpoint that only one process of a machine or network namespace can bind, and that survives a restart; `None` if
/// the settings have none. Port 0 is another one each time.
fn owned_endpoint(settings: &Settings, serves_hubble: bool) -> Option<String> {
    let admin = settings.admin.listen.filter(|address| address.port() != 0).map(|address| address.to_string());
    let monitor = || settings.monitor.socket.as_ref().map(|path| path.display().to_string());
    let is_fixed = |listen: &&Listen| match listen {
        Listen::Unix(_) => true,
        Listen::Tcp(address) => address.port() != 0,
    };
    let hubble = || settings.hubble.listen.iter().find(is_fixed).filter(|_| serves_hubble).map(ToString::to_string);
    admin.or_else(monitor).or_else(hubble)
}

/// An id that two running instances do not share, and that is the same after a restart if `owned`, an endpoint of this
/// instance alone, is. Derived from the machine, the node's names, the source and that endpoint. A machine without an id
/// has its node's name alone.
///
/// `namespace` is the inode of a network namespace other than the machine's: several of them may each have an instance
/// with the same settings.
fn instance_id(settings: &Settings, machine: &str, owned: &str, namespace: Option<u64>) -> String {
    let watched = match settings.source.kind {
        SourceKind::Datapath => {
            let interfaces = &settings.datapath.interfaces;
            format!("{:?}{:?}", interfaces.include, interfaces.exclude)
        }
        SourceKind::CiliumMonitor => settings.cilium_monitor.socket.clone(),
        SourceKind::Hubble => settings.hubble_source.address.clone(),
        SourceKind::Replay => settings.replay.path.clone(),
    };
    let parts = [
        machine,
        &settings.node.cluster,
        &settings.node.name,
        settings.source.kind.name(),
        &watched,
        owned,
        &namespace.map(|inode| inode.to_string()).unwrap_or_default(),
    ];
    uuid_v5(parts.join("\0").as_bytes())
}

/// RFC 9562, section 5.5.
fn uuid_v5(name: &[u8]) -> String {
    let hash = digest(&SHA1_FOR_LEGACY_USE_ONLY, &[&NAMESPACE.to_be_bytes(), name].concat());
    let mut id = [0; 16];
    id.iter_mut().zip(hash.as_ref()).for_each(|(byte, hashed)| *byte = *hashed);
    id[6] = id[6] & 0x0f | 0x50;
    id[8] = id[8] & 0x3f | 0x80;
    text::uuid(&id).iter().map(|byte| char::from(*byte)).collect()
}

/// The inode of our network namespace; `None` in the first process's. Without the privilege to look at that one
/// (`SYS_PTRACE`, or its capabilities) ours counts as another.
fn network_namespace() -> Option<u64> {
    let inode = |path: &str| std::fs::metadata(path).ok().map(|metadata| metadata.ino());
    inode("/proc/self/ns/net").filter(|ours| inode("/proc/1/ns/net") != Some(*ours))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use eyepiece_config::{Enabled, PodScope, Settings, SourceKind};

    use super::{Emitter, attribute, instance_id, owned_endpoint, resource, uuid_v5};

    fn value(settings: &Settings, name: &str) -> Option<String> {
        let resource = resource(settings, &Emitter::default(), false);
        resource.attributes().iter().find(|(key, _)| key == name).map(|(_, value)| value.clone())
    }

    #[test]
    fn uuid_v5_matches_python() {
        // As Python's uuid.uuid5 makes it.
        assert_eq!(uuid_v5(b"eyepiece"), "5df6093c-b6b2-5b4c-b1c0-611c54459023");
    }

    #[test]
    fn instance_id_differs_by_source() {
        let plain = Settings::default();
        let of = |change: fn(&mut Settings)| {
            let mut settings = plain.clone();
            change(&mut settings);
            instance_id(&settings, "m", "e", None)
        };
        let ids = [
            instance_id(&plain, "m", "e", None),
            instance_id(&plain, "n", "e", None),
            instance_id(&plain, "m", "f", None),
            instance_id(&plain, "m", "e", Some(4_026_532_000)),
            of(|settings| settings.node.name = "b".to_owned()),
            of(|settings| settings.node.cluster = "b".to_owned()),
            of(|settings| settings.datapath.interfaces.include = vec!["eth*".to_owned()]),
            of(|settings| settings.datapath.interfaces.exclude = vec!["eth*".to_owned()]),
            of(|settings| settings.source.kind = SourceKind::Hubble),
            of(|settings| settings.source.kind = SourceKind::CiliumMonitor),
        ];
        assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len(), "{ids:?}");
        // Settings that two instances may share do not count.
        let ids = [
            of(|settings| settings.otlp.service_name = "b".to_owned()),
            of(|settings| settings.otlp.endpoint = "http://b:4317".to_owned()),
            of(|settings| settings.metrics.max_series = 7),
            of(|settings| settings.hubble_source.tls.server_name = "b".to_owned()),
        ];
        assert!(ids.iter().all(|id| *id == instance_id(&plain, "m", "e", None)), "{ids:?}");
    }

    #[test]
    fn owned_endpoint_prefers_fixed_admin_port() {
        let with = |admin: &str, monitor: Option<&str>, hubble: &[&str], serves: bool| {
            let mut settings = Settings::default();
            settings.admin.listen = admin.parse().ok();
            settings.monitor.socket = monitor.map(Into::into);
            settings.hubble.listen = hubble.iter().map(|text| text.parse().unwrap()).collect();
            owned_endpoint(&settings, serves)
        };
        let hubble = &["127.0.0.1:0", "unix:///h.sock"];
        for (admin, monitor, serves, expected) in [
            ("127.0.0.1:9966", Some("/m.sock"), true, Some("127.0.0.1:9966")),
            ("127.0.0.1:0", Some("/m.sock"), true, Some("/m.sock")),
            ("", None, true, Some("unix:///h.sock")),
            ("", None, false, None),
        ] {
            assert_eq!(with(admin, monitor, hubble, serves).as_deref(), expected, "{admin} {monitor:?} {serves}");
        }
        // Nothing sets two such instances apart but chance.
        let mut settings = Settings::default();
        settings.admin.listen = None;
        let ids = [(), ()].map(|()| value(&settings, attribute::SERVICE_INSTANCE_ID));
        assert_ne!(ids[0], ids[1]);
    }

    #[test]
    fn resource_is_stable_with_cluster() {
        let mut settings = Settings::default();
        settings.node.name = "node".to_owned();
        let id = value(&settings, attribute::SERVICE_INSTANCE_ID);
        assert!(id.as_ref().is_some_and(|id| id.len() == 36 && id.as_bytes()[14] == b'5'), "{id:?}");
        assert_eq!(value(&settings, attribute::SERVICE_INSTANCE_ID), id);
        assert_eq!(value(&settings, attribute::K8S_CLUSTER_NAME), None, "the default is no cluster");
        settings.node.cluster = "prod".to_owned();
        assert_eq!(value(&settings, attribute::K8S_CLUSTER_NAME).as_deref(), Some("prod"));
        let kubernetes = &mut settings.metadata.kubernetes;
        (kubernetes.enabled, kubernetes.scope) = (Enabled::On, PodScope::Node);
        assert_eq!(value(&settings, attribute::K8S_NODE_NAME).as_deref(), Some("node"));
        settings.metadata.kubernetes.enabled = Enabled::Off;
        assert_eq!(value(&settings, attribute::K8S_NODE_NAME), None);
    }

    #[test]
    fn given_attributes_win() {
        let mut settings = Settings::default();
        settings.node.name = "node".to_owned();
        let plain = resource(&settings, &Emitter::default(), false);
        let ours: Vec<&str> = plain.attributes().iter().map(|(name, _)| name.as_str()).collect();
        for name in [attribute::HOST_ARCH, attribute::OS_TYPE, attribute::TELEMETRY_SDK_NAME, attribute::HOST_NAME] {
            assert!(ours.contains(&name), "{name}: {ours:?}");
        }
        let others = [attribute::CONTAINER_ID, attribute::HOST_ID, attribute::K8S_CLUSTER_NAME, attribute::OS_VERSION];
        let names = || ours.iter().chain(&others).filter(|name| **name != attribute::SERVICE_NAME);
        settings.otlp.resource_attributes = names().map(|name| ((*name).to_owned(), "given".to_owned())).collect();
        for name in names() {
            assert_eq!(value(&settings, name).as_deref(), Some("given"), "{name}");
        }
        settings.otlp.resource_attributes = names().map(|name| ((*name).to_owned(), String::new())).collect();
        for name in names() {
            assert_eq!(value(&settings, name), None, "{name}: an empty value leaves it out");
        }
    }
}
