//! Requests for flows: any bytes are invalid, a rejected request, or one with valid responses.
#![no_main]

use std::sync::LazyLock;

use eyepiece_flow::event::{Lost, LostSource};
use eyepiece_flow::flow::{EventType, Flow, Ip, L4};
use eyepiece_flow::lookup::NoLookup;
use eyepiece_flow::metadata::Metadata;
use eyepiece_flow::record::Observed;
use eyepiece_hubble::encode::Encoder;
use eyepiece_hubble::filter::{Context, no_clock};
use eyepiece_hubble::layout::Masks;
use eyepiece_hubble::node::Node;
use eyepiece_hubble::proto::observer::{GetFlowsRequest, GetFlowsResponse};
use eyepiece_hubble::request;
use libfuzzer_sys::fuzz_target;
use prost::Message;

static EVENTS: LazyLock<Vec<Observed>> = LazyLock::new(|| {
    let mut metadata = Metadata { node_name: "kind/node".to_owned(), ..Metadata::default() };
    metadata.source.labels = vec!["k8s:app=web".to_owned(), "reserved:host".to_owned()];
    metadata.source_names = vec!["www.example.com".to_owned()];
    let flow = Flow {
        ip: Some(Ip {
            source: [10, 0, 0, 1].into(),
            source_translated: None,
            destination: [10, 0, 0, 2].into(),
            version: 4,
        }),
        l4: L4::Udp { source_port: 1, destination_port: 53 },
        ..Flow::empty(EventType { kind: 4, subtype: 0 })
    };
    vec![
        Observed::Flow(Flow { metadata: Some(Box::new(metadata)), ..flow.clone() }),
        Observed::Flow(flow),
        Observed::Lost(Lost { source: LostSource::HubbleRing, cpu: Some(1), count: 7, time: 1 }),
    ]
});

fuzz_target!(|input: &[u8]| {
    let Ok(request) = request::decode(input) else { return };
    assert_eq!(GetFlowsRequest::decode(input).as_ref(), Ok(&request));
    let (query, layout) = match request::flows(&Masks::default(), &request) {
        Ok(checked) => checked,
        Err(error) => {
            assert!(!error.message().is_empty() && error.grpc_code() > 0);
            return;
        }
    };
    assert!(!(query.first && query.follow));
    let node = Node { name: "node".to_owned(), cluster: "kind".to_owned() };
    let context = Context { node: &node, names: &NoLookup, clock: no_clock };
    let encoder = Encoder::new("kind/node", &NoLookup);
    for event in EVENTS.iter() {
        assert_eq!(query.filters.matches(event, &context), query.filters.matches(event, &context));
        let mut answer = Vec::new();
        layout.write(&encoder, event, &mut answer);
        let answer = GetFlowsResponse::decode(&answer[..]).expect("an answer is a message");
        assert_eq!(answer.node_name, "kind/node");
        assert!(answer.time.is_some() && answer.response_types.is_some());
    }
});
