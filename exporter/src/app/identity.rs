//! Who we are to receivers: the attributes of the resource, and the id of this instance.

use std::os::unix::fs::MetadataExt as _;

use eyepiece_config::{Settings, SourceKind};
use eyepiece_flow::text;
use eyepiece_semconv::attribute;
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};

use super::source::Emitter;
use crate::export::otlp::resource::Resource;

/// The namespace of ids that are made of what an instance is: OpenTelemetry's conventions, `service.instance.id`.
const NAMESPACE: u128 = 0x4d63009a_8d0f_11ee_aad7_4c796ed8e320;

/// Where the machine's id is: `machine-id(5)`, and where it is on systems without systemd.
const MACHINE_ID: [&str; 2] = ["/etc/machine-id", "/var/lib/dbus/machine-id"];

/// The name of the cluster that stands for none: as Cilium's.
const NO_CLUSTER: &str = "default";

/// The resource of everything that is exported.
pub(super) fn resource(settings: &Settings, emitter: &Emitter) -> Resource {
    let otlp = &settings.otlp;
    let instance = instance_id(settings, &machine_id(), network_namespace());
    let cluster = Some(&settings.node.cluster).filter(|name| *name != NO_CLUSTER);
    let cluster = cluster.map(|name| (attribute::K8S_CLUSTER_NAME.to_owned(), name.clone()));
    let given = otlp.resource_attributes.iter().map(|(name, value)| (name.clone(), value.clone()));
    let attributes = emitter.attributes().chain(cluster).chain(given);
    Resource::new(&settings.node.name, &instance, attributes, Some(&otlp.service_name))
}

/// An id that is the same after a restart and that two eyepieces at work do not share: of the machine, the node's names,
/// what is watched, and the admin listener, which no two of a machine have in common.
///
/// `namespace` is the inode of a network namespace that is not the machine's: two of them may each have an eyepiece with
/// the same settings.
fn instance_id(settings: &Settings, machine: &str, namespace: Option<u64>) -> String {
    let watched = match settings.source.kind {
        SourceKind::Datapath => {
            let interfaces = &settings.datapath.interfaces;
            format!("{:?}{:?}", interfaces.include, interfaces.exclude)
        }
        SourceKind::CiliumMonitor => settings.cilium_monitor.socket.clone(),
        SourceKind::Hubble => settings.hubble_source.address.clone(),
        SourceKind::Replay => settings.replay.path.clone(),
    };
    let admin = settings.admin.listen.map(|address| address.to_string());
    let parts = [
        machine,
        &settings.node.cluster,
        &settings.node.name,
        settings.source.kind.name(),
        &watched,
        &admin.unwrap_or_default(),
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

/// The machine's id; empty where it has none, as in most containers: the node's name stands for it there.
fn machine_id() -> String {
    let read = MACHINE_ID.iter().find_map(|path| std::fs::read_to_string(path).ok());
    read.unwrap_or_default().trim().to_owned()
}

/// The inode of our network namespace, where it is another one than that of the first process. Without the privilege to
/// look at that one it counts as the same.
fn network_namespace() -> Option<u64> {
    let inode = |path: &str| std::fs::metadata(path).ok().map(|metadata| metadata.ino());
    let (ours, first) = (inode("/proc/self/ns/net")?, inode("/proc/1/ns/net")?);
    (ours != first).then_some(ours)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use eyepiece_config::{Settings, SourceKind};

    use super::{Emitter, attribute, instance_id, resource, uuid_v5};

    fn value(settings: &Settings, name: &str) -> Option<String> {
        let resource = resource(settings, &Emitter::default());
        resource.attributes().iter().find(|(key, _)| key == name).map(|(_, value)| value.clone())
    }

    #[test]
    fn uuid_is_of_name_and_namespace() {
        // As Python's uuid.uuid5 makes it.
        assert_eq!(uuid_v5(b"eyepiece"), "5df6093c-b6b2-5b4c-b1c0-611c54459023");
    }

    #[test]
    fn instance_id_differs_by_what_is_watched() {
        let plain = Settings::default();
        let of = |change: fn(&mut Settings)| {
            let mut settings = plain.clone();
            change(&mut settings);
            instance_id(&settings, "m", None)
        };
        let ids = [
            instance_id(&plain, "m", None),
            instance_id(&plain, "n", None),
            instance_id(&plain, "m", Some(4_026_532_000)),
            of(|settings| settings.node.name = "b".to_owned()),
            of(|settings| settings.node.cluster = "b".to_owned()),
            of(|settings| settings.datapath.interfaces.include = vec!["eth*".to_owned()]),
            of(|settings| settings.datapath.interfaces.exclude = vec!["eth*".to_owned()]),
            of(|settings| settings.source.kind = SourceKind::Hubble),
            of(|settings| settings.source.kind = SourceKind::CiliumMonitor),
            of(|settings| settings.admin.listen = None),
        ];
        assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len(), "{ids:?}");
        // What does not tell two instances apart may change.
        let ids = [
            of(|settings| settings.otlp.service_name = "b".to_owned()),
            of(|settings| settings.otlp.endpoint = "http://b:4317".to_owned()),
            of(|settings| settings.metrics.max_series = 7),
            of(|settings| settings.hubble_source.tls.server_name = "b".to_owned()),
        ];
        assert!(ids.iter().all(|id| *id == instance_id(&plain, "m", None)), "{ids:?}");
    }

    #[test]
    fn resource_is_stable_and_names_cluster() {
        let mut settings = Settings::default();
        settings.node.name = "node".to_owned();
        let id = value(&settings, attribute::SERVICE_INSTANCE_ID);
        assert!(id.as_ref().is_some_and(|id| id.len() == 36 && id.as_bytes()[14] == b'5'), "{id:?}");
        assert_eq!(value(&settings, attribute::SERVICE_INSTANCE_ID), id);
        assert_eq!(value(&settings, attribute::K8S_CLUSTER_NAME), None, "the default is no cluster");
        settings.node.cluster = "prod".to_owned();
        assert_eq!(value(&settings, attribute::K8S_CLUSTER_NAME).as_deref(), Some("prod"));
        let given = [
            (attribute::K8S_CLUSTER_NAME, "given"),
            (attribute::SERVICE_INSTANCE_ID, "mine"),
            (attribute::HOST_NAME, ""),
        ];
        let given = given.map(|(name, value)| (name.to_owned(), value.to_owned()));
        settings.otlp.resource_attributes = given.into();
        assert_eq!(value(&settings, attribute::K8S_CLUSTER_NAME).as_deref(), Some("given"));
        assert_eq!(value(&settings, attribute::SERVICE_INSTANCE_ID).as_deref(), Some("mine"));
        assert_eq!(value(&settings, attribute::HOST_NAME), None, "an empty value leaves it out");
    }
}
