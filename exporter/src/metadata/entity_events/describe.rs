//! Finds the entities of OpenTelemetry's conventions in a provider's entity, by the attributes that identify them.

use eyepiece_semconv::{Attribute, EntityType, Type, attribute, entity};

use super::event::{ReportedEntity, Value};
use crate::metadata::provider::{EntityKind, EntityRef};

/// Attributes of Kubernetes' kinds of workloads.
const WORKLOADS: [(&str, &str); 6] = [
    ("Deployment", attribute::K8S_DEPLOYMENT_NAME),
    ("StatefulSet", attribute::K8S_STATEFULSET_NAME),
    ("DaemonSet", attribute::K8S_DAEMONSET_NAME),
    ("ReplicaSet", attribute::K8S_REPLICASET_NAME),
    ("Job", attribute::K8S_JOB_NAME),
    ("CronJob", attribute::K8S_CRONJOB_NAME),
];

/// Returns the entities that events report for a provider's entity. A pod of one container is a pod and a container, a
/// container of compose also is a service. An entity of DNS or of the file of names gives none.
pub(super) fn reported(owner: &EntityRef) -> Vec<ReportedEntity> {
    let fields = fields(owner);
    entity::ALL.iter().filter_map(|kind| of_kind(kind, owner, &fields)).collect()
}

/// The entity of a type, if its first identifying attribute is there.
fn of_kind(kind: &'static EntityType, owner: &EntityRef, fields: &[(&'static str, Value)]) -> Option<ReportedEntity> {
    let identifying = |name: &&'static str| {
        owner.attributes().find(|(known, _)| known == name).map(|(name, text)| (name, text.to_string()))
    };
    identifying(kind.identifying.first()?)?;
    let id = kind.identifying.iter().filter_map(identifying).collect();
    let descriptive = kind.descriptive.iter();
    let description = descriptive.filter_map(|name| fields.iter().find(|(known, _)| known == name).cloned()).collect();
    Some(ReportedEntity { kind, id, description })
}

