//! Flows of a real Hubble as our records and back, and masks against an implementation that knows no bytes.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::sync::{Arc, LazyLock};

use eyepiece::flow::Flow;
use eyepiece::hubble::decode;
use eyepiece::hubble::encode::Encoder;
use eyepiece::hubble::mask::Mask;
use eyepiece::names::NoNames;
use eyepiece::proto::flow as proto;
use eyepiece::proto::json;
use flate2::read::GzDecoder;
use proptest::prelude::*;
use prost::Message as _;
use prost_reflect::{DynamicMessage, Kind, MessageDescriptor, ReflectMessage as _};
use serde_json::Value;

/// 4,000 flows as protobuf JSON, made to use every field that filters and metrics look at.
const FLOWS: &[u8] = include_bytes!("../vectors/filters/flows.jsonl.gz");

fn lines() -> Vec<String> {
    BufReader::new(GzDecoder::new(FLOWS)).lines().map(|line| line.expect("a line")).collect()
}

fn encoded(flow: &Flow, mask: &Mask) -> Vec<u8> {
    let mut out = Vec::new();
    Encoder::new("", Arc::new(NoNames)).flow(flow, mask, &mut out);
    out
}

/// A kind of difference between a flow and what is left of it without its own bytes.
struct Difference {
    why: &'static str,
    /// Takes it out of both sides, where that makes them alike; the first is the original.
    level: fn(&mut Value, &mut Value),
}

/// Removes a field of the original's that our record has no place for.
macro_rules! lost {
    ($field:literal) => {
        Difference {
            why: concat!($field, ": our record has no place for it"),
            level: |theirs, _| {
                theirs.as_object_mut().expect("a flow").remove($field);
            },
        }
    };
}

const DIFFERENCES: &[Difference] = &[
    lost!("egress_allowed_by"),
    lost!("ingress_allowed_by"),
    lost!("egress_denied_by"),
    lost!("ingress_denied_by"),
    lost!("policy_log"),
    lost!("aggregate"),
    lost!("extensions"),
    Difference {
        why: "time, source, destination, event_type and emitter are always there",
        level: |theirs, ours| {
            for field in ["time", "source", "destination", "event_type", "emitter"] {
                if theirs.get(field).is_none() {
                    ours.as_object_mut().expect("a flow").remove(field);
                }
            }
        },
    },
    Difference {
        why: "Type follows from the event's type",
        level: |theirs, ours| {
            if theirs.get("Type") != ours.get("Type") {
                for flow in [theirs, ours] {
                    flow.as_object_mut().expect("a flow").remove("Type");
                }
            }
        },
    },
    Difference {
        why: "drop_reason and drop_reason_desc, reply and is_reply say the same",
        level: |theirs, ours| {
            for field in ["drop_reason", "reply"] {
                for flow in [&mut *theirs, &mut *ours] {
                    flow.as_object_mut().expect("a flow").remove(field);
                }
            }
        },
    },
    Difference {
        why: "TCP flags are there wherever a packet was seen",
        level: |theirs, ours| {
            for flow in [theirs, ours] {
                let Some(tcp) = flow.pointer_mut("/l4/TCP").and_then(Value::as_object_mut) else { continue };
                if tcp.get("flags").is_some_and(|flags| flags.as_object().is_some_and(serde_json::Map::is_empty)) {
                    tcp.remove("flags");
                }
            }
        },
    },
];

#[test]
fn a_record_has_all_that_hubble_told_but_what_is_named() {
    let mut counts = vec![0; DIFFERENCES.len()];
    let mut equal = 0;
    let mut differing = Vec::new();
    for line in lines() {
        let message: proto::Flow = json::read(&line).expect("a flow");
        let ours = encoded(&decode::flow(message, Box::default()), &Mask::ALL);
        let mut theirs: Value = serde_json::from_str(&line).expect("JSON");
        let text = json::write_encoded("flow.Flow", &ours).expect("a flow");
        let mut ours: Value = serde_json::from_str(&text).expect("JSON");
        let mut levelled = false;
        for (difference, count) in DIFFERENCES.iter().zip(&mut counts) {
            let before = (theirs.clone(), ours.clone());
            if theirs != ours {
                (difference.level)(&mut theirs, &mut ours);
            }
            if before != (theirs.clone(), ours.clone()) {
                *count += 1;
                levelled = true;
            }
        }
        if theirs != ours {
            differing.push(format!("{line}\n  theirs {theirs}\n  ours   {ours}"));
        }
        equal += usize::from(!levelled && theirs == ours);
    }
    eprintln!("{equal} of 4000 are equal in full");
    for (difference, count) in DIFFERENCES.iter().zip(counts) {
        eprintln!("{count}: {}", difference.why);
    }
    assert!(differing.is_empty(), "{} differ:\n{}", differing.len(), differing[..differing.len().min(5)].join("\n"));
}

#[test]
fn a_flow_with_its_bytes_goes_on_as_it_came() {
    for line in lines() {
        let message: proto::Flow = json::read(&line).expect("a flow");
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

/// Fields by name; none stands for all.
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

    /// What the mask keeps, field by field.
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
    let descriptor = json::descriptor("flow.Flow").expect("a flow");
    let mut found = Vec::new();
    paths(&descriptor, "", 4, &mut found);
    let flows = lines().iter().map(|line| json::read(line).expect("a flow")).collect();
    World { descriptor, paths: found, flows }
});

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn a_masked_flow_is_the_mask_of_the_flow(
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
