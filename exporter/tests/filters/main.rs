//! What Cilium 1.20 says of each pair of its filters and flows, we say too.

mod record;

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

use eyepiece_flow::lookup::NoLookup;
use eyepiece_hubble::filter::{Context, Filters, no_clock};
use eyepiece_hubble::json;
use eyepiece_hubble::node::Node;
use eyepiece_hubble::proto::flow::{Flow, FlowFilter};
use flate2::read::GzDecoder;
use serde_json::Value;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/filters");

fn text(name: &str) -> String {
    let path = Path::new(FOLDER).join(name);
    if !name.ends_with(".gz") {
        return fs::read_to_string(path).expect(name);
    }
    let mut text = String::new();
    GzDecoder::new(File::open(path).expect(name)).read_to_string(&mut text).expect(name);
    text
}

#[test]
fn every_filter_matches_what_cilium_does() {
    let node = Node::default();
    let context = Context { node: &node, names: &NoLookup, clock: no_clock };
    let flows: Vec<_> = text("flows.jsonl.gz")
        .lines()
        .map(|line| record::flow(&json::read::<Flow>(line, true).expect("a flow")))
        .collect();
    let filters = text("filters.jsonl");
    let expected = text("expected.jsonl.gz");
    assert_eq!((flows.len(), filters.lines().count(), expected.lines().count()), (4000, 3000, 3000));
    let (mut wrong, mut refused, mut matched, mut alike) = (Vec::new(), 0, 0, 0);
    for (line, expected) in filters.lines().zip(expected.lines()) {
        let filter: FlowFilter = json::read(line, true).expect("a filter");
        let expected: Value = serde_json::from_str(expected).expect("an answer");
        let filters = match Filters::compile(std::slice::from_ref(&filter), &[]) {
            Ok(filters) => filters,
            Err(error) => {
                refused += 1;
                match expected["error"].as_str() {
                    None => wrong.push(format!("{line}: {error}")),
                    // What an error starts with is what people look for.
                    Some(theirs) => {
                        let start = |text: &str| text.split([':', '(']).next().unwrap_or_default().trim().to_owned();
                        alike += usize::from(start(&error.to_string()) == start(theirs));
                    }
                }
                continue;
            }
        };
        let Some(bitmap) = expected["bitmap"].as_str() else {
            wrong.push(format!("{line}: {}", expected["error"]));
            continue;
        };
        for (at, flow) in flows.iter().enumerate() {
            let byte = u8::from_str_radix(&bitmap[at / 8 * 2..][..2], 16).expect("hexadecimal digits");
            let theirs = byte >> (at % 8) & 1 == 1;
            let ours = filters.matches(flow, &context);
            matched += usize::from(ours);
            if ours != theirs {
                wrong.push(format!("{line}: {theirs} for {flow:?}"));
                break;
            }
        }
    }
    eprintln!("{refused} refused, {alike} of them in the same words; {matched} matches");
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong[..wrong.len().min(10)].join("\n"));
    assert!(refused > 400 && matched > 100_000, "{refused} refused, {matched} matches");
    assert_eq!(alike, refused);
}
