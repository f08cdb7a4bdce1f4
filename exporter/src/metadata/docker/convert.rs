//! Turns docker's answers into containers, with bounded texts.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use bollard::models::{
    ContainerInspectResponse, ContainerSummary, EndpointSettings, EventMessage, EventMessageTypeEnum,
};

use super::container::{Container, Listing, MAX_CONTAINERS, Network};
use super::error::cut;
use super::{entity, namespace};

/// The most bytes of a name.
const NAME_BYTES: usize = 256;
/// The most labels of a container.
const LABELS: usize = 64;
/// The most bytes of a label's key and value.
const LABEL_BYTES: usize = 256;
/// The most addresses of a container: two for each network.
const ADDRESSES: usize = 64;

/// The containers of a listing.
pub(super) fn listing(summaries: Vec<ContainerSummary>, runtime: &'static str) -> Listing {
    let mut listing = Listing::default();
    for summary in summaries {
        if listing.containers.len() == MAX_CONTAINERS {
            listing.left_out += 1;
        } else if let Some(container) = summarized(summary, runtime) {
            listing.containers.push(container);
        } else {
            listing.invalid += 1;
        }
    }
    listing
}

fn summarized(summary: ContainerSummary, runtime: &'static str) -> Option<Container> {
    let id = summary.id.filter(|id| is_id(id))?;
    let networks = summary.network_settings.and_then(|settings| settings.networks);
    let mode = summary.host_config.and_then(|config| config.network_mode);
    // Links of other containers are names with two slashes.
    let name = summary.names.unwrap_or_default().into_iter().find(|name| name.rfind('/').unwrap_or(0) == 0);
    let (labels, labels_left_out) = labels(summary.labels);
    Some(Container {
        id: id.into(),
        runtime,
        name: container_name(name),
        image: bounded(summary.image),
        labels,
        labels_left_out,
        is_stopped: false,
        network: network(mode.as_deref()),
        namespace: None,
        addresses: addresses(networks),
    })
}

/// The container of an answer; `None` if it has no state.
pub(super) fn inspected(id: Arc<str>, answer: ContainerInspectResponse, runtime: &'static str) -> Option<Container> {
    let state = answer.state?;
    let is_stopped = state.running != Some(true);
    let (image, own_labels) = answer.config.map(|config| (config.image, config.labels)).unwrap_or_default();
    let (networks, sandbox) =
        answer.network_settings.map(|settings| (settings.networks, settings.sandbox_key)).unwrap_or_default();
    let network = network(answer.host_config.and_then(|config| config.network_mode).as_deref());
    let (labels, labels_left_out) = labels(own_labels);
    let namespace = match network {
        _ if is_stopped => None,
        Network::Host => None,
        Network::Own | Network::Shared => namespace::inode(&id, state.pid, sandbox.as_deref()),
    };
    Some(Container {
        runtime,
        name: container_name(answer.name),
        image: bounded(image),
        labels,
        labels_left_out,
        is_stopped,
        network,
        namespace,
        addresses: if is_stopped { BTreeSet::new() } else { addresses(networks) },
        id,
    })
}

/// The subject of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Subject {
    /// A container that was created. Its event has all that names it, while an answer about it may wait for its start.
    Created(Box<Container>),
    /// The id of a container that has ended, and may run again by now.
    Ended(Arc<str>),
    /// The id of a container that has to be looked at.
    Changed(Arc<str>),
}

/// The subject of an event, if the event may change what is known of a container.
pub(super) fn subject(event: EventMessage, runtime: &'static str) -> Option<Subject> {
    let actor = event.actor?;
    let mut attributes = actor.attributes.unwrap_or_default();
    let (kind, action) = (event.typ?, event.action?);
    let id = match kind {
        EventMessageTypeEnum::CONTAINER => actor.id?,
        EventMessageTypeEnum::NETWORK => attributes.remove("container")?,
        _ => return None,
    };
    let id: Arc<str> = is_id(&id).then(|| id.into())?;
    match (kind, action.as_str()) {
        (EventMessageTypeEnum::CONTAINER, "create") => {}
        // Some are podman's own names.
        (EventMessageTypeEnum::CONTAINER, "die" | "destroy" | "died" | "remove" | "cleanup") => {
            return Some(Subject::Ended(id));
        }
        (EventMessageTypeEnum::CONTAINER, "start" | "restart" | "rename" | "init")
        | (EventMessageTypeEnum::NETWORK, "connect" | "disconnect") => return Some(Subject::Changed(id)),
        _ => return None,
    }
    // Beside the labels.
    let (name, image) = (container_name(attributes.remove("name")), bounded(attributes.remove("image")));
    let (labels, labels_left_out) = labels(Some(attributes));
    let container =
        Container { id, name, runtime, image, labels, labels_left_out, is_stopped: true, ..Container::default() };
    Some(Subject::Created(Box::new(container)))
}

/// Returns whether a text is a full id.
fn is_id(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn container_name(name: Option<String>) -> String {
    let name = name.unwrap_or_default();
    cut(name.strip_prefix('/').unwrap_or(&name), NAME_BYTES).to_owned()
}

fn bounded(text: Option<String>) -> String {
    cut(&text.unwrap_or_default(), NAME_BYTES).to_owned()
}

fn network(mode: Option<&str>) -> Network {
    match mode {
        Some("host") => Network::Host,
        Some(mode) if mode.starts_with("container:") => Network::Shared,
        _ => Network::Own,
    }
}

/// The labels that are shown, and how many are beyond the limits.
fn labels(labels: Option<HashMap<String, String>>) -> (BTreeMap<String, String>, u64) {
    let shown = labels.unwrap_or_default().into_iter().filter(|(key, _)| entity::is_shown(key));
    let (mut kept, long): (BTreeMap<_, _>, BTreeMap<_, _>) =
        shown.partition(|(key, value)| key.len() + value.len() <= LABEL_BYTES);
    let mut left_out = long.len();
    while kept.len() > LABELS {
        kept.pop_last();
        left_out += 1;
    }
    (kept, left_out as u64)
}

fn addresses(networks: Option<HashMap<String, EndpointSettings>>) -> BTreeSet<IpAddr> {
    let texts = networks.unwrap_or_default().into_values();
    let texts = texts.flat_map(|network| [network.ip_address, network.global_ipv6_address]).flatten();
    let addresses = texts.filter_map(|text| text.parse::<IpAddr>().ok());
    addresses.filter(|address| !address.is_unspecified() && !address.is_loopback()).take(ADDRESSES).collect()
}

#[cfg(test)]
mod tests;
