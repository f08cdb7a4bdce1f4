//! Makes an entity of a container.

use std::sync::Arc;

use eyepiece_flow::metadata::{EndMetadata, Workload};
use eyepiece_semconv::attribute;

use super::container::Container;
use crate::metadata::identity_of_labels;
use crate::metadata::provider::{Entity, EntityKind};

/// Before all of compose's own labels.
const COMPOSE: &str = "com.docker.compose.";
const PROJECT: &str = "com.docker.compose.project";
const SERVICE: &str = "com.docker.compose.service";
const NUMBER: &str = "com.docker.compose.container-number";
/// Labels that differ between the replicas of a service.
const OF_INSTANCE: [&str; 5] = [
    NUMBER,
    "com.docker.swarm.node.id",
    "com.docker.swarm.task",
    "com.docker.swarm.task.id",
    "com.docker.swarm.task.name",
];
/// Keys of the labels that the provider adds.
const NAME: &str = "name";
const IMAGE: &str = "image";
/// The namespace of containers outside of a project.
const NO_PROJECT: &str = "docker";
/// Digits of an image's id that name it.
const SHORT_ID: usize = 12;

/// Returns whether a label of a container is shown: compose's inner ones are not, and [`NAME`] and [`IMAGE`] are docker's.
pub(super) fn is_shown(key: &str) -> bool {
    let is_inner = key.starts_with(COMPOSE) && ![PROJECT, SERVICE, NUMBER].contains(&key);
    !is_inner && key != NAME && key != IMAGE
}

/// The entity, as Hubble shows a pod: its namespace is the project, its workload the service or the image.
pub(super) fn entity(container: &Container) -> Entity {
    let label = |key: &str| container.labels.get(key).map(String::as_str).filter(|value| !value.is_empty());
    let (project, service) = (label(PROJECT), label(SERVICE));
    let image = Image::parse(&container.image);
    let workload = match service {
        Some(service) => Workload { name: service.to_owned(), kind: "Service".to_owned() },
        None => Workload { name: image.short.to_owned(), kind: "Image".to_owned() },
    };
    let mut attributes: Vec<(_, Arc<str>)> = vec![
        (attribute::CONTAINER_ID, Arc::clone(&container.id)),
        (attribute::CONTAINER_NAME, container.name.as_str().into()),
        (attribute::CONTAINER_IMAGE_NAME, image.name.into()),
        (attribute::CONTAINER_RUNTIME_NAME, container.runtime.into()),
    ];
    let optional = [
        (attribute::CONTAINER_IMAGE_TAGS, image.tag),
        (attribute::SERVICE_NAME, service),
        (attribute::SERVICE_NAMESPACE, project),
    ];
    attributes.extend(optional.into_iter().filter_map(|(key, value)| Some((key, value?.into()))));
    Entity {
        kind: EntityKind::Container,
        name: project.map_or_else(|| container.name.clone(), |project| format!("{project}/{}", container.name)),
        identity: identity(container),
        attributes,
        ..Entity::of(EndMetadata {
            cluster_name: String::new(),
            namespace: project.unwrap_or(NO_PROJECT).to_owned(),
            pod_name: container.name.clone(),
            labels: labels(container),
            workloads: if workload.name.is_empty() { Vec::new() } else { vec![workload] },
        })
    }
}

fn labels(container: &Container) -> Vec<String> {
    let own = [(NAME, container.name.as_str()), (IMAGE, container.image.as_str())];
    let labels = container.labels.iter().map(|(key, value)| (key.as_str(), value.as_str()));
    let mut labels: Vec<String> = labels.chain(own).map(|(key, value)| format!("container:{key}={value}")).collect();
    labels.sort_unstable();
    labels
}

/// The identity of the labels that all replicas share.
fn identity(container: &Container) -> u32 {
    let shared = container.labels.iter().filter(|(key, _)| !OF_INSTANCE.contains(&key.as_str()));
    let mut shared: Vec<String> = shared.map(|(key, value)| format!("container:{key}={value}")).collect();
    shared.push(format!("container:{IMAGE}={}", container.image));
    shared.sort_unstable();
    identity_of_labels(shared.iter().map(String::as_str))
}

/// The parts of an image's reference.
#[derive(Debug, PartialEq, Eq)]
struct Image<'a> {
    /// Without tag and digest.
    name: &'a str,
    /// Without registry and path, too.
    short: &'a str,
    tag: Option<&'a str>,
}