/// All attributes of an entity.
fn fields(owner: &EntityRef) -> Vec<(&'static str, Value)> {
    let entity = &owner.entity;
    let metadata = &entity.metadata;
    let own = owner.attributes().filter(|(_, text)| !text.is_empty());
    let mut fields: Vec<_> = own.map(|(name, text)| (name, value(name, text))).collect();
    let mut texts = vec![(attribute::HUBBLE_ENTITY_NAME, entity.name.as_str())];
    // Elsewhere the fields of pods hold the names of containers, units and processes.
    if matches!(entity.kind, EntityKind::Pod | EntityKind::Service | EntityKind::Node) {
        texts.extend([
            (attribute::K8S_CLUSTER_NAME, metadata.cluster_name.as_str()),
            (attribute::K8S_NAMESPACE_NAME, metadata.namespace.as_str()),
            (attribute::K8S_POD_NAME, &*entity.pod_name),
        ]);
        texts.extend(entity.service.iter().map(|service| (attribute::K8S_SERVICE_NAME, service.name.as_str())));
        texts.extend(metadata.workloads.iter().filter_map(|workload| {
            let (_, attribute) = WORKLOADS.iter().find(|(kind, _)| *kind == workload.kind)?;
            Some((*attribute, workload.name.as_str()))
        }));
    }
    fields.extend(texts.into_iter().filter(|(_, text)| !text.is_empty()).map(|(name, text)| (name, text.into())));
    if entity.identity != 0 {
        fields.push((attribute::HUBBLE_ENTITY_IDENTITY, Value::Number(entity.identity.into())));
    }
    if !metadata.labels.is_empty() {
        fields.push((attribute::HUBBLE_ENTITY_LABELS, Value::Texts(metadata.labels.clone())));
    }
    fields
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

/// The value of a provider's attribute, of the type that the registry of names has.
fn value(name: &str, text: &str) -> Value {
    match Attribute::find(name).map(|attribute| attribute.r#type) {
        Some(Type::Strings) => Value::Texts(vec![text.to_owned()]),
        _ => text.into(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use eyepiece_flow::metadata::{EndMetadata, PodContainer, Service, Workload};
    use eyepiece_semconv::attribute;

    use super::{Value, reported};
    use crate::metadata::provider::{Entity, EntityKind, EntityRef};

    fn attributes(list: &[(&'static str, &str)]) -> Vec<(&'static str, Arc<str>)> {
        list.iter().map(|&(name, text)| (name, text.into())).collect()
    }

    /// Each reported entity as `TYPE {ID} DESCRIPTION`.
    fn lines(owner: &EntityRef) -> Vec<String> {
        let value = |value: &Value| match value {
            Value::Text(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            Value::Texts(texts) => format!("[{}]", texts.join(",")),
        };
        let line = |entity: super::ReportedEntity| {
            let id: Vec<_> = entity.id.iter().map(|(name, text)| format!("{name}={text}")).collect();
            let rest: Vec<_> = entity.description.iter().map(|(name, of)| format!("{name}={}", value(of))).collect();
            format!("{} {{{}}} {}", entity.kind.name, id.join(" "), rest.join(" ")).trim_end().to_owned()
        };
        reported(owner).into_iter().map(line).collect()
    }

    #[test]
    fn attributes_decide_reported_entities() {
        let metadata = |namespace: &str, pod: &str| EndMetadata {
            cluster_name: "east".to_owned(),
            namespace: namespace.to_owned(),
            pod_name: pod.to_owned(),
            labels: vec!["a:b=c".to_owned()],
            workloads: vec![Workload { name: "web".to_owned(), kind: "Deployment".to_owned() }],
        };
        let container = [
            (attribute::CONTAINER_ID, "c1"),
            (attribute::CONTAINER_NAME, "shop-web-1"),
            (attribute::CONTAINER_IMAGE_TAGS, "2"),
            (attribute::SERVICE_NAME, "web"),
            (attribute::SERVICE_NAMESPACE, "shop"),
        ];
        let pod = [(attribute::K8S_POD_UID, "u1"), (attribute::K8S_NODE_NAME, "n1")];
        let process = [
            (attribute::PROCESS_PID, "7"),
            (attribute::PROCESS_EXECUTABLE_NAME, "sshd"),
            (attribute::PROCESS_CREATION_TIME, "2026-12-01T00:00:00Z"),
        ];
        let of_namespace =
            |namespace: &str| Some(Arc::new(Service { name: "web".to_owned(), namespace: namespace.to_owned() }));
        for (row, kind, service, attributes_of, expected) in [
            (
                "container of compose",
                EntityKind::Container,
                None,
                attributes(&container),
                &[
                    "container {container.id=c1} container.name=shop-web-1 container.image.tags=[2] \
                     hubble.entity.name=x hubble.entity.identity=9 hubble.entity.labels=[a:b=c]",
                    "service {service.name=web service.namespace=shop}",
                ][..],
            ),
            (
                "pod of one container",
                EntityKind::Pod,
                of_namespace("shop"),
                attributes(&pod),
                &[
                    "container {container.id=c2} k8s.container.name=nginx k8s.pod.uid=u1 hubble.entity.name=x \
                     hubble.entity.identity=9 hubble.entity.labels=[a:b=c]",
                    "k8s.pod {k8s.pod.uid=u1} k8s.pod.name=web-1 k8s.namespace.name=shop k8s.cluster.name=east \
                     k8s.node.name=n1 k8s.deployment.name=web k8s.service.name=web hubble.entity.name=x \
                     hubble.entity.identity=9 hubble.entity.labels=[a:b=c]",
                ],
            ),
            (
                "service of Kubernetes",
                EntityKind::Service,
                of_namespace("shop"),
                attributes(&[(attribute::K8S_SERVICE_UID, "s1")]),
                &["k8s.service {k8s.service.uid=s1} k8s.service.name=web k8s.namespace.name=shop \
                   k8s.cluster.name=east hubble.entity.name=x"],
            ),
            (
                "process",
                EntityKind::Process,
                None,
                attributes(&process),
                &["process {process.pid=7 process.creation.time=2026-12-01T00:00:00Z} \
                   process.executable.name=sshd hubble.entity.identity=9 hubble.entity.labels=[a:b=c]"],
            ),
            (
                "unit of a user",
                EntityKind::Unit,
                None,
                attributes(&[(attribute::SYSTEMD_UNIT_NAME, "a.service"), (attribute::USER_ID, "1000")]),
                &["systemd.unit {systemd.unit.name=a.service user.id=1000} hubble.entity.identity=9 \
                   hubble.entity.labels=[a:b=c]"],
            ),
            ("entry of the file", EntityKind::Named, None, Vec::new(), &[]),
        ] {
            let metadata = metadata("shop", "web-1");
            let name = "x".to_owned();
            let entity = Entity { kind, name, identity: 9, service, attributes: attributes_of, ..Entity::of(metadata) };
            let container =
                (kind == EntityKind::Pod).then(|| Arc::new(PodContainer { id: "c2".into(), name: "nginx".into() }));
            let owner = EntityRef { entity: Arc::new(entity), container };
            assert_eq!(lines(&owner), expected, "{row}");
        }
    }
}
