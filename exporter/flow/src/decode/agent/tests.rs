//! Notifications from the agent's JSON.

use super::{AgentEventKind, Notification, RecordError, notification, service};
use crate::agent_event::{ServiceAddress, Timestamp};
use crate::cilium_release::{Producer, Release};

fn texts(list: &[&str]) -> Vec<String> {
    list.iter().map(|&text| text.to_owned()).collect()
}

#[test]
fn notification_of_each_kind_is_decoded() {
    use AgentEventKind as Kind;
    let labels = || texts(&["k8s:app=a"]);
    let policy = |labels| Notification::Policy { labels, revision: 3, rule_count: -1 };
    let endpoint = |labels, error: &str, pod: &str, namespace: &str, interface: &str| Notification::Endpoint {
        id: 7,
        labels,
        error: error.into(),
        pod_name: pod.into(),
        namespace: namespace.into(),
        interface: interface.into(),
    };
    let regenerated = |error| endpoint(labels(), error, "", "", "");
    let updated = |pod| endpoint(Vec::new(), "", pod, "n", "");
    let ours = r#"{"id":7,"labels":["k8s:app=a"],"pod-name":"p","namespace":"n","interface":"veth0"}"#;
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
        (7, r#"{"id":7,"interface":"veth0"}"#, Kind::EndpointCreated, endpoint(Vec::new(), "", "", "", "veth0")),
        (3, ours, Kind::EndpointRegenerateSuccess, endpoint(labels(), "", "p", "n", "veth0")),
    ] {
        assert_eq!(notification(number, json), Ok((kind, expected)), "{number} {json}");
    }
}

#[test]
fn ipcache_change_is_decoded() {
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

const ENDPOINTS: &str =
    r#""frontend-address":{"ip":"10.96.0.1","port":443},"backend-addresses":[{"ip":"192.0.2.1","port":6443}]"#;

#[test]
fn service_json_is_a_service() {
    let upserted = |policy: &str, old: &str| Notification::ServiceUpsert {
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
            r#"{{"id":3,{ENDPOINTS},"num-backends-omitted":1,"type":"ClusterIP",{policies}"int-traffic-policy":"Local",
            "name":"kubernetes","namespace":"default"}}"#
        )
    };
    let guess = Producer { guess_sock: true, ..Producer::default() };
    for producer in [Release::V1_15.into(), Release::V1_18.into(), Producer::default(), guess] {
        for (policies, expected) in [
            (r#""traffic-policy":"Cluster","#, upserted("", "Cluster")),
            (r#""ext-traffic-policy":"Local","#, upserted("Local", "Local")),
            ("", upserted("", "")),
        ] {
            let service = service(11, &json(policies), producer);
            assert_eq!(service, Some((AgentEventKind::ServiceUpserted, expected)), "{policies}");
        }
        let deleted = (AgentEventKind::ServiceDeleted, Notification::ServiceDelete { id: 9 });
        let expected = producer.is_release_known.then_some(deleted);
        assert_eq!(service(12, r#"{"id":9}"#, producer), expected, "an id alone can be of anything");
    }
}

#[test]
fn service_number_without_service_is_unknown() {
    let upserted = format!(r#"{{"id":3,{ENDPOINTS}}}"#);
    for release in [Release::V1_19, Release::V1_20] {
        for (number, json) in [(11, upserted.as_str()), (12, r#"{"id":9}"#)] {
            assert_eq!(service(number, json, release.into()), None, "{release:?} {json}");
        }
    }
    for json in [
        r#"{"id":7,"labels":["k8s:app=a"],"pod-name":"p","namespace":"n"}"#,
        r#"{"cidr":"10.0.0.0/24","id":2001,"encrypt-key":0}"#,
        r#"{"revision":3,"rule_count":1}"#,
        r#"{"id":3,"frontend-address":{"ip":"10.96.0.1","port":443}}"#,
        r#"{"id":3,"backend-addresses":null}"#,
        r#"{"id":-1}"#,
        r#"{"time":"2024-05-06T07:08:09Z"}"#,
        "[]",
        "nul",
        "",
    ] {
        for number in [11, 12] {
            for producer in [Release::V1_15.into(), Producer::default()] {
                assert_eq!(service(number, json, producer), None, "{json}");
            }
            let unknown = Notification::Unknown { kind: number, notification: json.to_owned() };
            assert_eq!(notification(number, json), Ok((AgentEventKind::Unknown, unknown)));
        }
    }
    for number in [11, 12] {
        assert_eq!(service(number, r#"{"id":101}"#, Producer::default()), None, "{number}");
    }
    for producer in [Release::V1_17.into(), Producer::default()] {
        let json = r#"{"id":3,"frontend-address":{},"backend-addresses":null}"#;
        assert!(service(11, json, producer).is_some(), "{producer:?}");
    }
}

#[test]
fn json_of_other_kind_fails() {
    for (number, json) in [
        (2, ""),
        (3, "[]x"),
        (5, r#"{"revision":-1}"#),
        (7, r#"{"id":"7"}"#),
        (9, r#"{"cidr":1}"#),
        (9, r#"{"id":4294967296}"#),
    ] {
        assert!(matches!(notification(number, json), Err(RecordError::Json { line: 0 | 1, .. })), "{number} {json}");
    }
}
