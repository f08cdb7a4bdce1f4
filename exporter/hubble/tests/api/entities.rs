//! The entity at an end is shown and matched as if it were the flow's metadata.

use eyepiece_flow::flow::{End, EventType, Flow};
use eyepiece_flow::lookup::{EndEntity, NameLookup};
use eyepiece_flow::metadata::{EndMetadata, Metadata, Service, Workload};
use eyepiece_flow::record::Observed;
use eyepiece_hubble::encode::Encoder;
use eyepiece_hubble::field_mask::Mask;
use eyepiece_hubble::filter::{Context, Filters, no_clock};
use eyepiece_hubble::json;
use eyepiece_hubble::node::Node;
use eyepiece_hubble::proto::flow as proto;
use prost::Message as _;

/// Entity 1 has all fields, entity 2 none.
#[derive(Default)]
struct Entities {
    metadata: EndMetadata,
    service: Service,
    dns_names: Vec<String>,
    empty: EndMetadata,
}

impl Entities {
    fn new() -> Self {
        let text = |text: &str| text.to_owned();
        let metadata = EndMetadata {
            cluster_name: text("kind"),
            namespace: text("shop"),
            pod_name: text("web-1"),
            labels: vec![text("k8s:app=web")],
            workloads: vec![Workload { name: text("web"), kind: text("Deployment") }],
        };
        let service = Service { name: text("front"), namespace: text("shop") };
        Self { metadata, service, dns_names: vec![text("web.example")], empty: EndMetadata::default() }
    }

    /// The flow with this end's entity as its own metadata.
    fn given(&self, flow: &Flow) -> Flow {
        let metadata = Metadata {
            source: self.metadata.clone(),
            source_service: Some(self.service.clone()),
            source_names: self.dns_names.clone(),
            ..Metadata::default()
        };
        Flow { metadata: Some(Box::new(metadata)), ..flow.clone() }
    }
}

impl NameLookup for Entities {
    fn interface(&self, _: u32, _: &mut String) {}

    fn kernel_reason(&self, _: u32, _: &mut String) {}

    fn kernel_symbol(&self, _: u64, _: &mut String) {}

    fn entity(&self, end: &End) -> Option<EndEntity<'_>> {
        let (service, dns_names) = (Some(&self.service), &self.dns_names[..]);
        match end.entity {
            1 => Some(EndEntity { service, dns_names, ..EndEntity::of(&self.metadata) }),
            2 => Some(EndEntity::of(&self.empty)),
            _ => None,
        }
    }
}

fn flow(entity: u32) -> Flow {
    let source = End { endpoint: 7, identity: 4711, entity, ..End::default() };
    Flow { source, ..Flow::empty(EventType { kind: 4, subtype: 5 }) }
}

fn encoded(flow: &Flow, names: &Entities) -> proto::Flow {
    let mut out = Vec::new();
    Encoder::new("node", names).flow(flow, &Mask::ALL, &mut out);
    proto::Flow::decode(out.as_slice()).expect("a flow")
}

#[test]
fn entity_is_encoded_as_metadata() {
    let names = Entities::new();
    let mut flow = flow(1);
    assert_eq!(encoded(&flow, &names), encoded(&names.given(&flow), &names));
    let source = encoded(&flow, &names).source.expect("a source");
    assert_eq!((source.pod_name.as_str(), source.labels), ("web-1", vec!["k8s:app=web".to_owned()]));
    // An entity without labels leaves that of a reserved identity.
    (flow.source.entity, flow.source.identity) = (2, 2);
    assert_eq!(encoded(&flow, &names).source.expect("a source").labels, ["reserved:world"]);
    flow.source.entity = 0;
    assert_eq!(encoded(&flow, &names).source.expect("a source").pod_name, "");
}

#[test]
fn filters_match_entities_as_metadata() {
    let names = Entities::new();
    let node = Node::default();
    let context = Context { node: &node, names: &names, clock: no_clock };
    for (filter, expected) in [
        (r#"{"source_pod": ["shop/web"]}"#, true),
        (r#"{"source_pod": ["shop/db"]}"#, false),
        (r#"{"destination_pod": ["shop/web"]}"#, false),
        (r#"{"source_label": ["app=web"]}"#, true),
        (r#"{"source_label": ["app=db"]}"#, false),
        (r#"{"source_service": ["shop/front"]}"#, true),
        (r#"{"source_service": ["shop/back"]}"#, false),
        (r#"{"source_workload": [{"name": "web", "kind": "Deployment"}]}"#, true),
        (r#"{"source_workload": [{"name": "db"}]}"#, false),
        (r#"{"source_fqdn": ["*.example"]}"#, true),
        (r#"{"source_fqdn": ["*.test"]}"#, false),
        (r#"{"source_cluster_name": ["kind"]}"#, true),
        (r#"{"source_cluster_name": ["other"]}"#, false),
        (r#"{"experimental": {"cel_expression": ["_flow.source.pod_name == 'web-1'"]}}"#, true),
        (r#"{"experimental": {"cel_expression": ["_flow.source.pod_name == 'db-1'"]}}"#, false),
    ] {
        let compiled = json::read::<proto::FlowFilter>(filter, true).expect(filter);
        let filters = Filters::compile(&[compiled], &[]).expect(filter);
        let (own, given) = (flow(1), names.given(&flow(1)));
        assert_eq!(filters.matches(&Observed::Flow(own), &context), expected, "{filter}");
        assert_eq!(filters.matches(&Observed::Flow(given), &context), expected, "{filter}");
        assert!(!filters.matches(&Observed::Flow(flow(0)), &context), "{filter}");
    }
}
