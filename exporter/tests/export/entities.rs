//! Entity events of the registry's entities, as a receiver gets them: of every type, as the registry of names has it.

use std::collections::BTreeSet;
use std::sync::Arc;

use eyepiece::export::otlp::encode::{Pushed, RequestBuilder};
use eyepiece::export::otlp::resource::Resource;
use eyepiece::metadata::entity_events::event::EntityEvent;
use eyepiece::metadata::provider::{Change, ChangeReceiver as _, Entity, EntityKind, Key, Provider, Target};
use eyepiece::metadata::registry::Registry;
use eyepiece::metadata::{Publisher, WantedTexts};
use eyepiece_flow::interner::Symbols;
use eyepiece_flow::metadata::{EndMetadata, Service, Workload};
use eyepiece_semconv::{attribute, entity};
use eyepiece_tests::schema;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use prost::Message as _;

use crate::encode::{attributes, body};
use crate::support;

/// The records of events as a receiver reads them, by their bodies.
fn records(events: &[EntityEvent]) -> Vec<LogRecord> {
    let mut builder = RequestBuilder::new(&Resource::new("host", "instance", [], None), 100, 1 << 20);
    events.iter().for_each(|event| assert_eq!(builder.push_entity(event, 99), Pushed::Added));
    let request = ExportLogsServiceRequest::decode(builder.finish().unwrap().body).unwrap();
    assert_eq!(schema::of_logs(&request), BTreeSet::new());
    let mut records: Vec<_> = support::records(&request).cloned().collect();
    records.sort_by_key(body);
    records
}

fn entity(kind: EntityKind, attributes: &[(&'static str, &str)]) -> Entity {
    let metadata = EndMetadata {
        cluster_name: "east".to_owned(),
        namespace: "shop".to_owned(),
        pod_name: "web-1".to_owned(),
        labels: vec!["k8s:app=web".to_owned()],
        workloads: vec![Workload { name: "web".to_owned(), kind: "Deployment".to_owned() }],
    };
    let attributes = attributes.iter().map(|&(name, text)| (name, text.into())).collect();
    let service = Some(Arc::new(Service { name: "web".to_owned(), namespace: "shop".to_owned() }));
    Entity { kind, name: "shop/web-1".to_owned(), identity: 77, service, attributes, ..Entity::of(metadata) }
}

#[test]
fn every_type_of_entity_is_encoded() {
    let registry = Registry::new(Symbols::default(), Publisher::default(), WantedTexts::default());
    registry.follow_entities();
    let all = [
        (EntityKind::Container, &[(attribute::CONTAINER_ID, "c1"), (attribute::CONTAINER_IMAGE_TAGS, "2")][..]),
        (EntityKind::Container, &[(attribute::SERVICE_NAME, "web"), (attribute::SERVICE_NAMESPACE, "shop")]),
        (EntityKind::Pod, &[(attribute::K8S_POD_UID, "u1"), (attribute::K8S_NODE_NAME, "n1")]),
        (EntityKind::Service, &[(attribute::K8S_SERVICE_UID, "s1")]),
        (EntityKind::Node, &[(attribute::K8S_NODE_UID, "n1"), (attribute::K8S_NODE_NAME, "node-1")]),
        (EntityKind::Process, &[(attribute::PROCESS_PID, "7"), (attribute::PROCESS_CREATION_TIME, "now")]),
        (EntityKind::Unit, &[(attribute::SYSTEMD_UNIT_NAME, "a.service"), (attribute::USER_ID, "1000")]),
    ];
    let set = |(number, (kind, attributes)): (usize, &(EntityKind, &[_]))| {
        Change::Set(Key::ControlGroup(number as u64), Target::Entity(Arc::new(entity(*kind, attributes))))
    };
    registry.apply(Provider::Docker, all.iter().enumerate().map(set).collect());
    let states = registry.take_entity_events(5, 300, false);
    let types: BTreeSet<_> = states.iter().map(|event| event.entity.kind.name).collect();
    assert_eq!(types, entity::ALL.iter().map(|kind| kind.name).collect());
    let records_of_states = records(&states);
    for record in &records_of_states {
        assert_eq!((record.event_name.as_str(), record.severity_text.as_str()), ("entity.state", "INFO"));
        assert_eq!((record.time_unix_nano, record.observed_time_unix_nano), (5, 99));
    }
    let container = &records_of_states[0];
    assert_eq!(body(container), "ENTITY_STATE: container shop/web-1");
    let of_hubble = "hubble.entity.name=shop/web-1 hubble.entity.identity=77 hubble.entity.labels=[k8s:app=web]";
    let expected = [
        format!("entity.description={{container.image.tags=[2] {of_hubble}}}"),
        "entity.id={container.id=c1}".to_owned(),
        "entity.report.interval=300".to_owned(),
        "entity.type=container".to_owned(),
    ];
    assert_eq!(attributes(container), expected);

    registry.replace(Provider::Docker, Vec::new());
    let deleted = registry.take_entity_events(6, 300, false);
    assert_eq!(deleted.len(), states.len());
    let deleted = records(&deleted);
    assert!(deleted.iter().all(|record| record.event_name == "entity.delete" && record.time_unix_nano == 6));
    assert_eq!(attributes(&deleted[0]), ["entity.id={container.id=c1}", "entity.type=container"]);
}