impl<'a> Image<'a> {
    fn parse(reference: &'a str) -> Self {
        if let Some(digits) = reference.strip_prefix("sha256:") {
            return Self { name: reference, short: digits.get(..SHORT_ID).unwrap_or(digits), tag: None };
        }
        let named = reference.split_once('@').map_or(reference, |(named, _)| named);
        // A colon before the last slash belongs to the registry's port.
        let start = named.rfind('/').map_or(0, |slash| slash + 1);
        let (short, tag) = match named[start..].split_once(':') {
            Some((short, tag)) => (short, Some(tag).filter(|tag| !tag.is_empty())),
            None => (&named[start..], None),
        };
        Self { name: &named[..start + short.len()], short, tag }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{Image, entity, is_shown};
    use crate::metadata::docker::container::Container;
    use eyepiece_semconv::attribute;

    fn container(name: &str, image: &str, labels: &[(&str, &str)]) -> Container {
        let labels = labels.iter().map(|&(key, value)| (key.to_owned(), value.to_owned()));
        let labels: BTreeMap<_, _> = labels.filter(|(key, _)| is_shown(key)).collect();
        Container {
            id: "1".into(),
            name: name.to_owned(),
            image: image.to_owned(),
            labels,
            runtime: "docker",
            ..Container::default()
        }
    }

    const WEB: [(&str, &str); 5] = [
        ("com.docker.compose.project", "shop"),
        ("com.docker.compose.service", "web"),
        ("com.docker.compose.container-number", "1"),
        ("com.docker.compose.config-hash", "12ab"),
        ("tier", "front"),
    ];

    #[test]
    fn image_references_are_split() {
        let id = format!("sha256:{}", "ab".repeat(32));
        for (reference, name, short, tag) in [
            ("nginx", "nginx", "nginx", None),
            ("nginx:1.27", "nginx", "nginx", Some("1.27")),
            ("docker.io/library/nginx:1.27", "docker.io/library/nginx", "nginx", Some("1.27")),
            ("r.example:5000/team/web", "r.example:5000/team/web", "web", None),
            ("r.example:5000/web:2@sha256:00ff", "r.example:5000/web", "web", Some("2")),
            ("web@sha256:00ff", "web", "web", None),
            ("web:", "web", "web", None),
            (&id, &id, "abababababab", None),
            ("sha256:é", "sha256:é", "é", None),
            ("", "", "", None),
        ] {
            assert_eq!(Image::parse(reference), Image { name, short, tag }, "{reference}");
        }
    }

    #[test]
    fn compose_container_becomes_entity() {
        let entity = entity(&container("shop-web-1", "r.example:5000/web:2", &WEB));
        assert_eq!(entity.name, "shop/shop-web-1");
        assert_eq!((entity.metadata.namespace.as_str(), &*entity.pod_name), ("shop", "shop-web-1"));
        let workload = &entity.metadata.workloads[0];
        assert_eq!((workload.name.as_str(), workload.kind.as_str()), ("web", "Service"));
        assert_eq!(
            entity.metadata.labels,
            [
                "container:com.docker.compose.container-number=1",
                "container:com.docker.compose.project=shop",
                "container:com.docker.compose.service=web",
                "container:image=r.example:5000/web:2",
                "container:name=shop-web-1",
                "container:tier=front",
            ]
        );
        for (key, value) in [
            (attribute::CONTAINER_ID, Some("1")),
            (attribute::CONTAINER_NAME, Some("shop-web-1")),
            (attribute::CONTAINER_IMAGE_NAME, Some("r.example:5000/web")),
            (attribute::CONTAINER_IMAGE_TAGS, Some("2")),
            (attribute::CONTAINER_RUNTIME_NAME, Some("docker")),
            (attribute::SERVICE_NAME, Some("web")),
            (attribute::SERVICE_NAMESPACE, Some("shop")),
            (attribute::SERVICE_VERSION, None),
        ] {
            let found = entity.attributes.iter().find(|(name, _)| *name == key).map(|(_, value)| &**value);
            assert_eq!(found, value, "{key}");
        }
    }

    #[test]
    fn single_container_has_workload_of_image() {
        let entity = entity(&container("db", "postgres:17", &[("name", "other")]));
        assert_eq!((entity.name.as_str(), entity.metadata.namespace.as_str()), ("db", "docker"));
        let workload = &entity.metadata.workloads[0];
        assert_eq!((workload.name.as_str(), workload.kind.as_str()), ("postgres", "Image"));
        assert_eq!(entity.metadata.labels, ["container:image=postgres:17", "container:name=db"]);
    }

    #[test]
    fn replicas_share_identity() {
        let identity =
            |name: &str, image: &str, labels: &[(&str, &str)]| entity(&container(name, image, labels)).identity;
        let mut second = WEB;
        second[2].1 = "2";
        let first = identity("shop-web-1", "web:2", &WEB);
        assert_eq!(first, identity("shop-web-2", "web:2", &second));
        assert_ne!(first, identity("shop-web-1", "web:3", &WEB), "another image");
        assert_ne!(first, identity("shop-web-1", "web:2", &WEB[..4]), "another label");
    }
}
