//! Flows of a real Hubble as our records and back, and masks against an implementation that knows no bytes.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use eyepiece_flow::flow::Flow;
use eyepiece_flow::lookup::NoLookup;
use eyepiece_hubble::decode;
use eyepiece_hubble::encode::Encoder;
use eyepiece_hubble::field_mask::Mask;
use eyepiece_hubble::json;
use eyepiece_hubble::proto::flow as proto;
use eyepiece_tests::reference::vectors;
use proptest::prelude::*;
use prost::Message as _;
use prost_reflect::{DynamicMessage, Kind, MessageDescriptor, ReflectMessage as _};
use serde_json::Value;

/// 4,000 flows as protobuf JSON, made to use every field that filters and metrics look at.
const FLOWS: &str = "filters/flows.jsonl.gz";

fn lines() -> Vec<String> {
    vectors::text(FLOWS).lines().map(ToOwned::to_owned).collect()
}

fn encoded(flow: &Flow, mask: &Mask) -> Vec<u8> {
    let mut out = Vec::new();
    Encoder::new("", &NoLookup).flow(flow, mask, &mut out);
    out
}

/// Fields without a place in our record. They stay in the flow's own bytes.
const LEFT_OUT: [&str; 7] = [
    "egress_allowed_by",
    "ingress_allowed_by",
    "egress_denied_by",
    "ingress_denied_by",
    "policy_log",
    "aggregate",
    "extensions",
];

#[test]
fn record_keeps_all_fields_but_listed() {
    let mut left_out = 0;
    for (number, line) in lines().iter().enumerate() {
        let mut theirs: Value = serde_json::from_str(line).expect("JSON");
        let object = theirs.as_object_mut().expect("a flow");
        // The file has flows without their time.
        object.insert("time".into(), format!("2023-11-14T22:13:20.{number:09}Z").into());
        let message: proto::Flow = json::read(&Value::from(object.clone()).to_string(), true).expect("a flow");
        let ours = encoded(&decode::flow(message, Box::default()), &Mask::ALL);
        let ours = proto::Flow::decode(ours.as_slice()).expect("a flow");
        left_out += LEFT_OUT.iter().filter(|field| object.remove(**field).is_some()).count();
        let theirs: proto::Flow = json::read(&theirs.to_string(), true).expect("a flow");
        assert_eq!(ours, theirs, "{line}");
    }
    assert!(left_out < 10, "{left_out} fields were not compared");
}

#[test]
fn flow_with_bytes_is_unchanged() {
    for line in lines() {
        let message: proto::Flow = json::read(&line, true).expect("a flow");
        let own = message.encode_to_vec();
        let flow = decode::flow(message, own.clone().into());
        assert_eq!(encoded(&flow, &Mask::ALL), own, "{line}");
    }
}

/// Every path into a message that a mask may have.
fn paths(message: &MessageDescriptor, before: &str, depth: usize, found: &mut Vec<String>) {
    for field in message.fields() {
        let path = format!("{before}{}", field.name());
        if let Kind::Message(inner) = field.kind()
            && !field.is_list()
            && depth > 0
        {
            paths(&inner, &format!("{path}."), depth - 1, found);
        }
        found.push(path);
    }
}

/// Fields by name; empty = all.
#[derive(Default)]
struct Tree(BTreeMap<String, Option<Tree>>);

impl Tree {
    fn add(&mut self, path: &str) {
        let Some((name, rest)) = path.split_once('.') else {
            self.0.insert(path.to_owned(), None);
            return;
        };
        if let Some(tree) = self.0.entry(name.to_owned()).or_insert_with(|| Some(Tree::default())) {
            tree.add(rest);
        }
    }

    /// Returns the part of a message that the mask keeps.
    fn of(&self, message: &DynamicMessage) -> DynamicMessage {
        let mut kept = DynamicMessage::new(message.descriptor());
        for (name, inner) in &self.0 {
            let field = message.descriptor().get_field_by_name(name).expect("a field");
            let has = message.has_field(&field);
            match inner {
                None if has => kept.set_field(&field, message.get_field(&field).into_owned()),
                Some(_) if !has && field.containing_oneof().is_some() => {}
                Some(tree) => {
                    let value = message.get_field(&field);
                    let inner = tree.of(value.as_message().expect("a message"));
                    kept.set_field(&field, prost_reflect::Value::Message(inner));
                }
                None => {}
            }
        }
        kept
    }
}

struct World {
    descriptor: MessageDescriptor,
    paths: Vec<String>,
    flows: Vec<proto::Flow>,
}

static WORLD: LazyLock<World> = LazyLock::new(|| {
    let descriptor = eyepiece_hubble::proto::descriptor("flow.Flow").expect("a flow");
    let mut found = Vec::new();
    paths(&descriptor, "", 4, &mut found);
    let flows = lines().iter().map(|line| json::read(line, true).expect("a flow")).collect();
    World { descriptor, paths: found, flows }
});

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn masked_encoding_equals_mask_of_flow(
        flow in 0..WORLD.flows.len(),
        paths in prop::collection::vec(0..WORLD.paths.len(), 1..12),
        keeps_bytes: bool,
    ) {
        let paths: Vec<&str> = paths.iter().map(|&path| WORLD.paths[path].as_str()).collect();
        let mask = Mask::of_flow(&paths).expect("paths of the descriptor");
        let message = WORLD.flows[flow].clone();
        let own = if keeps_bytes { message.encode_to_vec() } else { Vec::new() };
        let flow = decode::flow(message, own.into());
        let mut tree = Tree::default();
        paths.iter().for_each(|path| tree.add(path));
        let read = |bytes: &[u8]| DynamicMessage::decode(WORLD.descriptor.clone(), bytes).expect("a flow");
        prop_assert_eq!(read(&encoded(&flow, &mask)), tree.of(&read(&encoded(&flow, &Mask::ALL))), "{:?}", paths);
    }
}
