//! Events as protobuf JSON: encoded as Hubble's messages, and decoded by their descriptors.

use eyepiece_flow::lookup::{NameLookup, NoLookup};
use eyepiece_flow::record::Observed;
use eyepiece_hubble::encode::Encoder;
use eyepiece_hubble::field_mask::Mask;
use eyepiece_hubble::json;
use eyepiece_hubble::proto::observer::ExportEvent;
use prost::Message as _;
use serde_json::{Map, Value};

/// Labels that every reserved identity from 1 on has; the reference has none without metadata.
const RESERVED: [&str; 10] = [
    "reserved:host",
    "reserved:world",
    "reserved:unmanaged",
    "reserved:health",
    "reserved:init",
    "reserved:remote-node",
    "reserved:kube-apiserver",
    "reserved:ingress",
    "reserved:world-ipv4",
    "reserved:world-ipv6",
];

/// As the reference has it, without `emitter`, `uuid`, `time` and the labels of reserved identities.
pub fn observed(observed: &Observed) -> Value {
    let mut event = named(observed, &NoLookup);
    let text = event.to_string();
    match (observed, event.as_object_mut()) {
        (Observed::Flow(flow), Some(out)) => {
            let labels = flow.l7.as_ref().map(|l7| [&l7.source_labels, &l7.destination_labels]);
            for (index, (key, end)) in [("source", flow.source), ("destination", flow.destination)].iter().enumerate() {
                if labels.is_none_or(|labels| labels[index].is_empty()) {
                    without_reserved(out, key, end.identity, &text);
                }
            }
        }
        (Observed::Debug(debug), Some(event)) if debug.source.endpoint != 0 => {
            if let Some(Value::Object(out)) = event.get_mut("debug_event") {
                without_reserved(out, "source", debug.source.identity, &text);
            }
        }
        _ => {}
    }
    event
}

/// As the reference has it with these names, without `emitter`, `uuid` and `time`.
pub fn named(observed: &Observed, names: &dyn NameLookup) -> Value {
    let mut encoded = Vec::new();
    Encoder::new("", names).export_event(observed, &Mask::ALL, &mut encoded);
    let message = ExportEvent::decode(encoded.as_slice()).expect("an event");
    let mut text = String::new();
    json::write(&message, &mut text).expect("JSON");
    let Ok(Value::Object(mut event)) = serde_json::from_str(&text) else { panic!("an object: {text}") };
    assert!(event.remove("time").is_some(), "{text}");
    match observed {
        Observed::Flow(_) => {
            let Some(Value::Object(mut out)) = event.remove("flow") else { panic!("a flow: {text}") };
            assert!(out.remove("emitter").is_some() && out.remove("time").is_some(), "{text}");
            out.into()
        }
        Observed::Debug(_) | Observed::Agent(_) => event.into(),
        Observed::Lost(lost) => panic!("no payload is a loss: {lost:?}"),
    }
}

/// Takes the one label out that is known by the identity's number alone; there must be no other.
fn without_reserved(out: &mut Map<String, Value>, end: &str, identity: u32, text: &str) {
    let labels = out.get_mut(end).and_then(Value::as_object_mut).and_then(|end| end.remove("labels"));
    let expected = (1..=10).zip(RESERVED).find(|(number, _)| *number == identity).map(|(_, label)| vec![label]);
    assert_eq!(labels, expected.map(Value::from), "{end} of {text}");
}
