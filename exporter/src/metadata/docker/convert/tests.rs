//! Answers of docker and podman, as far as they matter here.

use std::collections::HashMap;

use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{LABEL_BYTES, LABELS, Subject, inspected, labels, listing, subject};
use crate::metadata::docker::container::{Container, MAX_CONTAINERS, Network};

const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

fn read<T: DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).expect("a document of docker")
}

#[test]
fn listing_has_valid_containers() {
    let summary = |id: &str, rest: Value| {
        let mut summary = json!({"Id": id, "Names": ["/other/alias", "/web"], "Image": "web:1", "State": "running"});
        summary.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        summary
    };
    let networks = json!({"NetworkSettings": {"Networks": {
        "front": {"IPAddress": "172.18.0.2", "GlobalIPv6Address": "fd00::2"},
        "back": {"IPAddress": "172.19.0.2", "GlobalIPv6Address": ""},
        "broken": {"IPAddress": "172.19.0.256"},
        "none": {"IPAddress": ""},
        "zero": {"IPAddress": "0.0.0.0"},
    }}});
    let listing = listing(
        read(json!([
            summary(ID, networks),
            summary(&ID.replace('0', "a"), json!({"HostConfig": {"NetworkMode": "host"}, "Labels": null})),
            summary(&ID.replace('0', "b"), json!({"HostConfig": {"NetworkMode": format!("container:{ID}")}})),
            summary("0123", json!({})),
            summary("../../../../../../../../../../../../../../../../../../../../etcxx", json!({})),
            json!({}),
        ])),
        "podman",
    );
    let networks: Vec<_> = listing.containers.iter().map(|container| container.network).collect();
    assert_eq!(networks, [Network::Own, Network::Host, Network::Shared]);
    assert_eq!((listing.invalid, listing.left_out), (3, 0));
    let first = &listing.containers[0];
    assert_eq!(first.runtime, "podman");
    assert_eq!((&*first.id, first.name.as_str(), first.image.as_str()), (ID, "web", "web:1"));
    let addresses: Vec<String> = first.addresses.iter().map(ToString::to_string).collect();
    assert_eq!(addresses, ["172.18.0.2", "172.19.0.2", "fd00::2"]);
}

#[test]
fn containers_beyond_limit_are_counted() {
    for n in [0, 1, MAX_CONTAINERS - 1, MAX_CONTAINERS, MAX_CONTAINERS + 1, MAX_CONTAINERS + 7] {
        let summaries = (0..n).map(|number| read(json!({"Id": format!("{number:064x}")}))).collect();
        let listing = listing(summaries, "docker");
        let expected = (n.min(MAX_CONTAINERS), n.saturating_sub(MAX_CONTAINERS));
        assert_eq!((listing.containers.len(), listing.left_out), expected, "{n}");
    }
}

#[test]
fn inspected_container_has_no_environment() {
    let answer = json!({
        "Id": ID,
        "Name": "/web",
        "State": {"Status": "running", "Running": true, "Pid": 0},
        "HostConfig": {"NetworkMode": "default"},
        "Config": {"Image": "web:1", "Env": ["PASSWORD=hunter2"], "Cmd": ["--token=hunter2"], "Labels": {"tier": "front"}},
        "NetworkSettings": {"SandboxKey": "/run/docker/netns/0", "Networks": {"bridge": {"IPAddress": "172.17.0.2"}}},
    });
    let container = inspected(ID.into(), read(answer.clone()), "docker").expect("it runs");
    assert_eq!((container.name.as_str(), container.image.as_str()), ("web", "web:1"));
    assert_eq!(container.labels.get("tier").map(String::as_str), Some("front"));
    assert_eq!((container.addresses.len(), container.namespace), (1, None));
    let shown = format!("{container:?} {:?}", crate::metadata::docker::entity::entity(&container));
    assert!(!shown.contains("hunter2"), "{shown}");
    assert!(!container.is_stopped);
    let with_state = |state: Value| {
        let mut answer = answer.clone();
        answer["State"] = state;
        inspected(ID.into(), read(answer), "docker")
    };
    for status in ["created", "exited"] {
        let stopped = with_state(json!({"Status": status, "Running": false})).expect("a container");
        assert_eq!((stopped.name.as_str(), stopped.is_stopped, stopped.addresses.len()), ("web", true, 0), "{status}");
    }
    assert_eq!(with_state(Value::Null), None);
}

