//! Every reference payload of the L3/L4 messages, compared with what Cilium 1.20.2 makes of it.

mod deviation;
mod json;

use std::io::Read;

use deviation::{DEVIATIONS, Row};
use eyepiece::event::RawEvent;
use eyepiece::flow::Flow;
use eyepiece::parser::{self, ParseError};
use flate2::read::GzDecoder;
use serde_json::Value;

const PAYLOADS: &[u8] = include_bytes!("payloads.bin.gz");
const FLOWS: &[u8] = include_bytes!("flows-bare.jsonl.gz");

#[test]
fn every_l34_payload_decodes_as_upstream() {
    let mut differences = Vec::new();
    let mut deviating = [0; DEVIATIONS.len()];
    let (mut flows, mut refused, mut ours_only) = (0, 0, 0);
    for (row, (payload, mut expected)) in rows().into_iter().enumerate() {
        if !matches!(payload.first(), Some(1 | 3 | 4 | 5)) {
            continue;
        }
        let ours = parse(&payload);
        let equal = match (expected["error"].as_str(), &ours) {
            // Upstream refuses the notification header.
            (Some(text), ours) if text.starts_with("failed to parse") => {
                refused += 1;
                ours.is_err()
            }
            // Upstream loses the event over the packet in it; a flow with the layers that did decode is better.
            (Some(_), ours) => {
                ours_only += 1;
                ours.is_ok()
            }
            (None, Ok(flow)) => {
                flows += 1;
                if let Some(object) = expected.as_object_mut() {
                    object.remove("emitter");
                }
                json::flow(flow) == expected
            }
            (None, Err(_)) => false,
        };
        if equal {
            continue;
        }
        let text = match &ours {
            Ok(flow) => {
                let row = Row { payload: &payload, flow, expected: &expected };
                if let Some(kind) = DEVIATIONS.iter().position(|deviation| (deviation.explains)(&row)) {
                    deviating[kind] += 1;
                    continue;
                }
                json::flow(flow).to_string()
            }
            Err(error) => error.to_string(),
        };
        differences.push(format!("row {row}\n  ours     {text}\n  expected {expected}"));
    }
    eprintln!("{flows} flows, {refused} refused, {ours_only} flows where upstream loses the event");
    for (deviation, count) in DEVIATIONS.iter().zip(deviating) {
        eprintln!("{count} deviate: {}", deviation.reason);
        assert!(count > 0, "no row needs it: {}", deviation.reason);
    }
    assert!(
        differences.is_empty(),
        "{} differ: {}",
        differences.len(),
        differences[..differences.len().min(10)].join("\n")
    );
    assert!(flows > 10_000 && refused > 100 && ours_only > 1000);
}

fn parse(data: &[u8]) -> Result<Flow, ParseError> {
    parser::parse(&RawEvent { time: 0, cpu: 0, data, meter: None, kernel_drop: None })
}

/// Payloads, each with the reference's line.
fn rows() -> Vec<(Vec<u8>, Value)> {
    let mut bytes = Vec::new();
    GzDecoder::new(PAYLOADS).read_to_end(&mut bytes).expect("gzip data");
    let mut rest = bytes.as_slice();
    let mut payloads = Vec::new();
    while let Some((length, tail)) = rest.split_first_chunk() {
        let (payload, tail) = tail.split_at(u32::from_le_bytes(*length) as usize);
        payloads.push(payload.to_vec());
        rest = tail;
    }
    let mut lines = String::new();
    GzDecoder::new(FLOWS).read_to_string(&mut lines).expect("gzip text");
    let flows: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect();
    assert_eq!(payloads.len(), flows.len());
    payloads.into_iter().zip(flows).collect()
}
