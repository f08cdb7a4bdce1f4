//! Every reference payload, compared with what Cilium 1.20.2 makes of it: without metadata, and in a fixed world.

use std::cell::RefCell;
use std::sync::Arc;

use eyepiece::metadata::NameSnapshot;
use eyepiece::pipeline::enrich;
use eyepiece_flow::cilium_release::Producer;
use eyepiece_flow::decode;
use eyepiece_flow::decode::Pairing;
use eyepiece_flow::event::RawEvent;
use eyepiece_flow::lookup::{BatchLookup, NoLookup};
use eyepiece_flow::record::Observed;
use eyepiece_tests::reference::deviation::{DEVIATIONS, Row};
use eyepiece_tests::reference::{json, vectors};
use serde_json::Value;

use crate::world;

/// A line for each payload: what Cilium 1.20.2's own parser made of it without any metadata, uuid and time taken out.
const BARE: &str = "flows-bare.jsonl.gz";
/// The same in the world of `world.json`.
const WORLD: &str = "flows-world.jsonl.gz";

#[test]
fn every_payload_decodes_as_upstream() {
    let counts = compare(BARE, None);
    // All of upstream's own, and what it refuses.
    assert!(counts.flows > 10_000 && counts.events > 1500 && counts.skipped > 1500 && counts.refused > 400);
    assert!(counts.ours_only > 1000);
}

#[test]
fn names_resolve_as_upstream() {
    let counts = compare(WORLD, Some(world::snapshot()));
    assert!(counts.flows > 11_000 && counts.events > 1500 && counts.skipped > 800 && counts.refused > 400);
}

#[derive(Debug, Default)]
struct Counts {
    flows: usize,
    events: usize,
    skipped: usize,
    refused: usize,
    ours_only: usize,
}

/// The fate of a payload.
enum Outcome {
    Observed(Box<Observed>, Value),
    Skipped,
    Refused(String),
}

/// Compares all rows, without names or in a world.
fn compare(reference: &str, world: Option<Arc<NameSnapshot>>) -> Counts {
    let ends_are_known = world.is_some();
    let decoder = Decoder { ends_are_known, names: world.unwrap_or_default(), pairing: RefCell::default() };
    let mut differences = Vec::new();
    let mut deviating = [0; DEVIATIONS.len()];
    let mut counts = Counts::default();
    for (number, (payload, mut expected)) in rows(reference).into_iter().enumerate() {
        if let Some(Value::String(message)) = expected.pointer_mut("/debug_event/message") {
            // Upstream's order is random.
            *message = message.replace("RELATED, OUT", "OUT, RELATED");
        }
        if let Some(object) = expected.as_object_mut() {
            object.remove("emitter");
        }
        let mut ours = decoder.decode(&payload);
        if let (Outcome::Observed(_, ours), true) = (&mut ours, ends_are_known) {
            world::align(ours, &mut expected);
        }
        if is_equal(&ours, &expected, &mut counts) {
            continue;
        }
        let text = match &ours {
            Outcome::Observed(observed, value) => {
                let instead = |payload: &[u8]| match decoder.decode(payload) {
                    Outcome::Observed(_, mut value) => {
                        if ends_are_known {
                            world::align(&mut value, &mut expected.clone());
                        }
                        Some(value)
                    }
                    Outcome::Skipped | Outcome::Refused(_) => None,
                };
                let row = Row {
                    payload: &payload,
                    observed,
                    ours: value,
                    expected: &expected,
                    ends_are_known,
                    instead: &instead,
                };
                if let Some(kind) = DEVIATIONS.iter().position(|deviation| (deviation.explains)(&row)) {
                    deviating[kind] += 1;
                    continue;
                }
                value.to_string()
            }
            Outcome::Skipped => "skipped".to_owned(),
            Outcome::Refused(error) => error.clone(),
        };
        differences.push(format!("row {number}\n  ours     {text}\n  expected {expected}"));
    }
    eprintln!("{counts:?}");
    for (deviation, count) in DEVIATIONS.iter().zip(deviating) {
        eprintln!("{count} deviate: {}", deviation.reason);
        assert!(count > 0 || ends_are_known || !deviation.is_in_vectors, "no row needs it: {}", deviation.reason);
    }
    let shown = differences[..differences.len().min(10)].join("\n");
    assert!(differences.is_empty(), "{} differ: {shown}", differences.len());
    counts
}

/// Returns whether a row's outcome is upstream's, or better.
fn is_equal(ours: &Outcome, expected: &Value, counts: &mut Counts) -> bool {
    match (expected["error"].as_str(), ours) {
        (Some("event was skipped"), ours) => {
            counts.skipped += 1;
            matches!(ours, Outcome::Skipped)
        }
        // Upstream refuses the message itself.
        (Some(text), ours) if REFUSALS.iter().any(|refusal| text.starts_with(refusal)) => {
            counts.refused += 1;
            matches!(ours, Outcome::Refused(_))
        }
        // Upstream loses the event over the packet in it; a flow with the layers that did decode is better.
        (Some(_), ours) => {
            counts.ours_only += 1;
            matches!(ours, Outcome::Observed(..))
        }
        (None, Outcome::Observed(observed, value)) => {
            if observed.flow().is_some() {
                counts.flows += 1;
            } else {
                counts.events += 1;
            }
            value == expected
        }
        (None, _) => false,
    }
}

/// The beginnings of upstream's errors about the message itself, not about a packet in it.
const REFUSALS: [&str; 5] =
    ["failed to parse", "empty data", "can't decode following payload type", "gob: ", "parsing time"];

struct Decoder {
    ends_are_known: bool,
    names: Arc<NameSnapshot>,
    pairing: RefCell<Pairing>,
}

impl Decoder {
    fn decode(&self, data: &[u8]) -> Outcome {
        let event = RawEvent { time: 0, cpu: 0, data, traffic: None, kernel_drop: None };
        let mut observed = match decode::decode(&event, Producer::default(), &mut self.pairing.borrow_mut()) {
            Ok(observed) => observed,
            Err(error) => return Outcome::Refused(error.to_string()),
        };
        match &mut observed {
            Observed::Flow(flow) => {
                if flow.sock.is_some() && !enrich::socket(flow, &self.names) {
                    return Outcome::Skipped;
                }
                enrich::enrich(flow, &self.names);
            }
            Observed::Debug(event) => enrich::debug(event, &self.names),
            Observed::Agent(_) | Observed::Lost(_) => {}
        }
        let names = BatchLookup { batch: Some(&*self.names), machine: &NoLookup };
        let value = if self.ends_are_known { json::named(&observed, &names) } else { json::observed(&observed) };
        Outcome::Observed(Box::new(observed), value)
    }
}

/// Payloads, each with the reference's line.
fn rows(reference: &str) -> Vec<(Vec<u8>, Value)> {
    let payloads = vectors::payloads();
    let flows: Vec<Value> =
        vectors::text(reference).lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect();
    assert_eq!((payloads.len(), flows.len()), (20_000, 20_000));
    payloads.into_iter().zip(flows).collect()
}