#[test]
fn labels_are_bounded() {
    let given = |labels: &[(String, usize)]| -> HashMap<String, String> {
        labels.iter().map(|(key, length)| (key.clone(), "x".repeat(*length))).collect()
    };
    let numbered = |n: usize| (0..n).map(|number| (format!("k{number:04}"), 1)).collect::<Vec<_>>();
    for (name, labels_given, expected) in [
        ("none", Vec::new(), (0, 0)),
        ("one less than the most", numbered(LABELS - 1), (LABELS - 1, 0)),
        ("the most", numbered(LABELS), (LABELS, 0)),
        ("one more", numbered(LABELS + 1), (LABELS, 1)),
        ("as long as it may be", vec![("k".to_owned(), LABEL_BYTES - 1)], (1, 0)),
        ("one byte too long", vec![("k".to_owned(), LABEL_BYTES)], (0, 1)),
        ("what compose keeps for itself", vec![("com.docker.compose.config-hash".to_owned(), 9)], (0, 0)),
        ("its number", vec![("com.docker.compose.container-number".to_owned(), 1)], (1, 0)),
    ] {
        let (kept, left_out) = labels(Some(given(&labels_given)));
        assert_eq!((kept.len(), left_out), (expected.0, expected.1), "{name}");
    }
}

#[test]
fn events_name_their_container() {
    let event = |kind: &str, action: &str, id: &str, attributes: Value| json!({"Type": kind, "Action": action, "Actor": {"ID": id, "Attributes": attributes}, "time": 1, "scope": "local"});
    for (name, event, expected) in [
        ("start", event("container", "start", ID, json!({"image": "web"})), Some(ID)),
        ("rename", event("container", "rename", ID, json!({"oldName": "/a", "name": "b"})), Some(ID)),
        ("a health check", event("container", "exec_start: sh", ID, json!({})), None),
        ("a short id", event("container", "start", "0123", json!({})), None),
        ("connect", event("network", "connect", "net", json!({"container": ID, "name": "front"})), Some(ID)),
        ("connect of nothing", event("network", "connect", ID, json!({})), None),
        ("a new network", event("network", "create", "net", json!({"container": ID})), None),
        ("an image", event("image", "pull", ID, json!({})), None),
        ("nothing", json!({}), None),
    ] {
        let expected = expected.map(|id| Subject::Changed(id.into()));
        assert_eq!(subject(read(event), "docker"), expected, "{name}");
    }
}

#[test]
fn events_of_end_name_their_container() {
    for action in ["die", "destroy", "died", "remove", "cleanup"] {
        let event =
            json!({"Type": "container", "Action": action, "Actor": {"ID": ID, "Attributes": {"exitCode": "0"}}});
        assert_eq!(subject(read(event), "docker"), Some(Subject::Ended(ID.into())), "{action}");
    }
}

#[test]
fn event_of_creation_names_container() {
    let attributes = json!({"image": "web:1", "name": "web", "tier": "front", "com.docker.compose.config-hash": "0"});
    let event = json!({"Type": "container", "Action": "create", "Actor": {"ID": ID, "Attributes": attributes}});
    let Some(Subject::Created(container)) = subject(read(event), "podman") else { panic!("no container") };
    let Container { id, name, runtime, image, is_stopped, labels, .. } = *container;
    assert_eq!((&*id, &*name, runtime, &*image, is_stopped), (ID, "web", "podman", "web:1", true));
    assert_eq!(labels.into_iter().collect::<Vec<_>>(), [("tier".to_owned(), "front".to_owned())]);
}
