//! Texts of the agent, and what is made of them.

use super::{AgentEventKind, Notification, RecordError, notification};
use crate::agent_event::{ServiceAddress, Timestamp};

fn texts(list: &[&str]) -> Vec<String> {
    list.iter().map(|&text| text.to_owned()).collect()
}

#[test]
fn every_kind() {
    use AgentEventKind as Kind;
    let labels = || texts(&["k8s:app=a"]);
    let policy = |labels| Notification::Policy { labels, revision: 3, rule_count: -1 };
    let regenerated =
        |error: &str| Notification::EndpointRegenerate { id: 7, labels: labels(), error: error.to_owned() };
    let updated = |pod: &str| Notification::EndpointUpdate {
        id: 7,
        labels: Vec::new(),
        error: String::new(),
        pod_name: pod.into(),
        namespace: "n".into(),
        interface: String::new(),
    };
    let ours = Notification::EndpointUpdate {
        id: 7,
        labels: Vec::new(),
        error: String::new(),
        pod_name: String::new(),
        namespace: String::new(),
        interface: "veth0".into(),
    };
    let time = Some(Timestamp { seconds: 1_714_979_289, nanos: 5 });
    for (number, json, kind, expected) in [
        (1, "{}", Kind::Unknown, Notification::Unknown { kind: 1, notification: "{}".into() }),
        (13, "no json", Kind::Unknown, Notification::Unknown { kind: 13, notification: "no json".into() }),
        (2, r#"{"time":"2024-05-06T07:08:09.000000005Z"}"#, Kind::AgentStarted, Notification::AgentStart { time }),
        (2, r#"{"time":"now"}"#, Kind::AgentStarted, Notification::AgentStart { time: None }),
        (3, r#"{"id":7,"labels":["k8s:app=a"]}"#, Kind::EndpointRegenerateSuccess, regenerated("")),
        (4, r#"{"id":7,"labels":["k8s:app=a"],"error":"e"}"#, Kind::EndpointRegenerateFailure, regenerated("e")),
        (5, r#"{"labels":["k8s:app=a"],"revision":3,"rule_count":-1}"#, Kind::PolicyUpdated, policy(labels())),
        (6, r#"{"labels":null,"revision":3,"rule_count":-1,"more":{}}"#, Kind::PolicyDeleted, policy(Vec::new())),
        (7, r#"{"id":7,"pod-name":"p","namespace":"n"}"#, Kind::EndpointCreated, updated("p")),
        (8, r#"{"id":7,"namespace":"n"}"#, Kind::EndpointDeleted, updated("")),
        (7, r#"{"id":7,"interface":"veth0"}"#, Kind::EndpointCreated, ours),
        (12, r#"{"id":9}"#, Kind::ServiceDeleted, Notification::ServiceDelete { id: 9 }),
    ] {
        assert_eq!(notification(number, json), Ok((kind, expected)), "{number} {json}");
    }
}

#[test]
fn addresses_and_identities() {
    let ipcache = |old_identity, host: &str, key| Notification::Ipcache {
        cidr: "10.0.0.0/24".into(),
        identity: 2001,
        old_identity,
        host_ip: host.into(),
        old_host_ip: String::new(),
        encrypt_key: key,
        namespace: String::new(),
        pod_name: String::new(),
    };
    for (number, json, expected) in [
        (9, r#"{"cidr":"10.0.0.0/24","id":2001,"old-id":0,"encrypt-key":0}"#, ipcache(Some(0), "", 0)),
        (
            10,
            r#"{"cidr":"10.0.0.0/24","id":2001,"host-ip":"192.0.2.1","encrypt-key":2}"#,
            ipcache(None, "192.0.2.1", 2),
        ),
        (10, r#"{"cidr":"10.0.0.0/24","id":2001,"host-ip":null,"encrypt-key":2}"#, ipcache(None, "", 2)),
    ] {
        assert_eq!(notification(number, json).unwrap().1, expected, "{json}");
    }
}

#[test]
fn services_of_every_release() {
    let service = |policy: &str, old: &str| Notification::ServiceUpsert {
        id: 3,
        frontend: ServiceAddress { ip: "10.96.0.1".into(), port: 443 },
        backends: vec![ServiceAddress { ip: "192.0.2.1".into(), port: 6443 }],
        kind: "ClusterIP".into(),
        traffic_policy: old.into(),
        ext_traffic_policy: policy.into(),
        int_traffic_policy: "Local".into(),
        name: "kubernetes".into(),
        namespace: "default".into(),
    };
    let json = |policies: &str| {
        format!(
            r#"{{"id":3,"frontend-address":{{"ip":"10.96.0.1","port":443}},"backend-addresses":[{{"ip":"192.0.2.1","port":6443}}],
            "num-backends-omitted":1,"type":"ClusterIP",{policies}"int-traffic-policy":"Local","name":"kubernetes","namespace":"default"}}"#
        )
    };
    for (policies, expected) in [
        (r#""traffic-policy":"Cluster","#, service("", "Cluster")),
        (r#""ext-traffic-policy":"Local","#, service("Local", "Local")),
        ("", service("", "")),
    ] {
        assert_eq!(notification(11, &json(policies)), Ok((AgentEventKind::ServiceUpserted, expected)), "{policies}");
    }
}

#[test]
fn texts_that_are_not_their_kinds() {
    for (number, json) in [
        (2, ""),
        (3, "[]x"),
        (5, r#"{"revision":-1}"#),
        (7, r#"{"id":"7"}"#),
        (9, r#"{"cidr":1}"#),
        (9, r#"{"id":4294967296}"#),
        (11, r#"{"backend-addresses":[1]}"#),
        (12, "nul"),
    ] {
        assert!(matches!(notification(number, json), Err(RecordError::Json { line: 0 | 1, .. })), "{number} {json}");
    }
}
