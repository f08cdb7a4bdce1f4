//! Our filters against the answers of Cilium 1.20 for each pair of filter and flow.

use eyepiece_flow::lookup::NoLookup;
use eyepiece_hubble::filter::{Context, Filters, no_clock};
use eyepiece_hubble::json;
use eyepiece_hubble::node::Node;
use eyepiece_hubble::proto::flow::{Flow, FlowFilter};
use eyepiece_tests::reference::{record, vectors};
use serde_json::Value;

#[test]
fn filters_match_as_cilium() {
    let node = Node::default();
    let context = Context { node: &node, names: &NoLookup, clock: no_clock };
    let flows: Vec<_> = vectors::text("filters/flows.jsonl.gz")
        .lines()
        .map(|line| record::flow(&json::read::<Flow>(line, true).expect("a flow")))
        .collect();
    let filters = vectors::text("filters/filters.jsonl");
    let expected = vectors::text("filters/expected.jsonl.gz");
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
