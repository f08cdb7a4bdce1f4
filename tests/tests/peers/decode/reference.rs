//! The peer that decodes packets against the reference: what Cilium 1.20.2's own parser made of the vectors' packets.

use eyepiece_tests::needs_peers;
use serde_json::Value;

use super::mutated::{PACKETS, answers, layers};
use eyepiece_tests::reference::vectors;

/// A line of JSON for each of the vectors.
const FLOWS: &str = "flows-bare.jsonl.gz";

#[test]
fn packets_peer_agrees_with_reference() {
    needs_peers!(PACKETS);
    let lines = vectors::text(FLOWS);
    let flows = lines.lines().map(|line| serde_json::from_str::<Value>(line).expect("a line of JSON"));
    let rows = vectors::payloads().into_iter().zip(flows);
    let (frames, expected): (Vec<_>, Vec<_>) =
        rows.filter_map(|(payload, flow)| Some((frame(&payload)?, flow))).unzip();
    let mut counts = [0; 2];
    for (found, expected) in answers(PACKETS, &[], &frames).expect("layers").into_iter().zip(expected) {
        let error = |value: &Value| value["error"].as_str().map(|text| text.replace("nested: ", "overlay: "));
        match error(&expected) {
            Some(text) if text.starts_with("failed to parse") => continue,
            Some(text) => assert_eq!(error(&found), Some(text), "{found}"),
            None => assert_eq!(found, layers(expected)),
        }
        counts[usize::from(found.get("error").is_some())] += 1;
    }
    assert!(counts[0] > 12_000 && counts[1] > 1500, "{counts:?}");
}

/// The flags and the packet, as 1.20 sees them: all behind the header, and every verdict's has 40 bytes.
fn frame(payload: &[u8]) -> Option<Vec<u8>> {
    let at = |index: usize| payload.get(index).copied().unwrap_or(0);
    let (length, flags) = match (payload.first()?, at(14)) {
        (1, 0 | 1) => (36, 0),
        (1, 2) => (40, at(36)),
        (1, 3) => (48, at(36)),
        (3, _) => (24, 0),
        (4, 0) => (32, at(27)),
        (4, 1) => (48, at(27)),
        (4, 2) => (56, at(27)),
        (5, _) => (40, at(27) >> 2 & 1 | at(27) >> 7 << 1),
        _ => return None,
    };
    Some([&[flags & 0x0f], payload.get(length..)?].concat())
}
